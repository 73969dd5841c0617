//! From rows to the model's types. What can't be read is reported with its column: it means that another program wrote
//! here.

use crate::error::{Result, StoreError};
use crate::time::Time;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{Decode, Postgres, Row, Type};
use std::fmt::Display;
use std::str::FromStr;

/// Typed reads of columns.
pub(crate) trait Columns {
    /// A column as sqlx reads it.
    fn column<'r, T: Decode<'r, Postgres> + Type<Postgres>>(&'r self, column: &'static str) -> Result<T>;

    /// A text that is a checked name, an id or a word of an enum.
    fn word<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<T> {
        let text: String = self.column(column)?;
        text.parse().map_err(|e: T::Err| StoreError::Corrupt { column, message: e.to_string() })
    }

    /// The same, or null.
    fn word_or_null<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<Option<T>> {
        let text: Option<String> = self.column(column)?;
        text.map(|t| t.parse().map_err(|e: T::Err| StoreError::Corrupt { column, message: e.to_string() })).transpose()
    }

    /// A JSON value as a type of the model.
    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        let value: Json<serde_json::Value> = self.column(column)?;
        serde_json::from_value(value.0).map_err(|e| StoreError::Corrupt { column, message: e.to_string() })
    }

    /// The same, or null.
    fn json_or_null(&self, column: &'static str) -> Result<Option<serde_json::Value>> {
        let value: Option<Json<serde_json::Value>> = self.column(column)?;
        Ok(value.map(|j| j.0))
    }

    /// A time.
    fn time(&self, column: &'static str) -> Result<Timestamp> {
        Ok(self.column::<Time>(column)?.0)
    }

    /// A time, or null.
    fn time_or_null(&self, column: &'static str) -> Result<Option<Timestamp>> {
        Ok(self.column::<Option<Time>>(column)?.map(|t| t.0))
    }

    /// A count.
    fn count(&self, column: &'static str) -> Result<u64> {
        let n: i64 = self.column(column)?;
        u64::try_from(n).map_err(|_| StoreError::Corrupt { column, message: format!("{n} is no count") })
    }
}

impl Columns for PgRow {
    fn column<'r, T: Decode<'r, Postgres> + Type<Postgres>>(&'r self, column: &'static str) -> Result<T> {
        self.try_get(column).map_err(|e| StoreError::Corrupt { column, message: e.to_string() })
    }
}

/// A text that Postgres can hold: it has no NUL. Guests and providers write what ends up in logs and messages.
pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A count as Postgres counts.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
