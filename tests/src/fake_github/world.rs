//! The organisation: a shape (counts and a seed) with an overlay of what was changed since.
//!
//! Nothing here is a list of everything. A repository, a member or a team is computed when someone asks for it, so an
//! organisation of 20,000 repositories costs as much memory as an empty one.

use super::nouns::{self, Account, AccountKind, OrgRole, Person, Repo, Team, User};
use super::overlay::Overlay;
use super::seed::{self, Salt, hash, pick};
use std::collections::BTreeSet;

/// Every `temp_clone_token` in a reply starts with this, so that a test can search for what must have been scrubbed.
pub const TEMP_CLONE_TOKEN_PREFIX: &str = "TMPCLONE";

const ADJECTIVES: &[&str] = &["amber", "brisk", "calm", "dusty", "eager", "fuzzy", "golden", "hidden", "iron", "jolly"];
const THINGS: &[&str] =
    &["Gateway", "api", "billing", "deploy", "docs", "infra", "Ledger", "mobile.app", "search", "web_ui"];
const FIRST: &[&str] =
    &["Ada", "Björn", "Chloé", "Dmitri", "Eve", "Farid", "Grace", "Hana", "İpek", "Jun", "Kofi", "Lúcia"];
const LAST: &[&str] = &["Adler", "Brandt", "Costa", "Díaz", "Endo", "Fischer", "Gupta", "Haas", "Ito", "Jansen"];
const LOGIN: &[&str] =
    &["adal", "bjorn", "Chloe", "dmitri", "eve", "farid", "GraceH", "hana", "ipek", "jun", "kofi", "lucia"];
const TEAMS: &[&str] = &["Platform", "Security", "Développeurs", "Data & ML", "Mobile", "SRE", "Docs", "QA / Release"];
const LANGUAGES: &[Option<&str>] = &[Some("Rust"), Some("Go"), Some("TypeScript"), Some("Python"), None];
// Descriptions are where a strict writer or reader breaks: quotes, backslashes, line ends, markup, emoji, right-to-left.
const DESCRIPTIONS: &[Option<&str>] = &[
    None,
    Some("Internal service"),
    Some("Says \"hello\" \\ and more"),
    Some("Zeilen\numbruch\tund Tab"),
    Some("🚀 Ship it — schnell"),
    Some("<script>alert(1)</script> & co"),
    Some("مستودع"),
    Some(""),
];

/// How large an organisation is and which seed makes it.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) kind: AccountKind,
    pub(super) org: String,
    pub(super) seed: u64,
    pub(super) repos: u32,
    pub(super) members: u32,
    pub(super) outside: u32,
    pub(super) teams: u32,
}

/// The organisation as it is now.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) shape: Shape,
    pub(super) overlay: Overlay,
}

