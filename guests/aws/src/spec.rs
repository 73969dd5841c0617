//! The words in which services are described: where the items come from ([`Source`]), and what becomes of each
//! ([`Resource`], [`Link`]). Adding a service is a few rows of these; [`crate::engine`] carries them out.
//!
//! Paths and templates are those of [`crate::path`].

use crate::engine::Run;
use crate::path::{Item, Names};
use porthole_sdk::StepError;
use serde_json::Value;

/// A call of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// The operation of the manifest.
    pub operation: &'static str,
    /// Its arguments, values as templates. An argument whose template is nothing isn't given. In a step of one region the
    /// argument `region` is given by itself.
    pub arguments: &'static [(&'static str, &'static str)],
    /// Where the items are in a reply. `outer > inner`: each `inner` is an item, found under its `outer`.
    pub items: &'static str,
}

/// A call without arguments.
#[must_use]
pub const fn ask(operation: &'static str, items: &'static str) -> Ask {
    Ask { operation, arguments: &[], items }
}

/// A call with arguments.
#[must_use]
pub const fn ask_with(
    operation: &'static str,
    arguments: &'static [(&'static str, &'static str)],
    items: &'static str,
) -> Ask {
    Ask { operation, arguments, items }
}

/// Takes items, some hundred at a time.
pub type Sink<'s> = dyn FnMut(Vec<Item>) -> Result<(), StepError> + 's;

