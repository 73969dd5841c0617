//! The kind `jwt-exchange`: a JWT (RFC 7519) signed with RS256 buys an access token. GitHub Apps work like this.

use super::bearer;
use super::exchange::Exchange;
use super::fault::CredentialFault;
use super::token::Token;
use super::token_url::token_url;
use crate::secret::rsa;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::RSA_PKCS1_SHA256;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// How far the issue time lies back: providers refuse a JWT from the future, and their clocks may be behind ours.
const ISSUED_BEFORE: Duration = Duration::from_secs(60);
/// How long the JWT is good for. GitHub accepts ten minutes at most, counted by its own clock.
const GOOD_FOR: Duration = Duration::from_secs(9 * 60);

pub(super) async fn fetch(
    exchange: &Exchange<'_>,
    template: &str,
    url_fields: &[String],
    token: &str,
    expires_at: &str,
) -> Result<Token, CredentialFault> {
    let url = token_url(exchange, template, url_fields)?;
    let jwt = sign(exchange.field("private_key")?, exchange.field("issuer")?, exchange.now)
        .map_err(|reason| CredentialFault::Method { slot: exchange.slot.clone(), reason })?;
    exchange.reflections.add_token(&jwt);
    let reply = exchange.post(url, bearer::header(&jwt), None).await?;
    let value = reply.token(token)?;
    let expiry = reply
        .string(expires_at)
        .and_then(|time| time.parse::<jiff::Timestamp>().ok())
        .ok_or_else(|| exchange.malformed("it doesn't say when the token expires"))?;
    let lifetime = SystemTime::from(expiry)
        .duration_since(exchange.now)
        .ok()
        .filter(|left| !left.is_zero())
        .ok_or_else(|| exchange.malformed("the token has expired already; is this machine's clock right?"))?;
    Ok(Token::new(value, exchange.now, lifetime))
}

/// Signs a JWT. The error names a rule and holds nothing of the key.
fn sign(private_key: &str, issuer: &str, now: SystemTime) -> Result<Zeroizing<String>, String> {
    let since_epoch = now.duration_since(UNIX_EPOCH).map_err(|_| "this machine's clock stands before 1970")?;
    let claims = serde_json::json!({
        "iat": since_epoch.saturating_sub(ISSUED_BEFORE).as_secs(),
        "exp": (since_epoch + GOOD_FOR).as_secs(),
        "iss": issuer,
    });
    let key = rsa::read_private_key(private_key)?;
    let mut jwt = Zeroizing::new(String::new());
    URL_SAFE_NO_PAD.encode_string(br#"{"alg":"RS256","typ":"JWT"}"#, &mut jwt);
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut jwt);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), jwt.as_bytes(), &mut signature)
        .map_err(|_| "signing with the private key failed")?;
    // Until here the text could be written by anyone; the signature makes it a secret, in a buffer that doesn't grow.
    let mut signed = Zeroizing::new(String::with_capacity(jwt.len() + 2 + signature.len() * 4 / 3 + 4));
    signed.push_str(&jwt);
    signed.push('.');
    URL_SAFE_NO_PAD.encode_string(&signature, &mut signed);
    Ok(signed)
}

#[cfg(test)]
#[path = "jwt_exchange_tests.rs"]
mod tests;
