//! A publisher and three reviewers for tests, with fixed keys, and the way of a module until it may run.

use anyhow::Result;
use jiff::Timestamp;
use porthole_model::context::OpContext;
use porthole_model::id::{ModuleDigest, Name};
use porthole_registry::Packed;
use porthole_registry::approval::{Approval, ApprovalKind, Decision};
use porthole_registry::diff::{Diff, diff};
use porthole_registry::key::SigningKey;
use porthole_registry::sign::ModuleSignature;
use porthole_store::approvals::{self, NewApproval};
use porthole_store::modules::{self, NewModule};
use porthole_store::signing_keys::NewKey;
use porthole_store::{PlatformTx, publishers, reviewers};

/// The publisher of tests.
pub const PUBLISHER: &str = "tests";
/// Its key: as good as any, and the same in every test.
pub const PUBLISHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB
-----END PRIVATE KEY-----
";
/// The reviewers of tests, with their keys.
pub const REVIEWERS: [(&str, &str); 3] = [
    (
        "ada",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC\n-----END PRIVATE KEY-----\n",
    ),
    (
        "ben",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD\n-----END PRIVATE KEY-----\n",
    ),
    (
        "cleo",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\n-----END PRIVATE KEY-----\n",
    ),
];

/// A key of the constants above.
///
/// # Errors
/// When it is none of them.
pub fn key(pem: &str) -> Result<SigningKey> {
    Ok(SigningKey::from_pem(pem.as_bytes())?)
}

/// Adds the publisher and the reviewers.
///
/// # Errors
/// When the database fails.
pub async fn people(cx: &OpContext, tx: &mut PlatformTx) -> Result<()> {
    let public = key(PUBLISHER_KEY)?.public();
    let (id, pem) = (public.id().to_string(), public.to_pem());
    let new = NewKey { id: &id, public_key: &pem };
    publishers::add(cx, tx, &Name::new(PUBLISHER)?, new, &[]).await?;
    for (name, private) in REVIEWERS {
        let public = key(private)?.public();
        let (id, pem) = (public.id().to_string(), public.to_pem());
        reviewers::add(cx, tx, &Name::new(name)?, NewKey { id: &id, public_key: &pem }).await?;
    }
    Ok(())
}

/// Adds a module, signed or not.
///
/// # Errors
/// When there is another one of its name and version.
pub async fn publish(cx: &OpContext, tx: &mut PlatformTx, packed: &Packed, signed: bool) -> Result<()> {
    let (digest, manifest, component) = (packed.digest, &packed.manifest, packed.bytes.as_slice());
    modules::add(cx, tx, NewModule { digest, publisher: PUBLISHER, manifest, component }).await?;
    if signed {
        let signature = ModuleSignature::new(&key(PUBLISHER_KEY)?, &Name::new(PUBLISHER)?, digest);
        modules::add_signature(cx, tx, digest, &signature.key.to_string(), &signature.to_file()).await?;
    }
    Ok(())
}

/// Approves a module as one of [`REVIEWERS`], against an earlier version or nothing.
///
/// # Errors
/// When the approval isn't one.
pub async fn approve(
    cx: &OpContext,
    tx: &mut PlatformTx,
    packed: &Packed,
    basis: Option<&Packed>,
    reviewer: usize,
    kind: ApprovalKind,
) -> Result<()> {
    let diff = basis.map_or_else(|| Diff::initial(&packed.manifest), |b| diff(&b.manifest, &packed.manifest));
    let decision = Decision {
        module: packed.digest,
        basis: basis.map(|b| b.digest),
        diff: diff.digest(),
        verdict: diff.verdict,
        kind,
        reason: "a test".to_owned(),
        at: Timestamp::now(),
    };
    let approval = match REVIEWERS.get(reviewer) {
        Some((name, private)) => Approval::by(&key(private)?, &Name::new(*name)?, decision)?,
        None => Approval::automatic(decision)?,
    };
    record(cx, tx, packed.digest, &approval).await
}

/// Records any approval.
///
/// # Errors
/// When the database fails.
pub async fn record(cx: &OpContext, tx: &mut PlatformTx, module: ModuleDigest, approval: &Approval) -> Result<()> {
    let statement = &approval.statement;
    let new = NewApproval {
        module,
        kind: statement.kind.as_str(),
        reviewer: statement.reviewer.as_ref(),
        document: &approval.to_file(),
        key: None,
        basis: statement.basis,
        diff: &statement.diff,
        verdict: statement.verdict.as_str(),
        reason: &statement.reason,
    };
    Ok(approvals::add(cx, tx, new).await?)
}

/// The whole way: publisher and reviewers, a signed module, two approvals.
///
/// # Errors
/// When the database fails.
pub async fn trusted(cx: &OpContext, tx: &mut PlatformTx, packed: &Packed) -> Result<()> {
    people(cx, tx).await?;
    publish(cx, tx, packed, true).await?;
    for reviewer in [0, 1] {
        approve(cx, tx, packed, None, reviewer, ApprovalKind::Normal).await?;
    }
    Ok(())
}
