//! From an operation's template and a guest's arguments to a request. A guest can't write a URL, a method, a header or a
//! body: it gives values, each value passes its rule, and the request is put together from parts here.

use crate::id::{OperationId, Slot};
use crate::manifest::{Argument, Body, Method, Operation};
use crate::rule::Rule;
use crate::text::shown;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use url::{Position, Url};

/// Values one argument may be given with `list = true`. Providers that take lists cap them at 100 or fewer.
pub const MAX_LIST_VALUES: usize = 100;
/// The longest URL we send, in bytes: what common servers and proxies accept (RFC 9110, 4.1 asks for 8,000).
pub const MAX_URL_BYTES: usize = 8_000;

/// Everything but the unreserved characters of RFC 3986.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Argument values as a guest gave them, in order.
pub type Arguments = [(String, String)];

/// The checked configuration of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Values by field name, the derived ones too.
    pub values: BTreeMap<String, String>,
    /// The fields whose value comes from the manifest and may hold `/`.
    pub derived: std::collections::BTreeSet<String>,
}

/// A request, ready for a credential. It holds nothing secret and is what gets recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedRequest {
    /// The operation it performs.
    pub operation: OperationId,
    /// The method.
    pub method: Method,
    /// Scheme, host, path and query.
    pub url: Url,
    /// The fixed headers of the operation and `content-type`.
    pub headers: Vec<(String, String)>,
    /// The body of a POST.
    pub body: Option<Vec<u8>>,
    /// The credential slot that signs it.
    pub auth: Option<Slot>,
}

/// Why a template was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Not `METHOD https://host/path`.
    #[error("request `{0}` is not `METHOD https://host/path` with GET, HEAD or POST")]
    Form(String),
    /// A brace that isn't closed, or an empty name.
    #[error("request `{0}`: unbalanced braces or an empty name")]
    Braces(String),
    /// A query string or a fragment in the template.
    #[error("request `{0}`: write query parameters in `query`, not in the path")]
    Query(String),
    /// A name in braces without a rule.
    #[error("`{{{0}}}` has no rule in `path`")]
    NoRule(String),
    /// A configuration field that doesn't exist.
    #[error("`{{config.{0}}}` is no field of `config`")]
    NoConfig(String),
}

/// Why arguments don't make a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// The operation declares no such argument.
    #[error("argument `{0}` is not declared")]
    Undeclared(String),
    /// A required argument is missing.
    #[error("argument `{0}` is missing")]
    Missing(String),
    /// Given more than once, or more often than [`MAX_LIST_VALUES`].
    #[error("argument `{0}` is given too often")]
    Repeated(String),
    /// Outside its rule.
    #[error("argument `{name}` is outside its rule `{rule}`: {value:?}")]
    Rule {
        /// The argument.
        name: String,
        /// Its rule.
        rule: String,
        /// The value, cut to 80 characters.
        value: String,
    },
    /// A path argument that could climb out of its segment.
    #[error(
        "argument `{0}` can't stand in a path: empty, `.`, `..`, a slash its rule doesn't name, or hiding one of them"
    )]
    Path(String),
    /// A host argument with a character that could make it another host.
    #[error("argument `{0}` can't stand in a host name: letters, digits and hyphens only")]
    Host(String),
    /// The finished URL is too long.
    #[error("the URL has {0} bytes, at most {MAX_URL_BYTES} are sent")]
    TooLong(usize),
    /// The finished URL isn't the one that was meant.
    #[error("the URL doesn't parse back to its parts")]
    Url,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Written in the manifest.
    Text(String),
    /// An argument of the guest.
    Argument(String),
    /// A field of the instance's configuration.
    Config(String),
}

/// A parsed `METHOD https://host/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The method.
    pub method: Method,
    /// Host and port.
    pub host: Vec<Part>,
    /// The path, from its first `/`.
    pub path: Vec<Part>,
}

