//! Who the server runs as. Postgres refuses to run as root, so root drops to an account without rights.

use crate::error::{Result, StoreError};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// An account that isn't root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// The account to drop to; None when this process isn't root and may stay what it is.
    pub(super) fn to_drop_to() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let path = Path::new("/etc/passwd");
        let passwd = std::fs::read_to_string(path).map_err(|source| StoreError::File {
            what: "can't read",
            path: path.to_owned(),
            source,
        })?;
        match ["postgres", "nobody"].iter().find_map(|name| Self::find(&passwd, name)) {
            Some(account) => Ok(Some(account)),
            None => Err(StoreError::Server {
                dir: path.to_owned(),
                message: "the server can't run as root and there is neither a `postgres` nor a `nobody` account; \
                          make one, or run as another user"
                    .to_owned(),
            }),
        }
    }

    fn find(passwd: &str, name: &str) -> Option<Self> {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (uid != 0).then(|| Self { name: name.to_owned(), uid, gid })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// A command that this account runs. The standard library also drops the supplementary groups.
    pub(super) fn run(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives a file to this account.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(|source| StoreError::File {
            what: "can't hand over",
            path: path.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name_and_is_never_root() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:7::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n";
        let account = Account::find(passwd, "postgres").map(|a| (a.uid, a.gid));
        assert_eq!(account, Some((101, 104)));
        assert_eq!(Account::find(passwd, "root"), None);
        assert_eq!(Account::find(passwd, "nobody"), None);
    }
}
