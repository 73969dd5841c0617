//! The yardstick of loading: one binary COPY straight into the graph's tables, as a superuser, whom row security doesn't
//! bind. Nothing of the store's own encoder, staging or reconcile is in it.

use crate::graph::Place;
use anyhow::Result;
use bytes::BufMut as _;
use porthole_model::object::{Row, RowKind};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

/// Pieces of this size go to the server.
const PIECE_BYTES: usize = 1024 * 1024;
/// Microseconds from 1970 to 2000, where Postgres begins to count.
const EPOCH: i64 = 946_684_800_000_000;

fn field(to: &mut Vec<u8>, value: &[u8]) {
    to.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
    to.put_slice(value);
}

fn jsonb(to: &mut Vec<u8>, value: &str) {
    to.put_i32(i32::try_from(value.len() + 1).unwrap_or(i32::MAX));
    to.put_u8(1);
    to.put_slice(value.as_bytes());
}

fn classes(to: &mut Vec<u8>, values: &[String]) {
    let mut array = Vec::new();
    for word in [1, 0, 25, i32::try_from(values.len()).unwrap_or(0), 1] {
        array.put_i32(word);
    }
    values.iter().for_each(|v| field(&mut array, v.as_bytes()));
    field(to, &array);
}

fn encode(to: &mut Vec<u8>, place: Place, run: Uuid, now: i64, row: &Row) {
    let entity = matches!(row.kind, RowKind::Entity { .. });
    to.put_i16(if entity { 14 } else { 21 });
    field(to, place.tenant.0.as_bytes());
    field(to, &place.shard.to_be_bytes());
    field(to, place.instance.0.as_bytes());
    field(to, &row.key_hash.0);
    field(to, &row.content_hash.0);
    field(to, &1_i32.to_be_bytes());
    field(to, row.object_type.as_bytes());
    match &row.kind {
        RowKind::Entity { class, display_name } => {
            classes(to, class);
            field(to, row.key.as_bytes());
            field(to, display_name.as_bytes());
        }
        RowKind::Relationship { verb, from_key, from_hash, to_key, to_hash, far: _ } => {
            field(to, row.key.as_bytes());
            field(to, verb.as_bytes());
            field(to, from_key.as_bytes());
            field(to, &from_hash.0);
            field(to, to_key.as_bytes());
            field(to, &to_hash.0);
            field(to, &[0]);
        }
    }
    jsonb(to, &row.properties);
    field(to, run.as_bytes());
    field(to, &now.to_be_bytes());
    field(to, &now.to_be_bytes());
    // No far end.
    (0..if entity { 0 } else { 3 }).for_each(|_| to.put_i32(-1));
}

/// Copies rows of one kind into `table`.
///
/// # Errors
/// When the server refuses.
pub(crate) async fn copy(admin: &mut PgConnection, table: &str, place: Place, rows: &[Row]) -> Result<()> {
    let now = jiff::Timestamp::now().as_microsecond() - EPOCH;
    let run = Uuid::now_v7();
    let mut copy = admin.copy_in_raw(&format!("COPY porthole.{table} FROM STDIN (FORMAT binary)")).await?;
    let mut piece = Vec::with_capacity(PIECE_BYTES * 2);
    piece.put_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for row in rows {
        encode(&mut piece, place, run, now, row);
        if piece.len() >= PIECE_BYTES {
            copy.send(piece.as_slice()).await?;
            piece.clear();
        }
    }
    piece.put_i16(-1);
    copy.send(piece.as_slice()).await?;
    copy.finish().await?;
    Ok(())
}
