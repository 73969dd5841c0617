//! What a version may do that another could not, as it is shown to whoever decides.

use anyhow::{Context as _, Result, bail};
use porthole_model::id::ModuleDigest;
use porthole_model::manifest::Manifest;
use porthole_registry::diff::{Diff, Direction, diff, render};
use porthole_registry::pack::{digest, manifest_of};
use porthole_store::modules;
use porthole_store::tx::AnyTx;

/// Compares two published versions, from their bytes; against nothing, everything is wider.
pub(crate) async fn versions(tx: &mut impl AnyTx, old: Option<ModuleDigest>, new: ModuleDigest) -> Result<Diff> {
    let new = manifest(tx, new).await?;
    Ok(match old {
        Some(old) => diff(&manifest(tx, old).await?, &new),
        None => Diff::initial(&new),
    })
}

async fn manifest(tx: &mut impl AnyTx, module: ModuleDigest) -> Result<Manifest> {
    let bytes = modules::component(tx, module).await?;
    if digest(&bytes) != module {
        bail!("the stored bytes of {module} were changed");
    }
    manifest_of(&bytes).with_context(|| module.to_string())
}

/// `2 wider, 1 narrower`.
pub(crate) fn short(diff: &Diff) -> String {
    let words = [
        (Direction::Wider, "wider"),
        (Direction::Unknown, "that can't be decided, which counts as wider"),
        (Direction::Narrower, "narrower"),
        (Direction::Different, "different"),
    ];
    let count = |direction| diff.changes.iter().filter(|c| c.direction == direction).count();
    let counted: Vec<String> = words
        .into_iter()
        .map(|(direction, word)| (count(direction), word))
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    if counted.is_empty() { "nothing but the version changed".to_owned() } else { counted.join(", ") }
}

/// The changes, as text for a person. What was published may hold anything; the registry's screen shows it as plain text.
pub(crate) fn text(diff: &Diff) -> String {
    let screen = render(diff);
    // The first line says which versions and how many changes.
    screen.split_once('\n').map_or("", |(_, changes)| changes).trim_end().to_owned()
}
