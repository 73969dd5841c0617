//! Configuration fields. A tenant fills them in, and where they stand in requests they say where requests go: a field
//! that takes more values, has another default, or from which other values follow, moves requests.

use super::inclusion::{Inclusion, included};
use super::language::{Language, Search, search};
use super::worlds::{Show, World, shown};
use super::{Change, Cx};
use porthole_model::manifest::{ConfigField, Derive, Manifest, Operation};
use porthole_model::operation::{PreparedRequest, Template, config_reference};
use porthole_model::rule::Rule;
use std::collections::BTreeSet;

pub(super) fn compare(cx: &Cx<'_>, changes: &mut Vec<Change>) {
    let names: BTreeSet<_> = cx.new.config.keys().chain(cx.old.config.keys()).collect();
    for name in names {
        let at = format!("config `{name}`");
        match (cx.old.config.get(name), cx.new.config.get(name)) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => changed(cx, &at, name, old, new, changes),
            (None, Some(new)) => changes.push(added(&at, new)),
            (Some(_), None) => {
                changes.push(Change::different(at, "removed").detail("instances that have it must be changed"));
            }
            (None, None) => {}
        }
    }
}

fn added(at: &str, new: &ConfigField) -> Change {
    let change = Change::different(at, "added");
    match (&new.derive, &new.default) {
        (Some(derive), _) => change.detail(format!("it follows from `{}`", derive.from)),
        (None, Some(default)) => change.detail(format!("{default:?} where a tenant gives none")),
        (None, None) => change.detail("each instance has to fill it in"),
    }
}

fn changed(cx: &Cx<'_>, at: &str, name: &str, old: &ConfigField, new: &ConfigField, changes: &mut Vec<Change>) {
    // Taken apart without `..`, so that a new field can't be forgotten.
    let ConfigField { label, description, rule, default, derive } = new;
    if (label, description) != (&old.label, &old.description) {
        changes.push(Change::different(at, "its words for people changed"));
    }
    match (&old.derive, derive) {
        (None, None) => {
            if *rule != old.rule {
                changes.push(rule_changed(cx, at, name, old.rule.as_ref(), rule.as_ref()));
            }
            if *default != old.default {
                changes.push(default_changed(cx, at, name, old, new));
            }
        }
        (Some(old), Some(new)) if old != new => changes.push(derive_changed(cx, at, name, old, new)),
        (Some(_), Some(_)) => {}
        (None, Some(derive)) => {
            let what = format!("follows from `{}` instead of being filled in", derive.from);
            changes.push(moved(cx, at, what, name, None));
        }
        (Some(_), None) => changes.push(moved(cx, at, "is filled in by the tenant".to_owned(), name, None)),
    }
}

/// The operations of a manifest whose requests hold a field, in the host first; those where a derived field holds it too.
fn users<'a>(manifest: &'a Manifest, field: &str) -> Vec<&'a Operation> {
    let follow = manifest.config.iter().filter(|(_, f)| f.derive.as_ref().is_some_and(|d| d.from == field));
    let fields: BTreeSet<&str> = follow.map(|(name, _)| name.as_str()).chain([field]).collect();
    let uses = |operation: &Operation| {
        let in_template =
            Template::parse(&operation.request).is_ok_and(|t| t.config_fields().any(|f| fields.contains(f)));
        let mut rules = crate::check::arguments(operation).map(|(_, _, argument)| &argument.rule);
        in_template || rules.any(|rule| config_reference(rule).is_some_and(|f| fields.contains(f)))
    };
    let mut users: Vec<_> = manifest.operations.iter().filter(|o| uses(o)).collect();
    let in_host = |o: &&Operation| {
        Template::parse(&o.request).is_ok_and(|t| {
            t.host
                .iter()
                .any(|p| matches!(p, porthole_model::operation::Part::Config(f) if fields.contains(f.as_str())))
        })
    };
    users.sort_by_key(|o| !in_host(o));
    users
}

/// Is the field part of any request, or of where a credential is exchanged?
fn is_used(manifest: &Manifest, field: &str) -> bool {
    let follow = manifest.config.iter().filter(|(_, f)| f.derive.as_ref().is_some_and(|d| d.from == field));
    let names: Vec<String> =
        follow.map(|(name, _)| name.as_str()).chain([field]).map(|name| format!("{{config.{name}}}")).collect();
    let mut token_urls = manifest.credentials.iter().filter_map(|c| c.kind.token_url());
    !users(manifest, field).is_empty() || token_urls.any(|url| names.iter().any(|name| url.contains(name)))
}

