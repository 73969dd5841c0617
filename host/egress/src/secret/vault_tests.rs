#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
use super::*;
use crate::secret::{KeyFile, SecretText};
use proptest::prelude::*;

struct World {
    _folder: tempfile::TempDir,
    vault: Vault,
    method: CredentialMethod,
    binding: Binding,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::new(Arc::new(KeyFile::open_or_create(&folder.path().join("key")).unwrap()));
    let method = serde_json::from_str(r#"{"slot":"api","method":"token","kind":"bearer"}"#).unwrap();
    let slot = Slot::new("api").unwrap();
    let binding = Binding { tenant: TenantId::new(), instance: InstanceId::new(), slot, version: 1 };
    World { _folder: folder, vault, method, binding }
}

fn token(method: &CredentialMethod, text: &str) -> SecretFields {
    SecretFields::from_input(method, SecretText::new(text.to_owned())).unwrap()
}

#[tokio::test]
async fn a_secret_opens_where_it_belongs() {
    let w = world();
    let key = w.vault.new_tenant_key(w.binding.tenant).await.unwrap();
    let sealed = w.vault.seal(&key, &w.binding, token(&w.method, "hunter2hunter2")).await.unwrap();
    let open = w.vault.open(&key, &w.binding, &w.method, &sealed).await.unwrap();
    assert_eq!(open.get("token"), Some("hunter2hunter2"));
    let stored = serde_json::to_string(&(&key, &sealed)).unwrap();
    let (key, sealed): (WrappedKey, Sealed) = serde_json::from_str(&stored).unwrap();
    assert!(w.vault.open(&key, &w.binding, &w.method, &sealed).await.is_ok());
    assert!(memchr::memmem::find(&sealed.bytes, b"hunter2").is_none());
}

#[tokio::test]
async fn a_secret_opens_nowhere_else() {
    let w = world();
    let key = w.vault.new_tenant_key(w.binding.tenant).await.unwrap();
    let sealed = w.vault.seal(&key, &w.binding, token(&w.method, "hunter2hunter2")).await.unwrap();
    let others = [
        Binding { tenant: TenantId::new(), ..w.binding.clone() },
        Binding { instance: InstanceId::new(), ..w.binding.clone() },
        Binding { slot: Slot::new("api2").unwrap(), ..w.binding.clone() },
        Binding { version: 2, ..w.binding.clone() },
    ];
    for other in others {
        let refused = w.vault.open(&key, &other, &w.method, &sealed).await;
        assert!(matches!(refused, Err(SecretError::Open(_))), "{other:?}");
    }
    // Another key of the same tenant, and another tenant's key under this tenant's name.
    let second = w.vault.new_tenant_key(w.binding.tenant).await.unwrap();
    assert!(w.vault.open(&second, &w.binding, &w.method, &sealed).await.is_err());
    let foreign = w.vault.new_tenant_key(TenantId::new()).await.unwrap();
    assert!(matches!(
        w.vault.seal(&foreign, &w.binding, token(&w.method, "hunter2")).await,
        Err(SecretError::Open("tenant key"))
    ));
}

#[tokio::test]
async fn a_changed_byte_anywhere_keeps_it_shut() {
    let w = world();
    let key = w.vault.new_tenant_key(w.binding.tenant).await.unwrap();
    let sealed = w.vault.seal(&key, &w.binding, token(&w.method, "hunter2")).await.unwrap();
    for at in 0..sealed.bytes.len() {
        let mut changed = sealed.clone();
        *changed.bytes.get_mut(at).unwrap() ^= 1;
        assert!(w.vault.open(&key, &w.binding, &w.method, &changed).await.is_err(), "byte {at}");
        let cut = Sealed { bytes: sealed.bytes.iter().take(at).copied().collect() };
        assert!(w.vault.open(&key, &w.binding, &w.method, &cut).await.is_err(), "cut at {at}");
    }
    for at in 0..key.bytes.len() {
        let mut changed = key.clone();
        *changed.bytes.get_mut(at).unwrap() ^= 1;
        assert!(w.vault.open(&changed, &w.binding, &w.method, &sealed).await.is_err(), "key byte {at}");
    }
}

#[tokio::test]
async fn rotation_rewraps_the_key_and_leaves_the_secret() {
    let w = world();
    let key = w.vault.new_tenant_key(w.binding.tenant).await.unwrap();
    let sealed = w.vault.seal(&key, &w.binding, token(&w.method, "hunter2")).await.unwrap();
    let new = w.vault.rotate().await.unwrap();
    assert_eq!(w.vault.key_id().await.unwrap(), new);
    let rewrapped = w.vault.rewrap(w.binding.tenant, &key).await.unwrap();
    assert_eq!(rewrapped.key_id, new);
    for key in [&key, &rewrapped] {
        let open = w.vault.open(key, &w.binding, &w.method, &sealed).await.unwrap();
        assert_eq!(open.get("token"), Some("hunter2"));
    }
    assert!(matches!(w.vault.retire(&new).await, Err(SecretError::CurrentKey(id)) if id == new));
    w.vault.retire(&key.key_id).await.unwrap();
    assert_eq!(w.vault.rings().await.unwrap()[0].ids, [new]);
    // Another process has never seen the retired key.
    let other = Vault::new(Arc::new(KeyFile::open(&w._folder.path().join("key")).unwrap()));
    assert!(matches!(other.open(&key, &w.binding, &w.method, &sealed).await, Err(SecretError::UnknownKey { .. })));
    assert!(other.open(&rewrapped, &w.binding, &w.method, &sealed).await.is_ok());
}

#[tokio::test]
async fn a_secret_moves_to_another_data_key_of_its_tenant_and_to_no_other_place() {
    let w = world();
    let tenant = w.binding.tenant;
    let (old, new) = (w.vault.new_tenant_key(tenant).await.unwrap(), w.vault.new_tenant_key(tenant).await.unwrap());
    let sealed = w.vault.seal(&old, &w.binding, token(&w.method, "hunter2")).await.unwrap();
    let resealer = w.vault.resealer(tenant, &old, &new).await.unwrap();
    let moved = resealer.reseal(&w.binding, &sealed).unwrap();
    let open = w.vault.open(&new, &w.binding, &w.method, &moved).await.unwrap();
    assert_eq!(open.get("token"), Some("hunter2"));
    assert!(w.vault.open(&old, &w.binding, &w.method, &moved).await.is_err());
    assert!(memchr::memmem::find(&moved.bytes, b"hunter2").is_none());
    // Not a second time, not for another place, not for another tenant.
    assert!(resealer.reseal(&w.binding, &moved).is_err());
    for other in [
        Binding { version: 2, ..w.binding.clone() },
        Binding { instance: InstanceId::new(), ..w.binding.clone() },
        Binding { tenant: TenantId::new(), ..w.binding.clone() },
    ] {
        assert!(resealer.reseal(&other, &sealed).is_err(), "{other:?}");
    }
    let foreign = w.vault.new_tenant_key(TenantId::new()).await.unwrap();
    assert!(w.vault.resealer(tenant, &old, &foreign).await.is_err());
    assert_eq!(format!("{resealer:?}"), format!("Resealer({tenant}, [redacted])"));
}

#[tokio::test]
async fn what_a_former_place_wrapped_moves_to_the_new_one() {
    let w = world();
    let key = w.vault.new_tenant_key(w.binding.tenant).await.unwrap();
    let sealed = w.vault.seal(&key, &w.binding, token(&w.method, "hunter2")).await.unwrap();
    let transit: Arc<dyn KeyPort> = Arc::new(Elsewhere);
    let vault = Vault::new(transit).with_former(Arc::clone(&w.vault.key));
    assert!(vault.open(&key, &w.binding, &w.method, &sealed).await.is_ok());
    let moved = vault.rewrap(w.binding.tenant, &key).await.unwrap();
    assert_eq!(moved.key_id, "elsewhere");
    assert!(vault.open(&moved, &w.binding, &w.method, &sealed).await.is_ok());
    let rings = vault.rings().await.unwrap();
    assert_eq!((rings[0].current.as_deref(), rings[1].current.as_deref()), (Some("elsewhere"), None));
}

/// Another place of keys, which keeps nothing secret.
#[derive(Debug)]
struct Elsewhere;

impl KeyPort for Elsewhere {
    fn wrap<'a>(
        &'a self,
        key: &'a TenantKey,
        _: &'a KeyContext,
    ) -> futures_util::future::BoxFuture<'a, Result<WrappedKey, SecretError>> {
        let bytes = key.bytes().to_vec();
        Box::pin(async move { Ok(WrappedKey { key_id: "elsewhere".to_owned(), bytes }) })
    }

    fn unwrap<'a>(
        &'a self,
        wrapped: &'a WrappedKey,
        _: &'a KeyContext,
    ) -> futures_util::future::BoxFuture<'a, Result<TenantKey, SecretError>> {
        Box::pin(async move { Ok(TenantKey::from_slice(&wrapped.bytes).unwrap()) })
    }

    fn is_mine(&self, key_id: &str) -> bool {
        key_id == "elsewhere"
    }

    fn ring(&self) -> futures_util::future::BoxFuture<'_, Result<KeyRing, SecretError>> {
        let ids = vec!["elsewhere".to_owned()];
        let ring = KeyRing { place: String::new(), current: ids.first().cloned(), ids, retires_older: false };
        Box::pin(async move { Ok(ring) })
    }

    fn rotate(&self) -> futures_util::future::BoxFuture<'_, Result<String, SecretError>> {
        Box::pin(async { Err(SecretError::Seal) })
    }

    fn retire<'a>(&'a self, _: &'a str) -> futures_util::future::BoxFuture<'a, Result<(), SecretError>> {
        Box::pin(async { Err(SecretError::Seal) })
    }
}