/// Where the items of a step come from.
pub enum Source {
    /// A list.
    List(Ask),
    /// One list after the other.
    Lists(&'static [Ask]),
    /// What an earlier step emitted, with these properties; in a step of one region that region's. An item has its
    /// properties and, as `KEY`, its key.
    Stored(&'static str, &'static [&'static str]),
    /// A list for each item of another source, which the items are found under. An item that is a text has it as `value`.
    Each(&'static Source, Ask),
    /// Items that are described by their ids: a template for the id, the argument that takes several, and how many.
    Batch(&'static Source, &'static str, &'static str, usize, Ask),
    /// What a table can't say: the operations that it calls, the types that it reads back with their properties, and the
    /// code.
    Code(&'static [&'static str], &'static [Read], fn(&Run<'_>, &mut Sink<'_>) -> Result<(), StepError>),
}

/// A type that is read back, and its properties.
pub type Read = (&'static str, &'static [&'static str]);

/// What is asked about each item, and the field of the item that the answer becomes.
#[derive(Debug, Clone, Copy)]
pub struct Detail {
    /// The field. A template or path finds the answer there.
    pub field: &'static str,
    /// The call. With `items`, the field is the list of all of them; without, it is the whole reply.
    pub ask: Ask,
}

/// What is asked about each item.
#[must_use]
pub const fn detail(
    field: &'static str,
    operation: &'static str,
    arguments: &'static [(&'static str, &'static str)],
    items: &'static str,
) -> Detail {
    Detail { field, ask: Ask { operation, arguments, items } }
}

/// What becomes of an item: an entity and its relationships, or relationships alone.
#[derive(Clone, Copy)]
pub struct Resource {
    /// The entity type.
    pub kind: &'static str,
    /// Its classes.
    pub class: &'static [&'static str],
    /// It is emitted here. Without, only its relationships are, and it is another step's.
    pub emitted: bool,
    /// The part of the item that it is made of; several parts, several entities.
    pub part: &'static str,
    /// Which parts: `path=a,b` or `path!=a,b`, with texts or templates; every part when empty. A place that is missing has
    /// the empty text.
    pub when: &'static str,
    /// Its key, a template. An item without one can't be an entity, and the step fails in the end.
    pub key: &'static str,
    /// What people call it, paths; without, its key.
    pub name: &'static str,
    /// Its properties: `property=path`, or only `path` when that is the property. Before `=`: `?` yes or no, `#` a number,
    /// `@` a time, `*` a list of texts. Of a bare path the last name is the property, its first letter small. Spaces
    /// between them.
    pub props: &'static str,
    /// Its tags: the list, and where each has its name and value; a list of objects, or one object of names and values.
    pub tags: &'static str,
    /// Its relationships.
    pub links: &'static [Link],
}

impl Resource {
    /// Nothing but a type, to be filled in.
    pub const NEW: Self = Self {
        kind: "",
        class: &[],
        emitted: true,
        part: ".",
        when: "",
        key: "",
        name: "",
        props: "",
        tags: "",
        links: &[],
    };
}

/// A relationship of an entity.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// `HAS`, `USES`, …
    pub verb: &'static str,
    /// The type of the other end.
    pub other: &'static str,
    /// The entity is where it goes to, the other end where it comes from.
    pub inward: bool,
    /// The parts of the entity's part that each say one other end.
    pub part: &'static str,
    /// The other end's key, a template. Where it is nothing there is no relationship.
    pub key: &'static str,
    /// Properties, as a resource's.
    pub props: &'static str,
    /// What tells several relationships between the same ends apart: a template that is added to the key.
    pub apart: &'static str,
    /// The other end's classes, when the relationship carries its other end: it counts whether or not anybody has
    /// collected that end.
    pub carried: &'static [&'static str],
}

impl Link {
    const fn new(verb: &'static str, other: &'static str, part: &'static str, key: &'static str, inward: bool) -> Self {
        Self { verb, other, inward, part, key, props: "", apart: "", carried: &[] }
    }

    /// With properties.
    #[must_use]
    pub const fn props(self, props: &'static str) -> Self {
        Self { props, ..self }
    }

    /// With what tells it apart from others between the same ends.
    #[must_use]
    pub const fn apart(self, apart: &'static str) -> Self {
        Self { apart, ..self }
    }

    /// Carrying its other end, which has these classes.
    #[must_use]
    pub const fn carried(self, carried: &'static [&'static str]) -> Self {
        Self { carried, ..self }
    }

    /// The types of both ends, in order, and the verb.
    #[must_use]
    pub const fn ends(&self, kind: &'static str) -> (&'static str, &'static str, &'static str) {
        if self.inward { (self.other, self.verb, kind) } else { (kind, self.verb, self.other) }
    }
}

/// The entity → other.
#[must_use]
pub const fn to(verb: &'static str, other: &'static str, part: &'static str, key: &'static str) -> Link {
    Link::new(verb, other, part, key, false)
}

/// Other → the entity.
#[must_use]
pub const fn from(verb: &'static str, other: &'static str, part: &'static str, key: &'static str) -> Link {
    Link::new(verb, other, part, key, true)
}

/// How a step's items are found and what becomes of them.
#[derive(Clone, Copy)]
pub struct Table {
    /// Where the items come from.
    pub source: &'static Source,
    /// What is asked about each.
    pub details: &'static [Detail],
    /// What a table can't say about an item: adds fields to it, beginning with `_`.
    pub prepare: Option<fn(&mut Value, &Names)>,
    /// What becomes of each.
    pub resources: &'static [Resource],
}

impl Table {
    /// Nothing but a source of nothing, to be filled in.
    pub const NEW: Self = Self { source: &Source::Lists(&[]), details: &[], prepare: None, resources: &[] };
}

/// What a step that no table can describe does.
pub struct Code {
    /// Operations it calls.
    pub uses: &'static [&'static str],
    /// What it reads back.
    pub reads: &'static [Read],
    /// Entity types it emits, and their classes.
    pub entities: fn() -> Vec<(&'static str, &'static [&'static str])>,
    /// Relationships it emits: the type whose links they are, and the links.
    pub links: fn() -> Vec<(&'static str, Link)>,
    /// The work.
    pub run: fn(&Run<'_>) -> Result<(), StepError>,
}

/// How a step is done.
pub enum Work {
    /// By a table.
    Table(Table),
    /// By code.
    Code(Code),
}

/// Where a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Once for the account.
    Account,
    /// Once for the account, in the partition `aws`: the others don't have the service.
    Commercial,
    /// Once for each region that is switched on.
    Regions,
    /// Once for each of these regions that is switched on: the others don't have the service.
    Some(&'static [&'static str]),
}

impl Place {
    /// It runs in regions.
    #[must_use]
    pub const fn is_regional(self) -> bool {
        matches!(self, Self::Regions | Self::Some(_))
    }
}

/// A step. The same as in `manifest.toml`; a test compares.
pub struct Step {
    /// Its id.
    pub id: &'static str,
    /// For people.
    pub title: &'static str,
    /// Where it runs.
    pub place: Place,
    /// Steps that come before it, besides `account`.
    pub needs: &'static [&'static str],
    /// How it is done.
    pub work: Work,
}

/// A step that runs in every region.
#[must_use]
pub const fn regional(id: &'static str, title: &'static str, table: Table) -> Step {
    Step { id, title, place: Place::Regions, needs: &[], work: Work::Table(table) }
}

/// A step that runs once for the account.
#[must_use]
pub const fn once(id: &'static str, title: &'static str, table: Table) -> Step {
    Step { id, title, place: Place::Account, needs: &[], work: Work::Table(table) }
}

impl Step {
    /// After these, besides `account`.
    #[must_use]
    pub const fn after(self, needs: &'static [&'static str]) -> Self {
        Self { needs, ..self }
    }

    /// Only in the regions that have the service.
    #[must_use]
    pub const fn only_in(self, regions: &'static [&'static str]) -> Self {
        Self { place: Place::Some(regions), ..self }
    }

    /// Only in the partition that has the service.
    #[must_use]
    pub const fn commercial(self) -> Self {
        Self { place: Place::Commercial, ..self }
    }
}
