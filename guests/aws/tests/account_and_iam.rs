//! The account and its identities, with replies as AWS sends them (shortened, with made-up names).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use common::{ACCOUNT, answer, aws, bare, ends, run, xml};
use porthole_aws::Aws;
use porthole_sdk::testing::MemoryHost;
use porthole_sdk::{Fault, StepError};
use serde_json::{Value, json};

const ANN: &str = "arn:aws:iam::111111111111:user/dev/ann@acme.example";
const OPS: &str = "arn:aws:iam::111111111111:group/ops";
const DEPLOY: &str = "arn:aws:iam::111111111111:role/app/deploy";
const LOCAL: &str = "arn:aws:iam::111111111111:policy/local";

fn identity(host: MemoryHost) -> MemoryHost {
    let caller = format!(
        "<Arn>arn:aws:sts::{ACCOUNT}:assumed-role/porthole/x</Arn><UserId>A:x</UserId><Account>{ACCOUNT}</Account>"
    );
    let summary = "<SummaryMap><entry><key>Users</key><value>3</value></entry>\
        <entry><key>AccountMFAEnabled</key><value>1</value></entry>\
        <entry><key>AccountAccessKeysPresent</key><value>0</value></entry></SummaryMap>";
    host.raw("sts:GetCallerIdentity", &[], &[], &answer("GetCallerIdentity", &caller)).raw(
        "iam:GetAccountSummary",
        &[],
        &[],
        &answer("GetAccountSummary", summary),
    )
}

#[test]
fn the_account_has_its_services_whatever_is_in_them() {
    let aliases = "<IsTruncated>false</IsTruncated><AccountAliases><member>acme-prod</member></AccountAliases>";
    let host = identity(bare()).raw("iam:ListAccountAliases", &[], &[], &answer("ListAccountAliases", aliases));
    run(&host, "account").unwrap();
    let accounts = host.entities("aws_account");
    assert_eq!((accounts[0].key.as_str(), accounts[0].name.as_str()), ("arn:aws:iam::111111111111:root", "acme-prod"));
    assert_eq!(
        Value::Object(accounts[0].properties.clone()),
        json!({"name": "acme-prod", "accountId": ACCOUNT, "collected": true, "aliases": ["acme-prod"], "partition": "aws",
            "rootMfaEnabled": true, "rootAccessKeysPresent": false})
    );
    for service in ["apigateway", "config", "ec2", "iam", "lambda", "s3"] {
        let key = format!("aws_{service}:{ACCOUNT}");
        assert_eq!(host.entities(&format!("aws_{service}"))[0].key, key);
        let has = host.relationships(&format!("aws_account_has_aws_{service}"));
        assert_eq!(ends(&has), [("arn:aws:iam::111111111111:root", key.as_str())]);
    }
    assert!(host.calls().iter().all(|c| c.credential_slot() == Some("aws")));
}

#[test]
fn an_account_without_alias_is_called_by_its_number_and_an_organisation_has_accounts() {
    let aliases = answer("ListAccountAliases", "<IsTruncated>false</IsTruncated><AccountAliases/>");
    let config = json!({"partition": "aws", "regions": "all", "organization": "yes", "sts_region": "us-east-1"});
    let host = identity(bare().config(config)).raw("iam:ListAccountAliases", &[], &[], &aliases).pages(
        "organizations:ListAccounts",
        &[],
        [
            json!({"Accounts": [{"Id": ACCOUNT, "Name": "Main", "Status": "ACTIVE"}], "NextToken": "x"}),
            json!({"Accounts": [{"Id": "222222222222", "Name": "Dev", "Email": "dev@acme.example", "Status": "ACTIVE"}]}),
        ],
    );
    run(&host, "account").unwrap();
    let accounts = host.entities("aws_account");
    assert_eq!(accounts.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), [ACCOUNT, "Dev"]);
    assert!(accounts[1].properties.get("collected").is_none() && accounts[1].properties["status"] == "ACTIVE");
    let has = host.relationships("aws_account_has_aws_account");
    assert_eq!(ends(&has), [("arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:root")]);
    assert_eq!(host.unfollowed_pages(), 0);
}

#[test]
fn an_answer_that_names_no_account_is_refused() {
    for body in
        [answer("GetCallerIdentity", "<Account>12</Account>"), b"<html><p>busy</p></html>".to_vec(), b"busy".to_vec()]
    {
        let host = bare().raw("sts:GetCallerIdentity", &[], &[], &body);
        assert!(matches!(run(&host, "account"), Err(StepError::Unexpected(_))));
    }
}

