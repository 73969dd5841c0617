#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::super::tests::{Endpoint, World, world_with};
use super::super::*;
use porthole_model::manifest::Method;
use porthole_model::session_policy;
use std::os::unix::fs::PermissionsExt as _;
use url::Url;

const ROLE: &str = r#""kind":"sigv4-role","token-url":"https://sts.id.example/","region":"eu-west-1""#;
const DENIED: (u16, &str) = (403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>");
/// 2023-11-14T23:13:20Z is an hour after the tests' clock.
const CREDENTIALS: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIATEMP</AccessKeyId>\
    <SecretAccessKey>temporary/secret+of=the/role</SecretAccessKey><SessionToken>session/token==of+the/role</SessionToken>\
    <Expiration>2023-11-14T23:13:20Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
const ACTIONS: [&str; 2] = ["ec2:DescribeInstances", "iam:ListUsers"];

async fn role() -> World {
    let secret =
        serde_json::json!({ "role_arn": "arn:aws:iam::111122223333:role/p", "external_id": "the-external-id" });
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&key, "access_key_id = AKIDPLATFORM\nsecret_access_key = platform/secret/of/ours").unwrap();
    std::fs::set_permissions(key.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let (_, path) = key.keep().unwrap();
    let sessions = session_policy::pack(&ACTIONS.into()).unwrap();
    world_with(ROLE, secret, |means| Means { platform: Some(PlatformKey::at(&path)), sessions, ..means }).await
}

fn request(action: Option<&str>) -> PreparedRequest {
    PreparedRequest {
        operation: porthole_model::id::OperationId::new("list").unwrap(),
        method: Method::Post,
        url: Url::parse("https://iam.example/").unwrap(),
        headers: Vec::new(),
        body: Some(b"Action=ListUsers".to_vec()),
        auth: None,
        scope: Some(SignatureScope {
            service: "iam".to_owned(),
            region: "us-east-1".to_owned(),
            action: action.map(str::to_owned),
        }),
    }
}

/// The fields of a form.
fn form(body: Option<&String>) -> HashMap<String, String> {
    url::form_urlencoded::parse(body.unwrap().as_bytes()).into_owned().collect()
}

#[tokio::test]
async fn a_role_is_assumed_with_the_external_id_and_exactly_the_granted_actions() {
    let world = role().await;
    let endpoint = Endpoint::answering(&[DENIED, (200, CREDENTIALS)]);
    let headers = world.credentials.authorize(&world.slot, &request(Some("iam:ListUsers")), &endpoint).await.unwrap();
    let value = |name: &str| headers.iter().find(|h| h.name == name).unwrap().value().to_owned();
    assert!(value("authorization").contains("Credential=ASIATEMP/20231114/us-east-1/iam/aws4_request"));
    assert_eq!(value("x-amz-security-token"), "session/token==of+the/role");
    let sent = std::mem::take(&mut *endpoint.sent.lock().unwrap());
    let (without, with) = (form(sent[0].body.as_ref()), form(sent[1].body.as_ref()));
    assert_eq!(sent[0].url, "https://sts.id.example/");
    assert!(!without.contains_key("ExternalId") && without["Policy"].contains("Deny"));
    assert_eq!(
        (with["ExternalId"].as_str(), with["RoleArn"].as_str()),
        ("the-external-id", "arn:aws:iam::111122223333:role/p")
    );
    let policy: serde_json::Value = serde_json::from_str(&with["Policy"]).unwrap();
    assert_eq!(policy["Statement"][0]["Action"], serde_json::json!(ACTIONS));
    let signed = &sent[1].headers.iter().find(|(name, _)| name == "authorization").unwrap().1;
    assert!(signed.contains("Credential=AKIDPLATFORM/20231114/eu-west-1/sts/"), "{signed}");
    // What came back isn't shown to a guest, and a second call needs no second session.
    assert_eq!(
        world.credentials.scrub_text("x temporary/secret+of=the/role the-external-id"),
        "x [redacted] [redacted]"
    );
    world.credentials.authorize(&world.slot, &request(Some("ec2:DescribeInstances")), &endpoint).await.unwrap();
    assert_eq!(endpoint.count(), 0, "nothing more was sent");
}

#[tokio::test]
async fn a_role_that_anybody_may_have_us_assume_is_refused() {
    let world = role().await;
    let endpoint = Endpoint::answering(&[(200, CREDENTIALS)]);
    let fault = world.credentials.authorize(&world.slot, &request(None), &endpoint).await.unwrap_err();
    assert!(matches!(&fault, CredentialFault::OpenRole { .. }), "{fault}");
    assert!(fault.to_string().contains("confused deputy") && !fault.is_retryable());
    let again = world.credentials.authorize(&world.slot, &request(Some("iam:ListUsers")), &endpoint).await.unwrap_err();
    assert!(matches!(again, CredentialFault::OpenRole { .. }));
    assert_eq!(endpoint.count(), 1, "it was tried once");
}

#[tokio::test]
async fn credentials_are_assumed_again_five_minutes_before_they_expire() {
    let world = role().await;
    let endpoint = Endpoint::answering(&[DENIED, (200, CREDENTIALS), (200, CREDENTIALS)]);
    for (pass, count) in [(0, 2), (3_299, 2), (2, 3)] {
        world.pass(pass);
        world.credentials.authorize(&world.slot, &request(Some("iam:ListUsers")), &endpoint).await.unwrap();
        assert_eq!(endpoint.count(), count, "after {pass} s");
    }
}

#[tokio::test]
async fn an_action_that_is_in_no_session_is_not_signed_and_refusals_are_told() {
    let world = role().await;
    let endpoint = Endpoint::answering(&[DENIED, DENIED]);
    let other =
        world.credentials.authorize(&world.slot, &request(Some("iam:CreateUser")), &endpoint).await.unwrap_err();
    assert!(other.to_string().contains("iam:CreateUser"), "{other}");
    assert_eq!(endpoint.count(), 1);
    let denied =
        world.credentials.authorize(&world.slot, &request(Some("iam:ListUsers")), &endpoint).await.unwrap_err();
    assert!(
        matches!(&denied, CredentialFault::TokenEndpoint { status: 403, message, .. } if message.contains("AccessDenied"))
    );
}

#[tokio::test]
async fn a_request_to_wait_is_worth_another_try() {
    let world = role().await;
    let slow =
        (400, "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>");
    let endpoint = Endpoint::answering(&[slow, DENIED, slow]);
    for _ in 0..2 {
        let request = request(Some("iam:ListUsers"));
        let fault = world.credentials.authorize(&world.slot, &request, &endpoint).await.unwrap_err();
        assert!(fault.is_retryable(), "{fault}");
    }
    assert_eq!(endpoint.count(), 3);
}

#[tokio::test]
async fn without_a_key_of_the_platform_nothing_is_sent() {
    let secret =
        serde_json::json!({ "role_arn": "arn:aws:iam::111122223333:role/p", "external_id": "the-external-id" });
    let world = world_with(ROLE, secret, |means| means).await;
    let endpoint = Endpoint::answering(&[]);
    let fault = world.credentials.authorize(&world.slot, &request(None), &endpoint).await.unwrap_err();
    assert!(matches!(fault, CredentialFault::NoPlatformKey { .. }));
    assert_eq!(endpoint.count(), 0);
}
