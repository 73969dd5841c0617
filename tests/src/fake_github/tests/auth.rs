//! Tokens, apps, limits and the rules of decent clients.

use super::start;
use crate::fake_github::{App, FakeGithub};
use crate::raw_http::{Answer, send};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::json;
use std::process::Command;
use std::time::Duration;

async fn with(github: &FakeGithub, method: &str, target: &str, authorization: &str) -> Answer {
    let headers = [("authorization", authorization), ("user-agent", "tests")];
    send(github.addr(), method, target, &headers, b"").await.unwrap()
}

#[tokio::test]
async fn tokens_are_accepted_in_every_form_and_nothing_else_is() {
    let github = start(FakeGithub::builder().token("one").token("two")).await;
    let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
    for good in ["Bearer one", "token two", "bearer one", &basic("me:one"), &basic("one:x-oauth-basic")] {
        assert_eq!(with(&github, "GET", "/orgs/acme", good).await.status, 200, "{good}");
    }
    for bad in ["Bearer three", "one", "Digest one", "Basic !", ""] {
        let answer = with(&github, "GET", "/orgs/acme", bad).await;
        assert_eq!((answer.status, &answer.json()["message"]), (401, &"Bad credentials".into()), "{bad}");
    }
    let nobody = send(github.addr(), "GET", "/orgs/acme", &[("user-agent", "tests")], b"").await.unwrap();
    assert_eq!((nobody.status, &nobody.json()["message"]), (401, &"Requires authentication".into()));
    let nameless = send(github.addr(), "GET", "/orgs/acme", &[("authorization", "Bearer one")], b"").await.unwrap();
    assert_eq!(nameless.status, 403);
    assert!(String::from_utf8(nameless.body).unwrap().contains("User-Agent"));
}

