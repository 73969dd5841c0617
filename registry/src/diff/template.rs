//! Host and path of an operation. They are compared segment by segment: what is fixed must stay, an argument may allow
//! less, and a fixed text may take the place of an argument that allowed it. Everything else is shown by a request, or
//! unknown.

use super::Change;
use super::arguments::{field_included, rules, unlimited};
use super::inclusion::Inclusion;
use super::operation::Pair;
use super::worlds::Show;
use porthole_model::operation::{Part, Template};
use porthole_model::rule::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// Two arguments in the same place, or what took an argument's place.
enum Fit<'a> {
    Arguments(&'a str, &'a str),
    Fixed(&'a str, &'a Part),
}

/// Every change of host and path, the rules of their arguments among them.
pub(super) fn compare(pair: &Pair<'_>) -> Vec<Change> {
    let at = format!("{}: request", pair.place);
    let what = format!("`{}` became `{}`", pair.old.request, pair.new.request);
    let (Ok(old), Ok(new)) = (Template::parse(&pair.old.request), Template::parse(&pair.new.request)) else {
        return vec![Change::unknown(at, what).detail("one of them can't be read")];
    };
    let (old_host, old_path) = (segments(&old.host, '.'), segments(&old.path, '/'));
    let (new_host, new_path) = (segments(&new.host, '.'), segments(&new.path, '/'));
    let host = fits(&old_host, &new_host);
    let path = fits(&old_path, &new_path);
    let (Some(host), Some(path), true) = (host, path, old.method == new.method) else {
        return vec![pair.wider(&at, what, &[], Show::Usual)];
    };
    let pairs: Vec<_> = host.iter().map(|f| (f, false)).chain(path.iter().map(|f| (f, true))).collect();
    if !same_repetitions(pairs.iter().map(|(f, _)| *f)) {
        return vec![pair.wider(&at, what, &[], Show::Usual)];
    }
    let mut changes = Vec::new();
    let mut seen = BTreeSet::new();
    for (fit, in_path) in pairs {
        match fit {
            Fit::Arguments(old, new) if seen.insert((*old, *new)) => changes.extend(arguments(pair, old, new, in_path)),
            Fit::Arguments(..) => {}
            Fit::Fixed(old, part) => changes.extend(fixed(pair, &at, &what, old, part, in_path)),
        }
    }
    changes.extend(limits(pair, &at, &old, &new, &fits_of(&host, &path)));
    if changes.is_empty() && pair.old.request != pair.new.request {
        changes.push(Change::unknown(at, what));
    }
    changes
}

fn fits_of<'a>(host: &'a [Fit<'a>], path: &'a [Fit<'a>]) -> Vec<(&'a str, &'a str)> {
    let names = host.iter().chain(path).filter_map(|fit| match fit {
        Fit::Arguments(old, new) => Some((*old, *new)),
        Fit::Fixed(..) => None,
    });
    names.collect()
}

/// Limits of grants go by the names of arguments: one that is gone, or stands elsewhere, is held no longer.
fn limits(pair: &Pair<'_>, at: &str, old: &Template, new: &Template, names: &[(&str, &str)]) -> Vec<Change> {
    let mut changes = Vec::new();
    for name in old.arguments().collect::<BTreeSet<_>>() {
        if !crate::check::arguments(pair.new).any(|(_, n, _)| n == name) {
            let what = format!("`{{{name}}}` is gone: a limit on it holds no longer");
            changes.push(unlimited(pair, at, name, what));
        } else if names.iter().any(|(old, new)| *old == name && *new != name) || !new.arguments().any(|n| n == name) {
            let what = format!("`{{{name}}}` stands elsewhere: a limit on it holds something else");
            changes.push(unlimited(pair, at, name, what));
        }
    }
    changes
}

/// The parts between separators.
fn segments(parts: &[Part], separator: char) -> Vec<Vec<Part>> {
    let mut segments = vec![Vec::new()];
    let mut pieces = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => {
                for (n, piece) in text.split(separator).enumerate() {
                    pieces.push((n > 0, (!piece.is_empty()).then(|| Part::Text(piece.to_owned()))));
                }
            }
            other => pieces.push((false, Some(other.clone()))),
        }
    }
    for (starts, part) in pieces {
        if starts {
            segments.push(Vec::new());
        }
        if let (Some(part), Some(last)) = (part, segments.last_mut()) {
            last.push(part);
        }
    }
    segments
}

