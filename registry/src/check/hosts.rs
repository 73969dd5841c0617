//! Where a request can go. The host of a template is fixed text, configuration that a tenant fills in, and arguments that
//! a guest sets. No value of either may leave its place in the host, and a guest's value can't choose the domain.

use crate::finding::Finding;
use porthole_model::manifest::{Manifest, Operation};
use porthole_model::operation::{Part, Template};
use porthole_model::rule::Rule;
use regex_syntax::hir::{Class, Hir, HirKind};

/// What a configuration value in a host may never hold, because it would end the host or start something else in the URL.
const ENDS_A_HOST: &str = "/\\:@%?#[]";

/// The host and the start of the path of an operation.
pub(super) fn check(manifest: &Manifest, operation: &Operation, template: &Template, findings: &mut Vec<Finding>) {
    let place = format!("operation `{}`", operation.id);
    for name in arguments_of(&template.host) {
        let Some(argument) = operation.path.get(name) else { continue };
        if let Err(why) = stays_in_label(&argument.rule) {
            findings.push(
                Finding::error(format!("{place}: path `{name}`"), format!("stands in the host, and its rule {why}"))
                    .hint("use a pattern of a-z, 0-9 and - only, such as '^[a-z0-9-]+$'"),
            );
        }
    }
    let request = format!("{place}: request");
    check_config(manifest, &request, template, findings);
    check_shape(&request, template, findings);
}

pub(super) fn arguments_of(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|p| match p {
        Part::Argument(name) => Some(name.as_str()),
        _ => None,
    })
}

/// The configuration fields of a template exist, and those in the host can't leave it.
pub(super) fn check_config(manifest: &Manifest, place: &str, template: &Template, findings: &mut Vec<Finding>) {
    for name in template.config_fields() {
        if !manifest.config.contains_key(name) {
            super::unknown(findings, place, "config field", &name, || {
                manifest.config.keys().map(String::as_str).collect()
            });
        }
    }
    let config = |part: &Part| match part {
        Part::Config(name) => manifest.config.get_key_value(name),
        _ => None,
    };
    for (name, field) in template.host.iter().filter_map(config) {
        let why = match &field.derive {
            Some(derive) => derive.cases.iter().find_map(|(_, value)| host_text(value).err()),
            None => field.rule.as_ref().and_then(|rule| stays_in_host(rule).err()),
        };
        if let Some(why) = why {
            findings.push(
                Finding::error(
                    format!("config `{name}`"),
                    format!("stands in the host of {place}, and its value {why}"),
                )
                .hint("use a pattern such as '^[a-z0-9-]+\\.example\\.com$'"),
            );
        }
    }
    // `https://{config.host}{config.prefix}/x`: where the path starts is up to the second field.
    let starts = match template.path.first() {
        Some(part @ Part::Config(_)) => config(part),
        _ => None,
    };
    for (name, field) in template.path.iter().filter_map(config) {
        let at = format!("config `{name}`");
        let first = starts.is_some_and(|(start, _)| start == name);
        match &field.derive {
            None if first => findings.push(
                Finding::error(at, format!("follows the host of {place} directly and a tenant fills it in"))
                    .hint("put a `/` between, or derive it"),
            ),
            None => {}
            Some(derive) => {
                if let Some((_, value)) = derive.cases.iter().find(|(_, value)| !path_text(value, first)) {
                    let message = format!("the derived value {value:?} is no piece of a path for {place}");
                    findings.push(
                        Finding::error(format!("{at}: derive"), message)
                            .hint("empty, or `/` and plain segments, no `..`"),
                    );
                }
            }
        }
    }
}

