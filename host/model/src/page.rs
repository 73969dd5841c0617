//! The next page, found and checked by the host. A provider says where a list goes on; it can't make the host go
//! anywhere else: the next request is always the same operation, with values that pass its rules.
//!
//! A page that can't be followed is [`NextPage::Broken`], never [`NextPage::Last`]: a list of which nobody knows the end
//! leaves its slice incomplete.

use crate::element;
use crate::link;
use crate::manifest::{BodyFormat, Pages};
use crate::operation::{Arguments, CompiledOperation, MAX_LIST_VALUES, MAX_URL_BYTES};
use crate::pointer::{self, Found};
use crate::rule::Rule;
use crate::text::shown;
use std::collections::{BTreeMap, HashSet};
use url::{Origin, Url};

/// The most pages of one list. At the usual 100 objects a page that is 10 million objects, more than a step may emit; a
/// list that is longer is a provider that invents pages.
pub const MAX_PAGES: usize = 100_000;

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextPage {
    /// Nowhere: this was the last page.
    Last,
    /// With these arguments, all of them, in a stable order. They keep the operation's rules; the grant still has to be
    /// asked ([`crate::grant::Policy::decide`]), because a limit may be narrower than a rule.
    Next(Vec<(String, String)>),
    /// Somewhere that the host doesn't follow.
    Broken(PageFault),
}

/// Why a next page can't be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageFault {
    /// The header breaks RFC 8288 or is too long.
    #[error("the `Link` header can't be read")]
    Malformed,
    /// Two different next pages.
    #[error("the `Link` header names two different next pages")]
    Ambiguous,
    /// The target is no URL, or too long to be sent.
    #[error("the next page's link is no URL of at most {MAX_URL_BYTES} bytes")]
    Url,
    /// The target is somebody else's.
    #[error("the next page's link leads to {0}, which is not where this one came from")]
    Origin(String),
    /// `https://user:password@host`.
    #[error("the next page's link carries a user name or password")]
    UserInfo,
    /// The link or the manifest speaks of an argument that the operation doesn't declare.
    #[error("the next page needs argument `{0}`, which the operation doesn't declare")]
    Undeclared(String),
    /// A value is outside its rule; a fixed parameter was changed.
    #[error("the next page's value of `{name}` is outside its rule `{rule}`: {value:?}")]
    Value {
        /// The argument.
        name: String,
        /// Its rule.
        rule: String,
        /// The value, cut.
        value: String,
    },
    /// Bytes that are no text, which can't be sent back as they came.
    #[error("the next page's value of `{0}` is not UTF-8")]
    NotText(String),
    /// Given more often than the operation allows.
    #[error("the next page's link gives `{0}` too often")]
    Repeated(String),
    /// The body is neither JSON nor XML as declared.
    #[error("the body is not of the declared format, so its cursor can't be read")]
    Body,
    /// The body says that there is more and doesn't say where, or says neither yes nor no.
    #[error("the body doesn't say clearly whether there are more pages")]
    Unclear,
    /// The list comes back to a page that was fetched before.
    #[error("the list leads back to a page that was fetched before")]
    Loop,
    /// The list doesn't end.
    #[error("the list has more than {MAX_PAGES} pages")]
    Endless,
}

impl PageFault {
    /// The code of the fault, as `operations.fault` in the WIT lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Loop | Self::Endless => "loop",
            _ => "page",
        }
    }
}

/// Finds the next page of a response. `allowed` are the origins that a link may name: the provider's and that of the
/// endpoint its host is mapped to; a relative link is resolved against the first. `arguments` are those of this request,
/// `link` its `Link` header (several joined with `, `), `body` its body.
#[must_use]
pub fn next_page(
    compiled: &CompiledOperation,
    allowed: &[Origin],
    arguments: &Arguments,
    link: Option<&str>,
    body: &[u8],
) -> NextPage {
    let next = match &compiled.declared.pages {
        Pages::None => Ok(None),
        Pages::Link => match link {
            Some(header) => by_link(compiled, allowed, arguments, header),
            None => Ok(None),
        },
        Pages::Cursor { cursor, more, argument, body: format } => {
            match cursor_in(*format, body, cursor, more.as_deref()) {
                Ok(Some(value)) => by_cursor(compiled, arguments, argument, value).map(Some),
                Ok(None) => Ok(None),
                Err(fault) => Err(fault),
            }
        }
    };
    match next {
        Ok(Some(arguments)) => NextPage::Next(arguments),
        Ok(None) => NextPage::Last,
        Err(fault) => NextPage::Broken(fault),
    }
}

/// Does a `Link` header name a next page? One that can't be read might.
#[must_use]
pub fn names_next(link: &str) -> bool {
    link::next_targets(link).is_none_or(|targets| !targets.is_empty())
}

type ArgumentList = Vec<(String, String)>;

fn by_link(
    compiled: &CompiledOperation,
    allowed: &[Origin],
    arguments: &Arguments,
    header: &str,
) -> Result<Option<ArgumentList>, PageFault> {
    let targets = link::next_targets(header).ok_or(PageFault::Malformed)?;
    let Some(target) = targets.first() else { return Ok(None) };
    if targets.iter().any(|other| other != target) {
        return Err(PageFault::Ambiguous);
    }
    let url = resolve(target, allowed)?;
    let given = query(compiled, &url)?;
    // The path and the body are this request's, never the link's: GitHub answers `/orgs/github/repos` with links to
    // `/organizations/9919/repos`, so comparing paths would refuse good links, and following them would be steering.
    let declared = &compiled.declared.query;
    let kept = arguments.iter().filter(|(name, _)| {
        let required = declared.get(name).is_some_and(|a| a.required && !given.contains_key(name));
        !declared.contains_key(name) || required
    });
    let from_link = given.iter().flat_map(|(name, values)| values.iter().map(|v| (name.clone(), v.clone())));
    Ok(Some(stable(kept.cloned().chain(from_link).collect())))
}

