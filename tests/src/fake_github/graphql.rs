//! The GraphQL side: answers any query over the part of the schema that is here, with the errors of the real server for
//! whatever is not. Mutations are refused and recorded.

use super::document::{Document, Field};
use super::graphql_fields::{Out, account, page_info, rate_limit, repo, team, user};
use super::nouns::{AccountKind, OrgRole, Permission, Person, TeamRole};
use super::shapes::Urls;
use super::world::World;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

/// The largest `first`.
const FIRST_MAX: u64 = 100;
/// What the text of a cursor starts with.
const CURSOR_PREFIX: &str = "cursor:v2:";

/// What a query is asked of.
pub(super) struct Answerer<'a> {
    pub(super) world: &'a World,
    pub(super) urls: &'a Urls,
    /// Limit, used, and the second of the reset.
    pub(super) rate: (u64, u64, u64),
}

/// An object of the schema.
#[derive(Debug, Clone)]
pub(super) enum Thing {
    Query,
    Account,
    User(Person),
    Team(u32),
    Repo(u32),
    Connection(Box<Connection>),
    Edge(Item, usize),
    PageInfo(PageInfo),
    RateLimit,
    Named(&'static str),
}

/// Something in a list, with what its edge says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item {
    Member(Person, OrgRole),
    TeamMember(Person, TeamRole),
    Collaborator(Person, Permission),
    Team(u32),
    Repo(u32),
    TeamRepo(u32, Permission),
}

/// A page of a list.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    type_name: &'static str,
    total: usize,
    skip: usize,
    items: Vec<Item>,
}

/// Where a page ends.
#[derive(Debug, Clone)]
pub(super) struct PageInfo {
    pub(super) start: Option<String>,
    pub(super) end: Option<String>,
    pub(super) more_before: bool,
    pub(super) more: bool,
}

/// Why a query has no answer at all.
pub(super) struct Invalid(Value);

impl Invalid {
    fn new(kind: &str, message: &str) -> Self {
        Self(json!({"type": kind, "message": message}))
    }

    fn undefined_field(type_name: &str, field: &str) -> Self {
        Self(json!({
            "message": format!("Field '{field}' doesn't exist on type '{type_name}'"),
            "extensions": {"code": "undefinedField", "typeName": type_name, "fieldName": field},
        }))
    }
}