impl Template {
    /// Reads `METHOD https://host/path` with `{argument}` and `{config.field}`.
    ///
    /// # Errors
    /// When the text has another form.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let form = || TemplateError::Form(text.to_owned());
        let (method, rest) = text.split_once(' ').ok_or_else(form)?;
        let method = match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            _ => return Err(form()),
        };
        let rest = rest.strip_prefix("https://").ok_or_else(form)?;
        if rest.contains(['?', '#']) {
            return Err(TemplateError::Query(text.to_owned()));
        }
        let all = parts(rest).ok_or_else(|| TemplateError::Braces(text.to_owned()))?;
        let (host, path) = split_host(all);
        if host.is_empty() || !literals_are_plain(&host, ".-:") || !literals_are_plain(&path, "/-._~:@") {
            return Err(form());
        }
        let dots = |p: &Part| matches!(p, Part::Text(t) if t.split('/').any(|s| s == "." || s == ".."));
        if path.iter().any(dots) {
            return Err(form());
        }
        Ok(Self { method, host, path })
    }

    /// The names in braces, arguments only.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.host.iter().chain(&self.path).filter_map(|p| match p {
            Part::Argument(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The configuration fields in braces.
    pub fn config_fields(&self) -> impl Iterator<Item = &str> {
        self.host.iter().chain(&self.path).filter_map(|p| match p {
            Part::Config(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

fn literals_are_plain(parts: &[Part], extra: &str) -> bool {
    parts.iter().all(|p| match p {
        Part::Text(t) => t.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c)),
        _ => true,
    })
}

/// Splits a text at its braces. None when they don't balance or a name is empty.
fn parts(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, next) = after.split_once('}')?;
        if before.contains('}') || name.is_empty() || name.contains('{') {
            return None;
        }
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(match name.strip_prefix("config.") {
            Some(field) => Part::Config(field.to_owned()),
            None => Part::Argument(name.to_owned()),
        });
        rest = next;
    }
    if rest.contains('}') {
        return None;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Some(parts)
}

/// The host ends at the first `/` of a text; a derived configuration field may follow the host directly, as in
/// `https://{config.host}{config.prefix}/x`.
fn split_host(all: Vec<Part>) -> (Vec<Part>, Vec<Part>) {
    let (mut host, mut path) = (Vec::new(), Vec::new());
    for part in all {
        if !path.is_empty() {
            path.push(part);
            continue;
        }
        match &part {
            Part::Text(t) => match t.find('/') {
                Some(at) => {
                    let (h, p) = t.split_at(at);
                    if !h.is_empty() {
                        host.push(Part::Text(h.to_owned()));
                    }
                    path.push(Part::Text(p.to_owned()));
                }
                None => host.push(part),
            },
            // Two variables without a text between them: the second starts the path.
            Part::Config(_) if matches!(host.last(), Some(Part::Config(_))) => path.push(part),
            _ => host.push(part),
        }
    }
    (host, path)
}

/// The configuration field that a fixed value stands for: `={config.login}` sends what the tenant filled in, and a guest
/// can't send anything else.
#[must_use]
pub fn config_reference(rule: &Rule) -> Option<&str> {
    let Rule::Fixed(value) = rule else { return None };
    value.strip_prefix("{config.")?.strip_suffix('}')
}

fn arguments_of(operation: &mut Operation) -> impl Iterator<Item = &mut Argument> {
    let body = match &mut operation.body {
        Some(Body::Form { arguments } | Body::Json { arguments }) => Some(arguments),
        Some(Body::Graphql { variables, .. }) => Some(variables),
        None => None,
    };
    let places = [Some(&mut operation.path), Some(&mut operation.query), body];
    places.into_iter().flatten().flat_map(|place| place.values_mut())
}

/// An operation whose template and rules were checked once, at the start of a run.
#[derive(Debug, Clone)]
pub struct CompiledOperation {
    /// As declared.
    pub declared: Operation,
    template: Template,
}

impl CompiledOperation {
    /// Checks the template against the rules and the configuration fields.
    ///
    /// # Errors
    /// When a name in braces has no rule or no configuration field.
    pub fn new(declared: &Operation, config: &Config) -> Result<Self, TemplateError> {
        let template = Template::parse(&declared.request)?;
        if let Some(name) = template.arguments().find(|name| !declared.path.contains_key(*name)) {
            return Err(TemplateError::NoRule(name.to_owned()));
        }
        if let Some(field) = template.config_fields().find(|f| !config.values.contains_key(*f)) {
            return Err(TemplateError::NoConfig(field.to_owned()));
        }
        let mut declared = declared.clone();
        for argument in arguments_of(&mut declared) {
            if let Some(field) = config_reference(&argument.rule) {
                let value = config.values.get(field).ok_or_else(|| TemplateError::NoConfig(field.to_owned()))?;
                argument.rule = Rule::Fixed(value.clone());
            }
        }
        Ok(Self { declared, template })
    }

    /// The rule of an argument, wherever it goes.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&Argument> {
        let body = match &self.declared.body {
            Some(Body::Form { arguments } | Body::Json { arguments }) => Some(arguments),
            Some(Body::Graphql { variables, .. }) => Some(variables),
            None => None,
        };
        let places = [Some(&self.declared.path), Some(&self.declared.query), body];
        places.into_iter().flatten().find_map(|place| place.get(name))
    }

    /// Checks the arguments and puts the request together.
    ///
    /// # Errors
    /// When an argument is undeclared, missing, repeated or outside its rule, or when the URL would be too long.
    pub fn prepare(&self, arguments: &Arguments, config: &Config) -> Result<PreparedRequest, ArgumentError> {
        let given = self.check(arguments)?;
        let host = self.host(&given, config)?;
        let mut url = format!("https://{host}");
        let path = self.path(&given, config)?;
        url.push_str(&path);
        let mut separator = '?';
        for (name, argument) in &self.declared.query {
            for value in values(name, argument, &given) {
                let (name, value) = (utf8_percent_encode(name, COMPONENT), utf8_percent_encode(value, COMPONENT));
                // Writing to a String can't fail.
                let _ = write!(url, "{separator}{name}={value}");
                separator = '&';
            }
        }
        if url.len() > MAX_URL_BYTES {
            return Err(ArgumentError::TooLong(url.len()));
        }
        let parsed = Url::parse(&url).map_err(|_| ArgumentError::Url)?;
        // The parser normalises (dots, backslashes, IDNA). What it changed was not what we meant.
        // A configured host such as `:x@elsewhere` parses to other parts without being changed, so the parts are compared.
        let authority = &parsed[Position::BeforeUsername..Position::AfterPort];
        let has_user = !parsed.username().is_empty() || parsed.password().is_some();
        if parsed.as_str() != url || parsed.path() != path || authority != host || has_user {
            return Err(ArgumentError::Url);
        }
        let (body, content_type) = self.body(&given);
        let mut headers: Vec<_> = self.declared.headers.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        if let Some(content_type) = content_type {
            headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        Ok(PreparedRequest {
            operation: self.declared.id.clone(),
            method: self.template.method,
            url: parsed,
            headers,
            body,
            auth: self.declared.auth.clone(),
        })
    }

    fn check<'a>(&self, arguments: &'a Arguments) -> Result<BTreeMap<&'a str, Vec<&'a str>>, ArgumentError> {
        let mut given: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in arguments {
            let argument = self.argument(name).ok_or_else(|| ArgumentError::Undeclared(shown(name)))?;
            if !argument.rule.allows(value) {
                return Err(ArgumentError::Rule {
                    name: name.clone(),
                    rule: argument.rule.to_string(),
                    value: shown(value),
                });
            }
            let values = given.entry(name).or_default();
            values.push(value);
            let most = if argument.list { MAX_LIST_VALUES } else { 1 };
            if values.len() > most {
                return Err(ArgumentError::Repeated(name.clone()));
            }
        }
        let body = match &self.declared.body {
            Some(Body::Form { arguments } | Body::Json { arguments }) => Some(arguments),
            Some(Body::Graphql { variables, .. }) => Some(variables),
            None => None,
        };
        let required = self.declared.query.iter().chain(body.into_iter().flatten()).filter(|(_, a)| a.required);
        for (name, _) in required {
            if !given.contains_key(name.as_str()) {
                return Err(ArgumentError::Missing(name.clone()));
            }
        }
        Ok(given)
    }

    fn host(&self, given: &BTreeMap<&str, Vec<&str>>, config: &Config) -> Result<String, ArgumentError> {
        let mut host = String::new();
        for part in &self.template.host {
            let value = match part {
                Part::Text(text) => text,
                Part::Config(field) => config.values.get(field).ok_or(ArgumentError::Url)?,
                Part::Argument(name) => {
                    let value = one(name, self.declared.path.get(name), given)?;
                    // The manifest's check lets no dot into the pattern; this holds even if that check were wrong, and
                    // leaves nothing for IDNA to make a dot of (`。`, `．`).
                    if !value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                        return Err(ArgumentError::Host(name.clone()));
                    }
                    value
                }
            };
            host.push_str(value);
        }
        Ok(host)
    }

    fn path(&self, given: &BTreeMap<&str, Vec<&str>>, config: &Config) -> Result<String, ArgumentError> {
        let mut path = String::new();
        for part in &self.template.path {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Config(field) => {
                    let value = config.values.get(field).ok_or(ArgumentError::Url)?;
                    if config.derived.contains(field) {
                        path.push_str(value);
                    } else {
                        path.extend(utf8_percent_encode(in_path(field, value, None)?, COMPONENT));
                    }
                }
                Part::Argument(name) => {
                    let argument = self.declared.path.get(name);
                    let value = one(name, argument, given)?;
                    let rule = argument.map(|a| &a.rule);
                    path.extend(utf8_percent_encode(in_path(name, value, rule)?, COMPONENT));
                }
            }
        }
        if path.is_empty() {
            path.push('/');
        }
        Ok(path)
    }

    fn body(&self, given: &BTreeMap<&str, Vec<&str>>) -> (Option<Vec<u8>>, Option<&'static str>) {
        match &self.declared.body {
            None => (None, None),
            Some(Body::Form { arguments }) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, argument) in arguments {
                    for value in values(name, argument, given) {
                        form.append_pair(name, value);
                    }
                }
                (Some(form.finish().into_bytes()), Some("application/x-www-form-urlencoded"))
            }
            Some(Body::Json { arguments }) => {
                (Some(json_object(arguments, given).to_string().into_bytes()), Some("application/json"))
            }
            Some(Body::Graphql { document, variables }) => {
                let body = serde_json::json!({ "query": document, "variables": json_object(variables, given) });
                (Some(body.to_string().into_bytes()), Some("application/json"))
            }
        }
    }
}

