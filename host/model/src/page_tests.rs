#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
use super::*;
use crate::operation::Config;
use proptest::prelude::*;
use serde_json::json;

fn compile(mut operation: serde_json::Value, pages: serde_json::Value) -> CompiledOperation {
    operation["pages"] = pages;
    CompiledOperation::new(&serde_json::from_value(operation).unwrap(), &Config::default()).unwrap()
}

fn repos() -> CompiledOperation {
    let operation = json!({
        "id": "list-repos",
        "request": "GET https://api.github.com/orgs/{org}/repos",
        "path": { "org": { "rule": "^[a-zA-Z0-9-]{1,39}$" } },
        "query": {
            "per_page": { "rule": "=100" },
            "page": { "rule": "int<=100000" },
            "type": { "rule": "^all|public$", "required": true },
            "after": { "rule": "text<=64" },
            "tag": { "rule": "text<=9", "list": true },
        },
    });
    compile(operation, json!({ "kind": "link" }))
}

fn graphql() -> CompiledOperation {
    let operation = json!({
        "id": "members",
        "request": "POST https://api.github.com/graphql",
        "body": {
            "kind": "graphql",
            "document": "query($login: String!, $after: String) { x }",
            "variables": { "login": { "rule": "text<=39" }, "after": { "rule": "text<=32" } },
        },
    });
    let pages = json!({
        "kind": "cursor",
        "cursor": "/data/org/members/pageInfo/endCursor",
        "more": "/data/org/members/pageInfo/hasNextPage",
        "argument": "after",
    });
    compile(operation, pages)
}

