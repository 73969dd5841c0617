//! Operations by name: changed ones are compared with the operation of the same name, because that name is what was
//! granted; new names are traced to an old one that could make all their requests, or are wider.

use super::operation::Pair;
use super::worlds::{Show, shown};
use super::{Change, Cx, operation, template};
use porthole_model::id::OperationId;
use porthole_model::manifest::Operation;
use std::collections::BTreeMap;

/// How many old operations a new name is compared with: each takes some milliseconds, and a module may rename hundreds.
const MAX_ORIGINS: usize = 32;

/// New names of operations that the old version had, by new name.
pub(super) type Renamed = BTreeMap<OperationId, OperationId>;

pub(super) fn compare(cx: &Cx<'_>, changes: &mut Vec<Change>) -> Renamed {
    let mut renamed = Renamed::new();
    for new in &cx.new.operations {
        let place = format!("operation `{}`", new.id);
        match cx.old.operation(new.id.as_str()) {
            Some(old) => changes.extend(operation::compare(cx, old, new, &place)),
            None => match origin(cx, new, &place) {
                Some((old, detail)) => {
                    let what = format!("is a new name for `{}`", old.id);
                    let mut facts =
                        vec![format!("what a grant or the ceiling says of `{}` doesn't hold for it", old.id)];
                    facts.extend((!detail.is_empty()).then_some(detail));
                    changes.push(Change::different(&place, what).detail(facts.join("; ")));
                    renamed.insert(new.id.clone(), old.id.clone());
                }
                None => changes.push(added(cx, new, &place)),
            },
        }
    }
    for old in cx.old.operations.iter().filter(|o| cx.new.operation(o.id.as_str()).is_none()) {
        let place = format!("operation `{}`", old.id);
        let detail = renamed.iter().find(|(_, from)| **from == old.id).map(|(to, _)| format!("it is `{to}` now"));
        let mut change = match detail {
            Some(_) => Change::different(&place, "removed"),
            None => Change::narrower(&place, "removed"),
        };
        change.detail = detail;
        changes.push(change);
    }
    order(cx, changes);
    renamed
}

/// An old operation that could make every request of a new one, shows the guest no less of the answers, and has its
/// secrets blanked as well; and what got narrower on the way. Operations that are gone come first: they were renamed.
fn origin<'a>(cx: &Cx<'a>, new: &Operation, place: &str) -> Option<(&'a Operation, String)> {
    let (gone, kept): (Vec<_>, Vec<_>) =
        cx.old.operations.iter().partition(|o| cx.new.operation(o.id.as_str()).is_none());
    // Comparing takes time; what has another method, credential or body is never the same.
    let alike = |old: &&&Operation| {
        let method = |o: &Operation| o.request.split(' ').next().map(str::to_owned);
        old.auth == new.auth
            && method(old) == method(new)
            && old.headers == new.headers
            && old.body.is_some() == new.body.is_some()
            && old.request.matches('/').count() == new.request.matches('/').count()
            && new.query.keys().all(|name| old.query.contains_key(name))
    };
    // Without worlds: what would need an example isn't the same.
    let bare = Cx { old: cx.old, new: cx.new, worlds: None };
    let mut candidates: Vec<_> = gone.iter().chain(&kept).filter(alike).collect();
    // The one whose request is written the same is most likely it.
    candidates.sort_by_key(|old| old.request != new.request);
    candidates.into_iter().take(MAX_ORIGINS).find_map(|old| {
        // Host and path first: that takes no machines where they don't fit, and the rest may take many.
        let pair = Pair { cx: &bare, old, new, place };
        if old.request != new.request && template::compare(&pair).iter().any(|c| c.direction.counts_as_wider()) {
            return None;
        }
        let found = operation::compare(&bare, old, new, place);
        if found.iter().any(|c| c.direction.counts_as_wider()) {
            return None;
        }
        let facts: Vec<String> = found
            .into_iter()
            .map(|c| {
                format!("{}: {}", c.place.strip_prefix(place).unwrap_or(&c.place).trim_start_matches(": "), c.what)
            })
            .collect();
        Some((*old, facts.join("; ")))
    })
}

fn added(cx: &Cx<'_>, new: &Operation, place: &str) -> Change {
    let users: Vec<String> =
        cx.new.steps.iter().filter(|s| s.uses.contains(&new.id)).map(|s| format!("`{}`", s.id)).collect();
    let mut facts = Vec::new();
    if !users.is_empty() {
        facts.push(format!("used by step {}", users.join(", ")));
    }
    if let Some(reason) = &new.read_by_post {
        facts.push(format!("a search by POST: {reason}"));
    }
    if let Some(permission) = &new.permission {
        facts.push(format!("needs {permission}"));
    }
    let show = match new.body {
        Some(porthole_model::manifest::Body::Graphql { .. }) => Show::Document,
        _ => Show::Usual,
    };
    let worlds = cx.worlds.as_ref();
    let change = match worlds.and_then(|w| w.only_new(&new.id, None, &[])) {
        Some(only) => Change::wider(place, "added", shown(&only.request, new, show)),
        None => {
            facts.push("whether an old operation could make all its requests can't be told".to_owned());
            let mut change = Change::unknown(place, "added");
            change.example = worlds.and_then(|w| w.any(&new.id, None)).map(|r| shown(&r, new, show));
            change
        }
    };
    if facts.is_empty() { change } else { change.detail(facts.join("; ")) }
}

fn order(cx: &Cx<'_>, changes: &mut Vec<Change>) {
    let old = cx.old.operations.iter().map(|o| &o.id).filter(|id| cx.new.operation(id.as_str()).is_some());
    let new = cx.new.operations.iter().map(|o| &o.id).filter(|id| cx.old.operation(id.as_str()).is_some());
    if !old.eq(new) {
        changes.push(Change::different("operations", "stand in another order"));
    }
}
