//! The private server.

use porthole_store::embedded::{Embedded, EmbeddedOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A folder that the account the server drops to can pass through.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn options(dir: &Path) -> EmbeddedOptions {
    EmbeddedOptions { data_dir: dir.to_owned(), durable: false }
}

fn pid_file(dir: &Path) -> std::path::PathBuf {
    dir.join("postgres/data/postmaster.pid")
}

#[tokio::test]
async fn a_server_starts_is_joined_and_ends_with_its_last_user() {
    let dir = folder();
    assert!(Embedded::attach(dir.path()).await.unwrap().is_none());
    let first = Embedded::start_with(options(dir.path())).await.unwrap();
    let store = first.store().await.unwrap();
    let second = Embedded::attach(dir.path()).await.unwrap().expect("it runs");
    let third = Embedded::start_with(options(dir.path())).await.unwrap();
    first.stop().await.unwrap();
    third.stop().await.unwrap();
    store.begin().await.unwrap().rollback().await.unwrap();
    store.close().await;
    assert!(pid_file(dir.path()).exists());
    second.stop().await.unwrap();
    assert!(!pid_file(dir.path()).exists());
    assert!(Embedded::attach(dir.path()).await.unwrap().is_none());
    // And once more, with what is in it.
    let again = Embedded::start_with(options(dir.path())).await.unwrap();
    again.store().await.unwrap().close().await;
    again.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_whose_user_is_gone_without_a_word_ends_by_itself() {
    let dir = folder();
    let embedded = Embedded::start_with(options(dir.path())).await.unwrap();
    // As when the process is killed: the kernel closes what it held.
    drop(embedded);
    let deadline = Instant::now() + Duration::from_secs(30);
    while pid_file(dir.path()).exists() {
        assert!(Instant::now() < deadline, "the server still runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_pid_file_of_a_killed_server_is_no_obstacle() {
    let dir = folder();
    Embedded::start_with(options(dir.path())).await.unwrap().stop().await.unwrap();
    // In a container that starts anew, the number is soon that of someone else: here, ours.
    let stale = format!("{}\n/nowhere\n1\n5432\n\n\n\nready\n", std::process::id());
    std::fs::write(pid_file(dir.path()), stale).unwrap();
    let embedded = Embedded::start_with(options(dir.path())).await.unwrap();
    embedded.store().await.unwrap().close().await;
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_path_gets_its_socket_in_a_private_folder_elsewhere() {
    let dir = folder();
    let long = dir.path().join("x".repeat(120));
    let embedded = Embedded::start_with(options(&long)).await.unwrap();
    let url = embedded.url();
    let socket_dir = url.split(['@', '/']).find(|part| part.contains("%2F")).unwrap().replace("%2F", "/");
    assert!(socket_dir.starts_with("/tmp/porthole-") && Path::new(&socket_dir).exists(), "{url}");
    embedded.store().await.unwrap().close().await;
    embedded.stop().await.unwrap();
    assert!(!Path::new(&socket_dir).exists());
}

#[tokio::test]
async fn a_folder_that_the_server_s_account_can_not_reach_is_named() {
    if !rustix::process::geteuid().is_root() {
        // Only root drops to another account.
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let error = Embedded::start_with(options(dir.path())).await.unwrap_err().to_string();
    assert!(error.contains("can't reach this folder") && error.contains("/var/lib/porthole"), "{error}");
}