/// The host as a whole: a name, no address; a port, if any, at its end and fixed; and the domain out of a guest's reach.
pub(super) fn check_shape(place: &str, template: &Template, findings: &mut Vec<Finding>) {
    let mut text = String::new();
    for part in &template.host {
        match part {
            Part::Text(t) => text.push_str(t),
            // Any value of a field that passed its own check has the shape of this one.
            Part::Config(_) => text.push_str("config.example"),
            Part::Argument(_) => text.push('a'),
        }
    }
    let url = url::Url::parse(&format!("https://{text}/")).ok();
    let named = url.as_ref().is_some_and(|u| {
        let authority = u.as_str().strip_prefix("https://").and_then(|s| s.strip_suffix('/'));
        // What the parser writes otherwise (capitals, `:443`, `0x7f.1`) would never be sent: a request is what it says.
        matches!(u.host(), Some(url::Host::Domain(_))) && authority == Some(text.as_str())
    });
    if !named {
        findings.push(
            Finding::error(place, "the host isn't a domain name in its plain form")
                .hint("in lower case, no address, no `:443`"),
        );
    }
    let last = template.host.iter().rposition(|p| matches!(p, Part::Argument(_)));
    let Some(rest) = last.and_then(|at| template.host.get(at + 1..)) else { return };
    if !fixes_the_domain(rest) {
        findings.push(
            Finding::error(place, "an argument reaches into the domain of the host")
                .hint("an argument may be a label before a fixed domain: `https://{region}.example.com`"),
        );
    }
}

/// Two whole labels, or a configuration value after a dot, stand behind a guest's last value.
fn fixes_the_domain(rest: &[Part]) -> bool {
    let Some(Part::Text(first)) = rest.first() else { return false };
    let Some((_, after)) = first.split_once('.') else { return false };
    if rest.iter().any(|p| matches!(p, Part::Config(_))) {
        return true;
    }
    after.split(':').next().unwrap_or_default().trim_end_matches('.').contains('.')
}

/// Could a value of this rule hold a slash where it stands in a path? Text and numbers can't: the model refuses it.
pub(crate) fn may_hold_slash(rule: &Rule) -> bool {
    match rule {
        Rule::Fixed(text) => text.contains('/'),
        Rule::Pattern(_) => every_char(rule, &|low, high| !(low..=high).contains(&'/')).is_err(),
        Rule::Text(_) | Rule::Int(_) | Rule::Bool => false,
    }
}

fn host_text(value: &str) -> Result<(), String> {
    let plain = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    match value.chars().find(|c| !plain(c)) {
        Some(c) => Err(format!("can hold {c:?}")),
        None if value.is_empty() => Err("can be empty".to_owned()),
        None => Ok(()),
    }
}

fn path_text(value: &str, first: bool) -> bool {
    if value.is_empty() {
        return true;
    }
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~".contains(c));
    let segments = value.trim_start_matches('/').split('/');
    let climbs = segments.clone().any(|s| matches!(s, "." | ".."));
    plain && !climbs && !value.contains("//") && (!first || value.starts_with('/'))
}

/// No value of this rule can end a label: lower-case letters, digits and `-` only, and not empty. A capital would be
/// written otherwise by the URL parser, and such a request is refused when it is made.
fn stays_in_label(rule: &Rule) -> Result<(), String> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    every_char(rule, &|low, high| (low == high && inside(low)) || (inside(low) && inside(high) && same_run(low, high)))
}

/// No value of this rule can end the host, or would be written otherwise by the URL parser.
fn stays_in_host(rule: &Rule) -> Result<(), String> {
    let ends = |low: char, high: char| {
        let space = (low..=high).take(0x3100).any(char::is_whitespace) || low <= '\u{3000}' && high >= '\u{3000}';
        let capital = low <= 'Z' && 'A' <= high;
        space || capital || ENDS_A_HOST.chars().any(|c| low <= c && c <= high) || low.is_control()
    };
    every_char(rule, &|low, high| high.is_ascii() && !ends(low, high))
}

/// Both ends in one run of letters or digits, so that all between are too.
fn same_run(low: char, high: char) -> bool {
    (low.is_ascii_digit() && high.is_ascii_digit()) || (low.is_ascii_lowercase() && high.is_ascii_lowercase())
}

/// Every character that a value of the rule can have lies in an accepted range, and no value is empty.
fn every_char(rule: &Rule, accepts: &dyn Fn(char, char) -> bool) -> Result<(), String> {
    let each = |text: &str| match text.chars().find(|c| !accepts(*c, *c)) {
        Some(c) => Err(format!("can hold {c:?}")),
        None if text.is_empty() => Err("can be empty".to_owned()),
        None => Ok(()),
    };
    match rule {
        Rule::Fixed(text) => each(text),
        Rule::Int(_) => Ok(()),
        Rule::Bool => Ok(()),
        Rule::Text(_) => Err("allows any text".to_owned()),
        Rule::Pattern(pattern) => {
            let source = pattern.source();
            let inner = source.strip_prefix('^').and_then(|s| s.strip_suffix('$')).unwrap_or(source);
            let hir = regex_syntax::parse(inner).map_err(|e| format!("can't be read: {e}"))?;
            if hir.properties().minimum_len().is_none_or(|n| n == 0) {
                return Err("can be empty".to_owned());
            }
            every_char_of(&hir, accepts)
        }
    }
}

