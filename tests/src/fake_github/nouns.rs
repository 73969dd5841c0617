//! What a fake organisation consists of. Every value is computed from the seed and an index, and nothing is kept.

use super::seed::{self, Salt};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// What the owner of the repositories is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// An organisation with members and teams.
    Organization,
    /// A person: repositories and collaborators, no members and no teams.
    User,
}

/// What a person or a team may do with a repository, from little to much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Read.
    Pull,
    /// Read, and manage issues.
    Triage,
    /// Write.
    Push,
    /// Write, and some settings.
    Maintain,
    /// Everything.
    Admin,
}

impl Permission {
    /// All of them, from little to much.
    pub const ALL: [Self; 5] = [Self::Pull, Self::Triage, Self::Push, Self::Maintain, Self::Admin];

    /// As the older fields of the API say it: `pull`, `push`, ...
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Triage => "triage",
            Self::Push => "push",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }

    /// As `role_name` says it: `read`, `write`, ...
    #[must_use]
    pub fn role_name(self) -> &'static str {
        match self {
            Self::Pull => "read",
            Self::Push => "write",
            other => other.as_str(),
        }
    }

    pub(super) fn from_hash(hash: u64) -> Self {
        // Most access is read or write; admin is rare.
        match hash % 10 {
            0..=3 => Self::Pull,
            4 => Self::Triage,
            5..=7 => Self::Push,
            8 => Self::Maintain,
            _ => Self::Admin,
        }
    }
}

/// A member's role in the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrgRole {
    /// An ordinary member.
    Member,
    /// An owner.
    Admin,
}

impl OrgRole {
    /// `member` or `admin`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

/// A member's role in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TeamRole {
    /// An ordinary member.
    Member,
    /// May manage the team.
    Maintainer,
}

impl TeamRole {
    /// `member` or `maintainer`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Maintainer => "maintainer",
        }
    }
}

/// A person, by index: of the organisation or from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Person {
    Member(u32),
    Outside(u32),
}

/// Ids leave gaps, as real ones do, and can be turned back into an index.
struct Ids {
    base: u64,
    stride: u64,
}

impl Ids {
    const MEMBER: Self = Self { base: 1_000_003, stride: 17 };
    const OUTSIDE: Self = Self { base: 900_000_001, stride: 19 };
    const REPO: Self = Self { base: 300_000_007, stride: 11 };
    const TEAM: Self = Self { base: 4_000_037, stride: 3 };

    fn id(&self, index: u32) -> u64 {
        self.base + self.stride * u64::from(index)
    }

    fn index(&self, id: u64) -> Option<u32> {
        let offset = id.checked_sub(self.base)?;
        if offset % self.stride == 0 { u32::try_from(offset / self.stride).ok() } else { None }
    }
}

/// `R_kgDO...`: the newer node ids are a prefix and the MessagePack of `[0, id]`.
fn node_id(prefix: &str, id: u64) -> String {
    let mut packed = vec![0x92, 0x00, 0xCE];
    packed.extend_from_slice(&u32::try_from(id).unwrap_or(u32::MAX).to_be_bytes());
    format!("{prefix}_{}", BASE64_URL_SAFE_NO_PAD.encode(packed))
}

impl Person {
    pub(super) fn id(self) -> u64 {
        match self {
            Self::Member(index) => Ids::MEMBER.id(index),
            Self::Outside(index) => Ids::OUTSIDE.id(index),
        }
    }

    pub(super) fn from_id(id: u64) -> Option<Self> {
        Ids::OUTSIDE.index(id).map(Self::Outside).or_else(|| Ids::MEMBER.index(id).map(Self::Member))
    }

    /// Older accounts have the older kind of node id: `04:User` and the number, in base64.
    pub(super) fn node_id(self) -> String {
        match self {
            Self::Member(index) if index % 3 == 0 => BASE64_STANDARD.encode(format!("04:User{}", self.id())),
            _ => node_id("U", self.id()),
        }
    }
}

/// The account that owns everything.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) kind: AccountKind,
    pub(super) login: String,
    pub(super) id: u64,
    pub(super) node_id: String,
    pub(super) name: String,
    pub(super) created_at: String,
}

impl Account {
    pub(super) fn new(seed: u64, kind: AccountKind, login: &str) -> Self {
        let id = 9_000_001 + seed % 1000;
        let prefix = if kind == AccountKind::Organization { "O" } else { "U" };
        let mut name = login.to_owned();
        if let Some(first) = name.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        Self {
            kind,
            login: login.to_owned(),
            id,
            node_id: node_id(prefix, id),
            name,
            created_at: seed::time(seed, Salt::Account, 0),
        }
    }
}

/// A user's profile.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) node_id: String,
    pub(super) login: String,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) company: Option<String>,
    pub(super) location: Option<String>,
    pub(super) created_at: String,
    pub(super) role: OrgRole,
    pub(super) two_factor: bool,
}

/// A repository.
#[derive(Debug, Clone)]
pub(super) struct Repo {
    pub(super) id: u64,
    pub(super) node_id: String,
    pub(super) name: String,
    pub(super) description: Option<&'static str>,
    pub(super) visibility: &'static str,
    pub(super) fork: bool,
    pub(super) archived: bool,
    pub(super) language: Option<&'static str>,
    pub(super) default_branch: &'static str,
    pub(super) size: u64,
    pub(super) stars: u64,
    pub(super) open_issues: u64,
    pub(super) created_at: String,
    pub(super) updated_at: String,
    pub(super) pushed_at: Option<String>,
    pub(super) temp_clone_token: String,
}

impl Repo {
    pub(super) fn private(&self) -> bool {
        self.visibility != "public"
    }
}

/// A team.
#[derive(Debug, Clone)]
pub(super) struct Team {
    pub(super) index: u32,
    pub(super) id: u64,
    pub(super) node_id: String,
    pub(super) name: String,
    pub(super) slug: String,
    pub(super) description: Option<&'static str>,
    pub(super) privacy: &'static str,
    pub(super) parent: Option<u32>,
    pub(super) created_at: String,
}

pub(super) fn repo_id(index: u32) -> u64 {
    Ids::REPO.id(index)
}

pub(super) fn repo_node_id(index: u32) -> String {
    node_id("R", repo_id(index))
}

pub(super) fn repo_index(id: u64) -> Option<u32> {
    Ids::REPO.index(id)
}

pub(super) fn team_id(index: u32) -> u64 {
    Ids::TEAM.id(index)
}

pub(super) fn team_node_id(index: u32) -> String {
    node_id("T", team_id(index))
}

pub(super) fn team_index(id: u64) -> Option<u32> {
    Ids::TEAM.index(id)
}
