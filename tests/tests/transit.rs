//! The key service over HTTP, against a fake of the transit API: what binds a key to its tenant, rotation, and every way
//! in which a service says no.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(clippy::print_stdout, reason = "a service that isn't there is said, not skipped in silence")]

use porthole_egress::secret::{
    Binding, KeyFile, SecretError, SecretFields, SecretText, Transit, TransitConfig, Vault, WrappedKey,
};
use porthole_model::id::{InstanceId, Slot, TenantId};
use porthole_model::manifest::CredentialMethod;
use porthole_tests::fake_transit::{FakeTransit, Mishap};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TOKEN: &str = "hvs.CAESIJcanarycanarycanary";

struct World {
    folder: tempfile::TempDir,
    fake: FakeTransit,
    vault: Vault,
    tenant: TenantId,
}

fn put(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn config(url: &str, token_file: PathBuf) -> TransitConfig {
    TransitConfig {
        url: url.to_owned(),
        mount: "transit".to_owned(),
        name: "porthole".to_owned(),
        namespace: None,
        token_file,
    }
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fake = FakeTransit::start(TOKEN).await.unwrap();
        put(&folder.path().join("token"), &format!("{TOKEN}\n"), 0o600);
        let vault = Self::vault_at(&folder, fake.url());
        Self { folder, fake, vault, tenant: TenantId::new() }
    }

    fn vault_at(folder: &tempfile::TempDir, url: &str) -> Vault {
        Vault::new(Arc::new(Transit::new(config(url, folder.path().join("token"))).unwrap()))
    }

    /// Another process: it has unwrapped nothing yet.
    fn fresh(&self) -> Vault {
        Self::vault_at(&self.folder, self.fake.url())
    }

    async fn key(&self) -> WrappedKey {
        self.vault.new_tenant_key(self.tenant).await.unwrap()
    }

    /// Unwraps a key by sealing something with it.
    async fn unwraps(&self, vault: &Vault, key: &WrappedKey) -> Result<(), SecretError> {
        unwraps(vault, key, self.tenant).await
    }
}

async fn unwraps(vault: &Vault, key: &WrappedKey, tenant: TenantId) -> Result<(), SecretError> {
    let method: CredentialMethod = serde_json::from_str(r#"{"slot":"api","method":"token","kind":"bearer"}"#).unwrap();
    let binding = Binding { tenant, instance: InstanceId::new(), slot: Slot::new("api").unwrap(), version: 1 };
    let fields = SecretFields::from_input(&method, SecretText::new("hunter2hunter2".to_owned())).unwrap();
    vault.seal(key, &binding, fields).await.map(drop)
}

fn text<T: std::fmt::Debug>(result: Result<T, SecretError>) -> String {
    let error = result.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(TOKEN), "{shown}");
    error.to_string()
}

#[tokio::test]
async fn a_key_is_wrapped_for_its_tenant_and_unwraps_for_no_other() {
    let w = World::new().await;
    let key = w.key().await;
    assert_eq!(key.key_id, "transit/porthole:v1");
    assert!(key.bytes.starts_with(b"vault:v1:"));
    w.unwraps(&w.vault, &key).await.unwrap();
    let refused = text(unwraps(&w.vault, &key, TenantId::new()).await);
    assert!(refused.contains("unwrap a tenant key") && refused.contains("message authentication failed"), "{refused}");
    for at in 9..key.bytes.len() {
        let mut changed = key.clone();
        changed.bytes[at] ^= 1;
        assert!(w.unwraps(&w.vault, &changed).await.is_err(), "byte {at}");
    }
    // The context goes with every request, and the key itself only inside it.
    for asked in w.fake.service().asked.iter().filter(|a| a.what.starts_with("POST")) {
        assert!(asked.body["context"].as_str().is_some_and(|c| !c.is_empty()), "{asked:?}");
    }
}

