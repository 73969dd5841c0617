#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
use super::*;
use porthole_model::id::TenantId;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

fn context() -> KeyContext {
    KeyContext { tenant: TenantId::new() }
}

fn current(keys: &KeyFile) -> String {
    keys.known().keys.first().unwrap().id.clone()
}

fn put(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_new_file_is_the_owners_alone_and_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let made = KeyFile::open_or_create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(current(&KeyFile::open_or_create(&path).unwrap()), current(&made));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    assert_eq!(current(&made).len(), 16);
    assert!(made.is_mine(&current(&made)) && !made.is_mine("transit/porthole:v1"));
}

#[test]
fn two_makers_get_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let ids: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| current(&KeyFile::open_or_create(&path).unwrap()))).collect();
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
        ("\n".repeat(KIND.max_bytes + 1), "too long"),
    ];
    for (text, expected) in cases {
        put(&path, &text, 0o600);
        let error = format!("{:?} {0}", KeyFile::open(&path).unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains(digits) && !error.contains(&other), "{error}");
    }
    assert!(matches!(KeyFile::open(folder.path()), Err(SecretError::FileForm { .. })));
    assert!(matches!(KeyFile::open_or_create(&folder.path().join("no/key")), Err(SecretError::File { .. })));
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
    put(&new_path, &both, 0o600);
    let both = KeyFile::open(&new_path).unwrap();
    assert_eq!(current(&both), current(&fresh));
    assert_eq!(*both.unwrap(&wrapped, &context).await.unwrap().bytes(), *key.bytes());
    assert_eq!(both.wrap(&key, &context).await.unwrap().key_id, current(&fresh));
    assert!(!format!("{both:?} {key:?}").contains(&hex::encode(**key.bytes())));
}

#[tokio::test]
async fn a_process_learns_of_a_new_key_when_it_meets_it_and_before_it_wraps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let (worker, operator) = (KeyFile::open_or_create(&path).unwrap(), KeyFile::open_or_create(&path).unwrap());
    let (context, key) = (context(), TenantKey::random().unwrap());
    let before = worker.wrap(&key, &context).await.unwrap();
    let new = operator.rotate().await.unwrap();
    let after = operator.rewrap(&before, &context).await.unwrap();
    assert_eq!((after.key_id.as_str(), current(&worker) == new), (new.as_str(), false));
    assert_eq!(*worker.unwrap(&after, &context).await.unwrap().bytes(), *key.bytes());
    let another = operator.rotate().await.unwrap();
    assert_eq!(worker.wrap(&key, &context).await.unwrap().key_id, another);
    assert_eq!(worker.ring().await.unwrap().ids, [another, new, before.key_id.clone()]);
    // What was wrapped before the rotation is still unwrapped by everyone.
    for keys in [&worker, &operator, &KeyFile::open(&path).unwrap()] {
        assert_eq!(*keys.unwrap(&before, &context).await.unwrap().bytes(), *key.bytes());
    }
}

#[tokio::test]
async fn an_unknown_id_does_not_make_it_read_the_file_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let keys = KeyFile::open_or_create(&path).unwrap();
    let bogus = WrappedKey { key_id: "0123456789abcdef".to_owned(), bytes: vec![0; 61] };
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    // Its state has changed, so it is read, and refused.
    assert!(matches!(keys.unwrap(&bogus, &context()).await, Err(SecretError::FileMode { .. })));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(keys.unwrap(&bogus, &context()).await, Err(SecretError::UnknownKey { .. })));
    let read_at = fs::metadata(&path).unwrap().atime_nsec();
    for _ in 0..100 {
        assert!(matches!(keys.unwrap(&bogus, &context()).await, Err(SecretError::UnknownKey { .. })));
    }
    assert_eq!(fs::metadata(&path).unwrap().atime_nsec(), read_at);
    // A file that is gone wraps nothing, though the key is still in memory; what was wrapped still unwraps.
    let (context, key) = (context(), TenantKey::random().unwrap());
    let wrapped = keys.wrap(&key, &context).await.unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(keys.wrap(&key, &context).await, Err(SecretError::File { .. })));
    assert!(keys.unwrap(&wrapped, &context).await.is_ok());
}

#[tokio::test]
async fn a_retired_key_is_gone_from_the_file_and_for_a_run_under_way_still_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let keys = KeyFile::open_or_create(&path).unwrap();
    let worker = KeyFile::open(&path).unwrap();
    let (context, key) = (context(), TenantKey::random().unwrap());
    let wrapped = keys.wrap(&key, &context).await.unwrap();
    assert!(matches!(keys.retire(&wrapped.key_id).await, Err(SecretError::CurrentKey(_))));
    let new = keys.rotate().await.unwrap();
    keys.retire(&wrapped.key_id).await.unwrap();
    assert!(!fs::read_to_string(&path).unwrap().contains(&wrapped.key_id));
    assert_eq!(worker.ring().await.unwrap().ids, [new]);
    assert!(worker.unwrap(&wrapped, &context).await.is_ok());
    assert!(matches!(
        KeyFile::open(&path).unwrap().unwrap(&wrapped, &context).await,
        Err(SecretError::UnknownKey { .. })
    ));
}

#[test]
fn rotations_at_the_same_time_lose_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let first = current(&KeyFile::open_or_create(&path).unwrap());
    let mut made: Vec<String> = std::thread::scope(|scope| {
        let rotate = || {
            let keys = KeyFile::open(&path).unwrap();
            (0..4).map(|_| keys.rotate_now().unwrap()).collect::<Vec<_>>()
        };
        let all: Vec<_> = (0..4).map(|_| scope.spawn(rotate)).collect();
        all.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    made.push(first);
    let mut there: Vec<_> = KeyFile::open(&path).unwrap().known().keys.iter().map(|kek| kek.id.clone()).collect();
    made.sort();
    there.sort();
    assert_eq!(there, made);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[tokio::test]
async fn a_full_file_asks_for_keys_to_be_retired() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let keys: Vec<_> = (0..MAX_KEYS).map(|_| Kek::random().unwrap()).collect();
    put(&path, std::str::from_utf8(&super::write(&keys)).unwrap(), 0o600);
    let keys = KeyFile::open(&path).unwrap();
    let error = keys.rotate().await.unwrap_err().to_string();
    assert!(error.contains("porthole key retire --unused"), "{error}");
}

#[test]
fn a_link_stays_a_link_and_leftovers_of_a_killed_rotation_go() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("real"), folder.path().join("link"));
    KeyFile::open_or_create(&path).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    put(&folder.path().join("real.new"), "half", 0o600);
    let id = KeyFile::open(&link).unwrap().rotate_now().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(current(&KeyFile::open(&path).unwrap()), id);
    assert!(!folder.path().join("real.new").exists());
}
