#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
use super::*;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde_json::{Value, json};

fn config() -> Config {
    let values = [("host", "api.github.com"), ("prefix", "/api/v3"), ("none", ""), ("org", "acme corp")];
    Config {
        values: values.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        derived: ["host", "prefix", "none"].map(str::to_owned).into(),
    }
}

fn compile(operation: Value) -> CompiledOperation {
    CompiledOperation::new(&serde_json::from_value(operation).unwrap(), &config()).unwrap()
}

/// An operation with one free argument in its path.
fn path(request: &str, rule: &str) -> CompiledOperation {
    compile(json!({ "id": "x", "request": request, "path": { "x": { "rule": rule } } }))
}

fn list(arguments: &[(&str, &str)]) -> Vec<(String, String)> {
    arguments.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

fn prepare(operation: &CompiledOperation, arguments: &[(&str, &str)]) -> Result<PreparedRequest, ArgumentError> {
    operation.prepare(&list(arguments), &config())
}

fn url(operation: &CompiledOperation, arguments: &[(&str, &str)]) -> String {
    prepare(operation, arguments).unwrap().url.to_string()
}

#[test]
fn templates_have_one_form() {
    let good = [
        "GET https://api.github.com/orgs/{org}/repos",
        "HEAD https://h/x",
        "POST https://{config.host}/graphql",
        "GET https://{config.host}{config.prefix}/x",
        "GET https://ec2.{region}.amazonaws.com:443/",
        "GET https://h",
        "GET https://h/a.b/~c/@d/e:f/{x}.json",
    ];
    for text in good {
        Template::parse(text).unwrap();
    }
    let bad = [
        "",
        "GET",
        "https://h/x",
        "get https://h/x",
        "PUT https://h/x",
        "DELETE https://h/x",
        "PATCH https://h/x",
        "GET  https://h/x",
        "GET http://h/x",
        "GET HTTPS://h/x",
        "GET //h/x",
        "GET ftp://h/x",
        "GET https://",
        "GET https:///x",
        "GET https://user@h/x",
        "GET https://user:pw@h/x",
        "GET https://h/x?a=1",
        "GET https://h/x?a={b}",
        "GET https://h/x#f",
        "GET https://h/../x",
        "GET https://h/a/./x",
        "GET https://h/a/..",
        "GET https://h/%2e%2e/x",
        "GET https://h/a\\b",
        "GET https://h/a b",
        "GET https://h/a\r\nX: y",
        "GET https://h/{",
        "GET https://h/}",
        "GET https://h/{}",
        "GET https://h/{a",
        "GET https://h/a}",
        "GET https://h/{a{b}}",
        "GET https://h/{{a}}",
        "GET https://h\u{3002}x/",
        "GET https://[::1]/",
        "GET https://h/é",
    ];
    for text in bad {
        assert!(Template::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_name_without_rule_or_field_is_refused() {
    let new = |request: &str| {
        let operation = serde_json::from_value(json!({ "id": "x", "request": request })).unwrap();
        CompiledOperation::new(&operation, &config()).map(|_| ()).unwrap_err()
    };
    assert_eq!(new("GET https://h/{x}"), TemplateError::NoRule("x".to_owned()));
    assert_eq!(new("GET https://{config.nothing}/"), TemplateError::NoConfig("nothing".to_owned()));
}

#[test]
fn parts_are_put_together_from_template_configuration_and_arguments() {
    let cases = [
        ("GET https://h/a/{x}/b", "x y", "https://h/a/x%20y/b"),
        ("GET https://h/a/{x}", "é", "https://h/a/%C3%A9"),
        ("GET https://h/a/{x}", "-._~", "https://h/a/-._~"),
        ("GET https://h/a/{x}", "a.b", "https://h/a/a.b"),
        ("GET https://h/a/{x}", "...", "https://h/a/..."),
        ("GET https://h/a/{x}", "100%", "https://h/a/100%25"),
        ("GET https://h/a/{x}", "a?b#c&d=e@f:g;h+i", "https://h/a/a%3Fb%23c%26d%3De%40f%3Ag%3Bh%2Bi"),
        ("GET https://h/a/{x}", "{config.host}", "https://h/a/%7Bconfig.host%7D"),
        ("GET https://{config.host}{config.prefix}/{x}", "1", "https://api.github.com/api/v3/1"),
        ("GET https://{config.host}{config.none}/{x}", "1", "https://api.github.com/1"),
        ("GET https://h/{config.org}/{x}", "1", "https://h/acme%20corp/1"),
        ("GET https://api.{x}.example.com/", "eu-1", "https://api.eu-1.example.com/"),
    ];
    for (request, value, expected) in cases {
        assert_eq!(url(&path(request, "text<=99"), &[("x", value)]), expected, "{request} {value}");
    }
}

/// What a guest may try in a path. None of it may change which path it is.
const CLIMBS: [&str; 36] = [
    "",
    ".",
    "..",
    "/",
    "a/b",
    "/etc",
    "../x",
    "x/..",
    "a/../b",
    "\\",
    "..\\x",
    "a\\b",
    "%2e",
    "%2e%2e",
    "%2E%2e",
    ".%2e",
    "%252e%252e",
    "%25252e%25252e",
    "%2e%2e%2fx",
    "x%2f..%2f..",
    "a%2fb",
    "a%5cb",
    "a%252fb",
    "%c0%ae%c0%ae",
    "%c0%af",
    "a%ff",
    "\u{ff0e}\u{ff0e}",
    "\u{2025}",
    "\u{2024}.",
    "a\u{ff0f}b",
    "a\u{2215}b",
    "\u{ff05}2e\u{ff05}2e",
    "https://evil.example/",
    "//evil.example",
    "https:%2f%2fevil.example",
    "a/%2e%2e/b",
];

#[test]
fn nothing_climbs_out_of_its_path_segment() {
    let operation = path("GET https://h/orgs/{x}/repos", "text<=99");
    for value in CLIMBS {
        assert!(prepare(&operation, &[("x", value)]).is_err(), "{value:?}");
    }
    for value in ["a\r\nX: y", "a\nb", "a\0b", "a\u{7f}", "a\u{85}", "a\tb"] {
        assert!(matches!(prepare(&operation, &[("x", value)]), Err(ArgumentError::Rule { .. })), "{value:?}");
    }
}

#[test]
fn a_slash_needs_a_pattern_that_names_it_and_still_cannot_climb() {
    let operation = path("GET https://h/projects/{x}/members", r"^[\w.%\\-]+(/[\w.%\\-]+)*$");
    assert_eq!(url(&operation, &[("x", "group/project")]), "https://h/projects/group%2Fproject/members");
    for value in ["a/../b", "a/%2e%2e/b", "../a", "a%2fb", "a/b%2fc", "a/%5c", "a/.", "a\\..\\b"] {
        assert!(prepare(&operation, &[("x", value)]).is_err(), "{value:?}");
    }
}

#[test]
fn a_host_argument_stays_a_label() {
    let operation = path("GET https://api.{x}.example.com/v1", "text<=99");
    let bad = [
        "",
        "a.b",
        "evil.example/",
        "evil.example#",
        "evil.example?",
        "a:80",
        "a@b",
        "a%2eb",
        "a\\b",
        "a b",
        "a\u{3002}b",
        "a\u{ff0e}b",
        "a\u{ff61}b",
        "ａ",
        "é",
        "a\u{ad}b",
        "_x",
        "EU",
    ];
    for value in bad {
        assert!(prepare(&operation, &[("x", value)]).is_err(), "{value:?}");
    }
    let whole = path("GET https://{x}/v1", "text<=99");
    for value in ["2130706433", "0x7f000001", "017700000001", "localhost.", "[::1]"] {
        assert!(prepare(&whole, &[("x", value)]).is_err(), "{value:?}");
    }
}

#[test]
fn a_configured_host_cannot_be_more_than_a_host() {
    let operation = compile(json!({ "id": "x", "request": "GET https://{config.host}/v1/x" }));
    let hosts = [
        ("api.example.com", true),
        ("api.example.com:8443", true),
        ("user@evil.example", false),
        (":pw@evil.example", false),
        ("@evil.example", false),
        ("evil.example/", false),
        ("evil.example/x?", false),
        ("evil.example#", false),
        ("evil.example\\", false),
        ("evil\u{3002}example", false),
        ("EVIL.example", false),
        ("evil.example:443", false),
        ("0x7f.1", false),
        ("a b", false),
        ("", false),
    ];
    for (host, good) in hosts {
        let mut config = config();
        config.values.insert("host".to_owned(), host.to_owned());
        assert_eq!(operation.prepare(&[], &config).is_ok(), good, "{host:?}");
    }
}

#[test]
fn a_prefix_that_is_not_derived_cannot_extend_the_host() {
    let operation = compile(json!({ "id": "x", "request": "GET https://{config.host}{config.prefix}/x" }));
    for prefix in [".evil.example", "@evil.example", ":8443", "x", "/../y", "//evil.example", "/a?b", "/a#b"] {
        let mut config = config();
        config.values.insert("prefix".to_owned(), prefix.to_owned());
        if prefix != "//evil.example" {
            assert!(operation.prepare(&[], &config).is_err(), "derived {prefix:?}");
        }
        config.derived.remove("prefix");
        assert!(operation.prepare(&[], &config).is_err(), "set by the tenant {prefix:?}");
    }
}

fn users() -> CompiledOperation {
    compile(json!({
        "id": "list-users",
        "request": "GET https://h/users",
        "query": {
            "limit": { "rule": "=200" },
            "filter[x]": { "rule": "text<=256" },
            "role": { "rule": "^admin|member$", "required": true },
            "id": { "rule": "int<=999", "list": true },
        },
        "headers": { "accept": "application/json" },
        "auth": "api",
    }))
}

#[test]
fn a_request_holds_what_was_declared_and_nothing_else() {
    let request =
        prepare(&users(), &[("role", "admin"), ("id", "1"), ("id", "2"), ("filter[x]", "a&limit=1=é")]).unwrap();
    let url = "https://h/users?filter%5Bx%5D=a%26limit%3D1%3D%C3%A9&id=1&id=2&limit=200&role=admin";
    assert_eq!(request.url.as_str(), url);
    assert_eq!((request.method, request.body), (Method::Get, None));
    assert_eq!(request.headers, list(&[("accept", "application/json")]));
    assert_eq!(request.auth.unwrap().as_str(), "api");
}

#[test]
fn arguments_are_declared_given_once_and_inside_their_rule() {
    let error = |arguments: &[(&str, &str)]| prepare(&users(), arguments).unwrap_err();
    let name = |name: &str| name.to_owned();
    let rule = |name: &str, rule: &str, value: &str| ArgumentError::Rule {
        name: name.to_owned(),
        rule: rule.to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(error(&[]), ArgumentError::Missing(name("role")));
    assert_eq!(error(&[("role", "admin"), ("role", "admin")]), ArgumentError::Repeated(name("role")));
    assert_eq!(error(&[("role", "owner")]), rule("role", "^admin|member$", "owner"));
    assert_eq!(error(&[("role", "xadmin")]), rule("role", "^admin|member$", "xadmin"));
    assert_eq!(error(&[("role", "admin"), ("Role", "admin")]), ArgumentError::Undeclared(name("Role")));
    assert_eq!(error(&[("role", "admin"), ("", "x")]), ArgumentError::Undeclared(name("")));
    assert_eq!(error(&[("role", "admin"), ("accept", "x")]), ArgumentError::Undeclared(name("accept")));
    assert_eq!(error(&[("role", "admin"), ("limit", "1")]), rule("limit", "=200", "1"));
    assert_eq!(error(&[("role", "admin"), ("id", "1000")]), rule("id", "int<=999", "1000"));
    let ids: Vec<_> = std::iter::once(("role", "admin")).chain(std::iter::repeat_n(("id", "1"), 101)).collect();
    assert_eq!(error(&ids), ArgumentError::Repeated(name("id")));
    assert!(prepare(&users(), ids.split_last().unwrap().1).is_ok(), "a hundred values are allowed");
}

#[test]
fn what_an_undeclared_argument_is_called_cannot_reach_a_terminal_or_postgres() {
    let error = prepare(&users(), &[("role", "admin"), (&format!("\0\u{1b}[2J{}", "x".repeat(999)), "")]).unwrap_err();
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control) && text.len() < 200, "{text:?}");
}

#[test]
fn a_fixed_argument_is_sent_whatever_the_guest_does() {
    for arguments in [&[("role", "admin")][..], &[("role", "admin"), ("limit", "200")]] {
        assert_eq!(url(&users(), arguments), "https://h/users?limit=200&role=admin");
    }
    let fixed = path("GET https://h/{x}/y", "=all");
    assert_eq!(url(&fixed, &[]), "https://h/all/y");
    assert!(prepare(&fixed, &[("x", "other")]).is_err());
    assert_eq!(
        prepare(&path("GET https://h/{x}/y", "text<=9"), &[]).unwrap_err(),
        ArgumentError::Missing("x".to_owned())
    );
}

#[test]
fn a_path_has_one_place_for_an_argument_even_if_it_is_called_a_list() {
    let operation = compile(
        json!({ "id": "x", "request": "GET https://h/{x}", "path": { "x": { "rule": "text<=9", "list": true } } }),
    );
    assert_eq!(prepare(&operation, &[("x", "a"), ("x", "b")]).unwrap_err(), ArgumentError::Repeated("x".to_owned()));
}

#[test]
fn urls_beyond_what_servers_take_are_refused() {
    let operation = compile(json!({
        "id": "x",
        "request": "GET https://h/x",
        "query": { "q": { "rule": "text<=4096", "list": true } },
    }));
    let long = "x".repeat(4000);
    assert!(prepare(&operation, &[("q", &long)]).is_ok());
    assert!(matches!(prepare(&operation, &[("q", &long), ("q", &long)]), Err(ArgumentError::TooLong(_))));
}

fn post(body: Value) -> CompiledOperation {
    compile(json!({ "id": "x", "request": "POST https://h/x", "body": body }))
}

fn body_of(operation: &CompiledOperation, arguments: &[(&str, &str)]) -> (String, String) {
    let request = prepare(operation, arguments).unwrap();
    let (name, content_type) = request.headers.first().unwrap().clone();
    assert_eq!((name.as_str(), request.url.as_str()), ("content-type", "https://h/x"));
    (content_type, String::from_utf8(request.body.unwrap()).unwrap())
}

#[test]
fn a_form_cannot_be_broken_out_of() {
    let form = post(json!({
        "kind": "form",
        "arguments": { "Action": { "rule": "=ListUsers" }, "Marker": { "rule": "text<=99" } },
    }));
    let (content_type, body) = body_of(&form, &[("Marker", "a&Action=DeleteUser+é")]);
    assert_eq!(content_type, "application/x-www-form-urlencoded");
    assert_eq!(body, "Action=ListUsers&Marker=a%26Action%3DDeleteUser%2B%C3%A9");
    assert!(prepare(&form, &[("Action", "DeleteUser")]).is_err());
}

#[test]
fn json_fields_have_the_type_of_their_rule() {
    let operation = post(json!({
        "kind": "json",
        "arguments": {
            "action": { "rule": "=list" },
            "first": { "rule": "int<=100" },
            "all": { "rule": "bool" },
            "name": { "rule": "text<=99" },
            "ids": { "rule": "int<=9", "list": true },
        },
    }));
    let (content_type, body) =
        body_of(&operation, &[("name", r#"x","action":"delete"#), ("first", "7"), ("all", "false")]);
    assert_eq!(content_type, "application/json");
    let expected = json!({ "action": "list", "all": false, "first": 7, "name": r#"x","action":"delete"# });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected, "and a list that wasn't given is not there");
    let (_, body) = body_of(&operation, &[("ids", "1"), ("ids", "2")]);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!({ "action": "list", "ids": [1, 2] }));
    for (name, value) in [("first", "1.5"), ("first", "\"7\""), ("all", "1"), ("action", "delete")] {
        assert!(prepare(&operation, &[(name, value)]).is_err(), "{name}={value}");
    }
}

#[test]
fn graphql_variables_are_typed_and_the_document_is_out_of_reach() {
    let document = "query($login: String!, $first: Int) { organization(login: $login) { id } }";
    let operation = post(json!({
        "kind": "graphql",
        "document": document,
        "variables": { "login": { "rule": "text<=99", "required": true }, "first": { "rule": "int<=100" } },
    }));
    let (content_type, body) = body_of(&operation, &[("login", "\") { mutation"), ("first", "100")]);
    assert_eq!(content_type, "application/json");
    let expected = json!({ "query": document, "variables": { "login": "\") { mutation", "first": 100 } });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    assert!(prepare(&operation, &[("login", "x"), ("query", "mutation { x }")]).is_err());
    assert_eq!(prepare(&operation, &[]).unwrap_err(), ArgumentError::Missing("login".to_owned()));
}

proptest! {
    /// Whatever a guest gives, the request goes to the host and has the path, segment by segment, of the template.
    #[test]
    fn no_value_changes_which_path_it_is(free in any::<String>(), tricky in r"[./\\%2eEfFcC5@?#:a-c]{0,12}", climbs in prop::sample::select(&CLIMBS[..])) {
        let operation = path("GET https://h.example/orgs/{x}/repos", "text<=4096");
        for value in [free, tricky, climbs.to_owned()] {
            let Ok(request) = prepare(&operation, &[("x", &value)]) else { continue };
            prop_assert_eq!(request.url.host_str(), Some("h.example"));
            prop_assert_eq!((request.url.query(), request.url.fragment(), request.url.port()), (None, None, None));
            let mut path = request.url.path().to_owned();
            for _ in 0..4 {
                let segments: Vec<_> = path.split(['/', '\\']).collect();
                prop_assert_eq!(segments.len(), 4, "{}", &path);
                prop_assert!(matches!(segments[..], ["", "orgs", x, "repos"] if !x.is_empty() && x != "." && x != ".."), "{}", &path);
                path = percent_decode_str(&path).decode_utf8_lossy().into_owned();
            }
        }
    }

    #[test]
    fn a_query_value_arrives_as_it_was_given(value in "\\PC{1,60}") {
        let operation = compile(json!({ "id": "x", "request": "GET https://h/x", "query": { "q": { "rule": "text<=4096" } } }));
        let Ok(request) = prepare(&operation, &[("q", &value)]) else {
            return Err(TestCaseError::reject("a control character"));
        };
        let pairs: Vec<_> = request.url.query_pairs().into_owned().collect();
        prop_assert_eq!(pairs, list(&[("q", &value)]));
    }

    #[test]
    fn no_template_panics(text in "(GET|POST) https://[a-z{}./:%@?#]{0,20}") {
        let _ = Template::parse(&text);
    }
}

#[test]
fn a_fixed_value_can_be_a_configuration_field() {
    let operation = compile(json!({
        "id": "x", "request": "POST https://h/graphql",
        "body": {
            "kind": "graphql", "document": "query X($org: String!) { x }",
            "variables": { "org": { "rule": "={config.org}" } },
        },
    }));
    let body: Value = serde_json::from_slice(&prepare(&operation, &[]).unwrap().body.unwrap()).unwrap();
    assert_eq!(body["variables"]["org"], "acme corp");
    assert!(matches!(prepare(&operation, &[("org", "other")]), Err(ArgumentError::Rule { .. })));
    let unknown = json!({ "id": "x", "request": "GET https://h/", "query": { "a": { "rule": "={config.nothing}" } } });
    let unknown = CompiledOperation::new(&serde_json::from_value(unknown).unwrap(), &config());
    assert_eq!(unknown.unwrap_err(), TemplateError::NoConfig("nothing".to_owned()));
}

#[test]
fn a_signed_operation_says_what_its_signature_is_good_for() {
    let operation = |region: &str| {
        json!({ "id": "x", "request": "GET https://s3.{region}.example.com/{bucket}",
            "path": { "region": { "rule": "^[a-z0-9-]+$" }, "bucket": { "rule": "text<=63" } },
            "query": { "acl": { "rule": "=" } },
            "sign": { "service": "s3", "region": region }, "action": "s3:GetBucketAcl" })
    };
    let given = [("region", "eu-west-1"), ("bucket", "b")];
    for (region, signed_for) in
        [("{region}", "eu-west-1"), ("{config.host}", "api.github.com"), ("us-east-1", "us-east-1")]
    {
        let request = prepare(&compile(operation(region)), &given).unwrap();
        let scope = request.scope.unwrap();
        assert_eq!((scope.service.as_str(), scope.region.as_str()), ("s3", signed_for));
        assert_eq!(scope.action.as_deref(), Some("s3:GetBucketAcl"));
        assert_eq!(request.url.as_str(), "https://s3.eu-west-1.example.com/b?acl=");
    }
    for region in ["{other}", "{config.other}", "a{region}", "{region", "", "a.b"] {
        assert!(
            CompiledOperation::new(&serde_json::from_value(operation(region)).unwrap(), &config()).is_err(),
            "{region}"
        );
    }
}

#[test]
fn bodies_number_their_lists_and_nest_their_members() {
    let form = compile(json!({ "id": "x", "request": "POST https://h/", "body": { "kind": "form", "arguments": {
        "Action": { "rule": "=List" },
        "Names.member.N": { "rule": "text<=9", "list": true },
        "Plain": { "rule": "text<=9", "list": true } } } }));
    let given = [("Names.member.N", "a"), ("Plain", "x"), ("Names.member.N", "b&"), ("Plain", "y")];
    let body = prepare(&form, &given).unwrap().body.unwrap();
    assert_eq!(String::from_utf8(body).unwrap(), "Action=List&Names.member.1=a&Names.member.2=b%26&Plain=x&Plain=y");

    let nested = compile(json!({ "id": "x", "request": "POST https://h/", "body": { "kind": "json",
        "content-type": "application/x-amz-json-1.1", "arguments": {
        "a/b/c": { "rule": "int<=9" }, "a/d": { "rule": "bool" }, "e": { "rule": "text<=9", "list": true } } } }));
    let request = prepare(&nested, &[("a/b/c", "1"), ("a/d", "true"), ("e", "x")]).unwrap();
    let body: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
    assert_eq!(body, json!({ "a": { "b": { "c": 1 }, "d": true }, "e": ["x"] }));
    assert_eq!(request.headers, [("content-type".to_owned(), "application/x-amz-json-1.1".to_owned())]);
}