#[tokio::test]
async fn a_rotated_key_wraps_and_the_older_version_unwraps_until_it_is_retired() {
    let w = World::new().await;
    let old = w.key().await;
    let new = w.vault.rotate().await.unwrap();
    assert_eq!(
        (new.as_str(), w.vault.key_id().await.unwrap().as_str()),
        ("transit/porthole:v2", "transit/porthole:v2")
    );
    let before = w.fake.count("POST transit/decrypt");
    let rewrapped = w.vault.rewrap(w.tenant, &old).await.unwrap();
    assert_eq!(rewrapped.key_id, new);
    assert_eq!(w.fake.count("POST transit/decrypt"), before, "a rotation brought a key here");
    for key in [&old, &rewrapped] {
        w.unwraps(&w.fresh(), key).await.unwrap();
    }
    assert!(matches!(w.vault.retire(&new).await, Err(SecretError::CurrentKey(_))));
    w.vault.retire(&old.key_id).await.unwrap();
    assert_eq!(w.vault.rings().await.unwrap()[0].ids, [new]);
    assert!(text(w.unwraps(&w.fresh(), &old).await).contains("too old"));
    w.unwraps(&w.fresh(), &rewrapped).await.unwrap();
    // A label that lies about its version is not believed: retiring goes by the label.
    let mislabelled = WrappedKey { key_id: rewrapped.key_id.clone(), ..old.clone() };
    assert!(matches!(w.unwraps(&w.fresh(), &mislabelled).await, Err(SecretError::Open(_))));
}

#[tokio::test]
async fn an_unwrapped_key_is_asked_for_once_and_a_rewrapped_one_again() {
    let w = World::new().await;
    let key = w.key().await;
    for _ in 0..5 {
        w.unwraps(&w.vault, &key).await.unwrap();
    }
    assert_eq!(w.fake.count("POST transit/decrypt"), 1);
    let rewrapped = w.vault.rewrap(w.tenant, &key).await.unwrap();
    w.unwraps(&w.vault, &rewrapped).await.unwrap();
    assert_eq!(w.fake.count("POST transit/decrypt"), 2);
    // What another tenant asks for is not in the cache.
    assert!(unwraps(&w.vault, &key, TenantId::new()).await.is_err());
    let took = Instant::now();
    for _ in 0..1000 {
        w.unwraps(&w.vault, &key).await.unwrap();
    }
    println!("a cached unwrap and a seal take {:?}", took.elapsed() / 1000);
}

#[tokio::test]
async fn a_key_that_would_not_tell_tenants_apart_is_refused() {
    let w = World::new().await;
    w.fake.service().derived = false;
    let refused = text(w.vault.new_tenant_key(w.tenant).await);
    assert!(refused.contains("no derivation") && refused.contains("derived=true"), "{refused}");
    w.fake.service().derived = true;
    w.fake.service().kind = "aes128-gcm96".to_owned();
    assert!(text(w.vault.new_tenant_key(w.tenant).await).contains("256 bits"));
    w.fake.service().exists = false;
    let refused = text(w.vault.new_tenant_key(w.tenant).await);
    assert!(refused.contains("(404)") && refused.contains("vault write -f transit/keys/porthole"), "{refused}");
    assert_eq!(w.fake.count("POST"), 0, "something was sent to an unfit key");
}

