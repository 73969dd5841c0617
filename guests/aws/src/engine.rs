//! Carries out what [`crate::spec`] describes: list, ask about each item, make objects of it.
//!
//! Memory is bounded by a page and a chunk of items, however many there are. A single list that fails ends the step; of
//! many lists, one that fails is said in the run log, the others go on, and the host leaves the slice incomplete. What an
//! object can't be without is counted, and the step fails in the end, so that nothing is taken for gone.

use crate::convert;
use crate::path::{self, Item, Names, Scope};
use crate::reply;
use crate::spec::{Ask, Detail, Link, Resource, Sink, Source, Table};
use porthole_sdk::{Call, Cx, Emitter, ManyOutcome, Response, Skipped, StepError};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Items that are worked on together: enough to keep all calls at once busy, few enough to stay small.
const CHUNK: usize = 256;
/// The credential slot.
pub const SLOT: &str = "aws";

/// What ids were found under, and the ids.
type Group = (Option<Rc<Item>>, Vec<String>);

/// One step of one region, or of the account.
pub struct Run<'a> {
    /// What the step works with.
    pub cx: &'a Cx<'a>,
    /// What templates may name.
    pub names: Names,
    skipped: RefCell<Skipped>,
    lists: RefCell<ManyOutcome>,
}

impl<'a> Run<'a> {
    /// Nothing done yet.
    #[must_use]
    pub fn new(cx: &'a Cx<'a>, names: Names) -> Self {
        Self { cx, names, skipped: RefCell::default(), lists: RefCell::default() }
    }

    /// Carries out a table.
    ///
    /// # Errors
    /// When a single list failed or the run ended.
    pub fn table(&self, table: &Table) -> Result<(), StepError> {
        let mut out = self.cx.emitter();
        self.source(table.source, &mut |mut items| {
            for detail in table.details {
                self.detail(detail, &mut items)?;
            }
            for item in &mut items {
                if let Some(prepare) = table.prepare {
                    prepare(&mut item.value, &self.names);
                }
                for resource in table.resources {
                    self.emit(&mut out, resource, item)?;
                }
            }
            self.cx.progress(out.objects(), None);
            Ok(())
        })?;
        Ok(out.finish()?)
    }

    /// Ends the step: fails when something was left out, or when of many lists none could be read.
    ///
    /// # Errors
    /// What was left out.
    pub fn finish(self) -> Result<(), StepError> {
        self.skipped.into_inner().finish()?;
        match self.lists.into_inner() {
            ManyOutcome { complete: 0, failed } if failed > 0 => {
                Err(StepError::Call(format!("none of the {failed} lists could be read; see the run log")))
            }
            _ => Ok(()),
        }
    }

    /// Takes note of something left out.
    pub fn skip(&self, reason: impl std::fmt::Display) {
        self.skipped.borrow_mut().add(reason);
    }

    /// A call, with the region of a step that has one.
    #[must_use]
    pub fn call(&self, operation: &'static str) -> Call {
        let call = Call::new(operation).credential(SLOT);
        if self.names.region.is_empty() { call } else { call.arg("region", &self.names.region) }
    }

    /// The call with its arguments; `None` when one of them is nothing.
    fn filled(&self, ask: &Ask, scope: &Scope<'_>) -> Option<Call> {
        let mut call = self.call(ask.operation);
        for (name, template) in ask.arguments {
            call = call.arg(*name, scope.fill(template).ok()?);
        }
        Some(call)
    }

    /// Hands the items of a source to `sink`.
    ///
    /// # Errors
    /// Those of `sink`; a single list that failed; the run's end.
    pub fn source(&self, source: &Source, sink: &mut Sink<'_>) -> Result<(), StepError> {
        match source {
            Source::List(ask) => self.list(ask, sink),
            Source::Lists(asks) => asks.iter().try_for_each(|ask| self.list(ask, sink)),
            Source::Stored(kind, _) => self.stored(kind, sink),
            Source::Each(of, ask) => self.source(of, &mut |parents| self.each(ask, parents, sink)),
            Source::Batch(of, id, argument, size, ask) => {
                self.source(of, &mut |items| self.batch(&items, id, argument, *size, ask, sink))
            }
            Source::Code(_, _, code) => code(self, sink),
        }
    }

    fn list(&self, ask: &Ask, sink: &mut Sink<'_>) -> Result<(), StepError> {
        let nothing = Item::new(Value::Null);
        let Some(call) = self.filled(ask, &Scope::of(&self.names, &nothing)) else { return Ok(()) };
        for page in self.cx.pages(call) {
            chunks(items(&page?, ask.items, None)?, sink)?;
        }
        Ok(())
    }

