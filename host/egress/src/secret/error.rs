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
    /// A private file can't be read, made or replaced.
    #[error("{kind} {}: {what}", path.display())]
    File {
        /// `key file`, `token file`.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Others may read a private file.
    #[error("{kind} {} can be read by others (mode {mode:04o}); run: chmod 600 {}", path.display(), path.display())]
    FileMode {
        /// `key file`, `token file`.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A private file isn't what it should be.
    #[error("{kind} {}: {rule}", path.display())]
    FileForm {
        /// `key file`, `token file`.
        kind: &'static str,
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
    /// The key that wraps new tenant keys can't be retired.
    #[error("key `{0}` wraps new tenant keys; make another one first: porthole key rotate")]
    CurrentKey(String),
    /// The settings of a key service.
    #[error("[key] {setting}: {rule}")]
    KeySetting {
        /// Which.
        setting: &'static str,
        /// What is wrong with it, as the end of a sentence.
        rule: &'static str,
    },
    /// A key service didn't do what it was asked. No text in here is a key or a token.
    #[error("can't {what} with key service {service}: {fault}")]
    KeyService {
        /// What was asked: `unwrap a tenant key`.
        what: &'static str,
        /// Where, and which of its keys.
        service: String,
        /// Why not.
        fault: Box<KeyServiceFault>,
    },
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

/// Why a key service didn't do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyServiceFault {
    /// TLS can't be set up on this machine.
    #[error("TLS can't be set up: {0}")]
    Tls(String),
    /// No connection, or one that broke.
    #[error("it can't be reached: {0}")]
    Connection(String),
    /// No whole answer in time.
    #[error("no complete answer within {0} s")]
    Timeout(u64),
    /// It is sealed: it runs, and can read nothing of what it keeps.
    #[error("it is sealed; unseal it, then try again")]
    Sealed,
    /// It is busy, starting or broken.
    #[error("it answers {status}{}", said(.message))]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// What it said, cut and scrubbed.
        message: String,
    },
    /// It is a node that sends others on to the active one. A token isn't sent after a redirect.
    #[error("it redirects ({0}): it is a standby; set `url` in [key] to the active node or to the cluster's address")]
    Redirect(u16),
    /// It doesn't accept the token, or the token may not do this.
    #[error(
        "it refuses the token (403): {token_file} may hold one that has expired, or whose policy lacks `{capability}` on \
         {path}"
    )]
    Forbidden {
        /// Where the token is from.
        token_file: String,
        /// What the policy has to allow.
        capability: &'static str,
        /// The path as policies write it.
        path: String,
    },
    /// There is no such key, mount or namespace.
    #[error(
        "it has no key of that name (404): make it with `{create}`, or correct `mount`, `name` and `namespace` in [key]"
    )]
    NoKey {
        /// The command that makes one.
        create: String,
    },
    /// The key can't be used for tenants' keys.
    #[error("its key {rule}; make another one with `{create}`")]
    UnfitKey {
        /// What is wrong, as the end of a sentence.
        rule: &'static str,
        /// The command that makes one.
        create: String,
    },
    /// It refused the request itself: another context, an older key version than it still decrypts, changed bytes.
    #[error("it refused the request ({status}){}", said(.message))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said, cut and scrubbed.
        message: String,
    },
    /// The answer is longer than any such answer.
    #[error("its answer is longer than {0} bytes")]
    TooLong(usize),
    /// The answer isn't one of this API.
    #[error("its answer is none of the transit API: {0}")]
    Malformed(&'static str),
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// The start of a text that comes from outside, without control characters: safe to put into a message.
pub(crate) fn cut(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
