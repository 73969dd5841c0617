//! Reading back what earlier steps of the run emitted.

use crate::error::StepError;
use crate::host::Host;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::vec;

/// An entity that an earlier step emitted: its key, and those properties that the step's `reads` names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stored<T> {
    /// Its key.
    #[serde(rename = "k")]
    pub key: String,
    /// Its properties.
    #[serde(rename = "p")]
    pub properties: T,
}

/// Iterates over the entities of a type, in the host's stable order. Ends after an error.
pub struct StoredEntities<'a, T> {
    host: &'a dyn Host,
    entity_type: &'a str,
    cursor: Option<u64>,
    page: vec::IntoIter<Stored<T>>,
    marker: PhantomData<T>,
}

impl<'a, T: DeserializeOwned> StoredEntities<'a, T> {
    pub(crate) fn new(host: &'a dyn Host, entity_type: &'a str) -> Self {
        Self { host, entity_type, cursor: Some(0), page: Vec::new().into_iter(), marker: PhantomData }
    }

    fn read(&mut self, cursor: u64) -> Result<(), StepError> {
        let page = self.host.entities(self.entity_type, cursor)?;
        let mut entities = Vec::new();
        for entity in serde_json::Deserializer::from_slice(&page.lines).into_iter() {
            let bad = |e| StepError::Other(format!("reading `{}` back: {e}", self.entity_type));
            entities.push(entity.map_err(bad)?);
        }
        self.page = entities.into_iter();
        self.cursor = page.next;
        Ok(())
    }
}

impl<T: DeserializeOwned> Iterator for StoredEntities<'_, T> {
    type Item = Result<Stored<T>, StepError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entity) = self.page.next() {
                return Some(Ok(entity));
            }
            let cursor = self.cursor.take()?;
            if let Err(e) = self.read(cursor) {
                return Some(Err(e));
            }
        }
    }
}