/// The link's URL, if it is of an allowed origin.
fn resolve(target: &str, allowed: &[Origin]) -> Result<Url, PageFault> {
    if target.len() > MAX_URL_BYTES {
        return Err(PageFault::Url);
    }
    let base = allowed.first().and_then(|o| Url::parse(&o.ascii_serialization()).ok());
    let url = Url::options().base_url(base.as_ref()).parse(target).map_err(|_| PageFault::Url)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(PageFault::UserInfo);
    }
    let origin = url.origin();
    if !origin.is_tuple() || !allowed.contains(&origin) {
        return Err(PageFault::Origin(shown(&origin.ascii_serialization())));
    }
    Ok(url)
}

/// The link's query parameters, each declared and inside its rule; fixed ones are left to the host.
fn query(compiled: &CompiledOperation, url: &Url) -> Result<BTreeMap<String, Vec<String>>, PageFault> {
    let mut given: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        let argument = compiled.declared.query.get(&*name).ok_or_else(|| PageFault::Undeclared(shown(&name)))?;
        // A lossy decoding would send the provider another cursor than it gave.
        if value.contains(char::REPLACEMENT_CHARACTER) {
            return Err(PageFault::NotText(name.into_owned()));
        }
        check(&name, &argument.rule, &value)?;
        if matches!(argument.rule, Rule::Fixed(_)) {
            continue;
        }
        let values = given.entry(name.clone().into_owned()).or_default();
        values.push(value.into_owned());
        if values.len() > if argument.list { MAX_LIST_VALUES } else { 1 } {
            return Err(PageFault::Repeated(name.into_owned()));
        }
    }
    Ok(given)
}

/// The cursor, if there is a next page.
fn cursor_in(format: BodyFormat, body: &[u8], cursor: &str, more: Option<&str>) -> Result<Option<String>, PageFault> {
    let find = |pointer: &str| match format {
        BodyFormat::Json => pointer::find(body, pointer),
        BodyFormat::Xml => element::find(body, pointer),
    };
    let more = match more {
        // XML has texts only.
        Some(pointer) => Some(match find(pointer).ok_or(PageFault::Body)? {
            Found::Text(text) if format == BodyFormat::Xml && text == "true" => Found::Bool(true),
            Found::Text(text) if format == BodyFormat::Xml && text == "false" => Found::Bool(false),
            found => found,
        }),
        None => None,
    };
    if more == Some(Found::Bool(false)) {
        return Ok(None);
    }
    let value = match find(cursor).ok_or(PageFault::Body)? {
        Found::Text(value) if !value.is_empty() => Some(value),
        Found::Text(_) | Found::Null | Found::Absent => None,
        Found::Bool(_) | Found::Nested => return Err(PageFault::Unclear),
    };
    match (more, value) {
        (None | Some(Found::Bool(true)), Some(value)) => Ok(Some(value)),
        // Without either there is no list at all: GraphQL answers null for the thing that would hold it.
        (None | Some(Found::Absent | Found::Null), None) => Ok(None),
        _ => Err(PageFault::Unclear),
    }
}

fn by_cursor(
    compiled: &CompiledOperation,
    arguments: &Arguments,
    name: &str,
    value: String,
) -> Result<ArgumentList, PageFault> {
    let argument = compiled.argument(name).ok_or_else(|| PageFault::Undeclared(shown(name)))?;
    check(name, &argument.rule, &value)?;
    let kept = arguments.iter().filter(|(other, _)| other != name).cloned();
    Ok(stable(kept.chain([(name.to_owned(), value)]).collect()))
}

fn check(name: &str, rule: &Rule, value: &str) -> Result<(), PageFault> {
    if rule.allows(value) {
        return Ok(());
    }
    Err(PageFault::Value { name: shown(name), rule: rule.to_string(), value: shown(value) })
}

/// By name; values of one name keep their order, which may mean something.
fn stable(mut arguments: ArgumentList) -> ArgumentList {
    arguments.sort_by(|(a, _), (b, _)| a.cmp(b));
    arguments
}

/// The pages of one list that were asked for so far, so that a list that leads back into itself ends.
#[derive(Debug, Clone)]
pub struct PageChain {
    /// 128 bits of BLAKE3 over each page's arguments: 1.6 MB at [`MAX_PAGES`].
    seen: HashSet<[u8; 16]>,
}

impl PageChain {
    /// A list begins with the arguments of its first request.
    #[must_use]
    pub fn new(first: &Arguments) -> Self {
        Self { seen: HashSet::from([page_hash(first)]) }
    }

    /// Notes the next page before it is asked for.
    ///
    /// # Errors
    /// When it was asked for before, or is one too many.
    pub fn follow(&mut self, next: &Arguments) -> Result<(), PageFault> {
        if self.seen.len() >= MAX_PAGES {
            return Err(PageFault::Endless);
        }
        if self.seen.insert(page_hash(next)) { Ok(()) } else { Err(PageFault::Loop) }
    }

    /// Pages asked for so far.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.seen.len()
    }
}

fn page_hash(arguments: &Arguments) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for (name, value) in stable(arguments.to_vec()) {
        for text in [name, value] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
    crate::object::first_half(&hasher.finalize())
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
