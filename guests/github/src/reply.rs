//! What GitHub answers, as far as it is read. Everything may be missing: fields come and go with the version of the
//! server and the permissions of the credential. [`crate::convert`] says what an object can't be without.

use serde::Deserialize;

/// `GET /users/{login}`, for a person or an organisation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Account {
    /// The numeric id.
    pub id: Option<u64>,
    /// The name in its address.
    pub login: Option<String>,
    /// `Organization` or `User`.
    pub r#type: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// The company in a profile.
    pub company: Option<String>,
    /// The place in a profile.
    pub location: Option<String>,
    /// The address of its page.
    pub html_url: Option<String>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub updated_at: Option<String>,
}

/// `GET /orgs/{login}`: what an organisation adds. Most of it shows to owners only.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Organization {
    /// What it says about itself.
    pub description: Option<String>,
    /// The e-mail address in its profile.
    pub email: Option<String>,
    /// Its domain is verified.
    pub is_verified: Option<bool>,
    /// Members must use two factors.
    pub two_factor_requirement_enabled: Option<bool>,
    /// What every member may do with every repository: `read`, `write`, `admin`, `none`.
    pub default_repository_permission: Option<String>,
    /// Members may create repositories.
    pub members_can_create_repositories: Option<bool>,
    /// Members may create public repositories.
    pub members_can_create_public_repositories: Option<bool>,
    /// Members may fork private repositories.
    pub members_can_fork_private_repositories: Option<bool>,
    /// Commits made in the browser must be signed off.
    pub web_commit_signoff_required: Option<bool>,
    /// What is paid for.
    pub plan: Option<Plan>,
}

/// What is paid for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// `free`, `team`, `enterprise`.
    pub name: Option<String>,
}

/// A repository of a list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Repo {
    /// The numeric id.
    pub id: Option<u64>,
    /// The name within its account.
    pub name: Option<String>,
    /// `account/name`.
    pub full_name: Option<String>,
    /// What it says about itself.
    pub description: Option<String>,
    /// The address of its page.
    pub html_url: Option<String>,
    /// `public`, `private`, `internal`.
    pub visibility: Option<String>,
    /// Not public.
    pub private: Option<bool>,
    /// A copy of another repository.
    pub fork: Option<bool>,
    /// Read-only.
    pub archived: Option<bool>,
    /// Switched off by GitHub.
    pub disabled: Option<bool>,
    /// A template for others.
    pub is_template: Option<bool>,
    /// May be forked.
    pub allow_forking: Option<bool>,
    /// Publishes a site.
    pub has_pages: Option<bool>,
    /// Commits made in the browser must be signed off.
    pub web_commit_signoff_required: Option<bool>,
    /// The branch that people see first.
    pub default_branch: Option<String>,
    /// The main language.
    pub language: Option<String>,
    /// Words that its owners tagged it with.
    pub topics: Option<Vec<String>>,
    /// Its licence.
    pub license: Option<License>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub updated_at: Option<String>,
    /// RFC 3339; missing for an empty repository.
    pub pushed_at: Option<String>,
    /// In the list of a team: what the team may do.
    pub role_name: Option<String>,
    /// The same in the older form.
    pub permissions: Option<Permissions>,
}

/// A licence.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct License {
    /// Its SPDX identifier.
    pub spdx_id: Option<String>,
}

/// What someone may do with a repository, from least to most.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Permissions {
    /// Read.
    pub pull: bool,
    /// Manage issues.
    pub triage: bool,
    /// Write.
    pub push: bool,
    /// Manage the repository.
    pub maintain: bool,
    /// Everything.
    pub admin: bool,
}

/// A person in a REST list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Person {
    /// The numeric id.
    pub id: Option<u64>,
    /// The name in its address.
    pub login: Option<String>,
    /// `User` or `Bot`.
    pub r#type: Option<String>,
    /// Works for GitHub, or administers the server.
    pub site_admin: Option<bool>,
    /// In the list of a repository: what the person may do.
    pub role_name: Option<String>,
    /// The same in the older form.
    pub permissions: Option<Permissions>,
}

/// A team of a list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Team {
    /// The numeric id.
    pub id: Option<u64>,
    /// What people call it.
    pub name: Option<String>,
    /// The name in its address.
    pub slug: Option<String>,
    /// What it says about itself.
    pub description: Option<String>,
    /// `closed` (visible) or `secret`.
    pub privacy: Option<String>,
    /// Who is told when the team is mentioned.
    pub notification_setting: Option<String>,
    /// The address of its page.
    pub html_url: Option<String>,
    /// The team it is part of.
    pub parent: Option<Box<Team>>,
}

/// The answer to the query `list-members`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Members {
    /// What was asked for.
    pub data: Option<MembersData>,
}

/// See [`Members`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct MembersData {
    /// None when the credential may not see it.
    pub organization: Option<MembersOrganization>,
}

/// See [`Members`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MembersOrganization {
    /// A page of members.
    pub members_with_role: Option<MembersPage>,
}

/// See [`Members`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct MembersPage {
    /// GraphQL lets every element of a list be null.
    pub edges: Option<Vec<Option<MemberEdge>>>,
}

/// A member, as the organisation sees it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MemberEdge {
    /// `ADMIN` or `MEMBER`; null when the credential may not see it.
    pub role: Option<String>,
    /// Null when the credential may not see it, as for every App.
    pub has_two_factor_enabled: Option<bool>,
    /// The person.
    pub node: Option<Member>,
}

/// A member, as the world sees it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Member {
    /// The numeric id of REST.
    pub database_id: Option<u64>,
    /// The name in its address.
    pub login: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// The company in a profile.
    pub company: Option<String>,
    /// The place in a profile.
    pub location: Option<String>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// Works for GitHub, or administers the server.
    pub is_site_admin: Option<bool>,
}