fn list(arguments: &[(&str, &str)]) -> Vec<(String, String)> {
    arguments.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

fn origins() -> Vec<Origin> {
    ["https://api.github.com", "http://127.0.0.1:9000"].map(|o| Url::parse(o).unwrap().origin()).into()
}

fn by_header(header: &str) -> NextPage {
    next_page(&repos(), &origins(), &list(&[("org", "github"), ("type", "all")]), Some(header), b"[]")
}

fn broken(page: NextPage) -> PageFault {
    match page {
        NextPage::Broken(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn follows_the_headers_that_github_sends() {
    let cases = [
        (
            r#"<https://api.github.com/organizations/9919/repos?type=all&per_page=100&page=2>; rel="next", <https://api.github.com/organizations/9919/repos?type=all&per_page=100&page=6>; rel="last""#,
            list(&[("org", "github"), ("page", "2"), ("type", "all")]),
        ),
        (
            r#"<https://api.github.com/organizations/9919/repos?page=1>; rel="prev", <https://api.github.com/organizations/9919/repos?page=3>; rel="next", <https://api.github.com/organizations/9919/repos?page=6>; rel="last", <https://api.github.com/organizations/9919/repos?page=1>; rel="first""#,
            list(&[("org", "github"), ("page", "3"), ("type", "all")]),
        ),
        (
            r#"<https://api.github.com/orgs/github/repos?per_page=100&after=Y3Vyc29yOnYyOpK5MjAyMA%3D%3D>; rel="next""#,
            list(&[("after", "Y3Vyc29yOnYyOpK5MjAyMA=="), ("org", "github"), ("type", "all")]),
        ),
        ("<http://127.0.0.1:9000/x?page=2>; rel=next", list(&[("org", "github"), ("page", "2"), ("type", "all")])),
        ("<?page=2&type=public>; rel=next", list(&[("org", "github"), ("page", "2"), ("type", "public")])),
        ("</anything/else?page=2#top>; rel=next", list(&[("org", "github"), ("page", "2"), ("type", "all")])),
        ("<//api.github.com:443/?page=2>; rel=next", list(&[("org", "github"), ("page", "2"), ("type", "all")])),
        (
            "<?tag=b&page=2&tag=a+c>; rel=next",
            list(&[("org", "github"), ("page", "2"), ("tag", "b"), ("tag", "a c"), ("type", "all")]),
        ),
    ];
    for (header, arguments) in cases {
        assert_eq!(by_header(header), NextPage::Next(arguments), "{header}");
    }
}

#[test]
fn the_last_page_has_no_next_link() {
    for header in [
        "",
        r#"<https://api.github.com/organizations/9919/repos?page=5>; rel="prev", <https://api.github.com/organizations/9919/repos?page=1>; rel="first""#,
    ] {
        assert_eq!(by_header(header), NextPage::Last, "{header}");
    }
    assert_eq!(next_page(&repos(), &origins(), &list(&[("org", "x")]), None, b""), NextPage::Last);
}

#[test]
fn the_request_it_leads_to_is_the_same_operation() {
    let NextPage::Next(arguments) = by_header("<https://api.github.com/user/keys?page=2&type=public>; rel=next") else {
        panic!("a link of the same origin is followed");
    };
    let request = repos().prepare(&arguments, &Config::default()).unwrap();
    let url = "https://api.github.com/orgs/github/repos?page=2&per_page=100&type=public";
    assert_eq!(request.url.as_str(), url);
}

#[test]
fn hostile_links_lead_nowhere() {
    let origin = |o: &str| PageFault::Origin(o.to_owned());
    let undeclared = |n: &str| PageFault::Undeclared(n.to_owned());
    let value = |name: &str, rule: &str, value: &str| PageFault::Value {
        name: name.to_owned(),
        rule: rule.to_owned(),
        value: value.to_owned(),
    };
    let cases = [
        ("<https://evil.example/?page=2>; rel=next", origin("https://evil.example")),
        ("<http://api.github.com/?page=2>; rel=next", origin("http://api.github.com")),
        ("<https://api.github.com:8443/?page=2>; rel=next", origin("https://api.github.com:8443")),
        ("<https://api.github.com.evil.example/?page=2>; rel=next", origin("https://api.github.com.evil.example")),
        ("<//evil.example/?page=2>; rel=next", origin("https://evil.example")),
        ("<\\\\evil.example\\?page=2>; rel=next", origin("https://evil.example")),
        ("<http://127.0.0.1:9001/?page=2>; rel=next", origin("http://127.0.0.1:9001")),
        ("<http://169.254.169.254/latest/meta-data>; rel=next", origin("http://169.254.169.254")),
        ("<javascript:alert(1)>; rel=next", origin("null")),
        ("<data:text/plain,x>; rel=next", origin("null")),
        ("<file:///etc/passwd>; rel=next", origin("null")),
        ("<https://user@api.github.com/?page=2>; rel=next", PageFault::UserInfo),
        ("<https://:pw@api.github.com/?page=2>; rel=next", PageFault::UserInfo),
        ("<https://api.github.com@evil.example/?page=2>; rel=next", PageFault::UserInfo),
        ("<https://[/?page=2>; rel=next", PageFault::Url),
        ("<?page=2&admin=1>; rel=next", undeclared("admin")),
        ("<?page=2&org=other>; rel=next", undeclared("org")),
        ("<?page=2&Page=3>; rel=next", undeclared("Page")),
        ("<?page=2&=3>; rel=next", undeclared("")),
        ("<?page=2&per_page=1>; rel=next", value("per_page", "=100", "1")),
        ("<?page=-1>; rel=next", value("page", "int<=100000", "-1")),
        ("<?page=2%00>; rel=next", value("page", "int<=100000", "2\u{fffd}")),
        ("<?type=private>; rel=next", value("type", "^all|public$", "private")),
        ("<?after=a%0d%0ab>; rel=next", value("after", "text<=64", "a\u{fffd}\u{fffd}b")),
        ("<?after=%ff>; rel=next", PageFault::NotText("after".to_owned())),
        ("<?page=2&page=3>; rel=next", PageFault::Repeated("page".to_owned())),
        ("<?page=2>; rel=next, <?page=3>; rel=next", PageFault::Ambiguous),
        ("<?page=2; rel=next", PageFault::Malformed),
    ];
    for (header, fault) in cases {
        assert_eq!(broken(by_header(header)), fault, "{header}");
    }
    let long = |n: usize| format!("<?after={}>; rel=next", "x".repeat(n));
    assert_eq!(broken(by_header(&long(MAX_URL_BYTES))), PageFault::Url);
    assert_eq!(broken(by_header(&long(20_000))), PageFault::Malformed);
    let tags = vec!["tag=x"; 101].join("&");
    assert_eq!(broken(by_header(&format!("<?{tags}>; rel=next"))), PageFault::Repeated("tag".to_owned()));
}

#[test]
fn without_an_allowed_origin_no_link_is_followed() {
    let page = next_page(&repos(), &[], &list(&[]), Some("<https://api.github.com/?page=2>; rel=next"), b"");
    assert!(matches!(broken(page), PageFault::Origin(_)));
    assert_eq!(broken(next_page(&repos(), &[], &list(&[]), Some("<?page=2>; rel=next"), b"")), PageFault::Url);
}

fn by_body(body: &serde_json::Value) -> NextPage {
    let arguments = list(&[("login", "github"), ("after", "old")]);
    next_page(&graphql(), &origins(), &arguments, None, body.to_string().as_bytes())
}

fn page_info(info: &serde_json::Value) -> serde_json::Value {
    json!({ "data": { "org": { "members": { "nodes": [1, 2], "pageInfo": info } } } })
}

#[test]
fn a_cursor_replaces_the_argument_and_nothing_else() {
    let next = |cursor: &str| NextPage::Next(list(&[("after", cursor), ("login", "github")]));
    let cases = [(json!("Y3Vy=="), "Y3Vy=="), (json!(42), "42"), (json!(-1), "-1")];
    for (cursor, sent) in cases {
        assert_eq!(by_body(&page_info(&json!({ "hasNextPage": true, "endCursor": cursor }))), next(sent));
    }
}

#[test]
fn the_body_says_that_this_was_the_last_page() {
    let bodies = [
        page_info(&json!({ "hasNextPage": false, "endCursor": "x" })),
        page_info(&json!({ "hasNextPage": false, "endCursor": null })),
        json!({ "data": { "org": null } }),
        json!({ "data": null }),
        json!([]),
    ];
    for body in bodies {
        assert_eq!(by_body(&body), NextPage::Last, "{body}");
    }
}

#[test]
fn a_body_that_contradicts_itself_is_doubt_and_not_the_end() {
    let infos = [
        json!({ "hasNextPage": true, "endCursor": null }),
        json!({ "hasNextPage": true, "endCursor": "" }),
        json!({ "hasNextPage": true }),
        json!({ "hasNextPage": "true", "endCursor": "x" }),
        json!({ "hasNextPage": 1, "endCursor": null }),
        json!({ "hasNextPage": null, "endCursor": "x" }),
        json!({ "endCursor": "x" }),
        json!({ "hasNextPage": true, "endCursor": { "a": 1 } }),
        json!({ "hasNextPage": true, "endCursor": true }),
    ];
    for info in infos {
        assert_eq!(broken(by_body(&page_info(&info))), PageFault::Unclear, "{info}");
    }
    let long = json!({ "hasNextPage": true, "endCursor": "x".repeat(33) });
    assert!(matches!(broken(by_body(&page_info(&long))), PageFault::Value { .. }));
    for body in [&b"<html>"[..], b"", b"{\"data\":"] {
        assert_eq!(broken(next_page(&graphql(), &origins(), &list(&[]), None, body)), PageFault::Body);
    }
}

#[test]
fn without_a_flag_the_cursor_alone_decides() {
    let operation = json!({
        "id": "list",
        "request": "GET https://slack.example/list",
        "query": { "cursor": { "rule": "text<=64" } },
    });
    let compiled = compile(operation, json!({ "kind": "cursor", "cursor": "/meta/next", "argument": "cursor" }));
    let page = |body: &str| next_page(&compiled, &[], &list(&[]), None, body.as_bytes());
    assert_eq!(page(r#"{"meta":{"next":"abc"}}"#), NextPage::Next(list(&[("cursor", "abc")])));
    for last in [r#"{"meta":{"next":""}}"#, r#"{"meta":{"next":null}}"#, r#"{"meta":{}}"#, "{}"] {
        assert_eq!(page(last), NextPage::Last, "{last}");
    }
}

#[test]
fn a_chain_ends_when_it_bites_its_tail() {
    let page = |n: usize| list(&[("org", "x"), ("page", &n.to_string())]);
    let mut chain = PageChain::new(&page(1));
    assert_eq!(chain.follow(&page(1)), Err(PageFault::Loop), "a page that is its own next");
    assert_eq!(chain.follow(&page(2)), Ok(()));
    assert_eq!(chain.follow(&page(3)), Ok(()));
    assert_eq!(chain.follow(&page(2)), Err(PageFault::Loop));
    assert_eq!(chain.follow(&list(&[("page", "3"), ("org", "x")])), Err(PageFault::Loop), "order means nothing");
    assert_eq!(chain.pages(), 3);
    assert_eq!(PageFault::Loop.code(), "loop");
}

#[test]
fn a_chain_that_never_ends_is_ended() {
    let mut chain = PageChain::new(&list(&[]));
    let mut ended = None;
    for n in 0..=MAX_PAGES {
        if let Err(fault) = chain.follow(&list(&[("page", &n.to_string())])) {
            ended = Some((n, fault));
            break;
        }
    }
    assert_eq!(ended, Some((MAX_PAGES - 1, PageFault::Endless)));
}

proptest! {
    /// Whatever a provider puts into the header, the next request goes to the same host and path, with fixed values.
    #[test]
    fn no_link_leaves_the_operation(
        target in r"(https?:)?(//)?[a-z@:./\\%-]{0,20}\?((page|after|type|tag|per_page|x)=[a-z0-9%+&=]{0,6}&?){0,4}",
        free in "\\PC{0,40}",
    ) {
        for target in [target, free] {
            if let NextPage::Next(arguments) = by_header(&format!("<{target}>; rel=next")) {
                let request = repos().prepare(&arguments, &Config::default()).unwrap();
                prop_assert_eq!(request.url.host_str(), Some("api.github.com"));
                prop_assert_eq!(request.url.path(), "/orgs/github/repos");
                let full_pages = request.url.query_pairs().filter(|(n, v)| n == "per_page" && v == "100").count();
                prop_assert_eq!(full_pages, 1);
            }
        }
    }

    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = next_page(&graphql(), &origins(), &list(&[]), None, &body);
    }
}

#[test]
fn a_cursor_of_xml_is_found_and_its_flag_obeyed() {
    let operation = json!({ "id": "users", "request": "POST https://iam.example.com/",
        "body": { "kind": "form", "arguments": { "Action": { "rule": "=ListUsers" }, "Marker": { "rule": "text<=32" } } } });
    let pages = json!({ "kind": "cursor", "body": "xml", "argument": "Marker",
        "cursor": "/ListUsersResponse/ListUsersResult/Marker", "more": "/ListUsersResponse/ListUsersResult/IsTruncated" });
    let compiled = compile(operation, pages);
    let page = |result: &str| {
        let body =
            format!("<ListUsersResponse xmlns=\"x\"><ListUsersResult>{result}</ListUsersResult></ListUsersResponse>");
        next_page(&compiled, &origins(), &[], None, body.as_bytes())
    };
    let next = NextPage::Next(list(&[("Marker", "a=b")]));
    assert_eq!(page("<IsTruncated>true</IsTruncated><Users/><Marker>a=b</Marker>"), next);
    assert_eq!(page("<IsTruncated>false</IsTruncated>"), NextPage::Last);
    assert_eq!(page("<IsTruncated>false</IsTruncated><Marker>a</Marker>"), NextPage::Last);
    assert_eq!(page("<IsTruncated>true</IsTruncated>"), NextPage::Broken(PageFault::Unclear));
    assert_eq!(page("<IsTruncated>maybe</IsTruncated><Marker>a</Marker>"), NextPage::Broken(PageFault::Unclear));
    assert_eq!(page("<Marker>a</Wrong>"), NextPage::Broken(PageFault::Body));
    // Another answer altogether, such as a proxy's page, has neither; a list must not end there.
    let html = next_page(&compiled, &origins(), &[], None, b"<html><body>busy</body></html>");
    assert_eq!(html, NextPage::Broken(PageFault::Body));
}