/// The one value of a path argument: given, or fixed by its rule.
fn one<'a>(
    name: &str,
    argument: Option<&'a Argument>,
    given: &BTreeMap<&str, Vec<&'a str>>,
) -> Result<&'a str, ArgumentError> {
    match given.get(name).map(Vec::as_slice) {
        Some([value]) => return Ok(value),
        // A path has one place for it, even if the manifest calls it a list.
        Some([_, ..]) => return Err(ArgumentError::Repeated(name.to_owned())),
        Some([]) | None => {}
    }
    match argument.map(|a| &a.rule) {
        Some(Rule::Fixed(value)) => Ok(value),
        _ => Err(ArgumentError::Missing(name.to_owned())),
    }
}

/// The values to send: the given ones, or the fixed one.
fn values<'a>(name: &str, argument: &'a Argument, given: &BTreeMap<&str, Vec<&'a str>>) -> Vec<&'a str> {
    match (&argument.rule, given.get(name)) {
        (Rule::Fixed(value), _) => vec![value],
        (_, Some(values)) => values.clone(),
        (_, None) => Vec::new(),
    }
}

/// A value that stays inside its path segment, however often a server decodes it. A slash is let through as `%2F` only
/// where a pattern or a fixed value names it, as for GitLab's `group%2Fproject`: servers that decode before they route
/// would take `x%2Fmembers` for another path. A slash that is hidden behind an encoding of its own is never meant well.
fn in_path<'a>(name: &str, value: &'a str, rule: Option<&Rule>) -> Result<&'a str, ArgumentError> {
    let refuse = || ArgumentError::Path(name.to_owned());
    let may_have_slash = matches!(rule, Some(Rule::Pattern(_) | Rule::Fixed(_)));
    let mut text = fold(value);
    if !may_have_slash && text.contains('/') {
        return Err(refuse());
    }
    let slashes = text.matches('/').count();
    // Each decoding makes the text shorter, so this ends.
    loop {
        let climbs = text.split('/').any(|segment| matches!(segment, "" | "." | ".."));
        if climbs || text.matches('/').count() != slashes {
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

fn json_object(arguments: &BTreeMap<String, Argument>, given: &BTreeMap<&str, Vec<&str>>) -> serde_json::Value {
    let typed = |rule: &Rule, value: &str| match rule {
        Rule::Int(_) => value.parse::<u64>().map_or(serde_json::Value::Null, Into::into),
        Rule::Bool => (value == "true").into(),
        _ => value.into(),
    };
    let mut object = serde_json::Map::new();
    for (name, argument) in arguments {
        let mut values: Vec<_> = values(name, argument, given).into_iter().map(|v| typed(&argument.rule, v)).collect();
        // A list that wasn't given stays away: an empty one would be a filter that matches nothing.
        if argument.list && !values.is_empty() {
            object.insert(name.clone(), values.into());
        } else if let Some(value) = values.pop() {
            object.insert(name.clone(), value);
        }
    }
    object.into()
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
