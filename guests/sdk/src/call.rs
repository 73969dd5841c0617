//! A call of an operation, and what comes back.

use crate::error::StepError;
use serde::Deserialize;
use std::borrow::Cow;

/// A call of an operation: its name in the manifest, and values for its arguments. Where a value goes (path, query,
/// body), and what it may look like, is the manifest's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub(crate) operation: Cow<'static, str>,
    pub(crate) arguments: Vec<(Cow<'static, str>, String)>,
    pub(crate) credential: Option<Cow<'static, str>>,
}

impl Call {
    /// A call without arguments and without a credential.
    #[must_use]
    pub fn new(operation: impl Into<Cow<'static, str>>) -> Self {
        Self { operation: operation.into(), arguments: Vec::new(), credential: None }
    }

    /// Gives a value for an argument. An argument that the manifest declares as a list may be given again.
    #[must_use]
    pub fn arg(mut self, name: impl Into<Cow<'static, str>>, value: impl ToString) -> Self {
        self.arguments.push((name.into(), value.to_string()));
        self
    }

    /// Names the slot of the credential that signs the call. The credential is opened once and never seen.
    #[must_use]
    pub fn credential(mut self, slot: impl Into<Cow<'static, str>>) -> Self {
        self.credential = Some(slot.into());
        self
    }

    /// The operation's id.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// The arguments, in the order in which they were given.
    pub fn arguments(&self) -> impl Iterator<Item = (&str, &str)> {
        self.arguments.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// The credential's slot.
    #[must_use]
    pub fn credential_slot(&self) -> Option<&str> {
        self.credential.as_deref()
    }
}

/// Goes on with a list. Valid once, and only in the step and partition that began the list.
#[derive(Debug, PartialEq, Eq)]
pub struct PageToken {
    pub(crate) operation: Cow<'static, str>,
    pub(crate) id: u64,
}

impl PageToken {
    /// For hosts. A guest gets its tokens from responses.
    #[must_use]
    pub fn new(operation: impl Into<Cow<'static, str>>, id: u64) -> Self {
        Self { operation: operation.into(), id }
    }

    /// The number that the host gave it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }
}

/// What a host is asked for: a new call, or the next page of an earlier one.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// A new call.
    Begin(Call),
    /// The next page.
    Next(PageToken),
}

impl Request {
    /// The operation's id.
    #[must_use]
    pub fn operation(&self) -> &Cow<'static, str> {
        match self {
            Self::Begin(call) => &call.operation,
            Self::Next(token) => &token.operation,
        }
    }
}

/// A response header that the operation declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Lower case.
    pub name: String,
    /// As the provider sent it.
    pub value: String,
}

/// What the provider answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// The operation that was called.
    pub operation: Cow<'static, str>,
    /// The HTTP status: a success, or one of the operation's `empty-on`.
    pub status: u16,
    /// The declared headers.
    pub headers: Vec<Header>,
    /// The body, without the secrets that the manifest or the host scrub.
    pub body: Vec<u8>,
    /// The status is one of the operation's `empty-on`: there is nothing here, and that is the whole truth.
    pub empty: bool,
    /// There are more pages. [`crate::Cx::pages`] takes it and goes on by itself.
    pub next: Option<PageToken>,
}

impl Response {
    /// A declared response header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|h| h.name == name).map(|h| h.value.as_str())
    }

    /// Reads the body as JSON. `T` may borrow from it ([`crate::Text`]).
    ///
    /// # Errors
    /// [`StepError::Unexpected`] when the body is another thing than `T`; it says where.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, StepError> {
        let odd = |e: &dyn std::fmt::Display| {
            StepError::Unexpected(format!("`{}`: the reply isn't what it should be: {e}", self.operation))
        };
        // Checked once here, and not again at every text in it.
        let text = std::str::from_utf8(&self.body).map_err(|e| odd(&e))?;
        serde_json::from_str(text).map_err(|e| odd(&e))
    }

    /// Reads the body as a JSON list. An [`empty`](Self::empty) response is an empty list.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub fn list<'a, T: Deserialize<'a>>(&'a self) -> Result<Vec<T>, StepError> {
        if self.empty { Ok(Vec::new()) } else { self.json() }
    }
}
