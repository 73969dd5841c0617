//! What is blanked in an operation's replies. Less of it is wider: the guest sees more.

use super::Change;
use super::operation::Pair;
use porthole_model::id::OperationId;
use porthole_model::manifest::{Manifest, ScrubRule};
use std::collections::BTreeSet;

/// Every change of what is blanked in the replies of one operation.
pub(super) fn compare(pair: &Pair<'_>) -> Vec<Change> {
    let old = paths(pair.cx.old, &pair.old.id);
    let new = paths(pair.cx.new, &pair.new.id);
    if old == new {
        return Vec::new();
    }
    let at = format!("{}: scrub", pair.place);
    let mut changes = Vec::new();
    for path in old.iter().filter(|path| !new.iter().any(|n| covers(n, path))) {
        let request = pair.any().unwrap_or_else(|| pair.new.request.clone());
        let what = format!("`{path}` of a reply is blanked no longer");
        changes.push(Change::wider(at.clone(), what, format!("{request} and the guest reads `{path}` of the reply")));
    }
    for path in new.iter().filter(|path| !old.iter().any(|o| covers(o, path))) {
        changes.push(Change::narrower(at.clone(), format!("`{path}` of a reply is blanked")));
    }
    if changes.is_empty() {
        changes.push(Change::different(at, "the same places are named otherwise"));
    }
    changes
}

fn paths<'a>(manifest: &'a Manifest, id: &OperationId) -> BTreeSet<&'a str> {
    let named = |rule: &&ScrubRule| {
        // Taken apart without `..`, so that a new field can't be forgotten.
        let ScrubRule { operations, path: _ } = rule;
        operations.contains(id)
    };
    manifest.scrub.iter().filter(named).map(|rule| rule.path.as_str()).collect()
}

/// Is all that `narrow` names blanked by `wide` too? What is blanked is blanked with all that is in it; `*` is any key or
/// index.
fn covers(wide: &str, narrow: &str) -> bool {
    let segments =
        |path: &str| -> Vec<String> { path.strip_prefix('/').unwrap_or(path).split('/').map(str::to_owned).collect() };
    let (wide, narrow) = (segments(wide), segments(narrow));
    wide.len() <= narrow.len() && wide.iter().zip(&narrow).all(|(w, n)| w == "*" || w == n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_covers_what_lies_in_it() {
        for (wide, narrow) in [("/a", "/a"), ("/a", "/a/b"), ("/*", "/a"), ("/*/b", "/a/b/c"), ("/*", "/*/x")] {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [("/a/b", "/a"), ("/a", "/*"), ("/a", "/ab"), ("/*/b", "/a/c")] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }
}
