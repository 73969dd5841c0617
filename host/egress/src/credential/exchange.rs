//! What the kinds that buy a token share: one POST, a reply that is a token or a fault, nothing secret in either message.

use super::fault::CredentialFault;
use super::reflection::Reflections;
use super::transport::{SecretHeader, TokenReply, TokenTransport};
use crate::secret::{MAX_FIELD_BYTES, OpenSecret, cut, json};
use porthole_model::id::Slot;
use porthole_model::operation::Config;
use std::time::{Duration, SystemTime};
use url::Url;
use zeroize::Zeroizing;

/// How much of what a token endpoint says goes into a message, in characters.
const MAX_MESSAGE_CHARS: usize = 200;
/// How long a token lives whose provider doesn't say. Short, because a token that is replaced too early costs one
/// request and one that is used too long costs a failed call.
const UNSAID_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// One purchase of a token.
pub(super) struct Exchange<'a> {
    pub(super) slot: &'a Slot,
    pub(super) secret: &'a OpenSecret,
    pub(super) config: &'a Config,
    pub(super) now: SystemTime,
    pub(super) transport: &'a dyn TokenTransport,
    pub(super) reflections: &'a Reflections,
}

/// A field of an opened secret.
pub(super) fn field<'a>(slot: &Slot, secret: &'a OpenSecret, name: &str) -> Result<&'a str, CredentialFault> {
    secret
        .get(name)
        .ok_or_else(|| CredentialFault::Method { slot: slot.clone(), reason: format!("it has no field `{name}`") })
}

impl Exchange<'_> {
    pub(super) fn field(&self, name: &str) -> Result<&str, CredentialFault> {
        field(self.slot, self.secret, name)
    }

    /// Posts, and takes only a 2xx with JSON for an answer.
    pub(super) async fn post(
        &self,
        url: Url,
        authorization: SecretHeader,
        form: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Reply<'_>, CredentialFault> {
        let accept = SecretHeader::new("accept", Zeroizing::new("application/json".to_owned()));
        let content_type = form.is_some().then_some("application/x-www-form-urlencoded");
        let reply = self.transport.post(url, vec![authorization, accept], content_type, form).await?;
        if !(200..300).contains(&reply.status) {
            let message = self.message(&reply);
            return Err(CredentialFault::TokenEndpoint { slot: self.slot.clone(), status: reply.status, message });
        }
        if std::str::from_utf8(reply.body()).is_err() {
            return Err(self.malformed("it is no text"));
        }
        Ok(Reply { exchange: self, reply })
    }

    pub(super) fn malformed(&self, reason: impl Into<String>) -> CredentialFault {
        CredentialFault::Malformed { slot: self.slot.clone(), reason: reason.into() }
    }

    /// What a token endpoint says about a refusal, in the member where RFC 6749 or common practice puts it.
    fn message(&self, reply: &TokenReply) -> String {
        let text = std::str::from_utf8(reply.body()).unwrap_or_default();
        let said = ["/error_description", "/message", "/error"]
            .iter()
            .find_map(|place| json::string(json::pointer(text, place)?));
        match said {
            Some(said) => cut(&self.reflections.scrub_text(&said), MAX_MESSAGE_CHARS),
            None => "no reason given".to_owned(),
        }
    }
}

/// A token endpoint's JSON.
pub(super) struct Reply<'a> {
    exchange: &'a Exchange<'a>,
    reply: TokenReply,
}

impl Reply<'_> {
    fn text(&self) -> &str {
        std::str::from_utf8(self.reply.body()).unwrap_or_default()
    }

    /// The text at a JSON pointer.
    pub(super) fn string(&self, pointer: &str) -> Option<Zeroizing<String>> {
        json::string(json::pointer(self.text(), pointer)?)
    }

    /// The token at a JSON pointer. From here on replies are searched for it, so that no request can be sent with a token
    /// that isn't.
    pub(super) fn token(&self, pointer: &str) -> Result<Zeroizing<String>, CredentialFault> {
        let token = self
            .string(pointer)
            .ok_or_else(|| self.exchange.malformed(format!("there is no text at `{}`", cut(pointer, 80))))?;
        let fits = !token.is_empty() && token.len() <= MAX_FIELD_BYTES && token.bytes().all(|b| b.is_ascii_graphic());
        if !fits {
            return Err(self.exchange.malformed("the token is empty, longer than 16 KiB, or not visible ASCII"));
        }
        self.exchange.reflections.add_token(&token);
        Ok(token)
    }

    /// `expires_in` (RFC 6749, 5.1), in seconds; some providers write it as text.
    pub(super) fn lifetime(&self) -> Result<Duration, CredentialFault> {
        let Some(raw) = json::pointer(self.text(), "/expires_in").filter(|raw| *raw != "null") else {
            return Ok(UNSAID_LIFETIME);
        };
        let seconds = raw.trim_matches('"').parse::<u64>().ok().filter(|seconds| *seconds > 0);
        seconds.map(Duration::from_secs).ok_or_else(|| self.exchange.malformed("`expires_in` is no number of seconds"))
    }

    /// An access token as RFC 6749, 5.1 has it, with its lifetime.
    pub(super) fn access_token(&self) -> Result<(Zeroizing<String>, Duration), CredentialFault> {
        // Any other type needs a proof of possession that a bearer header doesn't give.
        if self.string("/token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(self.exchange.malformed("`token_type` is not `bearer`"));
        }
        Ok((self.token("/access_token")?, self.lifetime()?))
    }
}

/// `application/x-www-form-urlencoded`, in one buffer that doesn't grow.
pub(super) fn form(pairs: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // A byte becomes three at most.
    let most = pairs.iter().map(|(name, value)| 2 + 3 * (name.len() + value.len())).sum();
    let mut form = Zeroizing::new(Vec::with_capacity(most));
    for (name, value) in pairs {
        if !form.is_empty() {
            form.push(b'&');
        }
        for (at, text) in [name, value].into_iter().enumerate() {
            if at == 1 {
                form.push(b'=');
            }
            for piece in url::form_urlencoded::byte_serialize(text.as_bytes()) {
                form.extend_from_slice(piece.as_bytes());
            }
        }
    }
    form
}

/// A client's name and secret as RFC 6749, 2.3.1 wants them: each form-encoded, then in a Basic header.
pub(super) fn client_header(id: &str, secret: &str) -> SecretHeader {
    let encode = |text: &str| {
        let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
        encoded.extend(url::form_urlencoded::byte_serialize(text.as_bytes()));
        encoded
    };
    super::basic::header(&encode(id), &encode(secret))
}
