#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
use super::*;
use porthole_model::id::TenantId;
use std::fs::Permissions;

fn context() -> KeyContext {
    KeyContext { tenant: TenantId::new() }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_new_file_is_the_owners_alone_and_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let made = KeyFile::open_or_create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(KeyFile::open_or_create(&path).unwrap().id(), made.id());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    assert_eq!(made.id().len(), 16);
}

#[test]
fn two_makers_get_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let ids: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| KeyFile::open_or_create(&path).unwrap().id())).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert!(ids.windows(2).all(|pair| pair.first() == pair.last()));
}

#[test]
fn a_file_that_others_can_reach_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    KeyFile::open_or_create(&path).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = KeyFile::open_or_create(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(KeyFile::open(&path).is_ok());
    }
}

#[test]
fn what_is_no_key_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    KeyFile::open_or_create(&path).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let (header, digits) = good.trim_end().split_once('\n').unwrap();
    let other = digits.chars().rev().collect::<String>();
    let cases = [
        (String::new(), "is empty"),
        ("hello".to_owned(), "should start with"),
        (header.to_owned(), "missing"),
        (format!("{header}\nzz"), "hexadecimal"),
        (format!("{header}\n{other}"), "doesn't belong"),
        (format!("{header} \n{digits}\n{digits}"), "should start with"),
        ("\n".repeat(5000), "4 KiB"),
    ];
    for (text, expected) in cases {
        write(&path, &text, 0o600);
        let error = format!("{:?} {0}", KeyFile::open(&path).unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains(digits) && !error.contains(&other), "{error}");
    }
    assert!(matches!(KeyFile::open(folder.path()), Err(SecretError::KeyFileForm { .. })));
    assert!(matches!(KeyFile::open_or_create(&folder.path().join("no/key")), Err(SecretError::KeyFile { .. })));
}

#[tokio::test]
async fn a_rotated_file_wraps_with_the_new_key_and_unwraps_with_both() {
    let folder = tempfile::tempdir().unwrap();
    let (old_path, new_path) = (folder.path().join("old"), folder.path().join("new"));
    let old = KeyFile::open_or_create(&old_path).unwrap();
    let fresh = KeyFile::open_or_create(&new_path).unwrap();
    let (context, key) = (context(), TenantKey::random().unwrap());
    let wrapped = old.wrap(&key, &context).await.unwrap();
    assert!(matches!(fresh.unwrap(&wrapped, &context).await, Err(SecretError::UnknownKey { .. })));

    let both = fs::read_to_string(&new_path).unwrap() + &fs::read_to_string(&old_path).unwrap();
    write(&new_path, &both, 0o600);
    let both = KeyFile::open(&new_path).unwrap();
    assert_eq!(both.id(), fresh.id());
    assert_eq!(*both.unwrap(&wrapped, &context).await.unwrap().bytes(), *key.bytes());
    assert_eq!(both.wrap(&key, &context).await.unwrap().key_id, fresh.id());
    assert!(!format!("{both:?} {key:?}").contains(&hex::encode(**key.bytes())));
}
