//! `[[operation-tables]]`: operations as the rows of a file beside the manifest. For providers whose reads are hundreds of
//! requests of a few shapes: a row says what differs, and the protocol says the rest. A row becomes an ordinary operation;
//! the packed manifest knows no tables, and a reviewer reads operations.

use super::operation::argument;
use super::table::Table;
use porthole_model::id::{OperationId, Slot};
use porthole_model::manifest::{Argument, Body, BodyFormat, EmptyOn, Operation, Pages, Sign};
use porthole_model::operation::Template;
use porthole_model::rule::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// Reads a file beside the manifest; the error says why it can't.
pub type ReadFile<'f> = &'f dyn Fn(&str) -> Result<String, String>;

/// The columns of a table, in order.
const COLUMNS: [&str; 11] =
    ["id", "protocol", "request", "service", "region", "name", "action", "arguments", "pages", "empty-on", "note"];
/// Between two arguments, and between two answers that mean "none".
const BETWEEN_ARGUMENTS: &str = " ; ";
const BETWEEN_ANSWERS: &str = ", ";

/// What every row of a table has.
struct Common {
    auth: Option<Slot>,
    path: BTreeMap<String, Argument>,
}

/// How requests and replies look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// A form with `Action` and `Version`; XML comes back.
    Query,
    /// JSON with a target in a header; its minor version.
    Json(u8),
    /// Method and path; JSON comes back.
    RestJson,
    /// Method and path; XML comes back.
    RestXml,
}

impl Protocol {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "query" | "ec2" => Self::Query,
            "json-1.0" => Self::Json(0),
            "json-1.1" => Self::Json(1),
            "rest-json" => Self::RestJson,
            "rest-xml" => Self::RestXml,
            _ => return Err(format!("`{text}` is no protocol: query, ec2, json-1.0, json-1.1, rest-json, rest-xml")),
        })
    }

    fn replies_in(self) -> BodyFormat {
        match self {
            Self::Query | Self::RestXml => BodyFormat::Xml,
            Self::Json(_) | Self::RestJson => BodyFormat::Json,
        }
    }
}

/// Reads one table, and the file that it names.
pub(super) fn read(table: &Table<'_>, files: ReadFile<'_>) -> Vec<Operation> {
    let file = table.text("file");
    let auth = table.optional_parsed::<Slot>("auth");
    let path = table.named_values("path", argument);
    table.finish();
    let Some(file) = file else { return Vec::new() };
    table.rename(&format!("operation-tables `{file}`"));
    let refuse = |message: String| table.refuse(Some("file"), message, format!("columns: {}", COLUMNS.join(", ")));
    let text = match files(&file) {
        Ok(text) => text,
        Err(why) => {
            table.refuse(Some("file"), why, "it stands beside the manifest");
            return Vec::new();
        }
    };
    let common = Common { auth, path };
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty());
    if lines.next().is_none_or(|(_, header)| header.split('\t').ne(COLUMNS)) {
        refuse(format!("`{file}` doesn't begin with the names of its columns"));
        return Vec::new();
    }
    let mut operations = Vec::new();
    for (at, line) in lines {
        match row(&common, line) {
            Ok(operation) => {
                table.also_called(format!("operation `{}`", operation.id));
                operations.push(operation);
            }
            Err(why) => refuse(format!("`{file}` line {}: {why}", at + 1)),
        }
    }
    operations
}

