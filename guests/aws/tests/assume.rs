//! Who can assume which role, from what earlier steps emitted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use common::{answer, aws, ends, run};
use porthole_sdk::testing::MemoryHost;
use serde_json::{Value, json};

fn arn(rest: &str) -> String {
    format!("arn:aws:iam::111111111111:{rest}")
}

fn allow(principal: Value) -> Value {
    json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})
}

fn role(host: MemoryHost, path: &str, trust: Value, boundary: &str) -> MemoryHost {
    let name = path.rsplit('/').next().unwrap();
    let document = json!({"Version": "2012-10-17", "Statement": trust}).to_string();
    let mut properties = json!({"name": name, "trustPolicy": document});
    if !boundary.is_empty() {
        properties["permissionsBoundaryArn"] = boundary.into();
    }
    host.stored("aws_iam_role", &arn(&format!("role/{path}")), properties)
}

fn inline(host: MemoryHost, kind: &str, principal: &str, statement: Value) -> MemoryHost {
    let document = json!({"Statement": [statement]}).to_string();
    let key = format!("aws_iam_{kind}_policy:{principal}:p");
    host.stored(&format!("aws_iam_{kind}_policy"), &key, json!({"principalArn": principal, "policy": document}))
}

/// Everything that the step reads back, empty.
fn empty() -> MemoryHost {
    ["user", "group", "role", "managed_policy", "user_policy", "group_policy", "role_policy"]
        .iter()
        .fold(aws(), |host, kind| host.reads(&format!("aws_iam_{kind}")))
}

