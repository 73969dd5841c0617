//! The names under which providers hand out secrets, in any reply.
//!
//! A name counts only as a whole key, whatever its case, joined by `_`, by `-` or not at all (`client_secret`,
//! `client-secret`, `clientSecret`); and only a string that isn't empty is blanked. So an Okta user's `"password": {}`, a
//! policy's `"access_token": {"lifetime": 60}` and a list of grant types with `"refresh_token"` in it stay as they are.
//!
//! Not here, because they name settings or identifiers as often as secrets: `secret` (a Kubernetes reference), `token`
//! (a page cursor), `key`, `api_key` (often its name), `credentials`, `fingerprint`. A module whose provider uses one of
//! them for a secret says so in its `scrub` rules.

/// A name and why it is here.
pub(super) struct Key {
    /// In lower case, words joined by `_`.
    pub(super) name: &'static str,
    /// For whoever reviews the table.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people and by a test"))]
    pub(super) reason: &'static str,
}

const fn key(name: &'static str, reason: &'static str) -> Key {
    Key { name, reason }
}

/// The table.
pub(super) const KEYS: &[Key] = &[
    key("client_secret", "OAuth clients: authenticates an application (RFC 6749)"),
    key("private_key", "certificates and service accounts: signs as their owner"),
    key("private_key_pem", "the same, where the provider says its format"),
    key("private_key_data", "cloud service account keys: the whole key file in base64"),
    key("access_token", "OAuth: acts as a user until it expires"),
    key("refresh_token", "OAuth: buys access tokens, often without an end"),
    key("id_token", "OpenID Connect: proves a sign-in to other services"),
    key("bearer_token", "acts as a user"),
    key("auth_token", "acts as a user"),
    key("session_token", "temporary cloud credentials: the part that makes the others valid"),
    key("secret_access_key", "AWS: signs requests"),
    key("secret_key", "signs requests, or authenticates to payment and storage services"),
    key("secret_string", "secret managers: the secret itself"),
    key("secret_binary", "secret managers: the secret itself, in base64"),
    key("temp_clone_token", "GitHub repositories: clones private source code"),
    key("runners_token", "GitLab projects and groups: registers a build runner that sees their secrets"),
    key("registration_token", "registers a machine or a runner"),
    key("webhook_secret", "forges deliveries of events"),
    key("signing_secret", "forges deliveries of events, or sessions"),
    key("shared_secret", "multi-factor set-up: makes one-time passwords; VPN: joins the network"),
    key("pre_shared_key", "VPN and wireless: joins the network"),
    key("totp_secret", "makes one-time passwords"),
    key("recovery_token", "resets an account"),
    key("activation_token", "takes a new account over"),
    key("password", "signs in; some providers echo what was set"),
    key("passwd", "the same"),
    key("passphrase", "opens a private key"),
    key("user_password", "directories: signs in"),
    key("master_user_password", "database services: signs in as the administrator"),
    key("admin_password", "signs in as the administrator"),
    key("connection_string", "databases and queues: address and password in one"),
];

/// Is this the name of a secret?
pub(super) fn is_secret(name: &str) -> bool {
    KEYS.iter().any(|key| same(key.name, name))
}

/// Are these the same words, however they are joined? All joints alike: `client_secret-x` is nobody's spelling, but there
/// is no harm in taking it for one.
fn same(known: &str, name: &str) -> bool {
    let words = |text: &str| text.bytes().filter(|b| !matches!(b, b'_' | b'-')).count();
    // The longest name has a few more bytes with its joints than without.
    name.len() <= 64
        && words(known) == words(name)
        && known
            .bytes()
            .filter(|b| *b != b'_')
            .eq(name.bytes().filter(|b| !matches!(b, b'_' | b'-')).map(|b| b.to_ascii_lowercase()))
}

/// Every spelling of every name: what a body has to have for it to be parsed at all.
pub(super) fn spellings() -> impl Iterator<Item = String> {
    KEYS.iter().flat_map(|key| ["_", "-", ""].map(|joint| key.name.replace('_', joint)))
}
