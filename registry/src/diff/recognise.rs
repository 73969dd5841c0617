//! Could an operation make this request? The template is read backwards to find the arguments, and the model puts them
//! together again: only when the very same request comes out, the answer is yes.

use percent_encoding::percent_decode_str;
use porthole_model::manifest::{Argument, Body};
use porthole_model::operation::{CompiledOperation, Config, Part, PreparedRequest, Template};
use porthole_model::rule::Rule;
use std::collections::BTreeMap;
use url::Position;

/// How many ways to read a template backwards are tried. More than one there is only where two arguments stand side by
/// side.
const MAX_READINGS: usize = 4_096;

type ArgumentList = Vec<(String, String)>;

/// Could the operation make this request, whatever it is called?
pub(super) fn could_make(compiled: &CompiledOperation, config: &Config, request: &PreparedRequest) -> bool {
    let Ok(template) = Template::parse(&compiled.declared.request) else { return false };
    if template.method != request.method || compiled.declared.auth != request.auth {
        return false;
    }
    let Some(mut rest) = query(compiled, request) else { return false };
    let Some(body) = body(compiled, request) else { return false };
    rest.extend(body);
    let host = &request.url[Position::BeforeHost..Position::AfterPort];
    let mut budget = MAX_READINGS;
    let hosts = readings(&template.host, host, config, false, &mut budget);
    let mut paths = readings(&template.path, request.url.path(), config, true, &mut budget);
    if request.url.path() == "/" {
        // What the model makes of an empty path.
        paths.extend(readings(&template.path, "", config, true, &mut budget));
    }
    for (from_host, from_path) in hosts.iter().flat_map(|host| paths.iter().map(move |path| (host, path))) {
        let Some(mut arguments) = merged(from_host, from_path) else { continue };
        arguments.extend(rest.iter().cloned());
        if compiled.prepare(&arguments, config).is_ok_and(|made| same(&made, request)) {
            return true;
        }
    }
    // Who gave up can't say no: an example must be a request that is certainly new.
    budget == 0
}

/// The same but for the name of the operation.
fn same(a: &PreparedRequest, b: &PreparedRequest) -> bool {
    let PreparedRequest { operation: _, method, url, headers, body, auth, scope } = a;
    (method, url, headers, body, auth, scope) == (&b.method, &b.url, &b.headers, &b.body, &b.auth, &b.scope)
}

/// One value for each name, or none when two readings disagree.
fn merged(host: &ArgumentList, path: &ArgumentList) -> Option<ArgumentList> {
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in host.iter().chain(path) {
        if values.insert(name, value).is_some_and(|before| before != value) {
            return None;
        }
    }
    Some(values.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
}

/// Every way in which the text can be made of the parts.
fn readings(parts: &[Part], text: &str, config: &Config, encoded: bool, budget: &mut usize) -> Vec<ArgumentList> {
    let mut found = Vec::new();
    // What was read, how many parts of it, and what is left of the text.
    let mut todo: Vec<(ArgumentList, usize, &str)> = vec![(Vec::new(), 0, text)];
    while let Some((read, at, rest)) = todo.pop() {
        let Some(left) = budget.checked_sub(1) else { break };
        *budget = left;
        let Some(part) = parts.get(at) else {
            if rest.is_empty() {
                found.push(read);
            }
            continue;
        };
        match part {
            Part::Text(fixed) => {
                if let Some(rest) = rest.strip_prefix(fixed.as_str()) {
                    todo.push((read, at + 1, rest));
                }
            }
            Part::Config(field) => {
                let Some(value) = config.values.get(field) else { continue };
                let plain = !encoded || config.derived.contains(field);
                for cut in cuts(rest) {
                    let (piece, rest) = rest.split_at(cut);
                    if (plain && piece == value) || (!plain && decoded(piece).as_deref() == Some(value)) {
                        todo.push((read.clone(), at + 1, rest));
                    }
                }
            }
            Part::Argument(name) => {
                for cut in cuts(rest) {
                    let (piece, rest) = rest.split_at(cut);
                    // What is encoded holds no slash, and a value is never empty.
                    if piece.contains('/') || piece.is_empty() {
                        continue;
                    }
                    let value = if encoded { decoded(piece) } else { Some(piece.to_owned()) };
                    let Some(value) = value else { continue };
                    let mut read = read.clone();
                    read.push((name.clone(), value));
                    todo.push((read, at + 1, rest));
                }
            }
        }
    }
    found
}

fn cuts(text: &str) -> impl Iterator<Item = usize> + use<> {
    let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    cuts.into_iter()
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(|t| t.into_owned())
}

fn is_fixed(argument: &Argument) -> bool {
    matches!(argument.rule, Rule::Fixed(_))
}

/// The arguments that the query would have come from. None when one of them isn't declared.
fn query(compiled: &CompiledOperation, request: &PreparedRequest) -> Option<ArgumentList> {
    let mut arguments = Vec::new();
    for (name, value) in request.url.query_pairs() {
        let argument = compiled.declared.query.get(&*name)?;
        if !is_fixed(argument) {
            arguments.push((name.into_owned(), value.into_owned()));
        }
    }
    Some(arguments)
}

/// The arguments that the body would have come from. None when it is no body of this operation.
fn body(compiled: &CompiledOperation, request: &PreparedRequest) -> Option<ArgumentList> {
    match (&compiled.declared.body, &request.body) {
        (None, None) => Some(Vec::new()),
        (Some(Body::Form { arguments }), Some(bytes)) => {
            let mut given = Vec::new();
            for (name, value) in url::form_urlencoded::parse(bytes) {
                let name = unnumbered(arguments, &name);
                if !is_fixed(arguments.get(&name)?) {
                    given.push((name, value.into_owned()));
                }
            }
            Some(given)
        }
        (Some(Body::Json { arguments, .. }), Some(bytes)) => fields(arguments, &serde_json::from_slice(bytes).ok()?),
        (Some(Body::Graphql { document, variables }), Some(bytes)) => {
            let sent: serde_json::Value = serde_json::from_slice(bytes).ok()?;
            let same = sent.get("query")?.as_str()? == document;
            if same { fields(variables, sent.get("variables")?) } else { None }
        }
        _ => None,
    }
}

/// The name under which a form's numbered field is declared: `Names.1` is a value of `Names.N`.
fn unnumbered(arguments: &BTreeMap<String, Argument>, name: &str) -> String {
    let list = name.rsplit_once('.').filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()));
    let list = list
        .map(|(list, _)| format!("{list}.N"))
        .filter(|list| !arguments.contains_key(name) && arguments.contains_key(list));
    list.unwrap_or_else(|| name.to_owned())
}

fn fields(arguments: &BTreeMap<String, Argument>, object: &serde_json::Value) -> Option<ArgumentList> {
    let mut given = Vec::new();
    members(arguments, "", object, &mut given)?;
    Some(given)
}

/// The members of an object, those of the objects in it by their way.
fn members(
    arguments: &BTreeMap<String, Argument>,
    way: &str,
    object: &serde_json::Value,
    given: &mut ArgumentList,
) -> Option<()> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for (member, value) in object.as_object()? {
        let name = format!("{way}{member}");
        match (arguments.get(&name), value) {
            (Some(argument), _) if is_fixed(argument) => {}
            (Some(_), serde_json::Value::Array(values)) => given.extend(values.iter().map(|v| (name.clone(), text(v)))),
            (Some(_), value) => given.push((name, text(value))),
            (None, value) => members(arguments, &format!("{name}/"), value, given)?,
        }
    }
    Some(())
}