/// A request of the new version that the old one could not make with its own configuration.
fn new_request<'a>(
    cx: &Cx<'a>,
    field: &str,
    new: &World<'_>,
    old: &World<'_>,
) -> Option<(PreparedRequest, &'a Operation)> {
    users(cx.new, field).into_iter().find_map(|operation| {
        let like = cx.old.operation(operation.id.as_str());
        let requests = new.requests(&operation.id, &[], like);
        requests.into_iter().find(|r| old.could_make(r).is_none()).map(|request| (request, operation))
    })
}

fn unused(at: &str, what: String) -> Change {
    Change::different(at, what).detail("it is part of no request; the module reads it")
}

fn rule_changed(cx: &Cx<'_>, at: &str, name: &str, old: Option<&Rule>, new: Option<&Rule>) -> Change {
    let text = |rule: Option<&Rule>| rule.map_or_else(|| "no rule".to_owned(), |r| format!("`{r}`"));
    let what = format!("{} became {}", text(old), text(new));
    let (Some(old), Some(new)) = (old, new) else { return Change::unknown(at, what) };
    match included(new, old, false) {
        Inclusion::Inside => match included(old, new, false) {
            Inclusion::Inside => Change::different(at, what).detail("both allow the same"),
            Inclusion::Outside(gone) => {
                let value = gone.first().cloned().unwrap_or_default();
                Change::narrower(at, what)
                    .detail(format!("no longer {value:?}, for one: such instances can't be upgraded"))
            }
            Inclusion::Undecided(why) => Change::different(at, what)
                .detail(format!("allows no more; whether it allows less can't be told: {why}")),
        },
        Inclusion::Undecided(why) => Change::unknown(at, what).detail(format!("can't be decided: {why}")),
        Inclusion::Outside(_) if !is_used(cx.new, name) => unused(at, what),
        Inclusion::Outside(values) => {
            let shown = values.iter().find_map(|value| {
                let worlds = cx.worlds.as_ref()?;
                let new = worlds.reconfigured(name, value)?;
                let (request, operation) = new_request(cx, name, &new, &worlds.old)?;
                Some(format!("{} with `{name}` = {value:?}", shown(&request, operation, Show::Usual)))
            });
            let value = values.first().cloned().unwrap_or_default();
            match shown {
                Some(example) => Change::wider(at, what, example),
                None => Change::unknown(at, what),
            }
            .detail(format!("a tenant may fill in {value:?}, for one"))
        }
    }
}

fn default_changed(cx: &Cx<'_>, at: &str, name: &str, old: &ConfigField, new: &ConfigField) -> Change {
    match (&old.default, &new.default) {
        (Some(was), Some(is)) => {
            let what = format!("the default {was:?} became {is:?}");
            if is_used(cx.new, name) { moved(cx, at, what, name, Some(None)) } else { unused(at, what) }
        }
        // Every instance has filled it in.
        (None, Some(is)) => Change::different(at, format!("has the default {is:?}")),
        (Some(was), None) => {
            Change::narrower(at, format!("has no default, was {was:?}")).detail("each instance has to fill it in")
        }
        (None, None) => Change::different(at, "unchanged"),
    }
}

/// Requests go elsewhere though no tenant changed anything. `with` sets or leaves out the field to show it.
fn moved(cx: &Cx<'_>, at: &str, what: String, name: &str, with: Option<Option<&str>>) -> Change {
    if !is_used(cx.new, name) {
        return unused(at, what);
    }
    let example = cx.worlds.as_ref().and_then(|worlds| {
        let other = match with {
            Some(value) => Some(worlds.both_with(name, value)?),
            None => None,
        };
        let worlds = other.as_ref().unwrap_or(worlds);
        let (request, operation) = new_request(cx, name, &worlds.new, &worlds.old)?;
        Some(shown(&request, operation, Show::Usual))
    });
    match example {
        Some(example) => {
            Change::wider(at, what, example).detail("requests go elsewhere without a change by the tenant")
        }
        None => Change::unknown(at, what).detail("no request was found that shows it"),
    }
}