fn every_char_of(hir: &Hir, accepts: &dyn Fn(char, char) -> bool) -> Result<(), String> {
    // A list of work, not recursion: patterns are short, but the stack is not ours to spend.
    let mut todo = vec![hir];
    while let Some(hir) = todo.pop() {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).map_err(|_| "matches bytes that are no text".to_owned())?;
                if let Some(c) = text.chars().find(|c| !accepts(*c, *c)) {
                    return Err(format!("can hold {c:?}"));
                }
            }
            HirKind::Class(Class::Unicode(class)) => {
                if let Some(range) = class.ranges().iter().find(|r| !accepts(r.start(), r.end())) {
                    return Err(format!("can hold {:?} to {:?}", range.start(), range.end()));
                }
            }
            HirKind::Class(Class::Bytes(class)) => {
                let outside = |low: u8, high: u8| !high.is_ascii() || !accepts(low.into(), high.into());
                if let Some(range) = class.ranges().iter().find(|r| outside(r.start(), r.end())) {
                    return Err(format!("can hold {:?} to {:?}", char::from(range.start()), char::from(range.end())));
                }
            }
            HirKind::Repetition(repetition) => todo.push(&repetition.sub),
            HirKind::Capture(capture) => todo.push(&capture.sub),
            HirKind::Concat(subs) | HirKind::Alternation(subs) => todo.extend(subs),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn rule(text: &str) -> Rule {
        Rule::parse(text).unwrap()
    }

    #[test]
    fn patterns_that_stay_in_their_label() {
        for good in ["^[a-z0-9-]+$", "^(us|eu)-[a-z]+-\\d$".replace("\\d", "[0-9]").as_str(), "=eu", "int<=9"] {
            assert_eq!(stays_in_label(&rule(good)), Ok(()), "{good}");
        }
        for bad in [
            "^.+$",
            "^[a-z.]+$",
            r"^\w+$",
            r"^\d+$",
            "^[^/]+$",
            "^a*$",
            "text<=9",
            "^a/b$",
            "=a.b",
            "^[+-z]+$",
            "^(?i)eu$",
            "^[A-Z]$",
            "=EU",
            "^(?i)k$",
        ] {
            assert!(stays_in_label(&rule(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_that_stay_in_their_host() {
        for good in [r"^[a-z0-9-]+\.okta\.com$", "^[a-z0-9.-]+$"] {
            assert_eq!(stays_in_host(&rule(good)), Ok(()), "{good}");
        }
        for bad in [
            "^.+$",
            r"^\S+$",
            "^[a-z:]+$",
            "^[a-z]+@b$",
            "^[^.]+$",
            "text<=99",
            "^[ a]+$",
            "^[!-~]+$",
            "^a?$",
            "^é$",
            "^[A-z]+$",
            "=A",
        ] {
            assert!(stays_in_host(&rule(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_guest_cannot_choose_the_domain() {
        let shape = |request: &str| {
            let mut findings = Vec::new();
            check_shape("request", &Template::parse(request).unwrap(), &mut findings);
            findings
        };
        for good in [
            "GET https://api.example.com/x",
            "GET https://{a}.example.com/x",
            "GET https://s3-{a}.example.com:8443/x",
            "GET https://{a}.{config.host}/x",
            "GET https://{config.host}/x",
        ] {
            assert_eq!(shape(good), vec![], "{good}");
        }
        for bad in [
            "GET https://{a}/x",
            "GET https://{a}.com/x",
            "GET https://{a}example.com/x",
            "GET https://api.{a}/x",
            "GET https://api.example.com:{a}/x",
            "GET https://{a}{config.host}/x",
            "GET https://127.0.0.1/x",
            "GET https://0x7f.1/x",
            "GET https://2130706433/x",
            "GET https://API.example.com/x",
            "GET https://api.example.com:443/x",
        ] {
            assert!(!shape(bad).is_empty(), "{bad}");
        }
    }
}