#[test]
fn regions_are_those_that_are_on_or_that_are_named() {
    let regions = "<regionInfo><item><regionName>us-east-1</regionName><optInStatus>opt-in-not-required</optInStatus></item>\
        <item><regionName>af-south-1</regionName><optInStatus>opted-in</optInStatus></item>\
        <item><regionName>me-south-1</regionName><optInStatus>not-opted-in</optInStatus></item></regionInfo>";
    let host = bare().raw("ec2:DescribeRegions", &[], &[], &xml("DescribeRegionsResponse", regions));
    assert_eq!(host.partitions(&Aws, "ec2-vpcs").unwrap(), ["af-south-1", "us-east-1"]);
    let named = json!({"partition": "aws", "regions": "us-east-1 eu-west-1 us-east-1"});
    assert_eq!(bare().config(named).partitions(&Aws, "ec2-vpcs").unwrap(), ["eu-west-1", "us-east-1"]);
    assert!(host.partitions(&Aws, "iam-users").is_err() && host.partitions(&Aws, "none").is_err());
}

#[test]
fn steps_without_an_account_say_so() {
    let host = bare().reads("aws_account");
    assert!(run(&host, "iam-users").unwrap_err().to_string().contains("found no account"));
}

#[test]
fn users_with_tags_and_a_second_factor() {
    let users = format!(
        "<IsTruncated>false</IsTruncated><Users><member><Path>/dev/</Path><UserName>ann@acme.example</UserName>\
         <UserId>AIDA1</UserId><Arn>{ANN}</Arn><CreateDate>2020-01-02T03:04:05Z</CreateDate>\
         <PasswordLastUsed>2024-05-06T07:08:09Z</PasswordLastUsed></member>\
         <member><UserName>bob</UserName><UserId>AIDA2</UserId><Arn>arn:aws:iam::111111111111:user/bob</Arn></member></Users>"
    );
    let tags = "<IsTruncated>false</IsTruncated><Tags><member><Key>team</Key><Value>a &amp; b</Value></member></Tags>";
    let device = "<MFADevices><member><UserName>x</UserName><SerialNumber>arn:aws:iam::111111111111:mfa/x</SerialNumber>\
        </member></MFADevices>";
    let (ann, bob) = ([("UserName", "ann@acme.example")], [("UserName", "bob")]);
    let host = aws()
        .raw("iam:ListUsers", &[], &[], &answer("ListUsers", &users))
        .raw("iam:ListUserTags", &ann, &[], &answer("ListUserTags", tags))
        .raw("iam:ListMFADevices", &ann, &[], &answer("ListMFADevices", device))
        .empty("iam:ListUserTags", &bob, 404)
        .raw("iam:ListMFADevices", &bob, &[], &answer("ListMFADevices", "<MFADevices/>"));
    run(&host, "iam-users").unwrap();
    let users = host.entities("aws_iam_user");
    assert_eq!(
        (users[0].key.as_str(), users[0].name.as_str(), &users[0].class),
        (ANN, "ann@acme.example", &vec!["User".to_owned()])
    );
    assert_eq!(
        Value::Object(users[0].properties.clone()),
        json!({"arn": ANN, "username": "ann@acme.example", "name": "ann@acme.example", "userId": "AIDA1", "path": "/dev/",
            "createdOn": "2020-01-02T03:04:05Z", "passwordLastUsedOn": "2024-05-06", "mfaEnabled": true, "tag.team": "a & b"})
    );
    assert_eq!(users[1].properties["mfaEnabled"], false);
    assert_eq!(ends(&host.relationships("aws_iam_has_aws_iam_user"))[0], ("aws_iam:111111111111", ANN));
    assert_eq!(host.most_at_once(), 2);
}

#[test]
fn what_cannot_be_asked_about_a_user_is_left_out_and_the_user_stays() {
    let user = json!({"UserName": "bob", "UserId": "AIDA2", "Arn": "arn:aws:iam::111111111111:user/bob"});
    let host = aws()
        .pages(
            "iam:ListUsers",
            &[],
            [
                json!({"ListUsersResult": {"Users": {"member": user}}}),
                json!({"ListUsersResult": {"Users": {"member": [{"UserName": "no arn"}]}}}),
            ],
        )
        .fault("iam:ListUserTags", &[("UserName", "bob")], Fault::status(403, "AccessDenied"));
    let error = run(&host, "iam-users").unwrap_err();
    assert_eq!(error, StepError::Unexpected("1 left out, for example: aws_iam_user without Arn".into()));
    let users = host.entities("aws_iam_user");
    assert_eq!(users.len(), 1);
    assert!(!users[0].properties.contains_key("mfaEnabled"));
    assert!(host.logs().iter().any(|line| line.message.contains("AccessDenied")));
    assert_eq!(host.unfollowed_pages(), 0);
}