fn derive_changed(cx: &Cx<'_>, at: &str, name: &str, old: &Derive, new: &Derive) -> Change {
    // Taken apart without `..`, so that a new field can't be forgotten.
    let Derive { from, cases: _ } = new;
    let what = "its value follows otherwise".to_owned();
    if *from != old.from {
        let what = format!("follows from `{from}` instead of `{}`", old.from);
        return moved(cx, at, what, name, None);
    }
    if !is_used(cx.new, name) {
        return unused(at, what);
    }
    match other_value(cx, old, new) {
        Err(why) => Change::unknown(at, what).detail(format!("can't be decided: {why}")),
        Ok(Elsewhere::Nowhere) => Change::different(at, what).detail("its cases give the same values"),
        Ok(Elsewhere::Less(value)) => Change::narrower(at, what).detail(format!("there is no case for {value:?}")),
        Ok(Elsewhere::More(value)) => {
            let shown = cx.worlds.as_ref().and_then(|worlds| {
                let new = worlds.reconfigured(from, &value)?;
                let (request, operation) = new_request(cx, name, &new, &worlds.old)?;
                Some(shown(&request, operation, Show::Usual))
            });
            sourced(at, what, from, &value, shown).detail(format!("there was no case for {value:?}"))
        }
        Ok(Elsewhere::Other(value)) => {
            let shown = cx.worlds.as_ref().and_then(|worlds| {
                let worlds = worlds.both_with(from, Some(&value))?;
                let (request, operation) = new_request(cx, name, &worlds.new, &worlds.old)?;
                Some(shown(&request, operation, Show::Usual))
            });
            sourced(at, what, from, &value, shown).detail("requests go elsewhere without a change by the tenant")
        }
    }
}

fn sourced(at: &str, what: String, from: &str, value: &str, request: Option<String>) -> Change {
    match request {
        Some(request) => Change::wider(at, what, format!("{request} with `{from}` = {value:?}")),
        None => Change::unknown(at, what),
    }
}

/// For which value of the source the derived value isn't what it was.
enum Elsewhere {
    Nowhere,
    /// It is another one.
    Other(String),
    /// There is one and there was none.
    More(String),
    /// There is none and there was one.
    Less(String),
}

/// The first case that matches decides, so a case speaks for what no earlier case matches.
fn other_value(cx: &Cx<'_>, old: &Derive, new: &Derive) -> Result<Elsewhere, String> {
    let source = match cx.new.config.get(&new.from).and_then(|f| f.rule.as_ref()) {
        Some(rule) => Language::of(rule)?,
        None => return Err(format!("`{}` has no rule", new.from)),
    };
    let machines =
        |derive: &Derive| derive.cases.iter().map(|(rule, _)| Language::of(rule)).collect::<Result<Vec<_>, _>>();
    let (old_rules, new_rules) = (machines(old)?, machines(new)?);
    let find = |inside: &[&Language], before: [&[Language]; 2]| {
        let outside: Vec<&Language> = before.into_iter().flatten().collect();
        match search(inside, &outside) {
            Search::None => Ok(None),
            Search::Words(words) => Ok(words.into_iter().next()),
            Search::Undecided(why) => Err(why),
        }
    };
    let before = |rules: &'_ [Language], at: usize| -> usize { at.min(rules.len()) };
    let mut less = None;
    for (i, (_, value)) in new.cases.iter().enumerate() {
        let Some(rule) = new_rules.get(i) else { continue };
        let earlier = new_rules.get(..before(&new_rules, i)).unwrap_or_default();
        for (j, (_, was)) in old.cases.iter().enumerate() {
            let Some(old_rule) = old_rules.get(j) else { continue };
            let old_earlier = old_rules.get(..before(&old_rules, j)).unwrap_or_default();
            if value != was
                && let Some(found) = find(&[&source, rule, old_rule], [earlier, old_earlier])?
            {
                return Ok(Elsewhere::Other(found));
            }
        }
        if let Some(found) = find(&[&source, rule], [earlier, &old_rules])? {
            return Ok(Elsewhere::More(found));
        }
    }
    for (j, old_rule) in old_rules.iter().enumerate() {
        let old_earlier = old_rules.get(..before(&old_rules, j)).unwrap_or_default();
        if less.is_none() {
            less = find(&[&source, old_rule], [old_earlier, &new_rules])?;
        }
    }
    Ok(less.map_or(Elsewhere::Nowhere, Elsewhere::Less))
}
