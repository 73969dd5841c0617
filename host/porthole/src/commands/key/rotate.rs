//! `porthole key rotate`: a new key-encryption key, or a new data key of one tenant.

use crate::context::{Cx, Database};
use crate::output;
use anyhow::{Context as _, Result};
use porthole_runner::keys;

pub(super) async fn rotate(cx: &Cx, db: &Database) -> Result<()> {
    match cx.named_tenant(db).await? {
        Some(tenant) => {
            let done = keys::rotate_tenant(&cx.op(), &db.store, cx.vault()?.as_ref(), tenant.id).await?;
            let ended: Vec<_> = done.ended.iter().map(|key| format!("v{key}")).collect();
            output::line(format!(
                "tenant {}: data key v{} seals its {} secrets; ended: {}",
                tenant.name,
                done.to,
                done.resealed,
                if ended.is_empty() { "none".to_owned() } else { ended.join(", ") }
            ));
            Ok(())
        }
        None => rotate_all(cx, db).await,
    }
}

async fn rotate_all(cx: &Cx, db: &Database) -> Result<()> {
    let (vault, op) = (cx.vault()?, cx.op());
    let (current, is_new) = keys::begin_rotation(&op, &db.store, &vault).await?;
    output::line(if is_new {
        format!("key {current} is made; data keys are wrapped with it from now on")
    } else {
        format!("going on: not everything is wrapped with key {current} yet")
    });
    let hint =
        || format!("key {current} is in use; what isn't wrapped with it stays as it was: run this again to go on");
    let done = keys::rewrap_all(&op, &db.store, &vault, &current).await.with_context(hint)?;
    output::line(format!("{} data keys of {} tenants were re-wrapped", done.keys, done.tenants));
    let idle: Vec<_> = super::unused(&db.store, &vault).await?;
    if let Some(id) = idle.first() {
        output::line(format!(
            "older keys still unwrap what copies of the database hold: porthole key retire {}",
            if idle.len() == 1 { id } else { "--unused" }
        ));
    }
    Ok(())
}
