//! Does one rule allow only what another allows? And a value of a rule, for examples.

use super::language::{Language, Search, search};
use porthole_model::rule::Rule;

/// Characters that servers may take for a slash; [`porthole_model::operation`] lets them into a path only where a pattern
/// or a fixed value names them.
const HAS_SLASH: &str = r"\A(?s:.)*[/\\\x{ff0f}\x{ff3c}\x{2044}\x{2215}\x{29f5}](?s:.)*\z";
/// The slashes that a path takes: between segments of plain characters.
const PLAIN_SLASH: &str = r"\A[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)+\z";
/// Values that stand in a path whatever their rule is: something plain in them, nothing that is a slash or hides one.
const SENDABLE: &str = r"\A[^%\x{ff05}/\\\x{ff0f}\x{ff3c}\x{2044}\x{2215}\x{29f5}]*[A-Za-z0-9_-][^%\x{ff05}/\\\x{ff0f}\x{ff3c}\x{2044}\x{2215}\x{29f5}]*\z";
/// Values that read well in an example, tried before the shortest possible one.
const FAMILIAR: [&str; 16] = [
    "acme",
    "acme-corp",
    "example",
    "api.example.com",
    "example.com",
    "eu-west-1",
    "1",
    "100",
    "true",
    "all",
    "2026-01-01",
    "someone@example.com",
    "00000000-0000-0000-0000-000000000000",
    "https://example.com",
    "ACME",
    "123456789012",
];

/// Where the values of a new rule lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inclusion {
    /// All inside the old rule. Proved.
    Inside,
    /// Some are outside: these, the best example first.
    Outside(Vec<String>),
    /// Nobody can tell; why.
    Undecided(String),
}

/// Are the values of `new` among those of `old`? In a path, what may stand there depends on the kind of rule too.
pub(super) fn included(new: &Rule, old: &Rule, in_path: bool) -> Inclusion {
    if new == old {
        return Inclusion::Inside;
    }
    match try_included(new, old, in_path) {
        Ok(Inclusion::Inside) if in_path && names_slashes(new) && !names_slashes(old) => slashes(new),
        Ok(inclusion) => inclusion,
        Err(why) => Inclusion::Undecided(why),
    }
}

fn try_included(new: &Rule, old: &Rule, in_path: bool) -> Result<Inclusion, String> {
    let (new_values, old_values) = (Language::of(new)?, Language::of(old)?);
    let all = || search(&[&new_values], &[&old_values]);
    let found = match in_path {
        // What a path refuses (`.`) is no example, but may be all there is.
        true => match search(&[&new_values, &Language::regex(SENDABLE)?], &[&old_values]) {
            Search::Words(words) => Search::Words(words),
            Search::None | Search::Undecided(_) => all(),
        },
        false => all(),
    };
    Ok(match found {
        Search::None => Inclusion::Inside,
        Search::Undecided(why) => Inclusion::Undecided(why),
        // The rules themselves have the last word, so that a machine that was built wrongly can't lie.
        Search::Words(words) if words.iter().all(|w| new.allows(w) && !old.allows(w)) => Inclusion::Outside(words),
        Search::Words(words) => {
            let word = words.iter().find(|w| !new.allows(w) || old.allows(w)).map(String::as_str).unwrap_or_default();
            Inclusion::Undecided(format!("the search and the rules disagree about {word:?}"))
        }
    })
}

/// A pattern or a fixed value may name a slash that stands in a path; other rules may not.
fn names_slashes(rule: &Rule) -> bool {
    matches!(rule, Rule::Pattern(_) | Rule::Fixed(_))
}

/// The values with a slash in them, which a path takes of this rule and didn't take of the old one.
fn slashes(new: &Rule) -> Inclusion {
    let of = |pattern: &str| Ok::<_, String>(search(&[&Language::of(new)?, &Language::regex(pattern)?], &[]));
    match (of(PLAIN_SLASH), of(HAS_SLASH)) {
        (Ok(Search::Words(words)), _) if words.iter().all(|w| new.allows(w)) => Inclusion::Outside(words),
        (_, Ok(Search::None)) => Inclusion::Inside,
        (_, Ok(Search::Words(words))) if words.iter().all(|w| new.allows(w)) => Inclusion::Outside(words),
        (_, Ok(Search::Words(_))) => Inclusion::Undecided("the search and the rules disagree".to_owned()),
        (_, Ok(Search::Undecided(why)) | Err(why)) => Inclusion::Undecided(why),
    }
}

/// Values of a rule that read well, the best first; those that another rule allows too come before the others.
pub(super) fn samples(rule: &Rule, other: Option<&Rule>) -> Vec<String> {
    let mut values: Vec<String> = FAMILIAR.iter().filter(|v| rule.allows(v)).map(|v| (*v).to_owned()).collect();
    if let Rule::Fixed(value) = rule {
        values.push(value.clone());
    }
    let other_language = other.and_then(|o| Language::of(o).ok());
    if let Ok(language) = Language::of(rule) {
        // Only when nothing familiar fits: building machines for every argument of every example takes time.
        let shared = values.iter().any(|v| other.is_none_or(|o| o.allows(v)));
        let searches = match (&other_language, shared) {
            (_, true) => vec![],
            (Some(other), false) => vec![search(&[&language, other], &[]), search(&[&language], &[])],
            (None, false) => vec![search(&[&language], &[])],
        };
        for found in searches {
            if let Search::Words(words) = found {
                values.extend(words.into_iter().filter(|w| rule.allows(w)));
            }
        }
    }
    values.sort_by_key(|v| !other.is_none_or(|o| o.allows(v)));
    values
}