fn row(common: &Common, line: &str) -> Result<Operation, String> {
    let cells: Vec<_> = line.split('\t').map(str::trim).collect();
    let [id, protocol, request, service, region, name, action, arguments, pages, empty_on, _note] =
        <[&str; COLUMNS.len()]>::try_from(cells.as_slice())
            .map_err(|_| format!("it has {} columns, not {}", cells.len(), COLUMNS.len()))?;
    let id = OperationId::new(id.to_owned()).map_err(|e| e.to_string())?;
    let protocol = Protocol::parse(protocol)?;
    let template = Template::parse(request).map_err(|e| e.to_string())?;
    let in_path: BTreeSet<&str> = template.arguments().collect();
    let mut path: BTreeMap<_, _> =
        common.path.iter().filter(|(n, _)| in_path.contains(n.as_str())).map(|(n, a)| (n.clone(), a.clone())).collect();
    let (mut query, mut others) = (BTreeMap::new(), BTreeMap::new());
    let is_get = request.starts_with("GET ");
    for text in arguments.split(BETWEEN_ARGUMENTS).map(str::trim).filter(|text| !text.is_empty()) {
        let (name, argument) = one_argument(text)?;
        let (name, in_query) = name.strip_prefix('?').map_or((name, is_get), |name| (name, true));
        let place = match () {
            () if in_path.contains(name) => &mut path,
            () if in_query => &mut query,
            () => &mut others,
        };
        if place.insert(name.to_owned(), argument).is_some() && !common.path.contains_key(name) {
            return Err(format!("argument `{name}` is given twice"));
        }
    }
    let mut headers = BTreeMap::new();
    let body = match protocol {
        Protocol::Query => {
            let (version, action) = name.split_once(' ').ok_or("`name` is not `VERSION ACTION`")?;
            for (field, value) in [("Action", action), ("Version", version)] {
                let rule = Rule::Fixed(value.to_owned());
                if others.insert(field.to_owned(), Argument { rule, required: false, list: false }).is_some() {
                    return Err(format!("argument `{field}` is the protocol's own"));
                }
            }
            Some(Body::Form { arguments: others })
        }
        Protocol::Json(minor) => {
            headers.insert("x-amz-target".to_owned(), name.to_owned());
            Some(Body::Json { arguments: others, content_type: Some(format!("application/x-amz-json-1.{minor}")) })
        }
        Protocol::RestJson | Protocol::RestXml if !name.is_empty() => {
            return Err("`name` is for protocols that name their operations; this one has a path".to_owned());
        }
        Protocol::RestJson => {
            headers.insert("accept".to_owned(), "application/json".to_owned());
            (!is_get).then_some(Body::Json { arguments: others, content_type: None })
        }
        Protocol::RestXml if !others.is_empty() => return Err("no body of XML is ever sent".to_owned()),
        Protocol::RestXml => None,
    };
    let empty_on = empty_on.split(BETWEEN_ANSWERS).filter(|text| !text.is_empty());
    Ok(Operation {
        id,
        request: request.to_owned(),
        path,
        query,
        headers,
        body,
        auth: common.auth.clone(),
        pages: paging(pages, protocol.replies_in())?,
        empty_on: empty_on.map(str::parse::<EmptyOn>).collect::<Result<_, _>>()?,
        response_headers: Vec::new(),
        read_by_post: None,
        permission: None,
        revalidate: false,
        sign: Some(Sign { service: service.to_owned(), region: region.to_owned() }),
        action: (!action.is_empty()).then(|| action.to_owned()),
    })
}

/// `NAME RULE [required] [list]`.
fn one_argument(text: &str) -> Result<(&str, Argument), String> {
    let (name, rest) = text.split_once(' ').ok_or_else(|| format!("argument `{text}` has no rule"))?;
    let (mut rule, mut required, mut list) = (rest.trim(), false, false);
    while let Some((before, word)) = rule.rsplit_once(' ') {
        match word {
            "required" => required = true,
            "list" => list = true,
            _ => break,
        }
        rule = before.trim_end();
    }
    let rule = Rule::parse(rule).map_err(|e| format!("argument `{name}`: {e}"))?;
    Ok((name, Argument { rule, required, list }))
}

/// `ARGUMENT <- POINTER [if POINTER]`.
fn paging(text: &str, body: BodyFormat) -> Result<Pages, String> {
    if text.is_empty() {
        return Ok(Pages::None);
    }
    let (argument, from) =
        text.split_once(" <- ").ok_or_else(|| format!("`{text}` is not `ARGUMENT <- POINTER [if POINTER]`"))?;
    let (cursor, more) = from.split_once(" if ").map_or((from, None), |(cursor, more)| (cursor, Some(more)));
    let own = |text: &str| text.trim().to_owned();
    Ok(Pages::Cursor { cursor: own(cursor), more: more.map(own), argument: own(argument), body })
}

#[cfg(test)]
#[path = "operation_table_tests.rs"]
mod tests;
