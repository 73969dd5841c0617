//! `porthole key list`: ids and counts.

use crate::context::{Cx, Database};
use crate::output;
use anyhow::Result;
use porthole_egress::secret::KeyRing;
use porthole_runner::keys::{self, TenantKeys};
use serde::Serialize;

/// A key-encryption key.
#[derive(Serialize)]
struct KekRow {
    id: String,
    place: String,
    current: bool,
    data_keys: usize,
    tenants: usize,
}

/// A data key.
#[derive(Serialize)]
struct DataKeyRow {
    tenant: String,
    version: i32,
    wrapped_with: Option<String>,
    secrets: u64,
    #[serde(flatten)]
    key: porthole_store::keys::DataKey,
}

pub(super) async fn list(cx: &Cx, db: &Database, json: bool) -> Result<()> {
    let only = cx.named_tenant(db).await?;
    let uses = keys::uses(&db.store, only.map(|tenant| tenant.id)).await?;
    let keks = keks(&cx.vault()?.rings().await?, &uses);
    let data_keys = uses.iter().flat_map(|of| {
        of.keys.iter().map(|(key, wrapped_with)| DataKeyRow {
            tenant: of.tenant.name.to_string(),
            version: key.key_id,
            wrapped_with: wrapped_with.clone(),
            secrets: key.secrets,
            key: key.clone(),
        })
    });
    if json {
        let data_keys: Vec<_> = data_keys.collect();
        return output::json(&serde_json::json!({ "key_encryption_keys": keks, "data_keys": data_keys }));
    }
    let row = |kek: KekRow| {
        let state = if kek.current { "wraps" } else { "unwraps only" };
        vec![kek.id, state.to_owned(), kek.data_keys.to_string(), kek.tenants.to_string(), kek.place]
    };
    output::table(&["key-encryption key", "state", "data keys", "tenants", "place"], keks.into_iter().map(row));
    output::line("");
    let row = |row: DataKeyRow| {
        let (state, since) = match row.key.end {
            None => (row.wrapped_with.unwrap_or_default(), row.key.created_at),
            Some(end) if end.shredded => (format!("shredded by {}: {}", end.by, end.reason), end.at),
            Some(end) => (format!("ended by {}: {}", end.by, end.reason), end.at),
        };
        vec![row.tenant, format!("v{}", row.version), row.secrets.to_string(), since.to_string(), state]
    };
    output::table(&["tenant", "data key", "secrets", "since", "wrapped with"], data_keys.map(row));
    Ok(())
}

/// The keys of all places; and those that something is wrapped with although no place has them.
fn keks(rings: &[KeyRing], uses: &[TenantKeys]) -> Vec<KekRow> {
    let count = |id: &str| {
        let (data_keys, tenants) = keys::wrapped_with(uses, &[id.to_owned()]);
        (data_keys, tenants.len())
    };
    let row = |id: &String, place: &str, current: bool| {
        let (data_keys, tenants) = count(id);
        KekRow { id: id.clone(), place: place.to_owned(), current, data_keys, tenants }
    };
    let of_ring = |ring: &KeyRing| {
        let current = ring.current.clone();
        let rows = ring.ids.iter().map(|id| row(id, &ring.place, current.as_ref() == Some(id)));
        rows.collect::<Vec<_>>()
    };
    let mut rows: Vec<_> = rings.iter().flat_map(of_ring).collect();
    let mut lost: Vec<&String> =
        uses.iter().flat_map(|of| of.keys.iter().filter_map(|(_, with)| with.as_ref())).collect();
    lost.sort();
    lost.dedup();
    for id in lost {
        if rows.iter().all(|row| row.id != *id) {
            rows.push(row(id, "nowhere: what it wraps can't be unwrapped", false));
        }
    }
    rows
}
