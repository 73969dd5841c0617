//! The two doors to the database.

use crate::error::{Result, StoreError, What};
use porthole_model::audit::Log;
use porthole_model::id::TenantId;
use sqlx::{PgConnection, PgPool, Postgres, Row, Transaction};

pub(crate) mod sealed {
    /// Reaches the connection of a transaction. Outside of this crate nobody can name it, so nobody can send SQL.
    pub trait Conn: Send {
        fn conn(&mut self) -> &mut sqlx::PgConnection;
    }
}

/// Either door. What belongs to the platform (modules, the list of tenants) can be read through both.
pub trait AnyTx: sealed::Conn {
    /// The audit log of what is changed through it.
    fn log(&self) -> Log;
}

/// A transaction without a tenant: row security shows it no tenant's rows. Dropped without [`PlatformTx::commit`], it
/// leaves nothing behind.
#[derive(Debug)]
pub struct PlatformTx {
    tx: Transaction<'static, Postgres>,
}

impl PlatformTx {
    pub(crate) async fn begin(pool: &PgPool) -> Result<Self> {
        Ok(Self { tx: pool.begin().await.what("begin a transaction")? })
    }

    /// Goes on as a tenant, in the same transaction: what was locked or written before and what follows are one.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub async fn enter(mut self, tenant: TenantId) -> Result<TenantTx> {
        // The setting ends with the transaction, so a pooled connection carries no tenant on to its next user.
        let row = sqlx::query(
            "SELECT set_config('porthole.tenant', tenant_id::text, true), shard FROM tenants WHERE tenant_id = $1",
        )
        .bind(tenant.0)
        .fetch_optional(&mut *self.tx)
        .await
        .what("enter a tenant")?
        .ok_or_else(|| StoreError::not_found("tenant", tenant))?;
        Ok(TenantTx { tx: self.tx, tenant, shard: row.get("shard") })
    }

    /// Makes it so.
    ///
    /// # Errors
    /// When the server doesn't.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await.what("commit")
    }

    /// Undoes it, and knows that it is undone before it returns.
    ///
    /// # Errors
    /// When the server can't be reached.
    pub async fn rollback(self) -> Result<()> {
        self.tx.rollback().await.what("roll back")
    }
}

/// A transaction of one tenant: the only door to tenant data. Row security is set to the tenant, and every statement
/// names the tenant on its own. Dropped without [`TenantTx::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct TenantTx {
    tx: Transaction<'static, Postgres>,
    tenant: TenantId,
    shard: i16,
}

impl TenantTx {
    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The partition of the graph that holds the tenant.
    #[must_use]
    pub fn shard(&self) -> i16 {
        self.shard
    }

    /// Makes it so.
    ///
    /// # Errors
    /// When the server doesn't.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await.what("commit")
    }

    /// Undoes it, and knows that it is undone before it returns.
    ///
    /// # Errors
    /// When the server can't be reached.
    pub async fn rollback(self) -> Result<()> {
        self.tx.rollback().await.what("roll back")
    }
}

impl sealed::Conn for PlatformTx {
    fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}

impl sealed::Conn for TenantTx {
    fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}

impl AnyTx for PlatformTx {
    fn log(&self) -> Log {
        Log::Platform
    }
}

impl AnyTx for TenantTx {
    fn log(&self) -> Log {
        Log::Tenant(self.tenant)
    }
}