#[tokio::test]
async fn a_sealed_or_busy_service_is_asked_again_and_then_named() {
    let w = World::new().await;
    let key = w.key().await;
    for (status, body) in [(503, r#"{"errors":["Vault is sealed"]}"#), (429, ""), (500, "{}"), (502, "<html>")] {
        let vault = w.fresh();
        let before = w.fake.count("");
        w.fake.service().mishaps.extend([Mishap::Say(status, body.to_owned()), Mishap::Say(status, body.to_owned())]);
        w.unwraps(&vault, &key).await.unwrap();
        assert_eq!(w.fake.count("") - before, 4, "two that failed, then the key's kind and the key");
    }
    w.fake.service().sealed = true;
    let (before, began) = (w.fake.count(""), Instant::now());
    let refused = text(w.unwraps(&w.fresh(), &key).await);
    assert!(refused.contains("it is sealed; unseal it"), "{refused}");
    assert_eq!(w.fake.count("") - before, 4);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    w.fake.service().sealed = false;
    // Making a version twice is not the same as making it once.
    w.fake.service().mishaps.extend([Mishap::Say(200, key_description()), Mishap::Say(500, "{}".to_owned())]);
    assert!(text(w.fresh().rotate().await).contains("500"));
    assert_eq!(w.fake.count("POST transit/keys/porthole/rotate"), 1);
}

/// What the fake says of its key.
fn key_description() -> String {
    r#"{"data":{"type":"aes256-gcm96","derived":true,"latest_version":1,"min_decryption_version":1}}"#.to_owned()
}

#[tokio::test]
async fn a_refused_token_is_named_and_a_new_one_is_read_without_a_restart() {
    let w = World::new().await;
    let key = w.key().await;
    w.fake.service().token = "hvs.another".to_owned();
    let (vault, before) = (w.fresh(), w.fake.count(""));
    let refused = text(w.unwraps(&vault, &key).await);
    assert!(refused.contains("(403)") && refused.contains("token may hold one that has expired"), "{refused}");
    assert!(refused.contains("`read` on transit/keys/porthole"), "{refused}");
    assert_eq!(w.fake.count("") - before, 1, "a refused token was sent again");
    put(&w.folder.path().join("token"), "hvs.another", 0o600);
    w.unwraps(&vault, &key).await.unwrap();
    w.fake.service().forbidden.push("keys/porthole/rotate".to_owned());
    let refused = text(vault.rotate().await);
    assert!(refused.contains("`update` on transit/keys/porthole/rotate"), "{refused}");
}

#[tokio::test]
async fn a_token_file_that_others_can_read_or_that_holds_no_token_is_refused() {
    let w = World::new().await;
    let path = w.folder.path().join("token");
    for (content, mode, expected) in [
        (TOKEN, 0o644, "chmod 600"),
        ("", 0o600, "is empty"),
        ("one two", 0o600, "more than one token"),
        (&"x".repeat(9000), 0o600, "too long"),
    ] {
        put(&path, content, mode);
        let refused = text(w.fresh().new_tenant_key(w.tenant).await);
        assert!(refused.contains(expected) && refused.contains("token file"), "{refused}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(text(w.fresh().new_tenant_key(w.tenant).await).contains("token file"));
    assert_eq!(w.fake.count(""), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_nothing_follows_it_with_the_token() {
    let w = World::new().await;
    let other = FakeTransit::start(TOKEN).await.unwrap();
    w.fake.service().mishaps.push_back(Mishap::Redirect(format!("{}/v1/transit/keys/porthole", other.url())));
    let refused = text(w.vault.new_tenant_key(w.tenant).await);
    assert!(refused.contains("standby"), "{refused}");
    assert_eq!(other.count(""), 0);
}

#[tokio::test]
async fn an_answer_that_is_none_is_named_for_what_it_is() {
    let w = World::new().await;
    let key = w.key().await;
    let good = || Mishap::Say(200, key_description());
    let answer = |field: &str, value: &str| Mishap::Say(200, format!(r#"{{"data":{{"{field}":"{value}"}}}}"#));
    for (mishaps, expected) in [
        (vec![Mishap::Say(200, "x".repeat(300 * 1024))], "longer than"),
        (vec![Mishap::Say(200, "<html>".to_owned())], "doesn't describe a key"),
        (vec![good(), Mishap::Say(200, "{}".to_owned())], "value is missing"),
        (vec![good(), answer("plaintext", "c2hvcnQ=")], "no key of 32 bytes"),
        (vec![good(), answer("plaintext", &"A".repeat(4000))], "no key of 32 bytes"),
    ] {
        w.fake.service().mishaps.extend(mishaps);
        let refused = text(w.unwraps(&w.fresh(), &key).await);
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
    for form in [
        "vault:v0:AAAA",
        "vault:v1:",
        "vault:vx:AAAA",
        "AAAA",
        "vault:v1:a b",
        &format!("vault:v1:{}", "A".repeat(600)),
    ] {
        w.fake.service().mishaps.extend([good(), answer("ciphertext", form)]);
        assert!(text(w.fresh().new_tenant_key(w.tenant).await).contains("another form"), "{form}");
    }
    // A service that repeats the token in what it says.
    w.fake.service().mishaps.extend([good(), Mishap::Say(400, format!(r#"{{"errors":["bad {TOKEN}\u0007"]}}"#))]);
    let refused = text(w.unwraps(&w.fresh(), &key).await);
    assert!(refused.contains("bad [redacted]") && !refused.contains('\u{7}'), "{refused}");
    assert!(!format!("{:?}", w.vault).contains(TOKEN));
}

#[tokio::test]
async fn nobody_there_is_said_within_seconds() {
    let w = World::new().await;
    // A port that was just given up.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let began = Instant::now();
    let refused = text(World::vault_at(&w.folder, &url).new_tenant_key(w.tenant).await);
    assert!(refused.contains("can't be reached") && began.elapsed() < Duration::from_secs(15), "{refused}");
}

#[tokio::test]
async fn a_namespace_goes_with_every_request() {
    let w = World::new().await;
    let config =
        TransitConfig { namespace: Some("team/a".to_owned()), ..config(w.fake.url(), w.folder.path().join("token")) };
    Vault::new(Arc::new(Transit::new(config).unwrap())).new_tenant_key(w.tenant).await.unwrap();
    assert!(w.fake.service().asked.iter().all(|asked| asked.namespace.as_deref() == Some("team/a")));
}

#[tokio::test]
async fn keys_move_from_a_file_to_the_service_and_back() {
    let w = World::new().await;
    let file = || Arc::new(KeyFile::open_or_create(&w.folder.path().join("kek")).unwrap());
    let transit = || Arc::new(Transit::new(config(w.fake.url(), w.folder.path().join("token"))).unwrap());
    let key = Vault::new(file()).new_tenant_key(w.tenant).await.unwrap();
    let there = Vault::new(transit()).with_former(file());
    w.unwraps(&there, &key).await.unwrap();
    let moved = there.rewrap(w.tenant, &key).await.unwrap();
    assert_eq!(moved.key_id, "transit/porthole:v1");
    w.unwraps(&w.fresh(), &moved).await.unwrap();
    let back = Vault::new(file()).with_former(transit()).rewrap(w.tenant, &moved).await.unwrap();
    assert_eq!(back.key_id, key.key_id);
    w.unwraps(&Vault::new(file()), &back).await.unwrap();
}

/// The same against a real service, where one is given: PORTHOLE_TEST_TRANSIT_URL, and PORTHOLE_TEST_TRANSIT_TOKEN_FILE
/// with a token that may do everything below `transit/` and a key that was made with
/// `vault write -f transit/keys/porthole type=aes256-gcm96 derived=true`.
#[tokio::test]
async fn a_real_service_does_the_same_where_there_is_one() {
    let given = |name| std::env::var(name).ok();
    let (Some(url), Some(token)) = (given("PORTHOLE_TEST_TRANSIT_URL"), given("PORTHOLE_TEST_TRANSIT_TOKEN_FILE"))
    else {
        println!("no real key service was given; the fake's word is all there is");
        return;
    };
    let vault = || Vault::new(Arc::new(Transit::new(config(&url, PathBuf::from(&token))).unwrap()));
    let tenant = TenantId::new();
    let old = vault().new_tenant_key(tenant).await.unwrap();
    unwraps(&vault(), &old, tenant).await.unwrap();
    assert!(unwraps(&vault(), &old, TenantId::new()).await.is_err());
    let new = vault().rotate().await.unwrap();
    let rewrapped = vault().rewrap(tenant, &old).await.unwrap();
    assert_eq!(rewrapped.key_id, new);
    unwraps(&vault(), &old, tenant).await.unwrap();
    unwraps(&vault(), &rewrapped, tenant).await.unwrap();
    vault().retire(&old.key_id).await.unwrap();
    assert!(unwraps(&vault(), &old, tenant).await.is_err());
    unwraps(&vault(), &rewrapped, tenant).await.unwrap();
}
