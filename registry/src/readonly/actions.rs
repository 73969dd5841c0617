//! The table of what a request does at a provider whose API is told apart by more than the URL: each operation with its
//! wire form, its permission and how the provider classifies it. The table is ours (`registry/readonly/aws-actions.tsv`,
//! made by `scripts/aws-actions.py`) and owes nothing to what a module says of itself.
//!
//! An operation passes when the table has its wire form, calls it List or Read, and doesn't refuse it: some reads return
//! what a customer keeps in a service rather than how the service is set up, or a secret.

mod table;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// A path segment that an argument fills.
const LABEL: &str = "{}";
/// One or more path segments that an argument fills.
const GREEDY_LABEL: &str = "{+}";

/// One operation, in one wire form.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The name that requests are signed for.
    pub service: &'static str,
    /// The first label or labels of the host; `{}` stands for a label that the request fills.
    pub endpoint: &'static str,
    /// How the operation is told apart on the wire.
    pub wire: Wire,
    /// The query parameters of a REST operation, besides those that tell it apart. `*` means that it takes any.
    pub query: Vec<&'static str>,
    /// The operation, as the API calls it.
    pub operation: &'static str,
    /// The permission that it needs, `iam:ListUsers`.
    pub action: &'static str,
    /// How the provider classifies the permission.
    pub level: Level,
    /// Why it doesn't pass although it is a read.
    pub refused: Option<&'static str>,
}

/// How an operation is told apart on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// The form fields `Version` and `Action` of a POST.
    Form {
        /// The API's version, a date.
        version: &'static str,
        /// The action.
        action: &'static str,
    },
    /// The header `X-Amz-Target` of a POST.
    Target(&'static str),
    /// Method, path and query.
    Rest {
        /// The method.
        method: &'static str,
        /// The path, with `{}` for a segment that an argument fills and `{+}` for one or more of them.
        path: &'static str,
        /// The query parameters that are always there, as `key` or `key=value`.
        keys: Vec<&'static str>,
    },
    /// A permission that no operation has to itself.
    None,
}

/// How the provider classifies a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Which resources there are.
    List,
    /// What they are, and what is in them.
    Read,
    /// Changes them.
    Write,
    /// Changes who may do what.
    PermissionsManagement,
    /// Changes tags.
    Tagging,
    /// Nobody said.
    Unknown,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        let all = [Self::List, Self::Read, Self::Write, Self::PermissionsManagement, Self::Tagging, Self::Unknown];
        all.into_iter().find(|level| level.as_str() == text)
    }

    /// As the provider writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "List",
            Self::Read => "Read",
            Self::Write => "Write",
            Self::PermissionsManagement => "Permissions management",
            Self::Tagging => "Tagging",
            Self::Unknown => "Unknown",
        }
    }

    /// List or Read.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, Self::List | Self::Read)
    }
}

/// Why an operation of the table doesn't pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It isn't a read.
    Level(&'static str, Level),
    /// It is a read of what must not be read.
    Content(&'static str, &'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(action, Level::Unknown) => write!(f, "`{action}` isn't known to be a read"),
            Self::Level(action, level) => write!(f, "`{action}` is no read: its level is {}", level.as_str()),
            Self::Content(action, reason) => write!(f, "`{action}` is a read that is refused: {reason}"),
        }
    }
}

impl Row {
    /// May a module perform it?
    ///
    /// # Errors
    /// Why not.
    pub fn passes(&self) -> Result<(), Refusal> {
        match self.refused {
            _ if !self.level.reads() => Err(Refusal::Level(self.action, self.level)),
            Some(reason) => Err(Refusal::Content(self.action, reason)),
            None => Ok(()),
        }
    }

    /// Does the operation take this query parameter? One that it doesn't take may make another operation of it. Those that
    /// tell it apart count as taken.
    #[must_use]
    pub fn takes(&self, parameter: &str) -> bool {
        let key = |key: &&str| key.split('=').next() == Some(parameter);
        matches!(&self.wire, Wire::Rest { keys, .. } if keys.iter().any(key))
            || self.query.iter().any(|name| *name == parameter || *name == "*")
    }
}

/// A request of a REST API, as far as it tells its operation.
#[derive(Debug, Clone, Copy)]
pub struct RestRequest<'a> {
    /// The name that it is signed for.
    pub service: &'a str,
    /// The first label or labels of the host, when the request names them; `{}` for a label that an argument or the
    /// configuration fills.
    pub endpoint: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The path, with `{}` for every segment that an argument or the configuration fills.
    pub path: &'a str,
    /// The query parameters with a fixed value, as `key` where the value is empty and `key=value` elsewhere.
    pub fixed: &'a [&'a str],
    /// The names of the query parameters whose value the guest chooses.
    pub free: &'a [&'a str],
}

/// The operation of a form: its fields `Version` and `Action`.
#[must_use]
pub fn find_form(service: &str, version: &str, action: &str) -> Option<&'static Row> {
    let is = |row: &&Row| matches!(&row.wire, Wire::Form { version: v, action: a } if *v == version && *a == action);
    of_service(service).find(is)
}

