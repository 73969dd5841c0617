#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
use super::*;
use proptest::prelude::*;

fn policy(allow: &[&str], endpoints: &[(&str, &str)]) -> Policy {
    Policy::new(&EgressConfig {
        allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        endpoints: endpoints.iter().map(|(host, base)| Endpoint::new(host, base).unwrap()).collect(),
        ..EgressConfig::default()
    })
}

fn ips(text: &str) -> Vec<IpAddr> {
    text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
}

/// Checks the URL, then admits its literal address or the given ones.
fn decide(policy: &Policy, url: &str, addresses: &str) -> Result<Admitted, Denial> {
    let target = policy.check(url)?;
    let addresses = target.literal().map_or_else(|| ips(addresses), |literal| vec![literal]);
    policy.admit(&target, &addresses)
}

#[test]
fn urls_that_may_not_go_out_are_refused_for_what_they_are() {
    let cases = [
        ("", "malformed"),
        ("api.example/x", "malformed"),
        ("ftp://api.example/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://api.example/", "scheme"),
        ("data:text/plain,x", "scheme"),
        ("https:api.example/", "no host"),
        ("https:/api.example/", "no host"),
        ("https:///api.example/", "no host"),
        ("https://", "no host"),
        ("https://?x", "no host"),
        ("https://user@api.example/", "user information"),
        ("https://user:password@api.example/", "user information"),
        ("https://@api.example/", "user information"),
        ("https://api.example@127.0.0.1/", "user information"),
        ("https://evil.example\\@api.example/", "backslash"),
        ("https://api.exam\tple/", "white space"),
        ("https://api.example/a b", "white space"),
        ("https://api.example/\r\nhost: evil.example", "white space"),
        (" https://api.example/", "white space"),
        ("https://localhost/", "this machine"),
        ("https://LOCALHOST./", "this machine"),
        ("https://a.b.localhost:8443/", "this machine"),
        ("https://api.example:0/", "port 0"),
        ("https://api.example:99999/", "malformed"),
        ("https://api..example/", "empty label"),
        ("https://./", "no host"),
        ("https://api.example../", "empty label"),
        ("https://[fe80::1%25eth0]/", "malformed"),
        ("https://127.0.0.1/", "loopback"),
        ("https://127.1/", "loopback"),
        ("https://0x7f.1/", "loopback"),
        ("https://0177.0.0.1/", "loopback"),
        ("https://2130706433/", "loopback"),
        ("https://127.0.0.1./", "loopback"),
        ("https://%31%32%37.0.0.1/", "loopback"),
        ("https://１２７.０.０.１/", "loopback"),
        ("https://127。0。0。1/", "loopback"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:127.0.0.1]/", "carrying 127.0.0.1"),
        ("https://169.254.169.254/latest/meta-data/", "metadata"),
        ("https://0/", "this network"),
        ("http://1.1.1.1/", "takes https"),
        ("http://api.example/", "takes https"),
    ];
    let policy = policy(&[], &[]);
    for (url, reason) in cases {
        match decide(&policy, url, "1.1.1.1") {
            Ok(_) => panic!("{url} was let through"),
            Err(denial) => assert!(denial.to_string().contains(reason), "{url}: `{denial}` doesn't say {reason}"),
        }
    }
}

#[test]
fn what_is_sent_is_rebuilt_from_parts() {
    let policy = policy(&[], &[]);
    let cases = [
        ("https://API.Example./a?b=c#d", "https://api.example/a?b=c"),
        ("https://api.example:443", "https://api.example/"),
        ("https://api.example:8443/a/../b", "https://api.example:8443/b"),
        ("HTTPS://bücher.example/", "https://xn--bcher-kva.example/"),
    ];
    for (url, sent) in cases {
        let target = policy.check(url).unwrap();
        assert_eq!(target.url().as_str(), sent);
        assert_eq!(policy.check_url(target.url()).unwrap(), target);
    }
}

#[test]
fn only_vetted_addresses_are_left() {
    let policy = policy(&[], &[]);
    let admitted = decide(&policy, "https://api.example/", "10.0.0.1 1.1.1.1 ::1 2606:4700::1111").unwrap();
    assert_eq!(admitted.sockets, ["1.1.1.1:443".parse().unwrap(), "[2606:4700::1111]:443".parse().unwrap()]);
    assert_eq!(admitted.dropped.len(), 2);
    let denial = decide(&policy, "https://api.example/", "10.0.0.1 169.254.169.254").unwrap_err().to_string();
    assert!(denial.contains("private") && denial.contains("metadata"), "{denial}");
    assert!(matches!(decide(&policy, "https://api.example/", ""), Err(Denial::Unresolved { .. })));
}

