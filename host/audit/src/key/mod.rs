//! The key that signs a deployment's logs, and public keys.
//!
//! One key signs every log of a deployment: the name on a signature, which is the log's origin, is part of what is
//! signed, so a checkpoint of one log can't be passed off as another's. A witness needs a key of its own: its
//! co-signatures don't commit to its name (C2SP tlog-cosignature).

mod log_key;
mod owner_file;
mod pem;
mod public_key;

pub use log_key::LogKey;
pub use public_key::PublicKey;

#[cfg(test)]
mod tests;
