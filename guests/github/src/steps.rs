//! The steps: one table, then one function each. A function calls, converts and emits; when it had to leave something out
//! it fails at its end, so that nothing it didn't understand is taken for gone.

use crate::client;
use crate::convert::{self, Owner};
use crate::kind::{
    ACCOUNT, ACCOUNT_HAS_TEAM, ACCOUNT_HAS_USER, ACCOUNT_OWNS_REPO, Kind, Link, REPO, TEAM, TEAM_ALLOWS_REPO,
    TEAM_HAS_USER, USER, USER_ALLOWS_REPO,
};
use crate::reply::{Account, Members, Organization, Person, Repo, Team};
use porthole_sdk::{Cx, Skipped, StepError, Steps};

/// Parts of the step `collaborators`. Never change it: every relationship would move to another slice.
const BUCKETS: u64 = 32;

/// Says the partitions of a step.
pub type Partitions = fn(&Cx<'_>) -> Result<Vec<String>, StepError>;

/// A step: what it emits, and how. The same as in `manifest.toml`; a test compares.
pub struct Step {
    /// Its id.
    pub id: &'static str,
    /// The entity types it emits.
    pub entities: &'static [Kind],
    /// The relationship types it emits.
    pub relationships: &'static [Link],
    /// Its partitions, when it has any.
    pub partitions: Option<Partitions>,
    /// The work.
    pub run: fn(&Cx<'_>, &str) -> Result<(), StepError>,
}

/// Every step.
pub const STEPS: &[Step] = &[
    Step { id: "account", entities: &[ACCOUNT], relationships: &[], partitions: None, run: account },
    Step { id: "repos", entities: &[REPO], relationships: &[ACCOUNT_OWNS_REPO], partitions: None, run: repos },
    Step { id: "members", entities: &[USER], relationships: &[ACCOUNT_HAS_USER], partitions: None, run: members },
    Step { id: "teams", entities: &[TEAM], relationships: &[ACCOUNT_HAS_TEAM], partitions: None, run: teams },
    Step {
        id: "team-members",
        entities: &[],
        relationships: &[TEAM_HAS_USER],
        partitions: Some(team_slugs),
        run: team_members,
    },
    Step {
        id: "team-repos",
        entities: &[],
        relationships: &[TEAM_ALLOWS_REPO],
        partitions: Some(team_slugs),
        run: team_repos,
    },
    Step {
        id: "collaborators",
        entities: &[],
        relationships: &[USER_ALLOWS_REPO],
        partitions: Some(buckets),
        run: collaborators,
    },
];

/// The GitHub integration.
pub struct Github;

impl Steps for Github {
    fn run(&self, cx: &Cx<'_>, step: &str, partition: &str) -> Result<(), StepError> {
        (find(step)?.run)(cx, partition)
    }

    fn partitions(&self, cx: &Cx<'_>, step: &str) -> Result<Vec<String>, StepError> {
        let partitions = find(step)?.partitions.ok_or_else(|| StepError::not_partitioned(step))?;
        partitions(cx)
    }
}

fn find(id: &str) -> Result<&'static Step, StepError> {
    STEPS.iter().find(|s| s.id == id).ok_or_else(|| StepError::unknown_step(id))
}

/// The account, and what it is. The other steps depend on it: an organisation has members and teams, a user has none.
fn account(cx: &Cx<'_>, _: &str) -> Result<(), StepError> {
    let account: Account = cx.call(client::get_account())?.json()?;
    let owner = Owner::parse(account.r#type.as_deref()).map_err(StepError::Unexpected)?;
    let organization: Option<Organization> = match owner {
        Owner::Organization => Some(cx.call(client::get_organization())?.json()?),
        Owner::User => None,
    };
    let entity = convert::account(&account, organization.as_ref()).map_err(StepError::Unexpected)?;
    let mut out = cx.emitter();
    out.entity(entity)?;
    Ok(out.finish()?)
}

fn repos(cx: &Cx<'_>, _: &str) -> Result<(), StepError> {
    let (account, owner) = client::read_account(cx)?;
    let (mut out, mut skipped) = (cx.emitter(), Skipped::default());
    for page in cx.pages(client::list_repos(owner)) {
        for reply in page?.list::<Repo>()? {
            let Some(repo) = skipped.unless(convert::repo(&reply)) else { continue };
            out.relationship(convert::link(ACCOUNT_OWNS_REPO, &account, repo.key()))?;
            out.entity(repo)?;
        }
        cx.progress(out.objects() / 2, None);
    }
    out.finish()?;
    skipped.finish()
}

fn members(cx: &Cx<'_>, _: &str) -> Result<(), StepError> {
    let Some(account) = organization(cx)? else { return Ok(()) };
    let (mut out, mut skipped) = (cx.emitter(), Skipped::default());
    for page in cx.pages(client::list_members()) {
        let reply: Members = page?.json()?;
        let edges = reply.data.and_then(|d| d.organization).and_then(|o| o.members_with_role).and_then(|m| m.edges);
        let hidden = || StepError::Unexpected("GitHub shows this credential no members of the organisation".to_owned());
        for edge in edges.ok_or_else(hidden)? {
            let Some((user, role)) = skipped.unless(convert::member(&edge.unwrap_or_default())) else { continue };
            out.relationship(convert::link(ACCOUNT_HAS_USER, &account, user.key()).prop("role", role))?;
            out.entity(user)?;
        }
        cx.progress(out.objects() / 2, None);
    }
    // An outside collaborator is no member: what connects it to the account are the repositories it may use.
    for page in cx.pages(client::list_outside_collaborators()) {
        for reply in page?.list::<Person>()? {
            if let Some(user) = skipped.unless(convert::outside_collaborator(&reply)) {
                out.entity(user)?;
            }
        }
    }
    out.finish()?;
    skipped.finish()
}

fn teams(cx: &Cx<'_>, _: &str) -> Result<(), StepError> {
    let Some(account) = organization(cx)? else { return Ok(()) };
    let (mut out, mut skipped) = (cx.emitter(), Skipped::default());
    for page in cx.pages(client::list_teams()) {
        for reply in page?.list::<Team>()? {
            let Some(team) = skipped.unless(convert::team(&reply)) else { continue };
            out.relationship(convert::link(ACCOUNT_HAS_TEAM, &account, team.key()))?;
            out.entity(team)?;
        }
    }
    out.finish()?;
    skipped.finish()
}

fn team_members(cx: &Cx<'_>, slug: &str) -> Result<(), StepError> {
    let team = team_key(cx, slug)?;
    let (mut out, mut skipped) = (cx.emitter(), Skipped::default());
    for role in ["maintainer", "member"] {
        for page in cx.pages(client::list_team_members(slug, role)) {
            for reply in page?.list::<Person>()? {
                let Some(user) = skipped.unless(convert::person_key(&reply)) else { continue };
                out.relationship(convert::link(TEAM_HAS_USER, &team, &user).prop("role", role))?;
            }
        }
    }
    out.finish()?;
    skipped.finish()
}

fn team_repos(cx: &Cx<'_>, slug: &str) -> Result<(), StepError> {
    let team = team_key(cx, slug)?;
    let (mut out, mut skipped) = (cx.emitter(), Skipped::default());
    for page in cx.pages(client::list_team_repos(slug)) {
        for reply in page?.list::<Repo>()? {
            let Some(repo) = skipped.unless(convert::repo_key(&reply)) else { continue };
            let permission = convert::permission(reply.role_name.as_deref(), reply.permissions);
            let Some(permission) = skipped.unless(permission) else { continue };
            out.relationship(convert::link(TEAM_ALLOWS_REPO, &team, &repo).prop("permission", permission))?;
        }
    }
    out.finish()?;
    skipped.finish()
}

/// The repositories of one bucket, many at once. One that can't be read is said in the run log and leaves the bucket
/// incomplete; the others are collected.
fn collaborators(cx: &Cx<'_>, partition: &str) -> Result<(), StepError> {
    let mut repos = Vec::new();
    for repo in client::read_repos(cx) {
        let repo = repo?;
        if bucket(&repo.key) == partition {
            repos.push(repo);
        }
    }
    let total = repos.len() as u64;
    let (mut out, mut skipped, mut done) = (cx.emitter(), Skipped::default(), 0);
    let lists = repos.into_iter().map(|repo| {
        let call = client::list_collaborators(&repo.properties.name);
        (repo.key, call)
    });
    let outcome = cx.pages_many(lists, |repo, page| {
        done += u64::from(page.next.is_none());
        cx.progress(done, Some(total));
        for reply in page.list::<Person>()? {
            let Some(user) = skipped.unless(convert::person_key(&reply)) else { continue };
            let permission = convert::permission(reply.role_name.as_deref(), reply.permissions);
            let Some(permission) = skipped.unless(permission) else { continue };
            out.relationship(convert::link(USER_ALLOWS_REPO, &user, repo).prop("permission", permission))?;
        }
        Ok(())
    })?;
    out.finish()?;
    skipped.finish()?;
    if outcome.complete == 0 && outcome.failed > 0 {
        return Err(StepError::Call(format!(
            "none of the {} repositories could be read; see the run log",
            outcome.failed
        )));
    }
    Ok(())
}

/// The account's key, when it is an organisation.
fn organization(cx: &Cx<'_>) -> Result<Option<String>, StepError> {
    match client::read_account(cx)? {
        (account, Owner::Organization) => Ok(Some(account)),
        (_, Owner::User) => {
            cx.info("a user's account has no members and no teams");
            Ok(None)
        }
    }
}

fn team_slugs(cx: &Cx<'_>) -> Result<Vec<String>, StepError> {
    client::read_teams(cx).map(|team| Ok(team?.properties.slug)).collect()
}

fn team_key(cx: &Cx<'_>, slug: &str) -> Result<String, StepError> {
    for team in client::read_teams(cx) {
        let team = team?;
        if team.properties.slug == slug {
            return Ok(team.key);
        }
    }
    Err(StepError::Other(format!("there is no team `{slug}`")))
}

/// All buckets, empty or not, so that the partitions stay the same whatever the repositories. A user's account has none:
/// those it shares its repositories with are nobody's members, and there would be no `github_user` at the near end.
fn buckets(cx: &Cx<'_>) -> Result<Vec<String>, StepError> {
    Ok(match client::read_account(cx)?.1 {
        Owner::Organization => (0..BUCKETS).map(bucket_name).collect(),
        Owner::User => Vec::new(),
    })
}

/// The bucket of a repository: FNV-1a of its key, folded because its low bits alone mix badly. The key and not the name,
/// because a repository that was renamed must stay in its slice.
#[must_use]
pub fn bucket(key: &str) -> String {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    bucket_name((hash ^ (hash >> 32)) % BUCKETS)
}

fn bucket_name(number: u64) -> String {
    format!("{number:02}")
}