impl World {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, overlay: Overlay::default() }
    }

    pub(super) fn account(&self) -> Account {
        Account::new(self.shape.seed, self.shape.kind, &self.shape.org)
    }

    // Repositories.

    pub(super) fn repo_end(&self) -> u32 {
        self.shape.repos + self.overlay.repos.added
    }

    pub(super) fn repo_count(&self) -> usize {
        count(self.repo_end(), &self.overlay.repos.removed)
    }

    pub(super) fn has_repo(&self, index: u32) -> bool {
        index < self.repo_end() && !self.overlay.repos.removed.contains(&index)
    }

    pub(super) fn repos(&self, skip: usize) -> impl Iterator<Item = u32> {
        live(self.repo_end(), &self.overlay.repos.removed, skip)
    }

    pub(super) fn repo_name(&self, index: u32) -> String {
        if let Some(name) = self.overlay.repos.renamed.get(&index) {
            return name.clone();
        }
        if index == 0 {
            return ".github".to_owned();
        }
        let h = hash(self.shape.seed, Salt::Repo, u64::from(index));
        let (adjective, thing) = (pick(ADJECTIVES, h).unwrap_or(""), pick(THINGS, h >> 16).unwrap_or(""));
        format!("{adjective}-{thing}-{index}")
    }

    pub(super) fn repo(&self, index: u32) -> Repo {
        let seed = self.shape.seed;
        let h = hash(seed, Salt::Repo, u64::from(index));
        let clock = u64::from(index) * 4;
        let archived = self.overlay.archived.contains(&index) || h % 13 == 5;
        let visibility = match (h >> 8) % 10 {
            0..=2 => "public",
            3 if self.shape.kind == AccountKind::Organization => "internal",
            _ => "private",
        };
        Repo {
            id: nouns::repo_id(index),
            node_id: nouns::repo_node_id(index),
            name: self.repo_name(index),
            description: pick(DESCRIPTIONS, h >> 20).flatten(),
            visibility,
            fork: h % 7 == 3,
            archived,
            language: pick(LANGUAGES, h >> 28).flatten(),
            default_branch: if h % 4 == 1 { "master" } else { "main" },
            size: h % 90_000,
            stars: (h >> 12) % 400,
            open_issues: (h >> 40) % 60,
            created_at: seed::time(seed, Salt::RepoClock, clock),
            updated_at: seed::time(seed, Salt::RepoClock, clock + 1),
            pushed_at: (h % 17 != 2).then(|| seed::time(seed, Salt::RepoClock, clock + 2)),
            temp_clone_token: format!(
                "{TEMP_CLONE_TOKEN_PREFIX}{}",
                seed::letters(seed, Salt::Secret, u64::from(index), 21)
            ),
        }
    }

    pub(super) fn find_repo(&self, name: &str) -> Option<u32> {
        let renamed = self.overlay.repos.renamed.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(i, _)| *i);
        let index = renamed.or_else(|| if name.eq_ignore_ascii_case(".github") { Some(0) } else { tail(name) })?;
        (self.has_repo(index) && self.repo_name(index).eq_ignore_ascii_case(name)).then_some(index)
    }

    // People.

    pub(super) fn member_end(&self) -> u32 {
        self.shape.members + self.overlay.members.added
    }

    pub(super) fn member_count(&self) -> usize {
        count(self.member_end(), &self.overlay.members.removed)
    }

    pub(super) fn has_person(&self, person: Person) -> bool {
        match person {
            Person::Member(index) => index < self.member_end() && !self.overlay.members.removed.contains(&index),
            Person::Outside(index) => index < self.shape.outside,
        }
    }

    pub(super) fn members(&self, skip: usize) -> impl Iterator<Item = Person> {
        live(self.member_end(), &self.overlay.members.removed, skip).map(Person::Member)
    }

    pub(super) fn role(&self, index: u32) -> OrgRole {
        let base = if index == 0 || hash(self.shape.seed, Salt::Member, u64::from(index)).is_multiple_of(12) {
            OrgRole::Admin
        } else {
            OrgRole::Member
        };
        self.overlay.roles.get(&index).copied().unwrap_or(base)
    }

    pub(super) fn login(&self, person: Person) -> String {
        match person {
            Person::Member(index) => {
                if let Some(login) = self.overlay.members.renamed.get(&index) {
                    return login.clone();
                }
                let h = hash(self.shape.seed, Salt::Member, u64::from(index));
                format!("{}-{index}", pick(LOGIN, h >> 9).unwrap_or("octo"))
            }
            Person::Outside(index) => format!("guest-{}-x{index}", self.shape.seed % 100),
        }
    }

    pub(super) fn user(&self, person: Person) -> User {
        let (salt, index) = match person {
            Person::Member(index) => (Salt::Member, index),
            Person::Outside(index) => (Salt::Outside, index),
        };
        let h = hash(self.shape.seed, salt, u64::from(index));
        let login = self.login(person);
        let (first, last) = (pick(FIRST, h >> 9).unwrap_or(""), pick(LAST, h >> 21).unwrap_or(""));
        User {
            id: person.id(),
            node_id: person.node_id(),
            name: (h % 9 != 4).then(|| format!("{first} {last}")),
            email: (h % 5 != 1).then(|| format!("{}@{}.example", login.to_ascii_lowercase(), self.shape.org)),
            company: h.is_multiple_of(3).then(|| format!("@{}", self.shape.org)),
            location: h.is_multiple_of(4).then(|| "Zürich".to_owned()),
            created_at: seed::time(self.shape.seed, salt, u64::from(index) + (1 << 40)),
            role: match person {
                Person::Member(index) => self.role(index),
                Person::Outside(_) => OrgRole::Member,
            },
            two_factor: !h.is_multiple_of(6),
            login,
        }
    }

    pub(super) fn find_person(&self, login: &str) -> Option<Person> {
        let renamed = self.overlay.members.renamed.iter().find(|(_, n)| n.eq_ignore_ascii_case(login)).map(|(i, _)| *i);
        let person = match login.rsplit_once("-x") {
            _ if renamed.is_some() => Person::Member(renamed?),
            Some((_, index)) if login.starts_with("guest-") => Person::Outside(index.parse().ok()?),
            _ => Person::Member(tail(login)?),
        };
        (self.has_person(person) && self.login(person).eq_ignore_ascii_case(login)).then_some(person)
    }

    // Teams.

    pub(super) fn team_end(&self) -> u32 {
        self.shape.teams + self.overlay.teams.added
    }

    pub(super) fn has_team(&self, index: u32) -> bool {
        index < self.team_end() && !self.overlay.teams.removed.contains(&index)
    }

    pub(super) fn team_count(&self) -> usize {
        count(self.team_end(), &self.overlay.teams.removed)
    }

    pub(super) fn teams(&self, skip: usize) -> impl Iterator<Item = u32> {
        live(self.team_end(), &self.overlay.teams.removed, skip)
    }

    /// Every fifth team is the child of the one before it.
    pub(super) fn parent(&self, index: u32) -> Option<u32> {
        (index % 5 == 3).then(|| index - 1).filter(|parent| self.has_team(*parent))
    }

    /// The child that a team would have.
    pub(super) fn child(&self, index: u32) -> Option<u32> {
        (index % 5 == 2).then_some(index + 1).filter(|child| self.has_team(*child))
    }

    pub(super) fn team(&self, index: u32) -> Team {
        let h = hash(self.shape.seed, Salt::Team, u64::from(index));
        let parent = self.parent(index);
        let name = self.overlay.teams.renamed.get(&index).cloned().unwrap_or_else(|| match index {
            0 => "Everyone 0".to_owned(),
            _ => format!("{} {index}", pick(TEAMS, h).unwrap_or("Team")),
        });
        Team {
            index,
            id: nouns::team_id(index),
            node_id: nouns::team_node_id(index),
            slug: slug(&name),
            name,
            description: pick(DESCRIPTIONS, h >> 24).flatten(),
            // A nested team can't be secret.
            privacy: if parent.is_none() && index % 5 != 2 && h.is_multiple_of(4) { "secret" } else { "closed" },
            parent,
            created_at: seed::time(self.shape.seed, Salt::Team, u64::from(index) + (1 << 40)),
        }
    }

    pub(super) fn find_team(&self, wanted: &str) -> Option<u32> {
        let renamed = self.overlay.teams.renamed.iter().find(|(_, name)| slug(name) == wanted).map(|(i, _)| *i);
        let index = renamed.or_else(|| tail(wanted))?;
        (self.has_team(index) && self.team(index).slug == wanted).then_some(index)
    }
}

/// The slug of a team's name: lower case, accents gone, one hyphen for whatever else.
fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            'é' | 'è' => slug.push('e'),
            c if c.is_ascii_alphanumeric() || c == '_' => slug.push(c),
            _ if slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.trim_matches('-').to_owned()
}

/// The index at the end of a generated name.
fn tail(name: &str) -> Option<u32> {
    name.rsplit_once('-').and_then(|(_, index)| index.parse().ok())
}

fn count(end: u32, removed: &BTreeSet<u32>) -> usize {
    usize::try_from(end).unwrap_or(usize::MAX).saturating_sub(removed.range(..end).count())
}

/// The indices that are left, from the `skip`-th one on.
fn live(end: u32, removed: &BTreeSet<u32>, skip: usize) -> impl Iterator<Item = u32> {
    let mut start = u32::try_from(skip).unwrap_or(u32::MAX);
    for gone in removed {
        if *gone <= start {
            start = start.saturating_add(1);
        } else {
            break;
        }
    }
    (start..end.max(start)).filter(|index| !removed.contains(index))
}
