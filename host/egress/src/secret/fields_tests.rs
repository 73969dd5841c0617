#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
use super::*;
use crate::secret::test_keys::{pkcs1_pem, pkcs8_pem};
use proptest::prelude::*;

fn method(json: &str) -> CredentialMethod {
    serde_json::from_str(json).unwrap()
}

fn bearer() -> CredentialMethod {
    method(r#"{"slot":"api","method":"token","kind":"bearer"}"#)
}

fn basic() -> CredentialMethod {
    method(r#"{"slot":"api","method":"password","kind":"basic"}"#)
}

fn app() -> CredentialMethod {
    method(
        r#"{"slot":"api","method":"app","kind":"jwt-exchange","token-url":"https://a.example/{installation_id}",
            "url-fields":["installation_id"],"token":"/token","expires-at":"/expires_at"}"#,
    )
}

fn text(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn take(method: &CredentialMethod, input: &str) -> Result<OpenSecret, SecretError> {
    let fields = SecretFields::from_input(method, text(input))?;
    OpenSecret::unpack(&fields.pack(), method)
}

#[test]
fn one_field_is_the_whole_text_without_its_newline() {
    for input in ["ghp_a=b", "ghp_a=b\n", "ghp_a=b\r\n", "\u{feff}ghp_a=b\n"] {
        assert_eq!(take(&bearer(), input).unwrap().get("token"), Some("ghp_a=b"), "{input:?}");
    }
}

#[test]
fn several_fields_come_as_lines_or_as_json() {
    for input in [
        "username=ann\npassword=a=b c\n",
        "\n password=a=b c\r\nusername =ann",
        r#"{"username":"ann","password":"a=b c"}"#,
        " {\"password\":\"a\\u003db c\",\n\"username\":\"ann\"}\n",
    ] {
        let secret = take(&basic(), input).unwrap();
        assert_eq!((secret.get("username"), secret.get("password")), (Some("ann"), Some("a=b c")), "{input}");
    }
}

#[test]
fn a_private_key_comes_through_json_or_by_itself() {
    for pem in [pkcs1_pem(), pkcs8_pem()] {
        let json = serde_json::json!({ "issuer": 12345, "installation_id": "678", "private_key": pem }).to_string();
        let secret = take(&app(), &json).unwrap();
        assert_eq!((secret.get("issuer"), secret.get("installation_id")), (Some("12345"), Some("678")));
        assert_eq!(secret.get("private_key"), Some(pem.as_str()));

        let mut fields = SecretFields::new(&app()).unwrap();
        fields.add(text("issuer=12345\ninstallation_id=678")).unwrap();
        assert_eq!(fields.missing().collect::<Vec<_>>(), [("private_key", true)]);
        fields.set("private_key", text(&pem)).unwrap();
        assert_eq!(fields.missing().count(), 0);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_never_echoed() {
    let cases = [
        (basic(), "username=ann", "missing: password"),
        (basic(), "username=ann\nhunter2hunter2=x", "none of `username`, `password`"),
        (basic(), "hunter2hunter2", "a line has no `=`"),
        (basic(), r#"{"username":"ann","password":"hunter2hunter2"#, "malformed"),
        (basic(), r#"{"username":"ann","password":["hunter2hunter2"]}"#, "a value is no text"),
        (basic(), r#"{"username":"ann","password":"hunter2hunter2","password":"b"}"#, "given twice"),
        (basic(), r#"{"username":"ann","password":"hunter2hunter2\u0000"}"#, "control characters"),
        (basic(), "username=ann:hunter2hunter2\npassword=b", "colon"),
        (basic(), "username=ann\npassword=", "is empty"),
        (bearer(), "Bearer hunter2hunter2", "without spaces"),
        (bearer(), "hunter2hunter2\nhunter2hunter2", "visible ASCII"),
        (bearer(), "hunter2hunter2é", "visible ASCII"),
        (bearer(), "\n", "is empty"),
        (app(), "issuer=1\ninstallation_id=hunter2/hunter2", "letters and digits"),
    ];
    for (method, input, expected) in cases {
        let error = SecretFields::from_input(&method, text(input)).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(expected), "{input}: {shown}");
        assert!(!shown.contains("hunter2"), "{input}: {shown}");
    }
}

#[test]
fn long_inputs_are_refused() {
    let field = "a".repeat(MAX_FIELD_BYTES + 1);
    assert!(matches!(SecretFields::from_input(&bearer(), text(&field)), Err(SecretError::Field { .. })));
    let input = "a".repeat(MAX_INPUT_BYTES + 1);
    assert!(matches!(SecretFields::from_input(&bearer(), text(&input)), Err(SecretError::InputTooLong(_))));
    assert!(matches!(SecretText::read_from(&b"12345"[..], 4), Err(SecretError::InputTooLong(4))));
    assert!(SecretText::read_from(&b"1234"[..], 4).is_ok());
    assert!(matches!(SecretText::read_from(&b"\xff"[..], 4), Err(SecretError::NotText)));
    let many: Vec<_> = (0..=MAX_FIELDS).map(|n| format!("f{n}")).collect();
    let mut app = app();
    if let CredentialKind::JwtExchange { url_fields, .. } = &mut app.kind {
        *url_fields = many;
    }
    assert!(matches!(SecretFields::new(&app), Err(SecretError::ManyFields { .. })));
}

#[test]
fn a_private_key_that_cannot_sign_is_refused_with_the_reason() {
    let good = pkcs1_pem();
    let damaged = good.replacen('\n', "\n*", 1);
    let cut = good.chars().filter(|c| *c != 'A').collect::<String>();
    let cases = [
        ("not a key", "BEGIN"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "OpenSSH"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----", "passphrase"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----",
            "passphrase",
        ),
        ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----", "elliptic"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "public"),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", "InvalidEncoding"),
        (&damaged, "base64"),
        (&cut, "no usable RSA"),
    ];
    for (pem, expected) in cases {
        let mut fields = SecretFields::new(&app()).unwrap();
        let error = fields.set("private_key", text(pem)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("AAAA"), "{error}");
    }
}

#[test]
fn a_secret_opens_for_its_method_alone() {
    let packed = SecretFields::from_input(&bearer(), text("hunter2")).unwrap().pack();
    let mut other = bearer();
    other.method = "pat".to_owned();
    assert!(matches!(OpenSecret::unpack(&packed, &other), Err(SecretError::Content)));
    let mut wider = basic();
    wider.method = "token".to_owned();
    assert!(matches!(OpenSecret::unpack(&packed, &wider), Err(SecretError::Content)));
}

#[test]
fn nothing_prints_a_secret() {
    let input = text("hunter2hunter2");
    assert!(!format!("{input:?} {input}").contains("hunter2"));
    let fields = SecretFields::from_input(&bearer(), input).unwrap();
    assert_eq!(format!("{fields:?}"), r#"{"token": [redacted]}"#);
    let open = OpenSecret::unpack(&fields.pack(), &bearer()).unwrap();
    assert!(!format!("{open:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn fields_come_back(username in "[^:\\p{Cc}]{1,50}", password in "\\PC{1,50}") {
        let json = serde_json::json!({ "username": username, "password": password }).to_string();
        let secret = take(&basic(), &json).unwrap();
        prop_assert_eq!(secret.get("username"), Some(username.as_str()));
        prop_assert_eq!(secret.get("password"), Some(password.as_str()));
    }

    #[test]
    fn damaged_contents_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(OpenSecret::unpack(&bytes, &basic()).is_err());
    }
}
