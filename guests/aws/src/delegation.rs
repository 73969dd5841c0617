//! Delegation through the account: a role that trusts the root of its own account leaves it to the account's identity
//! policies who may assume it. Pure.

use crate::policy;
use serde_json::Value;

/// The action that identity policies have to allow.
const ACTION: &str = "sts:AssumeRole";

/// A statement of an identity policy that speaks of assuming roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    allow: bool,
    conditional: bool,
    /// The patterns say which resources it leaves out.
    excluding: bool,
    resources: Vec<String>,
}

/// What policies together say about a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Not allowed, or denied.
    No,
    /// Allowed or denied under a condition.
    Perhaps,
    /// Allowed.
    Yes,
}

/// The statements of a document that speak of assuming roles.
#[must_use]
pub fn grants(document: &Value) -> Vec<Grant> {
    let speaking = policy::statements(document).into_iter().filter(|s| policy::speaks_of(s, ACTION));
    let grant = |statement: &Value| {
        let excluding = statement.get("NotResource").is_some();
        let field = if excluding { "NotResource" } else { "Resource" };
        Grant {
            allow: policy::allows(statement),
            conditional: policy::is_conditional(statement),
            excluding,
            resources: policy::texts(statement, field).into_iter().map(str::to_owned).collect(),
        }
    };
    speaking.map(grant).collect()
}

impl Grant {
    /// It speaks of this role. A variable such as `${aws:username}` stands for whatever makes the bound upper: anything in
    /// what allows, nothing in what denies.
    fn covers(&self, role_arn: &str) -> bool {
        let generous = self.allow != self.excluding;
        let fits = |pattern: &String| match (pattern.contains("${"), generous) {
            (true, true) => policy::glob(&open(pattern), role_arn),
            (true, false) => false,
            (false, _) => policy::glob(pattern, role_arn),
        };
        self.resources.iter().any(fits) != self.excluding
    }
}

/// The pattern with `*` for each variable.
fn open(pattern: &str) -> String {
    let mut opened = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        opened.push_str(before);
        opened.push('*');
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    opened + rest
}

/// What policies say about assuming a role. A Deny wins; one with a condition makes the answer conditional.
#[must_use]
pub fn decide<'g>(grants: impl Iterator<Item = &'g Grant>, role_arn: &str) -> Verdict {
    let (mut allowed, mut perhaps_denied) = (Verdict::No, false);
    for grant in grants.filter(|grant| grant.covers(role_arn)) {
        match (grant.allow, grant.conditional) {
            (true, false) => allowed = Verdict::Yes,
            (true, true) => allowed = allowed.max(Verdict::Perhaps),
            (false, false) => return Verdict::No,
            (false, true) => perhaps_denied = true,
        }
    }
    if perhaps_denied { allowed.min(Verdict::Perhaps) } else { allowed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ROLE: &str = "arn:aws:iam::1:role/app/deploy";

    fn verdict(statements: Value) -> Verdict {
        decide(grants(&json!({"Statement": statements})).iter(), ROLE)
    }

    #[test]
    fn what_identity_policies_say() {
        let allow = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::1:role/app/*"});
        let deny = json!({"Effect": "Deny", "Action": "sts:*", "Resource": "*"});
        let condition = json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}});
        let with = |statement: &Value| {
            let mut statement = statement.clone();
            if let Some(fields) = statement.as_object_mut() {
                fields.insert("Condition".into(), condition.clone());
            }
            statement
        };
        assert_eq!(verdict(json!(allow)), Verdict::Yes);
        assert_eq!(verdict(json!([allow, deny])), Verdict::No);
        assert_eq!(verdict(json!([allow, with(&deny)])), Verdict::Perhaps);
        assert_eq!(verdict(json!([with(&allow)])), Verdict::Perhaps);
        assert_eq!(verdict(json!([with(&allow), allow])), Verdict::Yes);
        assert_eq!(verdict(json!([with(&deny)])), Verdict::No);
        assert_eq!(verdict(json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}])), Verdict::Yes);
        assert_eq!(verdict(json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}])), Verdict::No);
        assert_eq!(verdict(json!([{"Effect": "Allow", "Action": "*"}])), Verdict::No);
    }

    #[test]
    fn exclusions_and_variables_keep_the_bound_upper() {
        let one =
            |effect: &str, field: &str, pattern: &str| json!({"Effect": effect, "NotAction": "iam:*", field: pattern});
        assert_eq!(verdict(one("Allow", "NotResource", "arn:aws:iam::1:role/app/*")), Verdict::No);
        assert_eq!(verdict(one("Allow", "NotResource", "arn:aws:iam::1:role/other")), Verdict::Yes);
        assert_eq!(verdict(one("Allow", "Resource", "arn:aws:iam::1:role/${aws:username}/deploy")), Verdict::Yes);
        assert_eq!(verdict(one("Allow", "NotResource", "arn:aws:iam::1:role/${aws:username}/*")), Verdict::Yes);
        let all = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
        assert_eq!(
            verdict(json!([all, one("Deny", "Resource", "arn:aws:iam::1:role/${aws:username}/*")])),
            Verdict::Yes
        );
        assert_eq!(verdict(json!([all, one("Deny", "NotResource", "arn:aws:iam::1:role/${x}/*")])), Verdict::Yes);
    }
}
