//! The URL of a token endpoint: a template of the manifest with `{config.x}` and, for some kinds, fields of the secret.

use super::exchange::Exchange;
use super::fault::CredentialFault;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use porthole_model::operation::{Config, Part, Template};
use url::Url;

/// Everything but the unreserved characters of RFC 3986.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Builds the URL. `fields` are the fields of the secret that the template may name.
pub(super) fn token_url(exchange: &Exchange<'_>, template: &str, fields: &[String]) -> Result<Url, CredentialFault> {
    let field = |name: &str| exchange.secret.get(name).filter(|_| fields.iter().any(|f| f == name));
    build(template, exchange.config, field)
        .map_err(|reason| CredentialFault::Method { slot: exchange.slot.clone(), reason })
}

fn build<'a>(template: &str, config: &'a Config, field: impl Fn(&str) -> Option<&'a str>) -> Result<Url, String> {
    let parsed = Template::parse(&format!("POST {template}")).map_err(|e| format!("token-url: {e}"))?;
    let value = |part: &Part, in_path: bool| -> Result<String, String> {
        match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Config(name) => {
                let value = config.values.get(name).ok_or_else(|| format!("token-url: no configuration `{name}`"))?;
                if !in_path || config.derived.contains(name) {
                    Ok(value.clone())
                } else if value.is_empty() || value.contains(['/', '\\', '%']) || value == "." || value == ".." {
                    Err(format!("token-url: configuration `{name}` can't stand in a path"))
                } else {
                    Ok(utf8_percent_encode(value, COMPONENT).to_string())
                }
            }
            Part::Argument(name) => field(name)
                .filter(|value| !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric()))
                .map(str::to_owned)
                .ok_or_else(|| format!("token-url: `{name}` is not in `url_fields`, or not only letters and digits")),
        }
    };
    let mut url = "https://".to_owned();
    for part in &parsed.host {
        url.push_str(&value(part, false)?);
    }
    let host_end = url.len();
    for part in &parsed.path {
        url.push_str(&value(part, true)?);
    }
    if url.len() == host_end {
        url.push('/');
    }
    let built = Url::parse(&url).map_err(|_| "token-url: the finished URL doesn't parse".to_owned())?;
    // What the parser changed (a dot segment, a user name, another host) was not what the manifest meant.
    if built.as_str() == url && built.username().is_empty() && built.path() == url.split_at(host_end).1 {
        Ok(built)
    } else {
        Err("token-url: the finished URL doesn't parse back to its parts".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn url(template: &str, host: &str, prefix: &str, id: &'static str) -> Result<String, String> {
        let values = [("host", host), ("prefix", prefix), ("org", host)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let derived = ["prefix".to_owned()].into();
        let config = Config { values: values.into(), derived };
        build(template, &config, |name| (name == "id").then_some(id)).map(String::from)
    }

    #[test]
    fn fills_in_configuration_and_fields() {
        let template = "https://{config.host}{config.prefix}/app/{id}/access_tokens";
        assert_eq!(
            url(template, "ghe.example.com", "/api/v3", "42").unwrap(),
            "https://ghe.example.com/api/v3/app/42/access_tokens"
        );
        assert_eq!(url("https://a.example/x/{config.org}", "ä b", "", "1").unwrap(), "https://a.example/x/%C3%A4%20b");
    }

    #[test]
    fn refuses_what_would_leave_its_part() {
        let template = "https://{config.host}/app/{id}/x";
        for (host, id) in [
            ("a.example/evil", "1"),
            ("a.example@evil.example", "1"),
            ("a.example:443", "1"),
            ("A.example", "1"),
            ("a.example?", "1"),
            ("a.example#", "1"),
            ("a.example", "../1"),
            ("a.example", ""),
            ("a.example", "1%2f"),
            ("a.example", "1?x"),
        ] {
            assert!(url(template, host, "", id).is_err(), "{host} {id}");
        }
        for org in ["", ".", "..", "a/b", "a\\b", "%2e%2e"] {
            assert!(url("https://a.example/{config.org}/x", org, "", "1").is_err(), "{org}");
        }
        assert!(url("https://a.example/{other}", "h", "", "1").is_err());
        assert!(url("https://a.example/{config.other}", "h", "", "1").is_err());
        assert!(url("http://a.example/x", "h", "", "1").is_err());
    }
}
