//! The one room for secrets: how a plaintext comes in, how it is kept, and who may open it.
//!
//! There is no `reveal`. A plaintext enters as a [`SecretText`], is checked as [`SecretFields`] and leaves as a
//! [`Sealed`], which is ciphertext. Opening is private to this crate and happens for a request that is about to be sent.
//! Types that hold a plaintext print `[redacted]`, can't be cloned or serialised, and are wiped when dropped.
//!
//! What is out of reach: `ring` keeps expanded AES and RSA keys on the stack and the heap without wiping them. They live
//! for one seal, one open or one signature.
//!
//! Start reading at [`Vault`].

mod aead;
mod cache;
mod error;
mod fields;
mod input;
pub(crate) mod json;
mod key;
mod key_file;
mod platform_key;
mod private_file;
mod reply_keys;
pub(crate) mod rsa;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
pub(crate) mod test_keys;
mod text;
mod transit;
mod vault;

pub(crate) use error::cut;
pub use error::{KeyServiceFault, SecretError};
pub(crate) use fields::OpenSecret;
pub use fields::{MAX_FIELD_BYTES, MAX_FIELDS, SecretFields};
pub use key::{KeyContext, KeyPort, KeyRing, TenantKey, WrappedKey};
pub use key_file::KeyFile;
pub use platform_key::PlatformKey;
pub use reply_keys::{ReplyKeys, ReplyPart, ReplyPlace};
pub use text::{MAX_INPUT_BYTES, SecretText};
pub use transit::{DEFAULT_MOUNT, DEFAULT_NAME, Transit, TransitConfig};
pub use vault::{Binding, Resealer, Sealed, Vault};
