//! How people name a published module: a file, a digest or its beginning, `NAME@VERSION`.

use super::read;
use anyhow::{Result, bail};
use porthole_model::id::Name;
use porthole_runner::trust::Judge;
use porthole_store::modules::{self, Module};
use porthole_store::tx::AnyTx;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The fewest digits of a digest that name a module: fewer are a slip of the keyboard.
const MIN_DIGITS: usize = 4;

/// A reference to a published module.
#[derive(Debug, Clone)]
pub(crate) enum ModuleRef {
    /// The module that this file is.
    File(PathBuf),
    /// `sha256:` and at least four digits.
    Digest(String),
    /// `[PUBLISHER/]NAME[@VERSION]`.
    Named { publisher: Option<Name>, name: Name, version: Option<String> },
}

impl FromStr for ModuleRef {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        if text.starts_with("sha256:") {
            return Ok(Self::Digest(text.to_owned()));
        }
        let (path, version) = match text.split_once('@') {
            Some((path, version)) => (path, Some(version.to_owned())),
            None => (text, None),
        };
        let (publisher, name) = match path.split_once('/') {
            Some((publisher, name)) => (Some(Name::new(publisher)), Name::new(name)),
            None => (None, Name::new(path)),
        };
        // What is no name is a file: names have no dots.
        Ok(match (publisher.transpose(), name) {
            (Ok(publisher), Ok(name)) => Self::Named { publisher, name, version },
            _ => Self::File(PathBuf::from(text)),
        })
    }
}

impl fmt::Display for ModuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Digest(digest) => f.write_str(digest),
            Self::Named { publisher, name, version } => {
                if let Some(publisher) = publisher {
                    write!(f, "{publisher}/")?;
                }
                write!(f, "{name}")?;
                version.as_ref().map_or(Ok(()), |version| write!(f, "@{version}"))
            }
        }
    }
}

/// The module that is meant. A name without a version is the newest version.
pub(crate) async fn find(tx: &mut impl AnyTx, reference: &ModuleRef) -> Result<Module> {
    let found = match reference {
        ModuleRef::File(path) => {
            let digest = porthole_registry::pack::digest(&read(path)?);
            match modules::get(tx, digest).await {
                Err(e) if e.is_not_found() => {
                    bail!("{} ({digest}) is not published here: `porthole module publish {0}`", path.display())
                }
                other => other?,
            }
        }
        ModuleRef::Digest(prefix) => {
            if prefix.len() < "sha256:".len() + MIN_DIGITS {
                bail!("`{prefix}` is too short: at least {MIN_DIGITS} digits after `sha256:`");
            }
            let mut found = modules::by_prefix(tx, prefix).await?;
            match (found.pop(), found.is_empty()) {
                (Some(module), true) => module,
                (None, _) => bail!("no module `{prefix}`"),
                (Some(_), false) => bail!("several modules start with `{prefix}`: give more digits"),
            }
        }
        ModuleRef::Named { publisher, name, version } => {
            let module = modules::by_name(tx, name, version.as_deref()).await?;
            if publisher.as_ref().is_some_and(|p| p.as_str() != module.publisher) {
                bail!("no module `{reference}`; {}@{} is {}'s", module.name, module.version, module.publisher);
            }
            module
        }
    };
    Ok(found)
}

/// The same for what shall be decided about: one version has to be named.
pub(crate) async fn find_version(tx: &mut impl AnyTx, reference: &ModuleRef) -> Result<Module> {
    if let ModuleRef::Named { name, version: None, .. } = reference {
        let newest = find(tx, reference).await?;
        bail!("say which version of {name}; the newest is {name}@{}", newest.version);
    }
    find(tx, reference).await
}

/// The same for what shall run: a name without a version is the newest version that may.
pub(crate) async fn find_trusted(tx: &mut impl AnyTx, judge: &Judge, reference: &ModuleRef) -> Result<Module> {
    let mut module = find(tx, reference).await?;
    if let ModuleRef::Named { name, version: None, .. } = reference {
        for version in modules::versions(tx, name).await? {
            if version.publisher == module.publisher && judge.decide(tx, version.digest, version.digest).await.is_ok() {
                module = version;
                break;
            }
        }
    }
    judge.decide(tx, module.digest, module.digest).await?;
    Ok(module)
}
