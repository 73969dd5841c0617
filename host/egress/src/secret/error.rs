//! Why a secret was not accepted, kept or opened. No message holds a byte of what was given, not even a field name that
//! isn't ours: whoever pipes a token where two fields were expected would read it again in the log.

use std::path::PathBuf;

/// Why a secret was not accepted, kept or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The input is too long to be a secret.
    #[error("the secret is longer than {0} bytes")]
    InputTooLong(usize),
    /// The input can't be read.
    #[error("the secret can't be read")]
    Read(#[source] std::io::Error),
    /// The input is no text.
    #[error("the secret is not UTF-8 text")]
    NotText,
    /// Several fields in a form that can't be taken apart.
    #[error("{reason}; give a JSON object or a `name=value` line for each of {fields}")]
    Form {
        /// What is wrong.
        reason: &'static str,
        /// The fields that are expected.
        fields: String,
    },
    /// A field that this kind of credential doesn't have.
    #[error("there is a field that is none of {fields}")]
    UnknownField {
        /// The fields that are expected.
        fields: String,
    },
    /// A field was given twice.
    #[error("field `{0}` is given twice")]
    Repeated(String),
    /// Fields are missing.
    #[error("missing: {0}")]
    Missing(String),
    /// A field breaks its rule.
    #[error("field `{field}` {rule}")]
    Field {
        /// The field.
        field: String,
        /// The rule, as the end of a sentence.
        rule: &'static str,
    },
    /// A private key that can't be used.
    #[error("field `{field}` is no usable RSA private key: {reason}")]
    PrivateKey {
        /// The field.
        field: String,
        /// Why.
        reason: String,
    },
    /// The manifest gives a credential more fields than anything needs.
    #[error("a credential has at most {max} fields, the manifest asks for {count}")]
    ManyFields {
        /// How many it has.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The key file can't be read or made.
    #[error("key file {}: {what}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Others may read the key file.
    #[error("key file {} can be read by others (mode {mode:04o}); run: chmod 600 {}", path.display(), path.display())]
    KeyFileMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file isn't one.
    #[error("key file {}: {rule}", path.display())]
    KeyFileForm {
        /// The file.
        path: PathBuf,
        /// What is wrong, as a short fact.
        rule: &'static str,
    },
    /// A tenant key is wrapped with a key that isn't here.
    #[error("the tenant key is wrapped with key `{wanted}`; here are only: {known}")]
    UnknownKey {
        /// The key's id, cut to 64 characters.
        wanted: String,
        /// The ids at hand.
        known: String,
    },
    /// A key service answered with an error. The message comes from its adapter and holds no key.
    #[error("key service: {0}")]
    KeyService(String),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness,
    /// Encryption failed.
    #[error("can't encrypt the secret")]
    Seal,
    /// Decryption failed. AES-GCM doesn't say why, and neither could we without helping whoever changed it.
    #[error("the {0} doesn't open: it was changed, or belongs to another tenant, instance, slot or version")]
    Open(&'static str),
    /// It opened, and what was inside is something else.
    #[error("the stored secret doesn't fit this credential method; set it again with `porthole credential set`")]
    Content,
}

/// The start of a text that comes from outside, without control characters: safe to put into a message.
pub(crate) fn cut(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
