//! RSA private keys as people have them: PEM with PKCS#8 ("PRIVATE KEY") or PKCS#1 ("RSA PRIVATE KEY", as GitHub gives it
//! for its apps) inside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::RsaKeyPair;
use zeroize::Zeroizing;

/// Reads a private key. The error is a short fact without a byte of the key.
pub(crate) fn read_private_key(pem: &str) -> Result<RsaKeyPair, String> {
    let (label, body) = block(pem).ok_or("it has no `-----BEGIN …-----` and `-----END …-----` lines around it")?;
    let read: fn(&[u8]) -> Result<RsaKeyPair, ring::error::KeyRejected> = match label {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8,
        "RSA PRIVATE KEY" => RsaKeyPair::from_der,
        "ENCRYPTED PRIVATE KEY" => return Err("it is encrypted; take its passphrase off first".to_owned()),
        "EC PRIVATE KEY" => return Err("it is an elliptic-curve key".to_owned()),
        "OPENSSH PRIVATE KEY" => {
            return Err("it is in OpenSSH's format; convert it with `ssh-keygen -p -m PEM`".to_owned());
        }
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => return Err("it is the public part".to_owned()),
        _ => return Err("its PEM label is neither PRIVATE KEY nor RSA PRIVATE KEY".to_owned()),
    };
    if body.contains(':') {
        // `Proc-Type: 4,ENCRYPTED`, the old way.
        return Err("it is encrypted; take its passphrase off first".to_owned());
    }
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    base64.extend(body.bytes().filter(|b| !b.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; base64.len()]);
    let length = STANDARD.decode_slice(&*base64, &mut der).map_err(|_| "its base64 is damaged")?;
    // ring names the rule that was broken (TooSmall, InvalidEncoding, …), from a fixed list.
    read(der.get(..length).unwrap_or_default()).map_err(|rejected| rejected.to_string())
}

/// The base64 between the PEM lines, on one line: how a key looks when somebody quotes it without its frame.
pub(crate) fn one_line(pem: &str) -> Option<Zeroizing<String>> {
    let (_, body) = block(pem)?;
    let mut line = Zeroizing::new(String::with_capacity(body.len()));
    line.extend(body.chars().filter(|c| !c.is_whitespace()));
    Some(line)
}

fn block(pem: &str) -> Option<(&str, &str)> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, rest) = rest.split_once("-----END ")?;
    rest.strip_prefix(label)?.strip_prefix("-----").map(|_| (label, body))
}
