//! The kind `sigv4-role`: the platform's own key assumes the tenant's role, and what comes back signs.
//!
//! Two things hold for every assumption. It carries a **session policy** that allows the actions granted to the instance
//! and nothing else, so that a role which could do more is still read-only at the provider itself. And it carries the
//! instance's **external id**; a role that can be assumed without it can be assumed for anybody who knows its name (the
//! confused deputy, <https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html>), and is refused.

use super::exchange::Exchange;
use super::fault::CredentialFault;
use super::sigv4::{self, Keys, Signable};
use super::token::Token;
use super::token_url::token_url;
use super::transport::TokenReply;
use crate::error_code::ErrorCode;
use crate::secret::{PlatformKey, cut};
use porthole_model::id::Slot;
use porthole_model::operation::{Part, region};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The signing name of the service that hands out temporary credentials, and the version of its protocol
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
const SERVICE: &str = "sts";
const VERSION: &str = "2011-06-15";
/// How long a session lives that is used. The least that every role allows at its most; a run that takes longer assumes
/// the role again.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// How long a session would live that should not have come about: the least there is.
const LEAST_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// What the session is called in the tenant's own log.
const SESSION_NAME: &str = "porthole";
/// The session policy of a session that should not have come about, and of one that no granted action needs.
pub(super) const NOTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
/// How much of what the endpoint says goes into a message, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// Where roles are assumed, and by whom.
pub(super) struct Role<'a> {
    pub(super) exchange: Exchange<'a>,
    pub(super) token_url: &'a str,
    pub(super) region: &'a str,
    pub(super) platform: Option<&'a PlatformKey>,
}

impl Role<'_> {
    /// Makes sure that the role asks for the external id.
    pub(super) async fn check_external_id(&self) -> Result<(), CredentialFault> {
        let reply = self.assume(NOTHING, None, LEAST_LIFETIME).await?;
        if reply.status == 403 {
            return Ok(());
        }
        if !(200..300).contains(&reply.status) {
            return Err(self.refused(&reply));
        }
        let slot = self.exchange.slot.clone();
        let reason = format!(
            "role `{}` can be assumed without the external id, so whoever learns its name could have us read the account \
             for them (confused deputy); its trust policy has to demand it: `porthole grant policy` prints one that does",
            cut(self.exchange.field("role_arn")?, MAX_MESSAGE_CHARS)
        );
        Err(CredentialFault::OpenRole { slot, reason })
    }

    /// Temporary credentials that can do what the policy says.
    pub(super) async fn fetch(&self, policy: &str) -> Result<Token, CredentialFault> {
        let external_id = self.exchange.field("external_id")?;
        let reply = self.assume(policy, Some(external_id), LIFETIME).await?;
        if !(200..300).contains(&reply.status) {
            return Err(self.refused(&reply));
        }
        let malformed = |what| self.exchange.malformed(format!("there is no `{what}` in it"));
        let text = std::str::from_utf8(reply.body()).unwrap_or_default();
        let part = |name| element(text, name).ok_or_else(|| malformed(name));
        let (id, secret) = (part("AccessKeyId")?, part("SecretAccessKey")?);
        let keys = Keys::new(id, secret, Some(part("SessionToken")?)).ok_or_else(|| malformed("SessionToken"))?;
        for secret in keys.secrets() {
            self.exchange.reflections.add_token(secret);
        }
        let expiry: jiff::Timestamp = part("Expiration")?.parse().map_err(|_| malformed("Expiration"))?;
        let left = SystemTime::from(expiry).duration_since(self.exchange.now).ok().filter(|left| !left.is_zero());
        let left = left.ok_or_else(|| {
            self.exchange.malformed("the credentials have expired already; is this machine's clock right?")
        })?;
        Ok(Token::new(keys.to_text(), self.exchange.now, left))
    }

    async fn assume(
        &self,
        policy: &str,
        external_id: Option<&str>,
        lifetime: Duration,
    ) -> Result<TokenReply, CredentialFault> {
        let exchange = &self.exchange;
        let method = |reason: String| CredentialFault::Method { slot: exchange.slot.clone(), reason };
        let platform = self.platform.ok_or_else(|| CredentialFault::NoPlatformKey { slot: exchange.slot.clone() })?;
        let unreadable = |source| CredentialFault::PlatformKey { source: Arc::new(source) };
        let keys = platform.read().map_err(unreadable)?;
        for secret in keys.secrets() {
            exchange.reflections.add_secret(secret);
        }
        let url = token_url(exchange, self.token_url, &[])?;
        let region = self.region(exchange).ok_or_else(|| method(format!("there is no region `{}`", self.region)))?;
        let seconds = lifetime.as_secs().to_string();
        let mut pairs = vec![
            ("Action", "AssumeRole"),
            ("Version", VERSION),
            ("RoleArn", exchange.field("role_arn")?),
            ("RoleSessionName", SESSION_NAME),
            ("DurationSeconds", &seconds),
            ("Policy", policy),
        ];
        pairs.extend(external_id.map(|id| ("ExternalId", id)));
        let form = super::exchange::form(&pairs);
        let declared = [("content-type".to_owned(), CONTENT_TYPE.to_owned())];
        let signable = Signable {
            method: "POST",
            url: url.as_str(),
            headers: &declared,
            body: &form,
            service: SERVICE,
            region: &region,
        };
        let headers = sigv4::headers(exchange.slot, &keys, &signable, exchange.now)?;
        drop(keys);
        exchange.transport.post(url, headers, Some(CONTENT_TYPE), Some(form)).await
    }

    fn region(&self, exchange: &Exchange<'_>) -> Option<String> {
        match region(self.region).ok()? {
            Part::Text(text) => Some(text),
            Part::Config(field) => exchange.config.values.get(&field).cloned(),
            Part::Argument(_) => None,
        }
    }

    fn refused(&self, reply: &TokenReply) -> CredentialFault {
        let text = std::str::from_utf8(reply.body()).unwrap_or_default();
        let said = |name| element(text, name).unwrap_or_default();
        // A request to wait comes as a 400.
        let status = match ErrorCode::of(said("Code")) {
            ErrorCode::Limit => 429,
            _ => reply.status,
        };
        let said = format!("{}: {}", said("Code"), said("Message"));
        let message = cut(&self.exchange.reflections.scrub_text(&said), MAX_MESSAGE_CHARS);
        CredentialFault::TokenEndpoint { slot: self.exchange.slot.clone(), status, message }
    }
}

/// The text of the one element of this name. Looked for where it stands, because an XML reader would leave copies of the
/// secrets behind; the values that count have no character that XML would escape.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (_, rest) = text.split_once(&open)?;
    let (value, rest) = rest.split_once(&close)?;
    let plain = !value.contains(['<', '&']) && !rest.contains(&open);
    plain.then(|| value.trim())
}

/// Temporary credentials out of a cache.
pub(super) fn keys(slot: &Slot, token: &Token) -> Result<Keys, CredentialFault> {
    Keys::from_text(token.value()).ok_or_else(|| CredentialFault::Malformed {
        slot: slot.clone(),
        reason: "the temporary credentials are incomplete".to_owned(),
    })
}

#[cfg(test)]
#[path = "sigv4_role_tests.rs"]
mod tests;