    /// A list of which every item is added to before it is handed on.
    ///
    /// # Errors
    /// As [`Self::source`].
    pub fn list_with(&self, ask: &Ask, add: impl Fn(&mut Value), sink: &mut Sink<'_>) -> Result<(), StepError> {
        self.list(ask, &mut |mut items| {
            items.iter_mut().for_each(|item| add(&mut item.value));
            sink(items)
        })
    }

    /// The keys of what an earlier step emitted, by a property.
    ///
    /// # Errors
    /// When it can't be read back.
    pub fn keys_by(&self, property: &str, kind: &str) -> Result<BTreeMap<String, String>, StepError> {
        let mut keys = BTreeMap::new();
        self.stored(kind, &mut |items| {
            keys.extend(items.iter().map(|item| (item.text(property), item.text("KEY"))));
            Ok(())
        })?;
        Ok(keys)
    }

    /// Hands on what an earlier step emitted; in a step of one region that region's.
    ///
    /// # Errors
    /// Those of `sink`, or when it can't be read back.
    pub fn stored(&self, kind: &str, sink: &mut Sink<'_>) -> Result<(), StepError> {
        let mut chunk = Vec::new();
        for entity in self.cx.entities::<Map<String, Value>>(kind) {
            let entity = entity?;
            let mut value = entity.properties;
            let elsewhere = value.get("region").and_then(Value::as_str).is_some_and(|r| r != self.names.region);
            if elsewhere && !self.names.region.is_empty() {
                continue;
            }
            value.insert("KEY".to_owned(), Value::String(entity.key));
            chunk.push(Item::new(Value::Object(value)));
            if chunk.len() >= CHUNK {
                sink(std::mem::take(&mut chunk))?;
            }
        }
        if chunk.is_empty() { Ok(()) } else { sink(chunk) }
    }

    /// A list for each parent, many at once. Items are handed on in chunks, not list by list, so that what is asked about
    /// them is many at once too.
    ///
    /// # Errors
    /// Those of `sink`, or the run's end.
    pub fn each(&self, ask: &Ask, parents: Vec<Item>, sink: &mut Sink<'_>) -> Result<(), StepError> {
        let parents: Vec<_> = parents.into_iter().map(Rc::new).collect();
        let lists = parents.iter().filter_map(|parent| {
            let call = self.filled(ask, &Scope::of(&self.names, parent))?;
            Some((Rc::clone(parent), call))
        });
        self.many(lists, ask.items, sink)
    }

    /// Items by their ids: those that share all other arguments and were found under the same are described together.
    fn batch(
        &self,
        found: &[Item],
        id: &str,
        argument: &'static str,
        size: usize,
        ask: &Ask,
        sink: &mut Sink<'_>,
    ) -> Result<(), StepError> {
        let mut groups: BTreeMap<Vec<String>, Group> = BTreeMap::new();
        for item in found {
            let scope = Scope::of(&self.names, item);
            let shared: Result<Vec<_>, _> = ask.arguments.iter().map(|(_, template)| scope.fill(template)).collect();
            match (shared, scope.fill(id)) {
                (Ok(shared), Ok(id)) => {
                    groups.entry(shared).or_insert_with(|| (item.under.clone(), Vec::new())).1.push(id);
                }
                (Err(place), _) | (_, Err(place)) => self.skip(format!("`{}` lacks {place}", ask.operation)),
            }
        }
        let calls = groups.iter().flat_map(|(shared, (under, ids))| {
            ids.chunks(size.max(1)).map(move |ids| {
                let named = ask.arguments.iter().zip(shared);
                let call = named.fold(self.call(ask.operation), |call, ((name, _), value)| call.arg(*name, value));
                let parent = under.clone().unwrap_or_else(|| Rc::new(Item::new(Value::Null)));
                (parent, ids.iter().fold(call, |call, id| call.arg(argument, id)))
            })
        });
        self.many(calls, ask.items, sink)
    }

    fn many(
        &self,
        lists: impl IntoIterator<Item = (Rc<Item>, Call)>,
        at: &str,
        sink: &mut Sink<'_>,
    ) -> Result<(), StepError> {
        let mut ready = Vec::new();
        let outcome = self.cx.pages_many(lists, |parent, page| {
            match items(page, at, Some(parent)) {
                Ok(items) => ready.extend(items),
                Err(e) => self.skip(e),
            }
            if ready.len() >= CHUNK { chunks(std::mem::take(&mut ready), sink) } else { Ok(()) }
        })?;
        let mut lists = self.lists.borrow_mut();
        lists.complete += outcome.complete;
        lists.failed += outcome.failed;
        drop(lists);
        chunks(ready, sink)
    }

