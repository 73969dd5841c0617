//! Where things are: server programs, socket folder.

use crate::error::{Result, StoreError};
use std::env;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the socket; nobody listens on it.
pub(super) const PORT: u16 = 5432;
/// The oldest server that will do: 15 made public schemas safe and has `CREATE DATABASE … STRATEGY`.
pub(super) const OLDEST_MAJOR: u32 = 15;
/// `sun_path` has 108 bytes on Linux and 104 on macOS, a NUL among them.
const MAX_SOCKET_PATH_BYTES: usize = 103;

/// A folder with `postgres` and `initdb` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

/// Finds server programs: of a given version for a data folder that has one, else the newest.
pub(super) fn find_binaries(version: Option<u32>) -> Result<Binaries> {
    let dirs = candidate_dirs();
    let mut found = dirs.iter().filter_map(|dir| probe(dir));
    let fit = match version {
        Some(version) => found.find(|b| b.major == version),
        None => found.filter(|b| b.major >= OLDEST_MAJOR).max_by_key(|b| b.major),
    };
    fit.ok_or_else(|| StoreError::NoServer {
        needed: match version {
            Some(version) => format!("version {version}, which made the data folder"),
            None => format!("version {OLDEST_MAJOR} or newer"),
        },
        looked_in: dirs.iter().map(|d| d.display().to_string()).collect::<Vec<_>>().join(", "),
    })
}

/// What a person named comes first and alone.
fn candidate_dirs() -> Vec<PathBuf> {
    if let Some(dir) = env::var_os("PORTHOLE_PG_BIN") {
        return vec![PathBuf::from(dir)];
    }
    let mut dirs: Vec<PathBuf> = env::var_os("PATH").map(|p| env::split_paths(&p).collect()).unwrap_or_default();
    if let Some(cache) = cache_dir() {
        dirs.push(cache.join("porthole/postgres/bin"));
    }
    for (parent, below) in [
        ("/usr/lib/postgresql", "bin"),
        ("/usr/local/lib/postgresql", "bin"),
        ("/usr/local/opt", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "bin"),
    ] {
        dirs.extend(children(Path::new(parent)).into_iter().map(|dir| dir.join(below)));
    }
    dirs.extend(["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/pgsql/bin"].map(PathBuf::from));
    dirs.retain(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file() || dirs_named_by_us(dir));
    dirs.dedup();
    dirs
}

/// Shown in the error although it holds nothing: where to put binaries.
fn dirs_named_by_us(dir: &Path) -> bool {
    dir.ends_with("porthole/postgres/bin")
}

/// Where binaries that came with no package are kept. Root's own folder is closed to the account that the server runs
/// as, so root's are with the system's.
fn cache_dir() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/cache"));
    }
    env::var_os("XDG_CACHE_HOME")
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| entries.filter_map(|e| e.ok().map(|e| e.path())).collect())
        .unwrap_or_default();
    paths.sort();
    paths
}

/// Asks for the version. Symbolic links are resolved first: a distribution's wrapper in PATH may point into the folder
/// that has everything else.
fn probe(dir: &Path) -> Option<Binaries> {
    let postgres = std::fs::canonicalize(dir.join("postgres")).ok()?;
    let dir = postgres.parent()?.to_owned();
    if !dir.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(&postgres).arg("--version").output().ok()?;
    Some(Binaries { dir, major: major(&String::from_utf8_lossy(&output.stdout))? })
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` is 15, `… 18beta1` is 18.
fn major(text: &str) -> Option<u32> {
    let version = text.split(") ").nth(1)?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Where the socket goes: the server's own folder if its path is short and plain, else a private folder in /tmp.
pub(super) fn socket_dir(dir: &Path) -> PathBuf {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match dir.to_str() {
        Some(text) if text.chars().all(plain) && text.len() + socket_name().len() < MAX_SOCKET_PATH_BYTES => {
            dir.to_owned()
        }
        _ => {
            let hash = fnv1a(dir.as_os_str().as_encoded_bytes());
            PathBuf::from(format!("/tmp/porthole-{hash:016x}"))
        }
    }
}

fn socket_name() -> String {
    format!("/.s.PGSQL.{PORT}")
}

/// Makes a folder that only `owner` (or this process) can enter. /tmp is everyone's: what is there already is used only
/// if it is a real folder, ours and closed to others.
pub(super) fn make_private_dir(dir: &Path, owner: Option<u32>) -> Result<bool> {
    let file_error = |what, source| StoreError::File { what, path: dir.to_owned(), source };
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(file_error("can't make", e)),
    }
    let metadata = std::fs::symlink_metadata(dir).map_err(|e| file_error("can't read", e))?;
    let ours = [Some(rustix::process::geteuid().as_raw()), owner].contains(&Some(metadata.uid()));
    if !metadata.is_dir() || !ours || metadata.permissions().mode() & 0o077 != 0 {
        return Err(StoreError::Server {
            dir: dir.to_owned(),
            message: "it exists and isn't a folder that only this account can enter (mode 0700)".to_owned(),
        });
    }
    Ok(false)
}

/// A short hash that stays the same from version to version (FNV-1a, 64 bits). Not for anything that is attacked.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_servers_say() {
        assert_eq!(major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("something else"), None);
    }

    #[test]
    fn a_long_or_odd_path_gets_its_socket_elsewhere() {
        let short = Path::new("/var/lib/porthole/postgres");
        assert_eq!(socket_dir(short), short);
        for odd in [format!("/{}", "x".repeat(100)), "/with, comma".to_owned()] {
            let elsewhere = socket_dir(Path::new(&odd));
            assert!(elsewhere.starts_with("/tmp") && elsewhere.as_os_str().len() < 40, "{elsewhere:?}");
        }
    }
}