/// The operation of a target header.
#[must_use]
pub fn find_target(service: &str, target: &str) -> Option<&'static Row> {
    of_service(service).find(|row| matches!(&row.wire, Wire::Target(name) if *name == target))
}

/// The operation of a REST request. Where several fit, the one that says more of the path, then the one with more fixed
/// query parameters, then the one that takes all parameters of the request: as a server routes. What the operation doesn't
/// take ([`Row::takes`]) is the caller's to refuse.
#[must_use]
pub fn find_rest(request: &RestRequest<'_>) -> Option<&'static Row> {
    let mut best: Option<(Fit, &'static Row)> = None;
    for row in of_service(request.service) {
        let Some(fit) = fit(row, request) else { continue };
        if best.as_ref().is_none_or(|(b, _)| fit > *b) {
            best = Some((fit, row));
        }
    }
    best.map(|(_, row)| row)
}

/// All rows, sorted as in the table.
#[must_use]
pub fn rows() -> &'static [Row] {
    &TABLE.rows
}

/// How well a row fits a request; the larger the better.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    /// Segments from the left: the row says what the request says.
    literal: Vec<bool>,
    keys: usize,
    takes_all: bool,
}

fn fit(row: &Row, request: &RestRequest<'_>) -> Option<Fit> {
    let Wire::Rest { method, path, keys } = &row.wire else { return None };
    if *method != request.method || request.endpoint.is_some_and(|endpoint| endpoint != row.endpoint) {
        return None;
    }
    let literal = literal_segments(path, request.path)?;
    let fixed = |key: &&str| match key.contains('=') {
        true => request.fixed.contains(key),
        false => request.fixed.iter().any(|given| given.split('=').next() == Some(*key)),
    };
    if !keys.iter().all(fixed) {
        return None;
    }
    let names = request.fixed.iter().filter_map(|f| f.split('=').next()).chain(request.free.iter().copied());
    let takes_all = names.into_iter().all(|name| row.takes(name));
    Some(Fit { literal, keys: keys.len(), takes_all })
}

/// For each segment of the request: does the row say the same? None when the row isn't about this path. A segment that an
/// argument fills fits only a label: a row that names it would be one of many.
fn literal_segments(row: &str, request: &str) -> Option<Vec<bool>> {
    let (row, request): (Vec<&str>, Vec<&str>) = (row.split('/').collect(), request.split('/').collect());
    let greedy = row.iter().position(|segment| *segment == GREEDY_LABEL);
    let after = greedy.map_or(0, |at| row.len() - at - 1);
    let expected: Vec<&str> = match greedy {
        // As many labels as the request has segments left.
        Some(at) => {
            let labels = request.len().checked_sub(at + after).filter(|n| *n > 0)?;
            let rest = row.iter().skip(at + 1).copied();
            row.iter().take(at).copied().chain(std::iter::repeat_n(LABEL, labels)).chain(rest).collect()
        }
        None => row,
    };
    if expected.len() != request.len() {
        return None;
    }
    expected
        .into_iter()
        .zip(request)
        .map(|(expected, given)| match expected {
            LABEL => (!given.is_empty()).then_some(false),
            _ => (expected == given).then_some(true),
        })
        .collect()
}

pub(super) fn of_service(service: &str) -> impl Iterator<Item = &'static Row> {
    TABLE.services.get(service).into_iter().flatten().filter_map(|at| TABLE.rows.get(*at))
}

/// The table, and where the rows of each service are.
#[derive(Default)]
struct Table {
    rows: Vec<Row>,
    services: HashMap<&'static str, Vec<usize>>,
}

// A table that can't be read is empty, and what isn't in the table is refused; a test reads it strictly.
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let rows = table::parse(include_str!("../../readonly/aws-actions.tsv")).unwrap_or_default();
    let mut services: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        services.entry(row.service).or_default().push(at);
    }
    Table { rows, services }
});

/// For a read, the most similar change of the same service: of `iam:ListUsers` it is `iam:CreateUser`. For tests, which
/// show that it is refused where the read passes.
#[cfg(test)]
pub(crate) fn nearest_write(read: &Row) -> Option<&'static Row> {
    const VERBS: [&str; 6] = ["Create", "Put", "Update", "Modify", "Set", "Delete"];
    let words = |name: &'static str| {
        let at = name.char_indices().skip(1).find(|(_, c)| c.is_uppercase()).map_or(name.len(), |(at, _)| at);
        name.split_at(at)
    };
    let (_, noun) = words(read.operation);
    let same_form = |row: &&Row| std::mem::discriminant(&row.wire) == std::mem::discriminant(&read.wire);
    of_service(read.service)
        .filter(|row| !row.level.reads() && row.endpoint == read.endpoint)
        .filter(same_form)
        .min_by_key(|row| {
            let (verb, its_noun) = words(row.operation);
            let rank = VERBS.iter().position(|v| *v == verb).unwrap_or(VERBS.len());
            (strsim::damerau_levenshtein(noun, its_noun), rank, row.operation)
        })
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
