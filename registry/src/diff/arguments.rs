//! Arguments of a query or a body, one by one.
//!
//! A fixed or required argument is part of every request: without it, or with it where it wasn't, every request is
//! another one. An argument that may be left out adds requests when it appears. When it disappears no request is added,
//! but a limit that a tenant or the operator set on it has nothing to hold any more, and that is wider too.

use super::inclusion::{Inclusion, included, samples};
use super::operation::Pair;
use super::worlds::{Set, Show};
use super::{Change, Cx};
use porthole_model::manifest::Argument;
use porthole_model::operation::config_reference;
use porthole_model::rule::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// Where an argument goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Query,
    Form,
    Json,
    Variables,
}

impl Table {
    fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Form => "form",
            Self::Json => "json",
            Self::Variables => "variables",
        }
    }

    /// Values have types there, and a list of one is no value.
    fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Variables)
    }
}

/// Every change of the arguments in one place.
pub(super) fn compare(
    pair: &Pair<'_>,
    table: Table,
    old: &BTreeMap<String, Argument>,
    new: &BTreeMap<String, Argument>,
) -> Vec<Change> {
    let names: BTreeSet<_> = new.keys().chain(old.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let at = format!("{}: {} `{name}`", pair.place, table.as_str());
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => changes.extend(changed(pair, table, &at, name, old, new)),
            (None, Some(new)) => changes.push(added(pair, &at, name, new)),
            (Some(old), None) => changes.push(removed(pair, &at, name, old)),
            (None, None) => {}
        }
    }
    changes
}

/// It is part of every request.
fn is_always(argument: &Argument) -> bool {
    argument.required || matches!(argument.rule, Rule::Fixed(_))
}

fn added(pair: &Pair<'_>, at: &str, name: &str, new: &Argument) -> Change {
    let what = format!("added: `{}`", new.rule);
    pair.wider(at, what, &give(name, new), Show::Usual)
}

/// The argument with values of its rule; a fixed one is sent anyway.
fn give<'a>(name: &'a str, argument: &Argument) -> Vec<Set<'a>> {
    match &argument.rule {
        Rule::Fixed(_) => vec![],
        rule => vec![Set { name, values: samples(rule, None), times: 1 }],
    }
}

fn removed(pair: &Pair<'_>, at: &str, name: &str, old: &Argument) -> Change {
    if is_always(old) {
        let what = format!("removed: every request had it (`{}`)", old.rule);
        return pair.wider(at, what, &[], Show::Usual);
    }
    if crate::check::arguments(pair.new).any(|(_, n, _)| n == name) {
        return Change::narrower(at, "removed").detail("it stands elsewhere in the operation");
    }
    unlimited(pair, at, name, "removed: a limit on it holds no longer".to_owned())
}

/// A request that a limit on an argument would have held back.
pub(super) fn unlimited(pair: &Pair<'_>, at: &str, name: &str, what: String) -> Change {
    let request = pair.any().unwrap_or_else(|| pair.new.request.clone());
    Change::wider(at, what, format!("{request} where a grant or the ceiling limits `{name}`"))
        .detail(format!("limits go by name; `{name}` with a fixed value would keep them"))
}

fn changed(pair: &Pair<'_>, table: Table, at: &str, name: &str, old: &Argument, new: &Argument) -> Vec<Change> {
    let Argument { rule, required: _, list } = new;
    let mut changes = Vec::new();
    let kinds = (json_kind(&old.rule), json_kind(rule));
    if table.is_json() && kinds.0 != kinds.1 {
        let what = format!("is sent as {} instead of {}", kinds.1, kinds.0);
        changes.push(pair.wider(at, what, &give(name, new), Show::Usual));
    } else if *rule != old.rule {
        changes.push(rules(pair, at, name, &old.rule, rule, false));
    }
    if is_always(old) && !is_always(new) {
        let leave_out = Set { name, values: vec![], times: 0 };
        changes.push(pair.wider(at, "may be left out", &[leave_out], Show::Usual));
    }
    if new.required && !is_always(old) {
        changes.push(Change::narrower(at, "must be given"));
    }
    if *list && !old.list {
        let values = samples(rule, Some(&old.rule));
        let twice = Set { name, values, times: 2 };
        changes.push(pair.wider(at, "may be given more than once", &[twice], Show::Usual));
    }
    if !*list && old.list {
        changes.push(match table.is_json() {
            true => pair.wider(at, "is sent as a value instead of a list", &give(name, new), Show::Usual),
            false => Change::narrower(at, "may be given once only"),
        });
    }
    if changes.is_empty() {
        // A fixed value that is `required` as well, which no checked manifest has.
        changes.push(Change::different(at, "written otherwise"));
    }
    changes
}