#[test]
fn roles_show_whom_they_trust_without_the_secret() {
    let trust = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A\
        %7B%22AWS%22%3A%5B%22222222222222%22%2C%22AIDAGONE%22%5D%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%2C%22Condition%22\
        %3A%7B%22StringEquals%22%3A%7B%22sts%3AExternalId%22%3A%22hush%22%7D%7D%7D%5D%7D";
    let roles = format!(
        "<Roles><member><RoleName>deploy</RoleName><RoleId>AROA1</RoleId><Arn>{DEPLOY}</Arn><Path>/app/</Path>\
         <MaxSessionDuration>3600</MaxSessionDuration><AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument></member></Roles>"
    );
    let role = "<Role><RoleName>deploy</RoleName><Tags><member><Key>env</Key><Value>prod</Value></member></Tags>\
        <RoleLastUsed><LastUsedDate>2024-05-06T07:08:09Z</LastUsedDate><Region>eu-west-1</Region></RoleLastUsed>\
        <PermissionsBoundary><PermissionsBoundaryType>Policy</PermissionsBoundaryType>\
        <PermissionsBoundaryArn>arn:aws:iam::111111111111:policy/b</PermissionsBoundaryArn></PermissionsBoundary></Role>";
    let host = aws().raw("iam:ListRoles", &[], &[], &answer("ListRoles", &roles)).raw(
        "iam:GetRole",
        &[("RoleName", "deploy")],
        &[],
        &answer("GetRole", role),
    );
    run(&host, "iam-roles").unwrap();
    let role = &host.entities("aws_iam_role")[0].properties;
    assert_eq!((&role["maxSessionSeconds"], &role["tag.env"]), (&json!(3600), &json!("prod")));
    assert_eq!(role["lastUsedOn"], "2024-05-06");
    assert_eq!(role["permissionsBoundaryArn"], "arn:aws:iam::111111111111:policy/b");
    assert_eq!(role["unresolvedPrincipals"], json!(["AIDAGONE"]));
    let policy = role["trustPolicy"].as_str().unwrap();
    assert!(!policy.contains("hush") && policy.contains("[redacted]") && policy.contains("222222222222"), "{policy}");
}

#[test]
fn managed_policies_are_the_accounts_own_and_those_of_aws_that_are_attached() {
    let list = |name: &str, arn: &str| {
        let policy = format!(
            "<PolicyName>{name}</PolicyName><PolicyId>ANPA</PolicyId><Arn>{arn}</Arn><DefaultVersionId>v2</DefaultVersionId>"
        );
        answer(
            "ListPolicies",
            &format!("<IsTruncated>false</IsTruncated><Policies><member>{policy}</member></Policies>"),
        )
    };
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    let version = answer(
        "GetPolicyVersion",
        "<PolicyVersion><Document>%7B%22Statement%22%3A%5B%5D%7D</Document><VersionId>v2</VersionId></PolicyVersion>",
    );
    let host = aws()
        .raw("iam:ListPolicies", &[("Scope", "Local"), ("OnlyAttached", "false")], &[], &list("local", LOCAL))
        .raw(
            "iam:ListPolicies",
            &[("Scope", "AWS"), ("OnlyAttached", "true")],
            &[],
            &list("AdministratorAccess", admin),
        )
        .raw("iam:GetPolicyVersion", &[("PolicyArn", LOCAL), ("VersionId", "v2")], &[], &version)
        .raw("iam:GetPolicyVersion", &[("PolicyArn", admin), ("VersionId", "v2")], &[], &version);
    run(&host, "iam-managed-policies").unwrap();
    let policies = host.entities("aws_iam_managed_policy");
    assert_eq!(policies.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), [LOCAL, admin]);
    assert_eq!(policies[0].properties["policy"], r#"{"Statement":[]}"#);
}

#[test]
fn inline_policies_belong_to_their_principal() {
    let names = "<PolicyNames><member>p1</member><member>p2</member></PolicyNames><IsTruncated>false</IsTruncated>";
    let policy = |name: &str| {
        let inner = format!(
            "<UserName>ann</UserName><PolicyName>{name}</PolicyName><PolicyDocument>%7B%22Statement%22%3A%7B%7D%7D</PolicyDocument>"
        );
        answer("GetUserPolicy", &inner)
    };
    let host = aws()
        .stored("aws_iam_user", ANN, json!({"name": "ann"}))
        .raw("iam:ListUserPolicies", &[("UserName", "ann")], &[], &answer("ListUserPolicies", names))
        .raw("iam:GetUserPolicy", &[("UserName", "ann"), ("PolicyName", "p1")], &[], &policy("p1"))
        .raw("iam:GetUserPolicy", &[("UserName", "ann"), ("PolicyName", "p2")], &[], &policy("p2"));
    run(&host, "iam-user-policies").unwrap();
    let policies = host.entities("aws_iam_user_policy");
    assert_eq!((policies.len(), policies[0].name.as_str()), (2, "p1"));
    assert_eq!(policies[0].key, format!("aws_iam_user_policy:{ANN}:p1"));
    assert_eq!(policies[0].properties["principalArn"], ANN);
    assert_eq!(ends(&host.relationships("aws_iam_user_has_aws_iam_user_policy"))[1], (ANN, policies[1].key.as_str()));
    assert_eq!(host.relationships("aws_iam_has_aws_iam_user_policy").len(), 2);
}

