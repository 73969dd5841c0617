//! Replies become objects. Pure: no calls, no log. What an object can't be without is an error that the step counts; it
//! must not vanish, because the host would take it for gone.

use crate::kind::{ACCOUNT, Kind, Link, REPO, TEAM, USER};
use crate::reply::{Account, MemberEdge, Organization, Permissions, Person, Repo, Team};
use porthole_sdk::{Entity, Relationship};

/// What a reply lacks.
pub type Missing = String;

/// An organisation, or a person who owns repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It has members and teams.
    Organization,
    /// It has repositories alone.
    User,
}

impl Owner {
    /// As the property `accountType` says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::User => "user",
        }
    }

    /// Reads GitHub's `type`, and the property `accountType`.
    ///
    /// # Errors
    /// When it is neither an organisation nor a user (a bot, a placeholder of an import).
    pub fn parse(text: Option<&str>) -> Result<Self, Missing> {
        match text {
            Some("Organization" | "organization") => Ok(Self::Organization),
            Some("User" | "user") => Ok(Self::User),
            other => Err(format!("the account is neither an organisation nor a user but {other:?}")),
        }
    }
}

/// The account. `organization` is what an organisation adds.
///
/// # Errors
/// When it has no id, no login, or another type.
pub fn account(account: &Account, organization: Option<&Organization>) -> Result<Entity, Missing> {
    let id = account.id.ok_or("account without id")?;
    let login = account.login.as_deref().ok_or("account without login")?;
    let owner = Owner::parse(account.r#type.as_deref())?;
    let name = said(account.name.as_deref()).unwrap_or(login);
    let entity = entity(ACCOUNT, id, name)
        .prop("name", name)
        .prop("login", login)
        .prop("accountId", id.to_string())
        .prop("accountType", owner.as_str())
        .prop("company", said(account.company.as_deref()))
        .prop("location", said(account.location.as_deref()))
        .prop("webLink", account.html_url.as_deref())
        .prop("createdAt", account.created_at.as_deref())
        .prop("updatedAt", account.updated_at.as_deref());
    Ok(match organization {
        None => entity,
        Some(o) => entity
            .prop("description", said(o.description.as_deref()))
            .prop("email", said(o.email.as_deref()))
            .prop("verified", o.is_verified)
            .prop("twoFactorRequired", o.two_factor_requirement_enabled)
            .prop("defaultRepositoryPermission", o.default_repository_permission.as_deref())
            .prop("membersCanCreateRepositories", o.members_can_create_repositories)
            .prop("membersCanCreatePublicRepositories", o.members_can_create_public_repositories)
            .prop("membersCanForkPrivateRepositories", o.members_can_fork_private_repositories)
            .prop("webCommitSignoffRequired", o.web_commit_signoff_required)
            .prop("plan", o.plan.as_ref().and_then(|p| p.name.as_deref())),
    })
}

/// A repository. Counters (stars, forks, open issues, size) are left out: they would change it in every run.
///
/// # Errors
/// When it has no id or no name.
pub fn repo(repo: &Repo) -> Result<Entity, Missing> {
    let id = repo.id.ok_or("repository without id")?;
    let name = repo.name.as_deref().ok_or("repository without name")?;
    // Older servers say only `private`.
    let visibility = repo.visibility.as_deref().or(repo.private.map(|p| if p { "private" } else { "public" }));
    Ok(entity(REPO, id, repo.full_name.as_deref().unwrap_or(name))
        .prop("name", name)
        .prop("fullName", repo.full_name.as_deref())
        .prop("repoId", id.to_string())
        .prop("description", said(repo.description.as_deref()))
        .prop("visibility", visibility)
        .prop("public", visibility.map(|v| v == "public"))
        .prop("fork", repo.fork)
        .prop("archived", repo.archived)
        .prop("disabled", repo.disabled)
        .prop("template", repo.is_template)
        .prop("forkingAllowed", repo.allow_forking)
        .prop("pages", repo.has_pages)
        .prop("webCommitSignoffRequired", repo.web_commit_signoff_required)
        .prop("defaultBranch", repo.default_branch.as_deref())
        .prop("language", repo.language.as_deref())
        .prop("topics", repo.topics.clone().filter(|t| !t.is_empty()))
        .prop("license", repo.license.as_ref().and_then(|l| l.spdx_id.as_deref()))
        .prop("webLink", repo.html_url.as_deref())
        .prop("createdAt", repo.created_at.as_deref())
        .prop("updatedAt", repo.updated_at.as_deref())
        .prop("pushedAt", repo.pushed_at.as_deref()))
}

/// A member and its role: `admin` or `member`.
///
/// # Errors
/// When it has no id, no login or no role. GitHub hides roles from those who see public members only; what such a
/// credential lists is not the whole of the members.
pub fn member(edge: &MemberEdge) -> Result<(Entity, String), Missing> {
    let node = edge.node.as_ref().ok_or("member without person")?;
    let id = node.database_id.ok_or("member without id")?;
    let login = node.login.as_deref().ok_or("member without login")?;
    let role = edge.role.as_deref().ok_or("member without role (the credential can't see all members)")?;
    let role = role.to_ascii_lowercase();
    let entity = entity(USER, id, said(node.name.as_deref()).unwrap_or(login))
        .prop("username", login)
        .prop("login", login)
        .prop("userId", id.to_string())
        .prop("name", said(node.name.as_deref()))
        .prop("role", role.as_str())
        .prop("mfaEnabled", edge.has_two_factor_enabled)
        .prop("siteAdmin", node.is_site_admin)
        .prop("company", said(node.company.as_deref()))
        .prop("location", said(node.location.as_deref()))
        .prop("createdAt", node.created_at.as_deref());
    Ok((entity, role))
}

/// Someone who works in repositories without being a member.
///
/// # Errors
/// When it has no id or no login.
pub fn outside_collaborator(person: &Person) -> Result<Entity, Missing> {
    let id = person.id.ok_or("outside collaborator without id")?;
    let login = person.login.as_deref().ok_or("outside collaborator without login")?;
    Ok(entity(USER, id, login)
        .prop("username", login)
        .prop("login", login)
        .prop("userId", id.to_string())
        .prop("role", "outside")
        .prop("siteAdmin", person.site_admin))
}

/// A team.
///
/// # Errors
/// When it has no id, no name or no slug.
pub fn team(team: &Team) -> Result<Entity, Missing> {
    let id = team.id.ok_or("team without id")?;
    let slug = team.slug.as_deref().ok_or("team without slug")?;
    let name = team.name.as_deref().ok_or("team without name")?;
    Ok(entity(TEAM, id, name)
        .prop("name", name)
        .prop("slug", slug)
        .prop("teamId", id.to_string())
        .prop("description", said(team.description.as_deref()))
        .prop("privacy", team.privacy.as_deref())
        .prop("notificationSetting", team.notification_setting.as_deref())
        .prop("parentSlug", team.parent.as_ref().and_then(|p| p.slug.as_deref()))
        .prop("webLink", team.html_url.as_deref()))
}

/// Two things hang together.
#[must_use]
pub fn link(link: Link, from_key: &str, to_key: &str) -> Relationship {
    Relationship::new(link.from.name, link.verb, link.to.name, from_key, to_key)
}

/// The far end's key of a list of people.
///
/// # Errors
/// When the person has no id.
pub fn person_key(person: &Person) -> Result<String, Missing> {
    person.id.map(|id| USER.key(id)).ok_or_else(|| "person without id".to_owned())
}

/// The far end's key of a list of repositories.
///
/// # Errors
/// When the repository has no id.
pub fn repo_key(repo: &Repo) -> Result<String, Missing> {
    repo.id.map(|id| REPO.key(id)).ok_or_else(|| "repository without id".to_owned())
}

/// What may be done: `read`, `triage`, `write`, `maintain`, `admin`, or the name of a custom role. Servers that don't
/// name the role yet say it in flags.
///
/// # Errors
/// When neither says anything.
pub fn permission(role_name: Option<&str>, flags: Option<Permissions>) -> Result<&str, Missing> {
    if let Some(role) = said(role_name) {
        return Ok(role);
    }
    match flags {
        Some(Permissions { admin: true, .. }) => Ok("admin"),
        Some(Permissions { maintain: true, .. }) => Ok("maintain"),
        Some(Permissions { push: true, .. }) => Ok("write"),
        Some(Permissions { triage: true, .. }) => Ok("triage"),
        Some(Permissions { pull: true, .. }) => Ok("read"),
        _ => Err("access without a permission".to_owned()),
    }
}

fn entity(kind: Kind, id: u64, name: &str) -> Entity {
    Entity::new(kind.name, kind.key(id)).class(kind.class).name(name)
}

/// GitHub says "nothing" as null in one place and as an empty text in another.
fn said(text: Option<&str>) -> Option<&str> {
    text.filter(|t| !t.is_empty())
}
