//! `credentials`: handles that point at a slot.

use crate::bindings::v0_1::porthole::integration::credentials::{CredentialError, Host, HostCredential};
use crate::limits::MAX_NAME_BYTES;
use crate::sandbox::broker_is_wrong;
use crate::stop::Stop;
use crate::task::{Credential, TaskState};
use porthole_wire::{Answer, OpenError, Question};
use wasmtime::component::Resource;

impl Host for TaskState {
    fn open(&mut self, slot: String) -> wasmtime::Result<Result<Resource<Credential>, CredentialError>> {
        self.count()?;
        if slot.len() > MAX_NAME_BYTES {
            return Ok(Err(CredentialError::UnknownSlot));
        }
        match self.questions.ask(Question::Open { slot: slot.clone() }) {
            Answer::Open(Ok(())) => {}
            Answer::Open(Err(OpenError::UnknownSlot)) => return Ok(Err(CredentialError::UnknownSlot)),
            Answer::Open(Err(OpenError::NotBound)) => return Ok(Err(CredentialError::NotBound)),
            _ => broker_is_wrong(),
        }
        let handle = self.handles.push(Credential { slot }).map_err(|_| {
            Stop::new("handles", format!("{} open credentials are allowed in one task", self.limits.handles))
        })?;
        Ok(Ok(handle))
    }
}

impl HostCredential for TaskState {
    fn drop(&mut self, handle: Resource<Credential>) -> wasmtime::Result<()> {
        self.handles.delete(handle)?;
        Ok(())
    }
}