#[tokio::test]
async fn an_incomplete_secret_is_not_sealed() {
    let w = world();
    let key = w.vault.new_tenant_key(w.binding.tenant).await.unwrap();
    let refused = w.vault.seal(&key, &w.binding, SecretFields::new(&w.method).unwrap()).await;
    assert!(matches!(refused, Err(SecretError::Missing(_))));
}

proptest! {
    #[test]
    fn no_two_bindings_have_the_same_bytes(
        a in ("[a-z][a-z0-9]{0,5}", any::<i32>()), b in ("[a-z][a-z0-9]{0,5}", any::<i32>()),
    ) {
        let (tenant, instance) = (TenantId::default(), InstanceId::default());
        let binding = |(slot, version): &(String, i32)| {
            Binding { tenant, instance, slot: Slot::new(slot.as_str()).unwrap(), version: *version }
        };
        prop_assert_eq!(binding(&a).to_bytes() == binding(&b).to_bytes(), a == b);
    }

    #[test]
    fn what_is_sealed_opens(about in any::<Vec<u8>>(), plaintext in any::<Vec<u8>>()) {
        let key = aead::new_key().unwrap();
        let sealed = aead::seal(&key, &about, &plaintext).unwrap();
        prop_assert_eq!(sealed.len(), 1 + 12 + plaintext.len() + 16);
        let opened = aead::open(&key, &about, &sealed, "test").unwrap();
        prop_assert_eq!(&*opened, &plaintext);
    }
}
