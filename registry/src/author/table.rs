//! A TOML table under reading: every key that is asked for is remembered, so that what is left over is an unknown key and
//! the known ones are known without a second list. Findings go to the reader; a value that isn't there or isn't right
//! comes back as none.

use crate::finding::{Finding, Position};
use crate::text::did_you_mean;
use porthole_model::id::NameError;
use porthole_model::manifest::{Body, Manifest};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The most findings of the form that are told: enough for a day's work, and a position takes a walk through the text.
const MAX_FINDINGS: usize = 100;

/// What is collected while a document is read.
pub(super) struct Reader<'t> {
    text: &'t str,
    findings: RefCell<Vec<Finding>>,
    /// Where things stand, by the place that a finding names.
    places: RefCell<BTreeMap<String, Range<usize>>>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, findings: RefCell::default(), places: RefCell::default() }
    }

    pub(super) fn take_findings(&self) -> Vec<Finding> {
        self.findings.take()
    }

    fn find(&self, finding: Finding, at: &Range<usize>) {
        if self.findings.borrow().len() >= MAX_FINDINGS {
            return;
        }
        self.findings.borrow_mut().push(finding.at(Position::of(self.text, at.start)));
    }

    fn remember(&self, place: String, at: Range<usize>) {
        self.places.borrow_mut().insert(place, at);
    }

    /// Gives findings of the checks and the proof their lines: the most exact place that was read.
    pub(super) fn locate(&self, manifest: &Manifest, findings: &mut [Finding]) {
        let places = self.places.borrow();
        for finding in findings.iter_mut().take(MAX_FINDINGS) {
            let mut place = finding.place.as_str();
            let span = loop {
                if let Some(span) = places.get(place) {
                    break Some(span);
                }
                match place.rsplit_once(": ") {
                    Some((outer, _)) => place = outer,
                    None => break None,
                }
            };
            let Some(span) = span else { continue };
            let inside = finding.document_offset.and_then(|at| self.in_document(manifest, span, at));
            finding.position = Some(Position::of(self.text, inside.unwrap_or(span.start)));
        }
    }

    /// The byte of the text at which a byte of a GraphQL document stands, when the document is written there as it is.
    fn in_document(&self, manifest: &Manifest, span: &Range<usize>, offset: usize) -> Option<usize> {
        let written = self.text.get(span.clone())?;
        let documents = manifest.operations.iter().filter_map(|o| match &o.body {
            Some(Body::Graphql { document, .. }) => Some(document.as_str()),
            _ => None,
        });
        // The span may be the operation's own table; the document is the one that stands inside.
        documents.filter_map(|d| written.find(d)).next().map(|start| span.start + start + offset)
    }
}