#[test]
fn groups_contain_users_and_a_group_that_fails_leaves_the_others() {
    let member = format!("<Group><Arn>{OPS}</Arn></Group><Users><member><Arn>{ANN}</Arn></member></Users>");
    let host = aws()
        .stored("aws_iam_group", OPS, json!({"name": "ops"}))
        .stored("aws_iam_group", "arn:aws:iam::111111111111:group/x", json!({"name": "x"}))
        .raw("iam:GetGroup", &[("GroupName", "ops")], &[], &answer("GetGroup", &member))
        .fault("iam:GetGroup", &[("GroupName", "x")], Fault::status(403, "AccessDenied"));
    run(&host, "iam-memberships").unwrap();
    assert_eq!(ends(&host.relationships("aws_iam_group_contains_aws_iam_user")), [(OPS, ANN)]);
    assert!(host.entities("aws_iam_user").is_empty());
    let host = aws().stored("aws_iam_group", OPS, json!({"name": "ops"})).fault(
        "iam:GetGroup",
        &[("GroupName", "ops")],
        Fault::status(403, "AccessDenied"),
    );
    assert!(matches!(run(&host, "iam-memberships"), Err(StepError::Call(_))), "when none could be read the step fails");
}

#[test]
fn policies_are_attached_to_those_who_are_known() {
    let attached = "<PolicyUsers><member><UserName>ann</UserName><UserId>AIDA1</UserId></member>\
        <member><UserName>made since</UserName></member></PolicyUsers>\
        <PolicyGroups/><PolicyRoles><member><RoleName>deploy</RoleName></member></PolicyRoles><IsTruncated>false</IsTruncated>";
    let host = aws()
        .stored("aws_iam_user", ANN, json!({"username": "ann"}))
        .reads("aws_iam_group")
        .stored("aws_iam_role", DEPLOY, json!({"name": "deploy"}))
        .stored("aws_iam_managed_policy", LOCAL, json!({}))
        .raw("iam:ListEntitiesForPolicy", &[("PolicyArn", LOCAL)], &[], &answer("ListEntitiesForPolicy", attached));
    run(&host, "iam-attachments").unwrap();
    assert_eq!(ends(&host.relationships("aws_iam_user_has_aws_iam_managed_policy")), [(ANN, LOCAL)]);
    assert_eq!(ends(&host.relationships("aws_iam_role_has_aws_iam_managed_policy")), [(DEPLOY, LOCAL)]);
    assert!(host.relationships("aws_iam_group_has_aws_iam_managed_policy").is_empty());
}

#[test]
fn providers_and_the_password_policy() {
    let (saml, oidc) =
        ("arn:aws:iam::111111111111:saml-provider/okta", "arn:aws:iam::111111111111:oidc-provider/x.example");
    let list = |list: &str, arn: &str| format!("<{list}><member><Arn>{arn}</Arn></member></{list}>");
    let policy = "<PasswordPolicy><MinimumPasswordLength>14</MinimumPasswordLength><RequireSymbols>true</RequireSymbols></PasswordPolicy>";
    let host = aws()
        .raw("iam:ListSAMLProviders", &[], &[], &answer("ListSAMLProviders", &list("SAMLProviderList", saml)))
        .raw(
            "iam:ListOpenIDConnectProviders",
            &[],
            &[],
            &answer("ListOpenIDConnectProviders", &list("OpenIDConnectProviderList", oidc)),
        )
        .raw("iam:GetAccountPasswordPolicy", &[], &[], &answer("GetAccountPasswordPolicy", policy));
    for step in ["iam-saml-providers", "iam-oidc-providers", "iam-password-policy"] {
        run(&host, step).unwrap();
    }
    assert_eq!(host.entities("aws_iam_saml_provider")[0].key, saml);
    assert_eq!(host.entities("aws_iam_oidc_provider")[0].key, oidc);
    let policy = &host.entities("aws_iam_account_password_policy")[0];
    assert_eq!(policy.key, "aws_iam_account_password_policy:111111111111");
    assert_eq!((&policy.properties["minimumLength"], &policy.properties["requireSymbols"]), (&json!(14), &json!(true)));
    let none = aws().empty("iam:GetAccountPasswordPolicy", &[], 404);
    run(&none, "iam-password-policy").unwrap();
    assert!(none.emitted_types().is_empty());
}
