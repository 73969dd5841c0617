//! The names under which providers hand out secrets, in any reply.
//!
//! A name counts only as a whole key, whatever its case, its words joined by `_`, by `-` or not at all (`client_secret`,
//! `client-secret`, `clientSecret`), without escapes; and only a string that isn't empty is blanked. So an Okta user's `"password": {}`, a
//! policy's `"access_token": {"lifetime": 60}` and a list of grant types with `"refresh_token"` in it stay as they are.
//!
//! Not here, because they name settings or identifiers as often as secrets: `secret` (a Kubernetes reference), `token`
//! (a page cursor), `key`, `api_key` (often its name), `credentials`, `fingerprint`. A module whose provider uses one of
//! them for a secret says so in its `scrub` rules.

use super::walk::{past_space, past_string};
use crate::windows::{BlockHash, Windows};
use std::collections::HashSet;
use std::ops::Range;

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
    key("private_key_pem", "a private key, where the provider names its format"),
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
    key("temp_clone_token", "repositories on code hosts: clones private source code"),
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
    key("passwd", "a password, as Unix tools spell it"),
    key("passphrase", "opens a private key"),
    key("user_password", "directories: signs in"),
    key("master_user_password", "database services: signs in as the administrator"),
    key("admin_password", "signs in as the administrator"),
    key("customer_gateway_configuration", "VPN connections: a document with the pre-shared key in it"),
    key("user_data", "virtual machines: the script of their start, where people write passwords"),
    key("connection_string", "databases and queues: address and password in one"),
];

/// The names, ready to be looked for. With its quotes a name is nobody else's ending.
#[derive(Debug)]
pub(super) struct Names {
    /// In every spelling, with quotes, in lower case, sorted.
    quoted: Vec<Vec<u8>>,
    longest: usize,
    windows: Windows<AnyCase>,
    /// In lower case, their words not joined: what the name of an element is compared with.
    plain: HashSet<String>,
}

/// Letters count in either case.
#[derive(Debug)]
struct AnyCase;

impl BlockHash for AnyCase {
    /// Small enough to stay beside what is searched.
    const COUNT: usize = 1 << 13;

    fn hash(block: &[u8]) -> usize {
        block.iter().fold(0, |hash, byte| (hash << 4 ^ usize::from(byte & 0x1f)) % Self::COUNT)
    }
}

impl Names {
    pub(super) fn new() -> Self {
        let spellings = KEYS.iter().flat_map(|key| ["_", "-", ""].map(|joint| key.name.replace('_', joint)));
        let mut quoted: Vec<Vec<u8>> = spellings.map(|name| format!("\"{name}\"").into_bytes()).collect();
        quoted.sort_unstable();
        quoted.dedup();
        let longest = quoted.iter().map(Vec::len).max().unwrap_or_default();
        let windows = Windows::new(quoted.iter().map(Vec::as_slice));
        let plain = KEYS.iter().map(|key| plain(key.name)).collect();
        Self { quoted, longest, windows, plain }
    }

    /// Is this one of the names, in any of its spellings?
    pub(super) fn has(&self, name: &str) -> bool {
        self.plain.contains(&plain(name))
    }

    /// The strings, not empty, that stand under one of the names.
    ///
    /// In JSON, a name between two quotes of which neither is escaped is a whole string, and if a colon follows it is a
    /// key: no walk is needed to know that. (Quotes inside a string are escaped, and the second one would have the
    /// backslash where the name's last letter is.)
    pub(super) fn values(&self, body: &[u8]) -> Vec<Range<usize>> {
        self.find(body)
            .filter_map(|name| {
                let before = body.get(..name.start)?;
                let escapes = before.iter().rev().take_while(|b| **b == b'\\').count();
                let colon = past_space(body, name.end);
                if escapes % 2 == 1 || body.get(colon) != Some(&b':') {
                    return None;
                }
                let start = past_space(body, colon + 1);
                let end = past_string(body, start)?;
                (end > start + 2).then_some(start..end)
            })
            .collect()
    }

    /// Where names stand, with their quotes, in whatever case.
    fn find<'a>(&'a self, body: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
        let mut from = 0;
        std::iter::from_fn(move || {
            while let Some((start, _)) = self.windows.next(body, from) {
                if let Some(length) = body.get(start..).and_then(|here| self.length(here)) {
                    from = start + length;
                    return Some(start..from);
                }
                from = start + 1;
            }
            None
        })
    }

    /// How long the name is that begins here, if one does.
    fn length(&self, here: &[u8]) -> Option<usize> {
        let inner = here.strip_prefix(b"\"")?;
        let length = 2 + inner.iter().take(self.longest).position(|b| *b == b'"')?;
        let name = here.get(..length)?.to_ascii_lowercase();
        self.quoted.binary_search(&name).is_ok().then_some(length)
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aho_corasick::AhoCorasick;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_found_where_another_search_finds_them(
            pieces in prop::collection::vec((0..KEYS.len(), "[\"_: -]{0,3}", 0..6_u8, "[a-z\"\\\\]{0,12}"), 0..12),
        ) {
            let names = Names::new();
            let mut body = String::new();
            for (at, joint, how, filler) in pieces {
                let name = KEYS.get(at).map_or("", |key| key.name);
                let name = name.replace('_', match how { 0 => "-", 1 => "", 2 => "x", _ => "_" });
                body += &if how == 3 { name.to_ascii_uppercase() } else { name };
                body += &joint;
                body += &filler;
                body += "\"";
            }
            let other = AhoCorasick::builder().ascii_case_insensitive(true).build(&names.quoted);
            let other = other.as_ref().map(|other| other.find_iter(&body).map(|m| m.range()).collect::<Vec<_>>());
            prop_assert_eq!(Ok(names.find(body.as_bytes()).collect::<Vec<_>>()), other.map_err(|_| ()));
        }
    }
}