    /// Asks about every item, many at once, and adds the answers to them. Of an item whose answer failed the rest stays.
    ///
    /// # Errors
    /// The run's end.
    pub fn detail(&self, detail: &Detail, items: &mut [Item]) -> Result<(), StepError> {
        let mut answers: BTreeMap<usize, Value> = BTreeMap::new();
        let calls = items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| Some((at, self.filled(&detail.ask, &Scope::of(&self.names, item))?)));
        let outcome = self.cx.pages_many(calls, |at, page| {
            match reply::read(page) {
                Err(e) => self.skip(e),
                Ok(reply) if detail.ask.items.is_empty() => drop(answers.insert(*at, reply)),
                Ok(reply) => {
                    let list = answers.entry(*at).or_insert_with(|| Value::Array(Vec::new()));
                    if let Some(list) = list.as_array_mut() {
                        list.append(&mut take(reply, detail.ask.items));
                    }
                }
            }
            Ok(())
        });
        // What failed is in the run log, and in the host's ledger.
        let _: ManyOutcome = outcome?;
        for (at, answer) in answers {
            if let Some(Value::Object(fields)) = items.get_mut(at).map(|item| &mut item.value) {
                fields.insert(detail.field.to_owned(), answer);
            }
        }
        Ok(())
    }

    fn emit(&self, out: &mut Emitter<'_>, resource: &Resource, item: &Item) -> Result<(), StepError> {
        for scope in Scope::of(&self.names, item).parts(resource.part) {
            if !convert::is_wanted(&scope, resource.when) {
                continue;
            }
            let key = match scope.fill(resource.key) {
                Ok(key) => key,
                Err(place) => {
                    self.skip(format!("{} without {place}", resource.kind));
                    continue;
                }
            };
            let scope = scope.making(&key);
            let mut seen = BTreeSet::new();
            for link in resource.links {
                for part in scope.parts(link.part) {
                    let Some(edge) = convert::relationship(resource.kind, link, &part) else { continue };
                    if seen.insert(edge.key().into_owned()) {
                        out.relationship(edge)?;
                    }
                }
            }
            if resource.emitted {
                out.entity(convert::entity(resource, &scope))?;
            }
        }
        Ok(())
    }
}

/// The items of a page.
///
/// # Errors
/// When the page isn't what it should be.
pub fn items(page: &Response, at: &str, under: Option<&Rc<Item>>) -> Result<Vec<Item>, StepError> {
    let reply = reply::read(page)?;
    let wrap = |value| match value {
        Value::Object(_) => value,
        other => Value::Object(Map::from_iter([("value".to_owned(), other)])),
    };
    let Some((outer, inner)) = at.split_once(" > ") else {
        return Ok(take(reply, at).into_iter().map(|v| Item { value: wrap(v), under: under.cloned() }).collect());
    };
    let mut all = Vec::new();
    for mut outer in take(reply, outer) {
        let inner = convert::remove(&mut outer, inner);
        let outer = Rc::new(Item { value: outer, under: under.cloned() });
        all.extend(inner.into_iter().map(|v| Item { value: wrap(v), under: Some(Rc::clone(&outer)) }));
    }
    Ok(all)
}

/// Takes the items out of a reply; of `a|b` those of `b` where there is no `a`.
fn take(reply: Value, at: &str) -> Vec<Value> {
    let found = at.split('|').find(|at| !path::each(&reply, at).is_empty());
    found.map(|at| path::take(reply, at)).unwrap_or_default()
}

fn chunks(mut items: Vec<Item>, sink: &mut Sink<'_>) -> Result<(), StepError> {
    while items.len() > CHUNK {
        let rest = items.split_off(CHUNK);
        sink(std::mem::replace(&mut items, rest))?;
    }
    if items.is_empty() { Ok(()) } else { sink(items) }
}

/// The types of a table's relationships, each once: where they come from, verb, where they go; and the link.
pub fn links(
    resources: &'static [Resource],
) -> impl Iterator<Item = ((&'static str, &'static str, &'static str), &'static Link)> {
    resources.iter().flat_map(|r| r.links.iter().map(|link| (link.ends(r.kind), link)))
}