#[test]
fn the_trust_policy_says_who_and_every_edge_carries_its_source() {
    let trust = json!([
        allow(json!({"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]})),
        allow(json!({"AWS": ["arn:aws:sts::111111111111:assumed-role/ci/bot", "222222222222", "*"]})),
    ]);
    let host = role(empty(), "target", trust, "");
    let host = role(host, "path/ci", json!([]), "");
    run(&host, "iam-trust").unwrap();
    let target = arn("role/target");
    let edges = |kind: &str| host.relationships(&format!("{kind}_can_assume_aws_iam_role"));
    assert_eq!(ends(&edges("aws_lambda")), [("aws_lambda:111111111111", target.as_str())]);
    assert_eq!(ends(&edges("aws_service")), [("service:states.amazonaws.com", target.as_str())]);
    assert_eq!(ends(&edges("everyone")), [("global:everyone", target.as_str())]);
    let role = &edges("aws_iam_role")[0];
    assert_eq!((role.from_key.as_str(), role.to_key.as_str()), (arn("role/path/ci").as_str(), target.as_str()));
    assert_eq!((&role.properties["sessionName"], &role.properties["crossAccount"]), (&json!("bot"), &json!(false)));
    let account = &edges("aws_account")[0];
    assert_eq!(account.from_key, "arn:aws:iam::222222222222:root");
    assert_eq!(Value::Object(account.properties.clone()), json!({"conditional": false, "crossAccount": true}));
    let far = account.far.as_ref().unwrap();
    assert_eq!(
        (far.end.as_str(), far.object_type.as_str(), far.class.as_slice()),
        ("from", "aws_account", ["Account".to_owned()].as_slice())
    );
    assert!(host.calls().is_empty(), "nothing trusts its own account, so nothing is asked");
}

#[test]
fn the_account_delegates_to_identity_policies() {
    let admin = arn("policy/admin");
    let own_root = json!({"AWS": "111111111111"});
    let trust = json!([
        allow(own_root),
        {"Effect": "Deny", "Principal": {"AWS": arn("user/eve")}, "Action": "sts:AssumeRole"},
    ]);
    let may = |resource: &str| json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": resource});
    let user = |host: MemoryHost, name: &str| {
        host.stored("aws_iam_user", &arn(&format!("user/{name}")), json!({"username": name}))
    };
    let mut host = role(empty(), "open", trust, "");
    host = role(host, "closed", json!([allow(json!({"AWS": arn("user/ann")}))]), "");
    host = role(host, "runner", json!([]), &arn("policy/boundary"));
    for name in ["ann", "bob", "eve", "fay", "gus"] {
        host = user(host, name);
    }
    host = host.stored("aws_iam_group", &arn("group/ops"), json!({"name": "ops"}));
    host = host.stored("aws_iam_group", &arn("group/idle"), json!({"name": "idle"}));
    // Ann by her own policy, under a condition; Eve too, but the role denies her; Fay by her group; Gus is bounded.
    let mut conditional = may(&arn("role/*"));
    conditional["Condition"] = json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}});
    host = inline(host, "user", &arn("user/ann"), conditional);
    host = inline(host, "user", &arn("user/eve"), may("*"));
    host = inline(host, "user", &arn("user/gus"), may("*"));
    host = inline(host, "group", &arn("group/ops"), may(&arn("role/open")));
    host = inline(host, "group", &arn("group/idle"), json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}));
    host = inline(host, "role", &arn("role/closed"), may(&arn("role/other")));
    let all = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}).to_string();
    host = host.stored("aws_iam_managed_policy", &admin, json!({"policy": all}));
    let attached =
        "<PolicyRoles><member><RoleName>runner</RoleName></member></PolicyRoles><PolicyUsers/><PolicyGroups/>";
    host = host.raw(
        "iam:ListEntitiesForPolicy",
        &[("PolicyArn", &admin)],
        &[],
        &answer("ListEntitiesForPolicy", attached),
    );
    let fay = format!("<Users><member><UserName>fay</UserName><Arn>{}</Arn></member></Users>", arn("user/fay"));
    host = host.raw("iam:GetGroup", &[("GroupName", "ops")], &[], &answer("GetGroup", &fay));
    for name in ["ann", "eve", "fay"] {
        host = host.raw("iam:GetUser", &[("UserName", name)], &[], &answer("GetUser", "<User><Path>/</Path></User>"));
    }
    let boundary = |name: &str| {
        format!(
            "<User><PermissionsBoundary><PermissionsBoundaryArn>{}</PermissionsBoundaryArn></PermissionsBoundary></User>",
            arn(name)
        )
    };
    host = host.raw("iam:GetUser", &[("UserName", "gus")], &[], &answer("GetUser", &boundary("policy/narrow")));
    // Neither boundary is among the policies that were collected.
    let found = "<Policy><DefaultVersionId>v3</DefaultVersionId></Policy>";
    for (name, document) in [
        ("policy/narrow", json!({"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}})),
        ("policy/boundary", json!({"Statement": {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}})),
    ] {
        let version = format!("<PolicyVersion><Document>{document}</Document></PolicyVersion>");
        let policy = arn(name);
        host = host.raw("iam:GetPolicy", &[("PolicyArn", &policy)], &[], &answer("GetPolicy", found)).raw(
            "iam:GetPolicyVersion",
            &[("PolicyArn", &policy), ("VersionId", "v3")],
            &[],
            &answer("GetPolicyVersion", &version),
        );
    }
    run(&host, "iam-trust").unwrap();
    let open = arn("role/open");
    let users = host.relationships("aws_iam_user_can_assume_aws_iam_role");
    let shown: Vec<_> =
        users.iter().map(|e| (e.from_key.as_str(), e.to_key.as_str(), &e.properties["conditional"])).collect();
    let (ann, fay, closed) = (arn("user/ann"), arn("user/fay"), arn("role/closed"));
    assert_eq!(
        shown,
        [(ann.as_str(), closed.as_str(), &json!(false)), (&ann, &open, &json!(true)), (&fay, &open, &json!(false))]
    );
    assert!(!users[0].properties.contains_key("via") && users[1].properties["via"] == "identity-policy");
    let roles = host.relationships("aws_iam_role_can_assume_aws_iam_role");
    assert_eq!(ends(&roles), [(arn("role/runner").as_str(), open.as_str())]);
    let asked = |operation: &str| host.calls().iter().filter(|c| c.operation() == operation).count();
    assert_eq!((asked("iam:GetGroup"), asked("iam:GetUser"), asked("iam:ListEntitiesForPolicy")), (1, 4, 1));
}

#[test]
fn a_role_without_a_trust_policy_fails_the_step_after_the_others() {
    let host = role(empty(), "a", json!([allow(json!({"Service": "ec2.amazonaws.com"}))]), "");
    let host = host.stored("aws_iam_role", &arn("role/b"), json!({"name": "b"}));
    let error = run(&host, "iam-trust").unwrap_err().to_string();
    assert!(error.contains("role/b` without a trust policy"), "{error}");
    assert_eq!(host.relationships("aws_ec2_can_assume_aws_iam_role").len(), 1);
}