#[tokio::test]
async fn the_budget_is_told_and_kept() {
    let github = start(FakeGithub::builder().rate_limit(3, Duration::from_secs(3600))).await;
    let first = github.get("/orgs/acme").await;
    assert_eq!((first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")), (Some("3"), Some("2")));
    assert_eq!((first.header("x-ratelimit-used"), first.header("x-ratelimit-resource")), (Some("1"), Some("core")));
    assert!(first.header("x-github-request-id").is_some() && first.header("date").is_some());
    github.get("/orgs/acme").await;
    github.get("/orgs/acme").await;
    let over = github.get("/orgs/acme").await;
    assert_eq!((over.status, over.header("x-ratelimit-remaining")), (403, Some("0")));
    assert!(over.json()["message"].as_str().unwrap().starts_with("API rate limit exceeded"));
    assert_eq!(github.get("/rate_limit").await.json()["resources"]["core"]["remaining"], 0);
}

#[tokio::test]
async fn an_unchanged_page_costs_no_body() {
    let github = start(FakeGithub::builder()).await;
    let etag = github.get("/orgs/acme/repos").await.header("etag").unwrap().to_owned();
    let authorization = format!("Bearer {}", github.token());
    let headers = [("authorization", authorization.as_str()), ("user-agent", "tests"), ("if-none-match", &etag)];
    let again = send(github.addr(), "GET", "/orgs/acme/repos", &headers, b"").await.unwrap();
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[tokio::test]
async fn writes_are_refused_and_recorded() {
    let github = start(FakeGithub::builder()).await;
    for (method, path) in [("DELETE", "/repos/acme/.github"), ("PATCH", "/orgs/acme"), ("POST", "/orgs/acme/repos")] {
        assert_eq!(github.ask(method, path, b"{}").await.unwrap().status, 403);
    }
    let writes: Vec<String> = github.stats().writes().map(|w| format!("{} {}", w.method, w.path)).collect();
    assert_eq!(writes, ["DELETE /repos/acme/.github", "PATCH /orgs/acme", "POST /orgs/acme/repos"]);
}

#[tokio::test]
async fn gzip_is_for_those_who_accept_it() {
    use std::io::Read as _;
    let github = start(FakeGithub::builder().repos(30).gzip(true)).await;
    let plain = github.get("/orgs/acme/repos").await;
    assert!(plain.header("content-encoding").is_none());
    let authorization = format!("Bearer {}", github.token());
    let headers = [("authorization", authorization.as_str()), ("user-agent", "tests"), ("accept-encoding", "gzip")];
    let zipped = send(github.addr(), "GET", "/orgs/acme/repos", &headers, b"").await.unwrap();
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(zipped.body.as_slice()).read_to_end(&mut body).unwrap();
    assert_eq!(body, plain.body);
}

/// A key of its own for every run of the test: no private key lies in the repository. Nothing without openssl.
fn rsa_key() -> Option<RsaKeyPair> {
    let command = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER"])
        .output();
    let output = command.ok().filter(|output| output.status.success());
    if output.is_none() {
        crate::recordings::skipped("openssl isn't installed: JWT signatures go unchecked");
    }
    let der = output?.stdout;
    // Some versions write PKCS#1 where others write PKCS#8.
    Some(RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).expect("a key"))
}

fn jwt(key: Option<&RsaKeyPair>, claims: &serde_json::Value) -> String {
    let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "RS256", "typ": "JWT"})), part(claims));
    let mut signature = vec![0; key.map_or(256, |key| key.public().modulus_len())];
    if let Some(key) = key {
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    }
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn an_app_exchanges_its_jwt_for_a_token_that_ends() {
    let now = jiff::Timestamp::now().as_second();
    let key = rsa_key();
    let mut app = App::new("4711", 99);
    app.public_key = key.as_ref().map(|key| key.public().as_ref().to_vec());
    app.token_lives = Duration::from_millis(800);
    let github = start(FakeGithub::builder().app(app)).await;
    let exchange = "/app/installations/99/access_tokens";
    let claims = |iss: serde_json::Value, iat: i64, exp: i64| json!({"iss": iss, "iat": now + iat, "exp": now + exp});
    for (claims, message) in [
        (claims(json!("1"), -60, 300), "'Issuer' claim"),
        (claims(json!("4711"), 600, 300), "'Issued at' claim"),
        (claims(json!("4711"), -60, -1), "'Expiration time' claim ('exp') must be"),
        (claims(json!("4711"), -60, 3600), "too far in the future"),
    ] {
        let answer = with(&github, "POST", exchange, &format!("Bearer {}", jwt(key.as_ref(), &claims))).await;
        assert_eq!(answer.status, 401, "{claims}");
        assert!(answer.json()["message"].as_str().unwrap().contains(message), "{claims}: {}", answer.json());
    }
    let good = claims(json!(4711), -60, 540);
    if key.is_some() {
        let forged = with(&github, "POST", exchange, &format!("Bearer {}", jwt(None, &good))).await;
        assert_eq!(forged.status, 401, "a signature by nobody");
    }
    let bearer = format!("Bearer {}", jwt(key.as_ref(), &good));
    assert_eq!(with(&github, "POST", "/app/installations/98/access_tokens", &bearer).await.status, 404);
    assert_eq!(with(&github, "GET", "/app/installations/99", &bearer).await.json()["app_id"], 4711);
    assert_eq!(with(&github, "GET", "/orgs/acme", &bearer).await.status, 401, "a JWT is no token");
    let answer = with(&github, "POST", exchange, &bearer).await;
    assert_eq!(answer.status, 201);
    let answer = answer.json();
    let token = format!("token {}", answer["token"].as_str().unwrap());
    assert!(answer["expires_at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(answer["permissions"]["members"], "read");
    assert_eq!(with(&github, "GET", "/orgs/acme", &token).await.status, 200);
    let repos = with(&github, "GET", "/installation/repositories?per_page=5", &token).await;
    assert_eq!((&repos.json()["total_count"], repos.link("next").is_some()), (&json!(12), true));
    assert_eq!(github.stats().writes().count(), 0, "the exchange is no write");
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(with(&github, "GET", "/orgs/acme", &token).await.status, 401, "the token has ended");
}

#[test]
fn public_keys_are_read_in_every_wrapping() {
    let Some(key) = rsa_key() else { return };
    let plain = key.public().as_ref().to_vec();
    // SubjectPublicKeyInfo around it, by hand: algorithm rsaEncryption, then a bit string.
    let algorithm = hex::decode("300d06092a864886f70d0101010500").unwrap();
    let long = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], content].concat()
    };
    let bits = long(0x03, &[&[0], plain.as_slice()].concat());
    let wrapped = long(0x30, &[algorithm, bits].concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(&wrapped));
    let now = 1_700_000_000;
    let token = jwt(Some(&key), &json!({"iss": "7", "iat": now, "exp": now + 60}));
    for form in [plain, wrapped, pem.into_bytes()] {
        assert_eq!(crate::fake_github::jwt::check(&token, "7", Some(&form), now), Ok(()));
    }
    assert!(crate::fake_github::jwt::check(&token, "7", Some(b"no key"), now).is_err());
}