impl Answerer<'_> {
    /// The body of the answer.
    pub(super) fn answer(&self, document: &Document) -> Value {
        if document.kind != "query" {
            return json!({"errors": [{
                "type": "FORBIDDEN",
                "message": format!("This fake GitHub answers queries only; a {} was recorded.", document.kind),
            }]});
        }
        let mut errors = Vec::new();
        match self.object(&Thing::Query, &document.fields, &mut errors) {
            Err(Invalid(error)) => json!({"errors": [error]}),
            Ok(data) if errors.is_empty() => json!({"data": data}),
            Ok(data) => json!({"data": data, "errors": errors}),
        }
    }

    fn object(&self, thing: &Thing, fields: &[Field], errors: &mut Vec<Value>) -> Result<Value, Invalid> {
        if fields.is_empty() {
            let name = self.type_name(thing);
            let message = format!("Field must have selections (field returns {name} but has no selections.)");
            return Err(Invalid::new("selectionMismatch", &message));
        }
        let mut out = Map::new();
        for field in fields.iter().filter(|f| self.applies(thing, f)) {
            let value = match self.field(thing, field, errors)? {
                Out::Value(value) => value,
                Out::One(thing) => self.object(&thing, &field.fields, errors)?,
                Out::Many(things) => {
                    let all: Result<Vec<_>, _> =
                        things.iter().map(|thing| self.object(thing, &field.fields, errors)).collect();
                    Value::Array(all?)
                }
            };
            merge(out.entry(field.key.clone()).or_insert(Value::Null), value);
        }
        Ok(Value::Object(out))
    }

    /// A fragment on another concrete type doesn't apply.
    fn applies(&self, thing: &Thing, field: &Field) -> bool {
        const CONCRETE: [&str; 5] = ["User", "Organization", "Team", "Repository", "Bot"];
        field.on.as_deref().is_none_or(|on| !CONCRETE.contains(&on) || on == self.type_name(thing))
    }

    fn type_name(&self, thing: &Thing) -> &'static str {
        match thing {
            Thing::Query => "Query",
            Thing::Account if self.world.shape.kind == AccountKind::Organization => "Organization",
            Thing::Account | Thing::User(_) => "User",
            Thing::Team(_) => "Team",
            Thing::Repo(_) => "Repository",
            Thing::Connection(connection) => connection.type_name,
            Thing::Edge(item, _) => match item {
                Item::Member(..) => "OrganizationMemberEdge",
                Item::TeamMember(..) => "TeamMemberEdge",
                Item::Collaborator(..) => "RepositoryCollaboratorEdge",
                Item::Team(_) => "TeamEdge",
                Item::Repo(_) => "RepositoryEdge",
                Item::TeamRepo(..) => "TeamRepositoryEdge",
            },
            Thing::PageInfo(_) => "PageInfo",
            Thing::RateLimit => "RateLimit",
            Thing::Named(_) => "Language",
        }
    }

    fn field(&self, thing: &Thing, field: &Field, errors: &mut Vec<Value>) -> Result<Out, Invalid> {
        let name = field.name.as_str();
        if name == "__typename" {
            return Ok(Out::value(self.type_name(thing)));
        }
        let plain = match thing {
            Thing::Query => return self.root(field, errors),
            Thing::Connection(connection) => connection.field(name),
            Thing::Edge(item, at) => edge(*item, *at, name, self.world),
            Thing::PageInfo(info) => page_info(info, name),
            Thing::RateLimit => rate_limit(self.rate, name),
            Thing::Named(value) => (name == "name").then(|| Out::value(*value)),
            Thing::Account => account(self.world, self.urls, name),
            Thing::User(person) => user(self.world, self.urls, *person, name),
            Thing::Team(index) => team(self.world, self.urls, *index, name),
            Thing::Repo(index) => repo(self.world, self.urls, *index, name),
        };
        match plain {
            Some(out) => Ok(out),
            None => match self.connection(thing, field)? {
                Some(connection) => Ok(Out::One(Thing::Connection(Box::new(connection)))),
                None => self.lookup(thing, field),
            },
        }
    }

    fn root(&self, field: &Field, errors: &mut Vec<Value>) -> Result<Out, Invalid> {
        let text = |name: &str| field.arguments.get(name).and_then(Value::as_str).unwrap_or("");
        let is_org = self.world.shape.kind == AccountKind::Organization;
        let login = text("login");
        let owner = login.eq_ignore_ascii_case(&self.world.shape.org);
        let (found, what) = match field.name.as_str() {
            "rateLimit" => (Some(Thing::RateLimit), String::new()),
            "viewer" => (Some(Thing::User(Person::Member(0))), String::new()),
            "organization" => {
                ((is_org && owner).then_some(Thing::Account), format!("an Organization with the login of '{login}'"))
            }
            "user" => {
                let person = self.world.find_person(login).map(Thing::User);
                let found = if !is_org && owner { Some(Thing::Account) } else { person };
                (found, format!("a User with the login of '{login}'"))
            }
            "repositoryOwner" if owner => (Some(Thing::Account), String::new()),
            "repositoryOwner" => return Ok(Out::Value(Value::Null)),
            "repository" => {
                let mine = text("owner").eq_ignore_ascii_case(&self.world.shape.org);
                let repo = self.world.find_repo(text("name")).filter(|_| mine).map(Thing::Repo);
                (repo, format!("a Repository with the name '{}/{}'", text("owner"), text("name")))
            }
            other => return Err(Invalid::undefined_field("Query", other)),
        };
        Ok(found.map_or_else(
            || {
                errors.push(json!({
                    "type": "NOT_FOUND",
                    "path": [field.key],
                    "message": format!("Could not resolve to {what}."),
                }));
                Out::Value(Value::Null)
            },
            Out::One,
        ))
    }

    fn lookup(&self, thing: &Thing, field: &Field) -> Result<Out, Invalid> {
        let slug = field.arguments.get("slug").and_then(Value::as_str);
        match (thing, field.name.as_str(), slug) {
            (Thing::Account, "team", Some(slug)) => {
                Ok(self.world.find_team(slug).map_or(Out::Value(Value::Null), |index| Out::One(Thing::Team(index))))
            }
            (_, name, _) => Err(Invalid::undefined_field(self.type_name(thing), name)),
        }
    }

    /// The lists of a thing.
    fn connection(&self, thing: &Thing, field: &Field) -> Result<Option<Connection>, Invalid> {
        let world = self.world;
        let org = world.shape.kind == AccountKind::Organization;
        let (type_name, total) = match (thing, field.name.as_str()) {
            (Thing::Account, "membersWithRole") if org => ("OrganizationMemberConnection", world.member_count()),
            (Thing::Account, "teams") if org => ("TeamConnection", world.team_count()),
            (Thing::Account, "repositories") => ("RepositoryConnection", world.repo_count()),
            (Thing::Team(index), "members") => ("TeamMemberConnection", world.team_members(*index).len()),
            (Thing::Team(index), "repositories") => ("TeamRepositoryConnection", world.team_repos(*index).len()),
            (Thing::Repo(index), "collaborators") => {
                ("RepositoryCollaboratorConnection", world.collaborators(*index).len())
            }
            _ => return Ok(None),
        };
        let (skip, take) = bounds(field)?;
        let slice = skip..skip.saturating_add(take);
        let items = match (thing, field.name.as_str()) {
            (Thing::Account, "membersWithRole") => {
                world.members(skip).take(take).map(|person| Item::Member(person, world.user(person).role)).collect()
            }
            (Thing::Account, "teams") => world.teams(skip).take(take).map(Item::Team).collect(),
            (Thing::Account, _) => world.repos(skip).take(take).map(Item::Repo).collect(),
            (Thing::Team(index), "members") => {
                cut(world.team_members(*index).into_iter().map(|(p, role)| Item::TeamMember(p, role)), slice)
            }
            (Thing::Team(index), _) => {
                cut(world.team_repos(*index).into_iter().map(|(r, access)| Item::TeamRepo(r, access)), slice)
            }
            (Thing::Repo(index), _) => {
                cut(world.collaborators(*index).into_iter().map(|(p, access)| Item::Collaborator(p, access)), slice)
            }
            _ => Vec::new(),
        };
        Ok(Some(Connection { type_name, total, skip, items }))
    }
}