#[test]
fn an_exception_opens_one_socket_address_and_cleartext_on_it() {
    let policy = policy(&["127.0.0.1:9000", "10.1.0.0/16:443"], &[]);
    assert!(decide(&policy, "http://127.0.0.1:9000/", "").is_ok());
    assert!(decide(&policy, "https://127.0.0.1:9000/", "").is_ok());
    assert!(decide(&policy, "http://127.0.0.1:9001/", "").is_err());
    assert!(decide(&policy, "http://127.0.0.2:9000/", "").is_err());
    assert!(decide(&policy, "https://ghe.example/", "10.1.2.3").is_ok());
    assert!(decide(&policy, "https://ghe.example:8443/", "10.1.2.3").is_err());
    assert!(decide(&policy, "http://ghe.example:9000/", "127.0.0.1").is_ok());
    // The name stays refused: who means this machine writes its address.
    assert!(matches!(policy.check("http://localhost:9000/"), Err(Denial::LocalName(_))));
    // One bad and one excepted address: only the excepted one is dialled without TLS.
    let admitted = decide(&policy, "http://mixed.example:9000/", "1.1.1.1 127.0.0.1").unwrap();
    assert_eq!(admitted.sockets, ["127.0.0.1:9000".parse().unwrap()]);
}

#[test]
fn an_endpoint_stands_in_for_its_host_and_port() {
    let endpoints = [("api.example", "http://127.0.0.1:9000/base/"), ("ghe.example:8443", "http://localhost:9001")];
    let policy = policy(&[], &endpoints);
    let target = policy.check("https://api.example/a%2Fb?c=d").unwrap();
    assert_eq!(target.url().as_str(), "http://127.0.0.1:9000/base/a%2Fb?c=d");
    assert_eq!(target.mapped_from(), Some("api.example"));
    assert_eq!(policy.admit(&target, &ips("127.0.0.1")).unwrap().sockets, ["127.0.0.1:9000".parse().unwrap()]);
    assert_eq!(policy.check("https://api.example./").unwrap().url().as_str(), "http://127.0.0.1:9000/base/");
    assert_eq!(policy.check("https://ghe.example:8443/x").unwrap().url().as_str(), "http://localhost:9001/x");
    // Its address may be dialled; its neighbours, other ports of the provider and other names may not.
    assert!(decide(&policy, "http://127.0.0.1:9000/", "").is_ok());
    assert!(decide(&policy, "http://127.0.0.1:9001/", "").is_err());
    assert!(policy.check("https://api.example:8443/").unwrap().mapped_from().is_none());
    assert!(policy.check("https://api.example.evil.example/").unwrap().mapped_from().is_none());
}

#[tokio::test]
async fn an_address_is_never_looked_up() {
    struct Never;
    impl Resolve for Never {
        fn resolve<'a>(
            &'a self,
            name: &'a str,
        ) -> futures_util::future::BoxFuture<'a, Result<Vec<IpAddr>, crate::resolve::ResolveError>> {
            panic!("looked up {name}")
        }
    }
    let policy = policy(&[], &[]);
    let target = policy.check("https://1.1.1.1/").unwrap();
    assert_eq!(locate(&policy, &Never, &target).await.unwrap().sockets, ["1.1.1.1:443".parse().unwrap()]);
}

proptest! {
    #[test]
    fn hostile_text_never_panics_and_never_carries_a_user(text in "(https?://)?[ -~]{0,40}") {
        if let Ok(target) = policy(&[], &[]).check(&text) {
            prop_assert!(target.url().username().is_empty() && target.url().password().is_none());
            prop_assert!(target.url().fragment().is_none());
            prop_assert_eq!(target.url().host().map(|h| h.to_owned()), Some(target.host().clone()));
        }
    }

    /// However an IPv4 address is spelled, the verdict is that of the address.
    #[test]
    fn a_spelling_changes_nothing(bits: u32) {
        let policy = policy(&[], &[]);
        let v4 = std::net::Ipv4Addr::from_bits(bits);
        let [a, b, c, d] = v4.octets();
        let expected = address::vet(v4.into()).is_ok();
        for host in [format!("{bits}"), format!("{bits:#x}"), format!("0{bits:o}"), format!("{a:#x}.{b}.{c}.0{d:o}")] {
            prop_assert_eq!(decide(&policy, &format!("https://{host}/"), "").is_ok(), expected, "{}", host);
        }
    }
}

#[test]
fn a_peer_of_the_operator_s_own_is_reached_by_no_request() {
    let reserving = |url: &str| {
        let policy = policy(&["127.0.0.0/8", "10.0.0.0/8"], &[("mapped.example", "https://vault.example:8200")]);
        Policy { reserved: vec![Reserved::of(&Url::parse(url).unwrap()).unwrap()], ..policy }
    };
    let named = reserving("https://vault.example:8200");
    for url in ["https://vault.example:8200/v1", "https://VAULT.example.:8200/", "https://mapped.example/"] {
        assert!(matches!(decide(&named, url, "10.0.0.7"), Err(Denial::Reserved(_))), "{url}");
    }
    assert!(decide(&named, "https://vault.example/", "10.0.0.7").is_ok(), "another port");
    // A name of somebody else's choice that leads to the same address.
    for (service, address) in [("http://127.0.0.1:8200", "127.0.0.1"), ("http://localhost:8200", "127.0.0.9")] {
        let refused = decide(&reserving(service), "https://other.example:8200/", address);
        assert!(
            matches!(&refused, Err(Denial::Addresses(all)) if matches!(all.as_slice(), [Refused::Reserved(_)])),
            "{refused:?}"
        );
        assert!(decide(&reserving(service), "https://other.example/", address).is_ok());
    }
}
