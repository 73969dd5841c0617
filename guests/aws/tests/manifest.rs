//! The manifest and the tables say the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use porthole_aws::spec::{Ask, Detail, Link, Place, Read, Resource, Source, Step, Work};
use porthole_aws::{account, steps};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use toml::Value;

/// Where the steps begin in the manifest.
const MARK: &str = "# Steps: written by the test `the_steps_are_those_of_the_tables` from the tables in src/.\n";

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

fn manifest() -> Value {
    toml::from_str(&read("manifest.toml")).unwrap()
}

/// What a step says to the host.
#[derive(Default)]
struct Declared {
    uses: Vec<String>,
    reads: BTreeMap<String, BTreeSet<String>>,
    entities: Vec<String>,
    relationships: Vec<String>,
}

impl Declared {
    fn of(step: &Step) -> Self {
        let mut declared = Self::default();
        if step.id != account::STEP.id {
            declared.read(&(account::ACCOUNT, account::READ));
        }
        if step.place.is_regional() {
            declared.uses("ec2:DescribeRegions");
        }
        match &step.work {
            Work::Table(table) => {
                declared.source(table.source, step.place);
                table.details.iter().for_each(|Detail { ask, .. }| declared.ask(ask));
                for resource in table.resources {
                    declared.resource(resource);
                }
            }
            Work::Code(code) => {
                code.uses.iter().for_each(|operation| declared.uses(operation));
                code.reads.iter().for_each(|read| declared.read(read));
                (code.entities)().iter().for_each(|(kind, class)| declared.entity(kind, class));
                (code.links)().iter().for_each(|(kind, link)| declared.link(kind, link));
            }
        }
        declared
    }

    fn uses(&mut self, operation: &str) {
        let operation = operation.to_owned();
        if !self.uses.contains(&operation) {
            self.uses.push(operation);
        }
    }

    fn ask(&mut self, ask: &Ask) {
        self.uses(ask.operation);
    }

    fn read(&mut self, (kind, properties): &Read) {
        self.reads.entry((*kind).to_owned()).or_default().extend(properties.iter().map(|p| (*p).to_owned()));
    }

    fn source(&mut self, source: &Source, place: Place) {
        match source {
            Source::List(ask) => self.ask(ask),
            Source::Lists(asks) => asks.iter().for_each(|ask| self.ask(ask)),
            Source::Stored(kind, properties) => {
                self.read(&(kind, properties));
                if place.is_regional() {
                    self.read(&(kind, &["region"]));
                }
            }
            Source::Each(of, ask) | Source::Batch(of, _, _, _, ask) => {
                self.source(of, place);
                self.ask(ask);
            }
            Source::Code(uses, reads, _) => {
                uses.iter().for_each(|operation| self.uses(operation));
                reads.iter().for_each(|read| self.read(read));
            }
        }
    }

    fn resource(&mut self, resource: &Resource) {
        if resource.emitted {
            self.entity(resource.kind, resource.class);
        }
        resource.links.iter().for_each(|link| self.link(resource.kind, link));
    }

    fn entity(&mut self, kind: &str, class: &[&str]) {
        let line = format!("{{ type = {kind:?}, class = {class:?} }}");
        if !self.entities.contains(&line) {
            self.entities.push(line);
        }
    }

    fn link(&mut self, kind: &'static str, link: &Link) {
        let (from, verb, to) = link.ends(kind);
        let end = if link.inward { "from" } else { "to" };
        let mapped = match link.carried {
            [] => String::new(),
            class => format!(", mapped = {end:?}, class = {class:?}"),
        };
        let line = format!("{{ from = {from:?}, verb = {verb:?}, to = {to:?}{mapped} }}");
        if !self.relationships.contains(&line) {
            self.relationships.push(line);
        }
    }
}

/// The steps as the manifest should have them.
fn expected() -> String {
    let mut text = String::new();
    for step in steps::all() {
        let declared = Declared::of(step);
        write!(text, "\n[[steps]]\nid = {:?}\ntitle = {:?}\nuses = {:?}\n", step.id, step.title, declared.uses)
            .unwrap();
        if step.id != account::STEP.id {
            let needs: Vec<_> = [account::STEP.id].iter().chain(step.needs).collect();
            writeln!(text, "needs = {needs:?}").unwrap();
        }
        if step.place.is_regional() {
            text.push_str("partitioned = true\n");
        }
        let reads = declared.reads.iter().map(|(kind, properties)| {
            format!("{{ type = {kind:?}, properties = {:?} }}", properties.iter().collect::<Vec<_>>())
        });
        for (name, lines) in
            [("reads", reads.collect()), ("entities", declared.entities), ("relationships", declared.relationships)]
        {
            match lines.as_slice() {
                [] => {}
                [one] => writeln!(text, "{name} = [{one}]").unwrap(),
                many => writeln!(text, "{name} = [\n    {},\n]", many.join(",\n    ")).unwrap(),
            }
        }
    }
    text
}

