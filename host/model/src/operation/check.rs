//! The arguments of one call against an operation's rules. Pure, and nothing is allocated for a call that is allowed:
//! this is asked for every call, and what is refused must not cost more than what is sent.

use super::{ArgumentError, Arguments, CompiledOperation, MAX_ARGUMENTS, MAX_LIST_VALUES, Part};
use crate::manifest::Argument;
use crate::rule::Rule;
use crate::text::shown;
use percent_encoding::percent_decode_str;

/// Arguments that keep the rules of their operation. Only [`CompiledOperation::check`] makes one, and only from one a
/// request can be put together.
#[derive(Debug, Clone, Copy)]
pub struct Checked<'a> {
    pub(super) operation: &'a CompiledOperation,
    pub(super) arguments: &'a Arguments,
}

impl Checked<'_> {
    /// The operation.
    #[must_use]
    pub fn operation(&self) -> &CompiledOperation {
        self.operation
    }
}

/// The given values of an argument, in their order.
pub(super) fn given<'a>(arguments: &'a Arguments, name: &str) -> impl Iterator<Item = &'a str> + Clone {
    arguments.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
}

pub(super) fn check<'a>(
    operation: &'a CompiledOperation,
    arguments: &'a Arguments,
) -> Result<Checked<'a>, ArgumentError> {
    // A list has at most 100 values, so a byte counts them.
    let mut times = [0_u8; MAX_ARGUMENTS];
    for (name, value) in arguments {
        let (at, argument) = operation.place(name).ok_or_else(|| ArgumentError::Undeclared(shown(name)))?;
        if !argument.rule.allows(value) {
            let rule = argument.rule.to_string();
            return Err(ArgumentError::Rule { name: name.clone(), rule, value: shown(value) });
        }
        let most = if argument.list { MAX_LIST_VALUES } else { 1 };
        match times.get_mut(at) {
            Some(times) if usize::from(*times) < most => *times += 1,
            _ => return Err(ArgumentError::Repeated(name.clone())),
        }
    }
    let declared = &operation.declared;
    let elsewhere = declared.query.iter().chain(declared.body.iter().flat_map(|body| body.arguments()));
    for (name, _) in elsewhere.filter(|(_, argument)| argument.required) {
        if given(arguments, name).next().is_none() {
            return Err(ArgumentError::Missing(name.clone()));
        }
    }
    places(operation, arguments)?;
    Ok(Checked { operation, arguments })
}

/// What stands in the host name or the path has to stay there.
fn places(operation: &CompiledOperation, arguments: &Arguments) -> Result<(), ArgumentError> {
    let rules = &operation.declared.path;
    for part in &operation.template.host {
        let Part::Argument(name) = part else { continue };
        let value = one(name, rules.get(name), arguments)?;
        // The manifest's check lets no dot into the pattern; this holds even if that check were wrong, and leaves
        // nothing for IDNA to make a dot of (`。`, `．`).
        if !value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(ArgumentError::Host(name.clone()));
        }
    }
    for part in &operation.template.path {
        let Part::Argument(name) = part else { continue };
        let argument = rules.get(name);
        in_path(name, one(name, argument, arguments)?, argument.map(|a| &a.rule))?;
    }
    Ok(())
}

/// The one value of a path argument: given, or fixed by its rule.
pub(super) fn one<'a>(
    name: &str,
    argument: Option<&'a Argument>,
    arguments: &'a Arguments,
) -> Result<&'a str, ArgumentError> {
    let mut values = given(arguments, name);
    match (values.next(), values.next(), argument.map(|a| &a.rule)) {
        (Some(value), None, _) => Ok(value),
        // A path has one place for it, even if the manifest calls it a list.
        (Some(_), Some(_), _) => Err(ArgumentError::Repeated(name.to_owned())),
        (None, _, Some(Rule::Fixed(value))) => Ok(value),
        (None, ..) => Err(ArgumentError::Missing(name.to_owned())),
    }
}

/// A value that stays inside its path segment, however often a server decodes it. A slash is let through as `%2F` only
/// where a pattern or a fixed value names it, as for GitLab's `group%2Fproject`: servers that decode before they route
/// would take `x%2Fmembers` for another path. A slash that is hidden behind an encoding of its own is never meant well.
pub(super) fn in_path<'a>(name: &str, value: &'a str, rule: Option<&Rule>) -> Result<&'a str, ArgumentError> {
    let refuse = || ArgumentError::Path(name.to_owned());
    let may_have_slash = matches!(rule, Some(Rule::Pattern(_) | Rule::Fixed(_)));
    if is_plain(value) {
        let slash = !may_have_slash && value.contains('/');
        return if slash || climbs(value) { Err(refuse()) } else { Ok(value) };
    }
    let mut text = fold(value);
    if !may_have_slash && text.contains('/') {
        return Err(refuse());
    }
    let slashes = text.matches('/').count();
    // Each decoding makes the text shorter, so this ends.
    loop {
        if climbs(&text) || text.matches('/').count() != slashes {
            return Err(refuse());
        }
        // Bytes that are no text (`%c0%ae`) are how old servers were taught to see a dot.
        let decoded = percent_decode_str(&text).decode_utf8().map_err(|_| refuse())?;
        let decoded = fold(&decoded);
        if decoded == text {
            return Ok(value);
        }
        text = decoded;
    }
}

/// Folding and decoding leave it as it is.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii() && byte != b'%' && byte != b'\\')
}

fn climbs(text: &str) -> bool {
    text.split('/').any(|segment| matches!(segment, "" | "." | ".."))
}

/// Slashes and dots as a careless server may see them: backslashes, and the wide forms that normalising turns into plain
/// ones.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\u{ff0f}' | '\u{ff3c}' | '\u{2044}' | '\u{2215}' | '\u{29f5}' => folded.push('/'),
            '\u{ff0e}' | '\u{2024}' | '\u{3002}' | '\u{ff61}' => folded.push('.'),
            '\u{2025}' => folded.push_str(".."),
            '\u{ff05}' => folded.push('%'),
            c => folded.push(c),
        }
    }
    folded
}
