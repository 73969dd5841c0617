//! The JSON of things, field by field as api.github.com sends it: a page of the fake is as long as a real one.

use super::nouns::{Account, AccountKind, OrgRole, Permission, Person, Repo, Team, User};
use super::world::World;
use super::write::Object;

/// The addresses that replies are full of.
#[derive(Debug, Clone)]
pub(super) struct Urls {
    /// Where the REST API begins: `https://api.github.com`, or with `/api/v3`.
    pub(super) api: String,
    /// Where the pages for people begin.
    pub(super) html: String,
}

const ACCOUNT_URLS: &[(&str, &str)] = &[
    ("followers_url", "/followers"),
    ("following_url", "/following{/other_user}"),
    ("gists_url", "/gists{/gist_id}"),
    ("starred_url", "/starred{/owner}{/repo}"),
    ("subscriptions_url", "/subscriptions"),
    ("organizations_url", "/orgs"),
    ("repos_url", "/repos"),
    ("events_url", "/events{/privacy}"),
    ("received_events_url", "/received_events"),
];

const REPO_URLS: &[(&str, &str)] = &[
    ("forks_url", "/forks"),
    ("keys_url", "/keys{/key_id}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("teams_url", "/teams"),
    ("hooks_url", "/hooks"),
    ("issue_events_url", "/issues/events{/number}"),
    ("events_url", "/events"),
    ("assignees_url", "/assignees{/user}"),
    ("branches_url", "/branches{/branch}"),
    ("tags_url", "/tags"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("trees_url", "/git/trees{/sha}"),
    ("statuses_url", "/statuses/{sha}"),
    ("languages_url", "/languages"),
    ("stargazers_url", "/stargazers"),
    ("contributors_url", "/contributors"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("commits_url", "/commits{/sha}"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("comments_url", "/comments{/number}"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("contents_url", "/contents/{+path}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("merges_url", "/merges"),
    ("archive_url", "/{archive_format}{/ref}"),
    ("downloads_url", "/downloads"),
    ("issues_url", "/issues{/number}"),
    ("pulls_url", "/pulls{/number}"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("labels_url", "/labels{/name}"),
    ("releases_url", "/releases{/id}"),
    ("deployments_url", "/deployments"),
];

/// What lists say about any account, without the closing brace.
fn simple_account(object: &mut Object<'_>, urls: &Urls, login: &str, id: u64, node_id: &str, kind: &str) {
    let id_text = id.to_string();
    object.text("login", login).number("id", id).text("node_id", node_id);
    object.parts("avatar_url", &["https://avatars.githubusercontent.com/u/", &id_text, "?v=4"]);
    object.text("gravatar_id", "").parts("url", &[&urls.api, "/users/", login]);
    object.parts("html_url", &[&urls.html, "/", login]);
    for (key, suffix) in ACCOUNT_URLS {
        object.parts(key, &[&urls.api, "/users/", login, suffix]);
    }
    object.text("type", kind).text("user_view_type", "public").flag("site_admin", false);
}

fn account_type(account: &Account) -> &'static str {
    match account.kind {
        AccountKind::Organization => "Organization",
        AccountKind::User => "User",
    }
}

pub(super) fn simple_owner(out: &mut String, urls: &Urls, account: &Account) {
    let mut object = Object::begin(out);
    simple_account(&mut object, urls, &account.login, account.id, &account.node_id, account_type(account));
    object.end();
}

pub(super) fn simple_user(out: &mut String, urls: &Urls, world: &World, person: Person) {
    let mut object = Object::begin(out);
    simple_account(&mut object, urls, &world.login(person), person.id(), &person.node_id(), "User");
    object.end();
}

/// `GET /orgs/{org}`.
pub(super) fn organization(out: &mut String, urls: &Urls, world: &World) {
    let account = world.account();
    let login = account.login.as_str();
    let public = world.repos(0).filter(|index| !world.repo(*index).private()).count();
    let mut object = Object::begin(out);
    object.text("login", login).number("id", account.id).text("node_id", &account.node_id);
    object.parts("url", &[&urls.api, "/orgs/", login]);
    for (key, suffix) in [
        ("repos_url", "/repos"),
        ("events_url", "/events"),
        ("hooks_url", "/hooks"),
        ("issues_url", "/issues"),
        ("members_url", "/members{/member}"),
        ("public_members_url", "/public_members{/member}"),
    ] {
        object.parts(key, &[&urls.api, "/orgs/", login, suffix]);
    }
    object.parts("avatar_url", &["https://avatars.githubusercontent.com/u/", &account.id.to_string(), "?v=4"]);
    object.text("description", "A seeded organisation").text("name", &account.name).raw("company", "null");
    object.parts("blog", &["https://", login, ".example"]).text("location", "Zürich");
    object.parts("email", &["hello@", login, ".example"]).raw("twitter_username", "null");
    object.flag("is_verified", true).flag("has_organization_projects", true).flag("has_repository_projects", true);
    object.number("public_repos", size(public)).number("public_gists", 0);
    object.number("followers", 0).number("following", 0).parts("html_url", &[&urls.html, "/", login]);
    object.text("created_at", &account.created_at).text("updated_at", "2024-05-01T08:00:00Z");
    object.raw("archived_at", "null").text("type", "Organization");
    object.number("total_private_repos", size(world.repo_count() - public));
    object.number("owned_private_repos", size(world.repo_count() - public)).number("private_gists", 0);
    object.number("disk_usage", 1000).number("collaborators", u64::from(world.shape.outside));
    object.parts("billing_email", &["billing@", login, ".example"]).text("default_repository_permission", "read");
    object.flag("members_can_create_repositories", true).flag("two_factor_requirement_enabled", true);
    object.text("members_allowed_repository_creation_type", "all");
    for (key, value) in [
        ("members_can_create_public_repositories", false),
        ("members_can_create_private_repositories", true),
        ("members_can_create_internal_repositories", true),
        ("members_can_create_pages", true),
        ("members_can_fork_private_repositories", false),
        ("members_can_create_public_pages", false),
        ("members_can_create_private_pages", true),
        ("web_commit_signoff_required", false),
    ] {
        object.flag(key, value);
    }
    let seats = size(world.member_count());
    object.nest("plan", |out| {
        let mut plan = Object::begin(out);
        plan.text("name", "enterprise").number("space", 976_562_499).number("private_repos", 999_999);
        plan.number("filled_seats", seats).number("seats", seats + 10);
        plan.end();
    });
    object.end();
}

/// `GET /users/{login}` for a person.
pub(super) fn user(out: &mut String, urls: &Urls, user: &User) {
    let mut object = Object::begin(out);
    simple_account(&mut object, urls, &user.login, user.id, &user.node_id, "User");
    object.maybe("name", user.name.as_deref()).maybe("company", user.company.as_deref()).text("blog", "");
    object.maybe("location", user.location.as_deref()).maybe("email", user.email.as_deref());
    object.raw("hireable", "null").raw("bio", "null").raw("twitter_username", "null");
    object.number("public_repos", 2).number("public_gists", 0).number("followers", 3).number("following", 1);
    object.text("created_at", &user.created_at).text("updated_at", "2024-05-01T08:00:00Z");
    object.end();
}

/// `GET /users/{login}` for the account that owns the repositories.
pub(super) fn owner_profile(out: &mut String, urls: &Urls, world: &World) {
    let account = world.account();
    let mut object = Object::begin(out);
    simple_account(&mut object, urls, &account.login, account.id, &account.node_id, account_type(&account));
    object.text("name", &account.name).raw("company", "null").text("blog", "").raw("location", "null");
    object.raw("email", "null").raw("hireable", "null").raw("bio", "null").raw("twitter_username", "null");
    object.number("public_repos", size(world.repo_count())).number("public_gists", 0);
    object.number("followers", 0).number("following", 0);
    object.text("created_at", &account.created_at).text("updated_at", "2024-05-01T08:00:00Z");
    object.end();
}

/// A repository, as lists and `GET /repos/{owner}/{repo}` show it. With a permission: what a team may do with it.
pub(super) fn repo(out: &mut String, urls: &Urls, owner: &Account, repo: &Repo, access: Option<Permission>) {
    let full = format!("{}/{}", owner.login, repo.name);
    let host = urls.html.trim_start_matches("https://").trim_start_matches("http://");
    let mut object = Object::begin(out);
    object.number("id", repo.id).text("node_id", &repo.node_id).text("name", &repo.name).text("full_name", &full);
    object.flag("private", repo.private()).nest("owner", |out| simple_owner(out, urls, owner));
    object.parts("html_url", &[&urls.html, "/", &full]).maybe("description", repo.description);
    object.flag("fork", repo.fork).parts("url", &[&urls.api, "/repos/", &full]);
    for (key, suffix) in REPO_URLS {
        object.parts(key, &[&urls.api, "/repos/", &full, suffix]);
    }
    object.text("created_at", &repo.created_at).text("updated_at", &repo.updated_at);
    object.maybe("pushed_at", repo.pushed_at.as_deref());
    object
        .parts("git_url", &["git://", host, "/", &full, ".git"])
        .parts("ssh_url", &["git@", host, ":", &full, ".git"]);
    object.parts("clone_url", &[&urls.html, "/", &full, ".git"]).parts("svn_url", &[&urls.html, "/", &full]);
    object.raw("homepage", "null").number("size", repo.size).number("stargazers_count", repo.stars);
    object.number("watchers_count", repo.stars).maybe("language", repo.language);
    object.flag("has_issues", true).flag("has_projects", true).flag("has_downloads", true).flag("has_wiki", false);
    object.flag("has_pages", false).flag("has_discussions", false).number("forks_count", 0).raw("mirror_url", "null");
    object.flag("archived", repo.archived).flag("disabled", false).number("open_issues_count", repo.open_issues);
    object.raw("license", "null").flag("allow_forking", false).flag("is_template", false);
    object.flag("web_commit_signoff_required", false).raw("topics", "[]").text("visibility", repo.visibility);
    object.number("forks", 0).number("open_issues", repo.open_issues).number("watchers", repo.stars);
    object.text("default_branch", repo.default_branch);
    // A credential in the middle of metadata. The real API does this as well.
    object.text("temp_clone_token", &repo.temp_clone_token);
    let shown = access.unwrap_or(Permission::Pull);
    object.nest("permissions", |out| permissions(out, shown));
    if let Some(access) = access {
        object.text("role_name", access.role_name());
    }
    object.end();
}

/// `{"admin":false,...}`: whoever may do more may do less as well.
fn permissions(out: &mut String, have: Permission) {
    let mut object = Object::begin(out);
    for permission in Permission::ALL.into_iter().rev() {
        object.flag(permission.as_str(), permission <= have);
    }
    object.end();
}

/// A person with access to a repository.
pub(super) fn collaborator(out: &mut String, urls: &Urls, world: &World, person: Person, permission: Permission) {
    let mut object = Object::begin(out);
    simple_account(&mut object, urls, &world.login(person), person.id(), &person.node_id(), "User");
    object.nest("permissions", |out| permissions(out, permission)).text("role_name", permission.role_name());
    object.end();
}

/// A team, as lists show it. With a permission: what it may do with the repository whose teams are listed.
pub(super) fn team(out: &mut String, urls: &Urls, world: &World, team: &Team, access: Option<Permission>) {
    let mut object = Object::begin(out);
    simple_team(&mut object, urls, world, team, access);
    object.nest("parent", |out| match team.parent {
        None => out.push_str("null"),
        Some(parent) => {
            let mut object = Object::begin(out);
            simple_team(&mut object, urls, world, &world.team(parent), None);
            object.end();
        }
    });
    object.end();
}

fn simple_team(object: &mut Object<'_>, urls: &Urls, world: &World, team: &Team, access: Option<Permission>) {
    let account = world.account();
    let base = format!("{}/organizations/{}/team/{}", urls.api, account.id, team.id);
    object.text("name", &team.name).number("id", team.id).text("node_id", &team.node_id).text("slug", &team.slug);
    object.maybe("description", team.description).text("privacy", team.privacy);
    object.text("notification_setting", "notifications_enabled").text("url", &base);
    object.parts("html_url", &[&urls.html, "/orgs/", &account.login, "/teams/", &team.slug]);
    object.parts("members_url", &[&base, "/members{/member}"]).parts("repositories_url", &[&base, "/repos"]);
    object.text("permission", access.unwrap_or(Permission::Pull).as_str());
    if let Some(access) = access {
        object.nest("permissions", |out| permissions(out, access));
    }
}

/// `GET /orgs/{org}/teams/{slug}`.
pub(super) fn full_team(out: &mut String, urls: &Urls, world: &World, team: &Team) {
    let mut object = Object::begin(out);
    simple_team(&mut object, urls, world, team, None);
    object.text("created_at", &team.created_at).text("updated_at", &team.created_at);
    object.number("members_count", size(world.team_members(team.index).len()));
    object.number("repos_count", size(world.team_repos(team.index).len()));
    object.nest("organization", |out| organization(out, urls, world));
    object.end();
}

/// `GET /orgs/{org}/memberships/{login}`.
pub(super) fn membership(out: &mut String, urls: &Urls, world: &World, person: Person, role: OrgRole) {
    let (account, login) = (world.account(), world.login(person));
    let organization = format!("{}/orgs/{}", urls.api, account.login);
    let mut object = Object::begin(out);
    object.parts("url", &[&organization, "/memberships/", &login]).text("state", "active");
    object.text("role", role.as_str()).text("organization_url", &organization);
    object.nest("user", |out| simple_user(out, urls, world, person));
    object.nest("organization", |out| simple_owner(out, urls, &account));
    object.end();
}

fn size(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