/// A table under reading.
pub(super) struct Table<'a> {
    reader: &'a Reader<'a>,
    table: &'a DeTable<'a>,
    place: RefCell<String>,
    span: Range<usize>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    pub(super) fn top(reader: &'a Reader<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(reader, table, "", 0..0)
    }

    fn new(reader: &'a Reader<'a>, table: &'a DeTable<'a>, place: &str, span: Range<usize>) -> Self {
        if !place.is_empty() {
            reader.remember(place.to_owned(), span.clone());
        }
        let (place, known) = (RefCell::new(place.to_owned()), RefCell::default());
        Self { reader, table, place, span, known }
    }

    /// The thing is called so in findings.
    pub(super) fn rename(&self, place: &str) {
        self.reader.remember(place.to_owned(), self.span.clone());
        place.clone_into(&mut self.place.borrow_mut());
    }

    fn place_of(&self, key: &str) -> String {
        let place = self.place.borrow();
        if place.is_empty() { key.to_owned() } else { format!("{place}: {key}") }
    }

    /// The value of a key. Where it stands is remembered under `place: key`.
    fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        let value = self.table.get(key)?;
        self.reader.remember(self.place_of(key), value.span());
        Some(value)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A finding about the thing, at this key, or at its head.
    pub(super) fn refuse(&self, key: Option<&str>, message: impl Into<String>, hint: impl Into<String>) {
        let at = key.and_then(|k| self.table.get(k)).map_or_else(|| self.span.clone(), Spanned::span);
        let place = key.map_or_else(|| self.place.borrow().clone(), |k| self.place_of(k));
        self.reader.find(Finding::error(place, message).hint(hint), &at);
    }

    pub(super) fn missing(&self, key: &str) {
        let place = self.place.borrow().clone();
        self.reader.find(Finding::error(place, format!("`{key}` is missing")), &self.span);
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let message = format!("must be {wanted}, this is {}", with_article(value.get_ref().type_str()));
        self.reader.find(Finding::error(self.place_of(key), message), &value.span());
    }

    pub(super) fn optional_text(&self, key: &'static str) -> Option<String> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                self.wrong(key, value, "a text");
                None
            }
        }
    }

    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        if !self.has(key) {
            self.known.borrow_mut().push(key);
            self.missing(key);
            return None;
        }
        self.optional_text(key)
    }

    /// A text that has to keep the rules of its type: a name, an id, a rule.
    pub(super) fn optional_parsed<T: FromStr<Err: Display>>(&self, key: &'static str) -> Option<T> {
        let text = self.optional_text(key)?;
        self.parse(key, &text)
    }

    pub(super) fn named<T: FromStr<Err = NameError>>(&self, key: &'static str) -> Option<T> {
        let text = self.text(key)?;
        self.parse(key, &text)
    }

    fn parse<T: FromStr<Err: Display>>(&self, key: &'static str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(parsed) => Some(parsed),
            Err(e) => {
                let at = self.table.get(key).map_or_else(|| self.span.clone(), Spanned::span);
                self.reader.find(Finding::error(self.place_of(key), e.to_string()), &at);
                None
            }
        }
    }

    pub(super) fn flag(&self, key: &'static str) -> bool {
        let Some(value) = self.get(key) else { return false };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong(key, value, "true or false");
            false
        })
    }

    pub(super) fn optional_number(&self, key: &'static str) -> Option<u32> {
        let value = self.get(key)?;
        self.number(key, value)
    }

    fn number<T: TryFrom<u64>>(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<T> {
        let number = value.get_ref().as_integer().and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok());
        let number = number.and_then(|n| T::try_from(n).ok());
        if number.is_none() {
            self.wrong(key, value, "a whole number that isn't negative or too large");
        }
        number
    }

    fn items(&self, key: &'static str) -> &'a [Spanned<DeValue<'a>>] {
        let Some(value) = self.get(key) else { return &[] };
        match value.get_ref() {
            DeValue::Array(items) => items,
            _ => {
                self.wrong(key, value, "a list");
                &[]
            }
        }
    }

    /// A list of numbers, and of texts that have to keep the rules of their type.
    pub(super) fn numbers_or_texts<T: FromStr<Err: Display>>(
        &self,
        key: &'static str,
        of_number: impl Fn(u16) -> T,
    ) -> Vec<T> {
        let read = |item: &Spanned<DeValue<'_>>| match item.get_ref().as_str() {
            Some(text) => text.parse().map_err(|e: T::Err| self.found(key, item, e.to_string())).ok(),
            None => self.number(key, item).map(&of_number),
        };
        self.items(key).iter().filter_map(read).collect()
    }

    pub(super) fn texts(&self, key: &'static str) -> Vec<String> {
        self.names(key)
    }

    /// A list of texts, each of which has to keep the rules of its type.
    pub(super) fn names<T: FromStr<Err: Display>>(&self, key: &'static str) -> Vec<T> {
        let read = |item: &Spanned<DeValue<'_>>| {
            let Some(text) = item.get_ref().as_str() else {
                self.wrong(key, item, "a list of texts");
                return None;
            };
            text.parse().map_err(|e: T::Err| self.found(key, item, e.to_string())).ok()
        };
        self.items(key).iter().filter_map(read).collect()
    }

    fn found(&self, key: &str, value: &Spanned<DeValue<'_>>, message: String) {
        self.reader.find(Finding::error(self.place_of(key), message), &value.span());
    }

    /// Pairs of texts: `[["a", "b"], …]`.
    pub(super) fn pairs(&self, key: &'static str) -> Vec<(String, String)> {
        let read = |item: &Spanned<DeValue<'_>>| {
            let pair = match item.get_ref() {
                DeValue::Array(pair) => match pair.get(..) {
                    Some([a, b]) => a.get_ref().as_str().zip(b.get_ref().as_str()),
                    _ => None,
                },
                _ => None,
            };
            if pair.is_none() {
                self.found(key, item, "must be a pair of texts, such as ['^pattern$', 'value']".to_owned());
            }
            pair.map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        self.items(key).iter().filter_map(read).collect()
    }

    /// A table under this key, called `place`.
    pub(super) fn table(&self, key: &'static str, place: &str) -> Option<Table<'a>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Table::new(self.reader, table, place, value.span())),
            _ => {
                self.wrong(key, value, "a table");
                None
            }
        }
    }

    /// A table under this key, called after it.
    pub(super) fn inner(&self, key: &'static str) -> Option<Table<'a>> {
        self.table(key, &self.place_of(key))
    }

    /// A table whose keys are names of the author's own: `[config.NAME]`.
    pub(super) fn tables_by_name<T>(
        &self,
        key: &'static str,
        place: impl Fn(&str) -> String,
        read: impl Fn(&Table<'a>) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let mut all = BTreeMap::new();
        let Some(outer) = self.inner(key) else { return all };
        for (name, value) in outer.table {
            match value.get_ref() {
                DeValue::Table(table) => {
                    let inner = Table::new(self.reader, table, &place(name.get_ref()), value.span());
                    all.extend(read(&inner).map(|t| (name.get_ref().to_string(), t)));
                }
                _ => outer.wrong(name.get_ref(), value, "a table"),
            }
        }
        all
    }

    /// Names of the author's own with a value each: `query = { limit = 'int<=100' }`. The place of each is
    /// ``outer: key `name` ``.
    pub(super) fn named_values<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Entry<'_, 'a>) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let mut all = BTreeMap::new();
        let Some(inner) = self.inner(key) else { return all };
        for (name, value) in inner.table {
            let place = self.place_of(&format!("{key} `{}`", name.get_ref()));
            // Header names are read in lower case, and that is how the checks speak of them.
            let lower = name.get_ref().to_lowercase();
            self.reader.remember(self.place_of(&format!("{key} `{lower}`")), name.span());
            self.reader.remember(place.clone(), name.span());
            all.extend(read(&Entry { outer: self, place, value }).map(|t| (name.get_ref().to_string(), t)));
        }
        all
    }

    /// A list of tables: `[[operations]]`.
    pub(super) fn list<T>(&self, key: &'static str, read: impl Fn(&mut Table<'a>, usize) -> Option<T>) -> Vec<T> {
        let mut all = Vec::new();
        for (index, item) in self.items(key).iter().enumerate() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    let place = format!("{} {}", self.place_of(key), index + 1);
                    let mut inner = Table::new(self.reader, table, &place, item.span());
                    all.extend(read(&mut inner, index));
                }
                _ => self.wrong(key, item, "a list of tables"),
            }
        }
        all
    }

    /// A name inside this thing stands here; findings of the checks use it.
    pub(super) fn also_called(&self, place: String) {
        self.reader.remember(place, self.span.clone());
    }

    /// Is the value of this key a text?
    pub(super) fn is_text(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|v| v.get_ref().is_str())
    }

    /// No more keys will be asked for: what is left over is unknown.
    pub(super) fn finish(&self) {
        let known = self.known.borrow();
        for key in self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let hint = did_you_mean(key.get_ref(), known.iter().copied());
            let finding = Finding::error(self.place.borrow().clone(), format!("unknown key `{}`", key.get_ref()));
            self.reader.find(finding.hint(hint), &key.span());
        }
    }
}

/// A name of the author's own and its value.
pub(super) struct Entry<'o, 'a> {
    outer: &'o Table<'a>,
    place: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Entry<'_, 'a> {
    pub(super) fn as_text(&self) -> Option<&'a str> {
        self.value.get_ref().as_str()
    }

    pub(super) fn as_table(&self) -> Option<Table<'a>> {
        let table = self.value.get_ref().as_table()?;
        Some(Table::new(self.outer.reader, table, &self.place, self.value.span()))
    }

    pub(super) fn refuse(&self, message: impl Into<String>, hint: impl Into<String>) {
        let finding = Finding::error(self.place.clone(), message).hint(hint);
        self.outer.reader.find(finding, &self.value.span());
    }
}

fn with_article(type_name: &str) -> String {
    let article = if type_name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {type_name}")
}
