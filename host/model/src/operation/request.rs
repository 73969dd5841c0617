//! From checked arguments to the request. What is written here is parsed back and compared, so that a value that slipped
//! through every rule still can't become another host or another path.

use super::check::{Checked, given, in_path, one};
use super::{ArgumentError, Arguments, Config, MAX_URL_BYTES, Part, PreparedRequest, SignatureScope};
use crate::manifest::{Argument, Body};
use crate::rule::Rule;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use url::{Position, Url};

/// Everything but the unreserved characters of RFC 3986.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Room for most URLs, in bytes.
const USUAL_URL_BYTES: usize = 192;

impl Checked<'_> {
    /// Puts the request together.
    ///
    /// # Errors
    /// When the URL would be too long, or a configured value doesn't fit its place.
    pub fn request(&self, config: &Config) -> Result<PreparedRequest, ArgumentError> {
        let declared = &self.operation.declared;
        let mut url = String::with_capacity(USUAL_URL_BYTES);
        url.push_str("https://");
        let host_at = url.len();
        self.host(&mut url, config)?;
        let path_at = url.len();
        self.path(&mut url, config)?;
        if url.len() == path_at {
            url.push('/');
        }
        let query_at = url.len();
        self.query(&mut url);
        if url.len() > MAX_URL_BYTES {
            return Err(ArgumentError::TooLong(url.len()));
        }
        let parsed = Url::parse(&url).map_err(|_| ArgumentError::Url)?;
        // The parser normalises (dots, backslashes, IDNA). What it changed was not what we meant.
        // A configured host such as `:x@elsewhere` parses to other parts without being changed, so the parts are compared.
        let authority = &parsed[Position::BeforeUsername..Position::AfterPort];
        let has_user = !parsed.username().is_empty() || parsed.password().is_some();
        let (host, path) = (url.get(host_at..path_at), url.get(path_at..query_at));
        if parsed.as_str() != url || Some(parsed.path()) != path || Some(authority) != host || has_user {
            return Err(ArgumentError::Url);
        }
        let (body, content_type) = self.body();
        let mut headers: Vec<_> = declared.headers.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        if let Some(content_type) = content_type {
            headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        Ok(PreparedRequest {
            operation: declared.id.clone(),
            method: self.operation.template.method,
            url: parsed,
            headers,
            body,
            auth: declared.auth.clone(),
            scope: self.scope(config)?,
        })
    }

    fn scope(&self, config: &Config) -> Result<Option<SignatureScope>, ArgumentError> {
        let (Some(sign), Some(region)) = (&self.operation.declared.sign, &self.operation.region) else {
            return Ok(None);
        };
        let region = match region {
            Part::Text(text) => text,
            Part::Config(field) => config.values.get(field).ok_or(ArgumentError::Url)?,
            Part::Argument(name) => one(name, self.operation.declared.path.get(name), self.arguments)?,
        };
        let (service, action) = (sign.service.clone(), self.operation.declared.action.clone());
        Ok(Some(SignatureScope { service, region: region.to_owned(), action }))
    }

    fn host(&self, url: &mut String, config: &Config) -> Result<(), ArgumentError> {
        for part in &self.operation.template.host {
            url.push_str(match part {
                Part::Text(text) => text,
                Part::Config(field) => config.values.get(field).ok_or(ArgumentError::Url)?,
                Part::Argument(name) => one(name, self.operation.declared.path.get(name), self.arguments)?,
            });
        }
        Ok(())
    }

    fn path(&self, url: &mut String, config: &Config) -> Result<(), ArgumentError> {
        for part in &self.operation.template.path {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Config(field) => {
                    let value = config.values.get(field).ok_or(ArgumentError::Url)?;
                    if config.derived.contains(field) {
                        url.push_str(value);
                    } else {
                        url.extend(utf8_percent_encode(in_path(field, value, None)?, COMPONENT));
                    }
                }
                Part::Argument(name) => {
                    let value = one(name, self.operation.declared.path.get(name), self.arguments)?;
                    url.extend(utf8_percent_encode(value, COMPONENT));
                }
            }
        }
        Ok(())
    }

    fn query(&self, url: &mut String) {
        let mut separator = '?';
        for (name, argument) in &self.operation.declared.query {
            for value in values(name, argument, self.arguments) {
                let (name, value) = (utf8_percent_encode(name, COMPONENT), utf8_percent_encode(value, COMPONENT));
                // Writing to a String can't fail.
                let _ = write!(url, "{separator}{name}={value}");
                separator = '&';
            }
        }
    }

    fn body(&self) -> (Option<Vec<u8>>, Option<&str>) {
        match &self.operation.declared.body {
            None => (None, None),
            Some(Body::Form { arguments }) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, argument) in arguments {
                    let numbered = name.strip_suffix(".N").filter(|_| argument.list);
                    for (at, value) in values(name, argument, self.arguments).enumerate() {
                        match numbered {
                            Some(name) => form.append_pair(&format!("{name}.{}", at + 1), value),
                            None => form.append_pair(name, value),
                        };
                    }
                }
                (Some(form.finish().into_bytes()), Some("application/x-www-form-urlencoded"))
            }
            Some(Body::Json { arguments, content_type }) => {
                let body = json_object(arguments, self.arguments).to_string().into_bytes();
                (Some(body), Some(content_type.as_deref().unwrap_or("application/json")))
            }
            Some(Body::Graphql { document, variables }) => {
                let variables = json_object(variables, self.arguments);
                let body = serde_json::json!({ "query": document, "variables": variables });
                (Some(body.to_string().into_bytes()), Some("application/json"))
            }
        }
    }
}

/// The values to send: the given ones, or the fixed one.
fn values<'a>(name: &'a str, argument: &'a Argument, arguments: &'a Arguments) -> impl Iterator<Item = &'a str> {
    let fixed = match &argument.rule {
        Rule::Fixed(value) => Some(value.as_str()),
        _ => None,
    };
    let given = given(arguments, name).filter(move |_| fixed.is_none());
    fixed.into_iter().chain(given)
}

fn json_object(declared: &BTreeMap<String, Argument>, arguments: &Arguments) -> serde_json::Value {
    let typed = |rule: &Rule, value: &str| match rule {
        Rule::Int(_) => value.parse::<u64>().map_or(serde_json::Value::Null, Into::into),
        Rule::Bool => (value == "true").into(),
        _ => value.into(),
    };
    let mut object = serde_json::Map::new();
    for (name, argument) in declared {
        let values = values(name, argument, arguments);
        let mut values: Vec<_> = values.map(|value| typed(&argument.rule, value)).collect();
        // A list that wasn't given stays away: an empty one would be a filter that matches nothing.
        if argument.list && !values.is_empty() {
            insert(&mut object, name, values.into());
        } else if let Some(value) = values.pop() {
            insert(&mut object, name, value);
        }
    }
    object.into()
}

/// Puts a value at the end of the way that its name is. No name is the beginning of another: `registry` checks it.
fn insert(object: &mut serde_json::Map<String, serde_json::Value>, name: &str, value: serde_json::Value) {
    let Some((first, rest)) = name.split_once('/') else {
        object.insert(name.to_owned(), value);
        return;
    };
    let inner = object.entry(first).or_insert_with(|| serde_json::Map::new().into());
    if let Some(inner) = inner.as_object_mut() {
        insert(inner, rest, value);
    }
}
