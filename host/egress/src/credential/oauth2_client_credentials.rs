//! The kind `oauth2-client-credentials` (RFC 6749, 4.4): a client's id and secret buy an access token.

use super::exchange::{Exchange, client_header, form};
use super::fault::CredentialFault;
use super::token::Token;
use super::token_url::token_url;

pub(super) async fn fetch(exchange: &Exchange<'_>, template: &str, scope: &str) -> Result<Token, CredentialFault> {
    let url = token_url(exchange, template, &[])?;
    let authorization = client_header(exchange.field("client_id")?, exchange.field("client_secret")?);
    let mut pairs = vec![("grant_type", "client_credentials")];
    if !scope.is_empty() {
        pairs.push(("scope", scope));
    }
    let reply = exchange.post(url, authorization, Some(form(&pairs))).await?;
    let (token, lifetime) = reply.access_token()?;
    Ok(Token::new(token, exchange.now, lifetime))
}