/// What JSON makes of the values of a rule.
fn json_kind(rule: &Rule) -> &'static str {
    match rule {
        Rule::Int(_) => "a number",
        Rule::Bool => "true or false",
        Rule::Fixed(_) | Rule::Pattern(_) | Rule::Text(_) => "a text",
    }
}

/// A rule that changed.
pub(super) fn rules(pair: &Pair<'_>, at: &str, name: &str, old: &Rule, new: &Rule, in_path: bool) -> Change {
    let what = format!("`{old}` became `{new}`");
    match values_included(pair.cx, new, old, in_path) {
        Inclusion::Inside => match values_included(pair.cx, old, new, in_path) {
            Inclusion::Inside => Change::different(at, what).detail("both allow the same"),
            Inclusion::Outside(gone) => {
                let change = Change::narrower(at, what);
                match gone.first() {
                    Some(value) => change.detail(format!("no longer {value:?}, for one")),
                    None => change,
                }
            }
            Inclusion::Undecided(why) => Change::different(at, what)
                .detail(format!("allows no more; whether it allows less can't be told: {why}")),
        },
        Inclusion::Outside(values) if values.is_empty() => pair.wider(at, what, &[], Show::Usual),
        Inclusion::Outside(values) => {
            let first = values.first().cloned().unwrap_or_default();
            let change = pair.wider(at, what, &[Set { name, values, times: 1 }], Show::Usual);
            change.or_detail(format!("allows {first:?}, for one"))
        }
        Inclusion::Undecided(why) => Change::unknown(at, what).detail(format!("can't be decided: {why}")),
    }
}

/// Inclusion where a rule may stand for a configuration field. Outside without a value: any request will show it.
fn values_included(cx: &Cx<'_>, new: &Rule, old: &Rule, in_path: bool) -> Inclusion {
    match (config_reference(new), config_reference(old)) {
        (None, None) => included(new, old, in_path),
        (Some(a), Some(b)) if a == b => Inclusion::Inside,
        (Some(field), None) => field_included(cx, field, old, in_path),
        (Some(_), Some(_)) => Inclusion::Outside(vec![]),
        // The guest chooses what the tenant's configuration chose.
        (None, Some(_)) if matches!(new, Rule::Fixed(_)) => Inclusion::Outside(vec![]),
        (None, Some(_)) => Inclusion::Outside(samples(new, None)),
    }
}

/// Are all values of a configuration field among those of a rule?
pub(super) fn field_included(cx: &Cx<'_>, field: &str, old: &Rule, in_path: bool) -> Inclusion {
    // Both versions' fields, because this is asked in both directions.
    let fields = [cx.new.config.get(field), cx.old.config.get(field)];
    for declared in fields.into_iter().flatten() {
        let inclusion = match (&declared.derive, &declared.rule) {
            (Some(derive), _) if derive.cases.iter().all(|(_, value)| old.allows(value)) => Inclusion::Inside,
            (None, Some(rule)) => included(rule, old, in_path),
            (Some(_), _) | (None, None) => Inclusion::Outside(vec![]),
        };
        match inclusion {
            Inclusion::Inside => {}
            // The value would have to be configured; some request shows it all the same, or nothing does.
            Inclusion::Outside(_) => return Inclusion::Outside(vec![]),
            undecided @ Inclusion::Undecided(_) => return undecided,
        }
    }
    Inclusion::Inside
}