/// With `BLESS=1` it writes the steps instead of comparing them.
#[test]
fn the_steps_are_those_of_the_tables() {
    let text = read("manifest.toml");
    let (head, steps) = text.split_once(MARK).expect("the mark before the steps");
    let expected = expected();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file("manifest.toml"), format!("{head}{MARK}{expected}")).unwrap();
    } else {
        assert_eq!(steps, expected, "run this test with BLESS=1 and read the difference");
    }
}

/// The rows of the table by id: column name to value.
fn operations() -> BTreeMap<String, BTreeMap<String, String>> {
    let text = read("operations.tsv");
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    lines
        .map(|values| {
            assert_eq!(values.len(), names.len(), "{values:?}");
            let row = names.iter().zip(&values).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            (values[0].to_owned(), row)
        })
        .collect()
}

/// The names of an operation's arguments that a guest gives: what must be there, and what may.
fn arguments(row: &BTreeMap<String, String>) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut required, mut allowed) = (BTreeSet::new(), BTreeSet::new());
    for (at, part) in row["request"].replace("{config.", "(").split('{').enumerate() {
        if at > 0 {
            required.insert(part.split('}').next().unwrap().to_owned());
        }
    }
    for argument in row["arguments"].split(" ; ").filter(|a| !a.is_empty()) {
        let (name, rule) = argument.split_once(' ').unwrap_or((argument, ""));
        if rule.starts_with('=') {
            continue;
        }
        let name = name.trim_start_matches('?').to_owned();
        if rule.split(' ').any(|word| word == "required") {
            required.insert(name.clone());
        }
        allowed.insert(name);
    }
    allowed.extend(required.iter().cloned());
    (required, allowed)
}

fn asks(source: &Source, out: &mut Vec<(Ask, Option<&'static str>)>) {
    match source {
        Source::List(ask) => out.push((*ask, None)),
        Source::Lists(asks) => out.extend(asks.iter().map(|ask| (*ask, None))),
        Source::Each(of, ask) => {
            asks(of, out);
            out.push((*ask, None));
        }
        Source::Batch(of, _, argument, _, ask) => {
            asks(of, out);
            out.push((*ask, Some(argument)));
        }
        Source::Stored(..) | Source::Code(..) => {}
    }
}

#[test]
fn every_ask_gives_what_its_operation_declares() {
    let operations = operations();
    for step in steps::all() {
        let Work::Table(table) = &step.work else { continue };
        let mut all = Vec::new();
        asks(table.source, &mut all);
        all.extend(table.details.iter().map(|detail| (detail.ask, None)));
        for (ask, batch) in all {
            let row = operations.get(ask.operation).unwrap_or_else(|| panic!("no row `{}`", ask.operation));
            let (required, allowed) = arguments(row);
            let mut given: BTreeSet<String> = ask.arguments.iter().map(|(name, _)| (*name).to_owned()).collect();
            given.extend(batch.map(str::to_owned));
            if step.place.is_regional() {
                given.insert("region".to_owned());
            }
            assert!(required.is_subset(&given), "{}: needs {required:?}, is given {given:?}", ask.operation);
            assert!(given.is_subset(&allowed), "{}: takes {allowed:?}, is given {given:?}", ask.operation);
        }
    }
}

#[test]
fn every_operation_is_used_and_every_use_has_a_row() {
    let used: BTreeSet<String> = steps::all().flat_map(|step| Declared::of(step).uses).collect();
    let rows: BTreeSet<String> = operations().into_keys().collect();
    assert_eq!(used, rows);
}

#[test]
fn every_row_stays_within_amazon_and_is_signed() {
    let manifest = manifest();
    let paths = manifest["operation-tables"][0]["path"].as_table().unwrap();
    for (id, row) in operations() {
        let (_, url) = row["request"].split_once(" https://").unwrap();
        let host = url.split('/').next().unwrap();
        assert!(
            host.ends_with(".{config.dns}") || (host.starts_with("{config.") && host.ends_with("_host}")),
            "{id}: {host}"
        );
        assert!(!row["service"].is_empty() && !row["region"].is_empty() && row["action"].contains(':'), "{id}");
        let (required, _) = arguments(&row);
        let in_path = url
            .replace("{config.", "(")
            .split('{')
            .skip(1)
            .map(|p| p.split('}').next().unwrap().to_owned())
            .collect::<Vec<_>>();
        assert!(in_path.iter().all(|name| paths.contains_key(name) && required.contains(name)), "{id}: {in_path:?}");
    }
}

#[test]
fn nothing_here_can_read_content() {
    for (id, row) in operations() {
        let words =
            ["GetObject", "GetSecretValue", "GetParameter", "GetItem", "Query", "Scan", "ReceiveMessage", "GetRecords"];
        let more = [
            "GetLogEvents",
            "GetPasswordData",
            "GetConsoleOutput",
            "Decrypt",
            "GetFunction",
            "Template",
            "ListObjects",
        ];
        let action = row["action"].split_once(':').unwrap().1;
        let is_setting = id == "s3:GetObjectLockConfiguration";
        assert!(is_setting || !words.iter().chain(&more).any(|word| action.starts_with(word)), "{id}");
        assert!(
            ["Get", "List", "Describe"].iter().any(|verb| action.starts_with(verb)) || action == "GET",
            "{id}: {action}"
        );
    }
}
