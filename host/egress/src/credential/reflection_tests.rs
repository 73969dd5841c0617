#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn knowing(secret: &str) -> Reflections {
    let reflections = Reflections::default();
    reflections.add_secret(secret);
    reflections
}

/// The ways a server might write a secret, by independent code.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap();
    let json = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned();
    let percent = utf8_percent_encode(secret, UNRESERVED).to_string();
    vec![
        secret.to_owned(),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        hex::encode(secret),
        hex::encode_upper(secret),
        lower_escapes(&percent),
        percent,
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        json.replace('/', "\\/"),
        json,
    ]
}

/// `%2B` becomes `%2b`.
fn lower_escapes(percent: &str) -> String {
    let mut parts = percent.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| {
        let (digits, rest) = part.split_at(2);
        format!("{out}%{}{rest}", digits.to_lowercase())
    })
}

#[test]
fn every_form_is_blanked_whole() {
    for secret in ["ghp_16C7e42F292c6912E7710c838347Ae178B4a", "pa/ss+w\"or d&<é\\\n", "hunter", "a:b c*d~e"] {
        let reflections = knowing(secret);
        for form in forms(secret) {
            let body = format!(r#"{{"echo":" {form} ","n":1}}"#).into_bytes();
            let (clean, count) = reflections.scrub(body);
            assert_eq!(String::from_utf8(clean).unwrap(), r#"{"echo":" [redacted] ","n":1}"#, "{secret:?} as {form:?}");
            assert_eq!(count, 1);
        }
    }
}

#[test]
fn base64_of_a_longer_text_is_blanked_at_each_alignment() {
    let secret = "ghp_16C7e42F292c";
    let reflections = knowing(secret);
    for before in ["", "u", "us", "use", "Bearer "] {
        for after in ["", "\n", "ab", "abc"] {
            for engine in [&STANDARD, &URL_SAFE_NO_PAD] {
                let encoded = engine.encode(format!("{before}{secret}{after}"));
                let (clean, count) = reflections.scrub(encoded.into_bytes());
                assert_eq!(count, 1, "{before:?} {after:?}");
                // What is left belongs to the neighbours, and is no more than theirs.
                let left = String::from_utf8(clean).unwrap().replace("[redacted]", "");
                assert!(left.len() <= (before.len() + after.len()) * 4 / 3 + 2, "{before:?} {after:?}: {left}");
            }
        }
    }
}

#[test]
fn short_secrets_are_left_alone_and_long_ones_found_in_part() {
    let (clean, count) = knowing("12345").scrub(b"12345".to_vec());
    assert_eq!((clean.as_slice(), count), (&b"12345"[..], 0));

    let long: String = (0..3000).map(|n| char::from(b'a' + u8::try_from(n * n % 26).unwrap())).collect();
    let reflections = knowing(&long);
    assert_eq!(reflections.scrub_text(&format!("x{long}y")), "x[redacted]y");
    let (half, _) = long.split_at(1000);
    assert!(reflections.scrub_text(half).starts_with("[redacted]"));
}

#[test]
fn a_clean_body_is_handed_back_as_it_came() {
    let body = b"nothing to see".to_vec();
    let address = body.as_ptr();
    let (clean, count) = knowing("hunter2hunter2").scrub(body);
    assert_eq!((clean.as_ptr(), count), (address, 0));
}

#[test]
fn old_tokens_are_forgotten_and_secrets_are_not() {
    let reflections = knowing("stored-secret");
    for n in 0..=MAX_TOKENS {
        reflections.add_token(&format!("token-number-{n:04}"));
    }
    assert_eq!(reflections.scrub_text("token-number-0000 token-number-0001"), "token-number-0000 [redacted]");
    assert_eq!(reflections.scrub_text("stored-secret"), "[redacted]");
}

proptest! {
    #[test]
    fn no_secret_comes_through_in_any_form(
        secret in "\\PC{6,60}", before in "[ -~]{0,20}", after in "[ -~]{0,20}",
    ) {
        prop_assume!(secret.len() >= MIN_SECRET_BYTES);
        let reflections = knowing(&secret);
        for form in forms(&secret) {
            let (clean, count) = reflections.scrub(format!("{before}{form}{after}").into_bytes());
            prop_assert!(count > 0, "{}", form);
            // The replacement itself could complete an odd secret such as "dacted"; nothing else can.
            if !"[redacted]".contains(&form) {
                prop_assert!(memchr::memmem::find(&clean, form.as_bytes()).is_none() || before.contains(&form), "{}", form);
            }
        }
    }
}
