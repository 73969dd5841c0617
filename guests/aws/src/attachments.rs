//! To whom managed policies are attached. One list for each policy: what would ask the other way round isn't in the
//! permissions that people grant.

use crate::engine::Run;
use crate::iam::{GROUP, MANAGED_POLICY, ROLE, USER};
use crate::path;
use crate::spec::{Ask, Code, Link, Place, Step, Work, ask_with, from};
use porthole_sdk::{Relationship, StepError};

/// Those to whom a policy is attached; as permissions, not as a boundary: the operation says so.
pub const ATTACHED: Ask =
    ask_with("iam:ListEntitiesForPolicy", &[("PolicyArn", "{KEY}")], "ListEntitiesForPolicyResult");
/// Where the reply names them: users, groups, roles. It has no ARNs.
pub const NAMES: [&str; 3] =
    ["PolicyUsers/member/UserName", "PolicyGroups/member/GroupName", "PolicyRoles/member/RoleName"];
/// Their types, in the same order, and the property that has the name.
const KINDS: [(&str, &str); 3] = [(USER, "username"), (GROUP, "name"), (ROLE, "name")];

/// The step.
pub const STEP: Step = Step {
    id: "iam-attachments",
    title: "Attachments of managed policies",
    place: Place::Account,
    needs: &["iam-users", "iam-groups", "iam-roles", "iam-managed-policies"],
    work: Work::Code(Code {
        uses: &["iam:ListEntitiesForPolicy"],
        reads: &[(USER, &["username"]), (GROUP, &["name"]), (ROLE, &["name"]), (MANAGED_POLICY, &[])],
        entities: Vec::new,
        links,
        run,
    }),
};

fn links() -> Vec<(&'static str, Link)> {
    KINDS.iter().map(|(kind, _)| (MANAGED_POLICY, from("HAS", kind, ".", ""))).collect()
}

fn run(run: &Run<'_>) -> Result<(), StepError> {
    let mut known = Vec::new();
    for (names, (kind, property)) in NAMES.into_iter().zip(KINDS) {
        known.push((names, kind, run.keys_by(property, kind)?));
    }
    let mut out = run.cx.emitter();
    run.stored(MANAGED_POLICY, &mut |policies| {
        run.each(&ATTACHED, policies, &mut |pages| {
            for page in pages {
                let policy = page.text_above("KEY");
                for (names, kind, keys) in &known {
                    for name in path::each(&page.value, names).into_iter().filter_map(|name| name.as_str()) {
                        // One that was made since the list of its kind was read is in the next run.
                        if let Some(key) = keys.get(name) {
                            out.relationship(Relationship::new(kind, "HAS", MANAGED_POLICY, key, &policy))?;
                        }
                    }
                }
            }
            Ok(())
        })
    })?;
    Ok(out.finish()?)
}