/// How the new segments lie in the old ones. None when that can't be seen from their shape.
fn fits<'a>(old: &'a [Vec<Part>], new: &'a [Vec<Part>]) -> Option<Vec<Fit<'a>>> {
    if old.len() != new.len() {
        return None;
    }
    let mut fits = Vec::new();
    for (old, new) in old.iter().zip(new) {
        match (old.as_slice(), new.as_slice()) {
            ([Part::Argument(argument)], [part @ (Part::Text(_) | Part::Config(_))]) => {
                fits.push(Fit::Fixed(argument, part));
            }
            (old, new) if old.len() == new.len() => {
                for (old, new) in old.iter().zip(new) {
                    match (old, new) {
                        (Part::Argument(old), Part::Argument(new)) => fits.push(Fit::Arguments(old, new)),
                        (old, new) if old == new => {}
                        _ => return None,
                    }
                }
            }
            _ => return None,
        }
    }
    Some(fits)
}

/// Where the old template had one value twice, the new one has it too: `/{a}/{a}` is less than `/{a}/{b}`.
fn same_repetitions<'a>(fits: impl Iterator<Item = &'a Fit<'a>>) -> bool {
    let mut became: BTreeMap<&str, String> = BTreeMap::new();
    for fit in fits {
        let (old, now) = match fit {
            Fit::Arguments(old, new) => (*old, format!("{{{new}}}")),
            Fit::Fixed(old, part) => (*old, format!("{part:?}")),
        };
        if became.insert(old, now.clone()).is_some_and(|before| before != now) {
            return false;
        }
    }
    true
}

fn arguments(pair: &Pair<'_>, old_name: &str, new_name: &str, in_path: bool) -> Vec<Change> {
    let at = format!("{}: path `{new_name}`", pair.place);
    let (Some(old), Some(new)) = (pair.old.path.get(old_name), pair.new.path.get(new_name)) else {
        return vec![Change::unknown(at, "has no rule")];
    };
    let mut changes = Vec::new();
    if old.rule != new.rule {
        changes.push(rules(pair, &at, new_name, &old.rule, &new.rule, in_path));
    }
    if (old.required, old.list) != (new.required, new.list) {
        changes.push(Change::different(at, "written otherwise").detail("a path argument is always given, and once"));
    }
    changes
}

/// A fixed text or a configuration field took an argument's place.
fn fixed(pair: &Pair<'_>, at: &str, what: &str, old_name: &str, part: &Part, in_path: bool) -> Option<Change> {
    let Some(old) = pair.old.path.get(old_name) else { return Some(Change::unknown(at, what)) };
    let inclusion = match part {
        // What an argument would be encoded for is another text.
        Part::Text(text) if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)) => {
            if old.rule.allows(text) && !matches!(text.as_str(), "." | "..") {
                Inclusion::Inside
            } else {
                Inclusion::Outside(vec![])
            }
        }
        Part::Config(field) if in_path && pair.cx.new.config.get(field).is_some_and(|f| f.derive.is_none()) => {
            field_included(pair.cx, field, &old.rule, in_path)
        }
        _ => Inclusion::Outside(vec![]),
    };
    // The old rule may have been one value, and was no configuration field: those stand in the request.
    let same = matches!((&old.rule, part), (Rule::Fixed(value), Part::Text(text)) if value == text);
    Some(match inclusion {
        Inclusion::Inside if same => Change::different(at, what),
        Inclusion::Inside => Change::narrower(at, what).detail(format!("the guest no longer chooses `{{{old_name}}}`")),
        Inclusion::Outside(_) => pair.wider(at, what, &[], Show::Usual),
        Inclusion::Undecided(why) => Change::unknown(at, what).detail(format!("can't be decided: {why}")),
    })
}
