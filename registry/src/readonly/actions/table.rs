//! Reading the table of actions.

use super::{Level, Row, Wire};
use porthole_model::session_policy::is_action;

/// The columns, in order.
const COLUMNS: [&str; 8] = ["service", "endpoint", "wire", "query", "operation", "action", "level", "refused"];
/// What stands in a column that has nothing to say.
const NOTHING: &str = "-";

/// What is wrong with a line of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the table of actions: {what}")]
pub(super) struct BadLine {
    line: usize,
    what: String,
}

/// Reads the table. A line that begins with `#` is a comment; the first other line names the columns.
pub(super) fn parse(text: &'static str) -> Result<Vec<Row>, BadLine> {
    let mut rows = Vec::new();
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    let (at, header) = lines.next().unwrap_or_default();
    if header.split('\t').ne(COLUMNS) {
        return Err(BadLine { line: at + 1, what: format!("the columns aren't {}", COLUMNS.join(", ")) });
    }
    for (at, line) in lines {
        rows.push(row(line).map_err(|what| BadLine { line: at + 1, what })?);
    }
    Ok(rows)
}

fn row(line: &'static str) -> Result<Row, String> {
    let cells: Vec<&'static str> = line.split('\t').collect();
    let [service, endpoint, wire, query, operation, action, level, refused] = cells.as_slice() else {
        return Err(format!("it has {} columns, not {}", cells.len(), COLUMNS.len()));
    };
    if let Some(column) = cells.iter().zip(COLUMNS).find(|(cell, _)| cell.is_empty() || cell.trim() != **cell) {
        return Err(format!("`{}` is empty or has spaces around it; nothing is written `{NOTHING}`", column.1));
    }
    let said = |cell: &'static str| (cell != NOTHING).then_some(cell);
    Ok(Row {
        service,
        endpoint,
        wire: self::wire(wire)?,
        query: said(query).map(|names| names.split(',').collect()).unwrap_or_default(),
        operation,
        action: is_action(action).then_some(*action).ok_or_else(|| format!("`{action}` is no action"))?,
        level: Level::parse(level).ok_or_else(|| format!("`{level}` is no level"))?,
        refused: said(refused),
    })
}

fn wire(text: &'static str) -> Result<Wire, String> {
    if text == NOTHING {
        return Ok(Wire::None);
    }
    let words: Vec<&'static str> = text.split(' ').collect();
    match words.as_slice() {
        ["form", version, action] => Ok(Wire::Form { version, action }),
        ["target", target] => Ok(Wire::Target(target)),
        [method @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE"), uri] if uri.starts_with('/') => {
            let (path, keys) = uri.split_once('?').unwrap_or((uri, ""));
            let keys = keys.split('&').filter(|key| !key.is_empty()).collect();
            Ok(Wire::Rest { method, path, keys })
        }
        _ => Err(format!("`{text}` is no wire form")),
    }
}