impl Connection {
    fn field(&self, name: &str) -> Option<Out> {
        let at = |offset: usize| self.skip + offset + 1;
        Some(match name {
            "totalCount" => Out::value(self.total),
            "edges" => Out::Many(self.items.iter().enumerate().map(|(i, item)| Thing::Edge(*item, at(i))).collect()),
            "nodes" => Out::Many(self.items.iter().map(|item| item.node()).collect()),
            "pageInfo" => Out::One(Thing::PageInfo(PageInfo {
                start: (!self.items.is_empty()).then(|| cursor(at(0))),
                end: (!self.items.is_empty()).then(|| cursor(self.skip + self.items.len())),
                more_before: self.skip > 0,
                more: self.skip + self.items.len() < self.total,
            })),
            _ => return None,
        })
    }
}

impl Item {
    fn node(self) -> Thing {
        match self {
            Self::Member(person, _) | Self::TeamMember(person, _) | Self::Collaborator(person, _) => {
                Thing::User(person)
            }
            Self::Team(index) => Thing::Team(index),
            Self::Repo(index) | Self::TeamRepo(index, _) => Thing::Repo(index),
        }
    }
}

fn edge(item: Item, at: usize, name: &str, world: &World) -> Option<Out> {
    Some(match (name, item) {
        ("node", item) => Out::One(item.node()),
        ("cursor", _) => Out::value(cursor(at)),
        ("role", Item::Member(_, role)) => Out::value(role.as_str().to_ascii_uppercase()),
        ("role", Item::TeamMember(_, role)) => Out::value(role.as_str().to_ascii_uppercase()),
        ("hasTwoFactorEnabled", Item::Member(person, _)) => Out::value(world.user(person).two_factor),
        ("permission", Item::Collaborator(_, access) | Item::TeamRepo(_, access)) => {
            Out::value(access.role_name().to_ascii_uppercase())
        }
        _ => return None,
    })
}

/// What `first` and `after` say, with the errors of the real server. A list of which only the count is wanted may go
/// without.
fn bounds(field: &Field) -> Result<(usize, usize), Invalid> {
    let name = &field.name;
    let after = match field.arguments.get("after") {
        None | Some(Value::Null) => 0,
        Some(value) => value.as_str().and_then(read_cursor).ok_or_else(|| {
            let message = format!("`{}` does not appear to be a valid cursor.", value.as_str().unwrap_or("?"));
            Invalid::new("INVALID_CURSOR_ARGUMENTS", &message)
        })?,
    };
    match field.arguments.get("first").and_then(Value::as_u64) {
        Some(first) if first <= FIRST_MAX => Ok((after, usize::try_from(first).unwrap_or(0))),
        Some(first) => Err(Invalid::new(
            "EXCESSIVE_PAGINATION",
            &format!(
                "Requesting {first} records on the `{name}` connection exceeds the `first` limit of {FIRST_MAX} records."
            ),
        )),
        None if field.fields.iter().all(|f| f.name == "totalCount") => Ok((0, 0)),
        None => Err(Invalid::new(
            "MISSING_PAGINATION_BOUNDARIES",
            &format!("You must provide a `first` or `last` value to properly paginate the `{name}` connection."),
        )),
    }
}

fn cursor(at: usize) -> String {
    BASE64_STANDARD.encode(format!("{CURSOR_PREFIX}{at}"))
}

/// The number of items before what a cursor points behind.
pub(super) fn read_cursor(text: &str) -> Option<usize> {
    let plain = String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()?;
    plain.strip_prefix(CURSOR_PREFIX)?.parse().ok()
}

fn cut(items: impl Iterator<Item = Item>, slice: std::ops::Range<usize>) -> Vec<Item> {
    items.skip(slice.start).take(slice.len()).collect()
}

/// A field that is asked for twice is answered once, with all that was asked of it.
fn merge(have: &mut Value, new: Value) {
    match (have, new) {
        (Value::Object(have), Value::Object(new)) => {
            for (key, value) in new {
                merge(have.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(have), Value::Array(new)) if have.len() == new.len() => {
            for (have, new) in have.iter_mut().zip(new) {
                merge(have, new);
            }
        }
        (have, new) => *have = new,
    }
}
