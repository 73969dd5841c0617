//! From an operation's template and a guest's arguments to a request. A guest can't write a URL, a method, a header or a
//! body: it gives values, each value passes its rule, and the request is put together from parts here.

use crate::id::{OperationId, Slot};
use crate::manifest::{Argument, Body, Method, Operation};
use crate::rule::Rule;
use std::collections::BTreeMap;
use url::Url;

mod check;
mod request;

pub use check::Checked;

/// The most arguments of one operation: providers' largest searches have some forty. Counting how often each is given has a
/// place for every one of them.
pub const MAX_ARGUMENTS: usize = 100;
/// Values one argument may be given with `list = true`. Providers that take lists cap them at 100 or fewer.
pub const MAX_LIST_VALUES: usize = 100;
/// The longest URL we send, in bytes: what common servers and proxies accept (RFC 9110, 4.1 asks for 8,000).
pub const MAX_URL_BYTES: usize = 8_000;

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
    /// What a signature of it is good for, where the credential is of a kind that signs requests.
    pub scope: Option<SignatureScope>,
}

/// The scope of one request's signature, and what the provider's access management will check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureScope {
    /// The service, by its signing name.
    pub service: String,
    /// The region.
    pub region: String,
    /// The action; none where nothing has to be granted.
    pub action: Option<String>,
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
    /// More arguments than [`MAX_ARGUMENTS`].
    #[error("it declares {0} arguments, at most {MAX_ARGUMENTS} are accepted")]
    Arguments(usize),
    /// The region of a signature is neither a text nor one name in braces.
    #[error("the region `{0}` of its signature is neither a text nor one name in braces")]
    Region(String),
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

/// The region of a signature: a text, `{argument}` or `{config.field}`.
///
/// # Errors
/// When it is anything else.
pub fn region(text: &str) -> Result<Part, TemplateError> {
    let wrong = || TemplateError::Region(text.to_owned());
    let [part] = <[Part; 1]>::try_from(parts(text).ok_or_else(wrong)?).map_err(|_| wrong())?;
    if literals_are_plain(std::slice::from_ref(&part), "-") { Ok(part) } else { Err(wrong()) }
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
        Some(Body::Form { arguments } | Body::Json { arguments, .. }) => Some(arguments),
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
    /// The region of its signature.
    region: Option<Part>,
    /// All arguments by name, sorted, each once: a look-up for each value that a guest gives.
    arguments: Vec<(String, Argument)>,
}

impl CompiledOperation {
    /// Checks the template against the rules and the configuration fields.
    ///
    /// # Errors
    /// When a name in braces has no rule or no configuration field, or there are too many arguments.
    pub fn new(declared: &Operation, config: &Config) -> Result<Self, TemplateError> {
        let template = Template::parse(&declared.request)?;
        if let Some(name) = template.arguments().find(|name| !declared.path.contains_key(*name)) {
            return Err(TemplateError::NoRule(name.to_owned()));
        }
        if let Some(field) = template.config_fields().find(|f| !config.values.contains_key(*f)) {
            return Err(TemplateError::NoConfig(field.to_owned()));
        }
        let region = declared.sign.as_ref().map(|sign| region(&sign.region)).transpose()?;
        match &region {
            Some(Part::Argument(name)) if !declared.path.contains_key(name) => {
                return Err(TemplateError::NoRule(name.clone()));
            }
            Some(Part::Config(field)) if !config.values.contains_key(field) => {
                return Err(TemplateError::NoConfig(field.clone()));
            }
            _ => {}
        }
        let mut declared = declared.clone();
        for argument in arguments_of(&mut declared) {
            if let Some(field) = config_reference(&argument.rule) {
                let value = config.values.get(field).ok_or_else(|| TemplateError::NoConfig(field.to_owned()))?;
                argument.rule = Rule::Fixed(value.clone());
            }
        }
        let mut arguments: Vec<_> = declared.arguments().map(|(name, a)| (name.clone(), a.clone())).collect();
        // Stable, so that of a name with two places the first counts.
        arguments.sort_by(|(a, _), (b, _)| a.cmp(b));
        arguments.dedup_by(|(later, _), (first, _)| later == first);
        if arguments.len() > MAX_ARGUMENTS {
            return Err(TemplateError::Arguments(arguments.len()));
        }
        Ok(Self { declared, template, region, arguments })
    }

    /// The rule of an argument, wherever it goes.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&Argument> {
        self.place(name).map(|(_, argument)| argument)
    }

    /// An argument with its number among those of this operation.
    fn place(&self, name: &str) -> Option<(usize, &Argument)> {
        let at = self.arguments.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.arguments.get(at).map(|(_, argument)| (at, argument))
    }

    /// Checks the arguments, without putting anything together: allocates nothing when they are good, unless a value is
    /// written in a way that has to be decoded to be judged (`%`, wide forms of slashes and dots).
    ///
    /// # Errors
    /// When an argument is undeclared, missing, repeated or outside its rule, or can't stand in its place.
    pub fn check<'a>(&'a self, arguments: &'a Arguments) -> Result<Checked<'a>, ArgumentError> {
        check::check(self, arguments)
    }

    /// Checks the arguments and puts the request together.
    ///
    /// # Errors
    /// As [`CompiledOperation::check`], and when the URL would be too long.
    pub fn prepare(&self, arguments: &Arguments, config: &Config) -> Result<PreparedRequest, ArgumentError> {
        self.check(arguments)?.request(config)
    }
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
