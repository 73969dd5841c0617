#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
use super::*;
use crate::author::read_manifest;
use crate::config::resolve_config;
use crate::fixture::{GOOD, manifest};
use percent_encoding::percent_decode_str;
use porthole_model::operation::{CompiledOperation, Part, Template};
use porthole_model::rule::Rule;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn read(text: &str) -> Manifest {
    read_manifest(text).unwrap_or_else(|findings| panic!("{}", crate::Findings(findings)))
}

/// The good manifest with some pieces replaced, each of which must be there.
fn with(replaced: &[(&str, &str)]) -> Manifest {
    let mut text = GOOD.to_owned();
    for (from, to) in replaced {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    read(&text)
}

/// Wider, with a URL in the example that no operation of the old version could make.
const WIDER_URLS: &[(&str, &str, &str)] = &[
    ("path pattern", "path = { org = '^[a-z0-9-]+$' }", "path = { org = '^[a-z0-9.-]+$' }"),
    ("path number", "id = 'int<=999999'", "id = 'int<=9999999'"),
    ("path number to text", "id = 'int<=999999'", "id = 'text<=6'"),
    ("path slash", "path = { org = '^[a-z0-9-]+$' }", "path = { org = '^[a-z0-9-]+(/x)?$' }"),
    ("query length", "after = 'text<=256'", "after = 'text<=257'"),
    ("query unfixed", "limit = '=100'", "limit = 'int<=100'"),
    ("query refixed", "limit = '=100'", "limit = '=1000'"),
    ("query choice", "'^(all|admin)$'", "'^(all|admin|owner)$'"),
    ("query added", "limit = '=100'", "limit = '=100', q = 'text<=9'"),
    ("query added and fixed", "limit = '=100'", "limit = '=100', deleted = '=true'"),
    ("fixed query removed", "limit = '=100', ", ""),
    ("list", "after = 'text<=256'", "after = { rule = 'text<=256', list = true }"),
    ("path", "{config.prefix}/orgs/{org}/users", "{config.prefix}/orgs/{org}/members"),
    ("longer path", "{config.prefix}/users/{id}", "{config.prefix}/users/{id}/keys"),
    ("host", "GET https://{config.host}", "GET https://x.{config.host}"),
    ("method", "HEAD https://", "GET https://"),
    ("search path", "/devices/search", "/devices/find"),
    ("default", "default = \"api.acme.com\"", "default = \"eu.acme.com\""),
    ("host pattern", "acme\\.com$'\ndefault", "acme\\.(com|net)$'\ndefault"),
    ("derived path", "['^.*$', '/api/v3']", "['^eu\\.acme\\.com$', '/api/v4'], ['^.*$', '/api/v3']"),
];

/// Wider, where the example isn't about the URL.
const WIDER: &[(&str, &str, &str)] = &[
    ("json length", "query = 'text<=100'", "query = 'text<=101'"),
    ("json type", "page = 'int<=10000'", "page = '^[0-9]{1,4}$'"),
    ("variable", "first = 'int<=100'", "first = 'int<=101'"),
    ("document", "nodes { id name }", "nodes { id name email }"),
    ("header", "Accept = \"application/json\"", "Accept = \"application/vnd.acme.diff\""),
    ("header removed", "headers = { Accept = \"application/json\" }\n", ""),
    ("no credential", "id = 'int<=999999' }\nauth = \"api\"", "id = 'int<=999999' }"),
    ("argument removed", ", after = 'text<=256'", ""),
    ("argument renamed", "orgs/{org}/users\"\npath = { org =", "orgs/{name}/users\"\npath = { name ="),
    ("argument fixed in the path", "/users/{id}\"\npath = { id = 'int<=999999' }", "/users/7\""),
    ("empty-on", "empty-on = [404]", "empty-on = [404, 410]"),
    ("response header", "response-headers = [\"x-total\"]", "response-headers = [\"x-total\", \"x-owner\"]"),
    ("scrub", "path = \"/*/secret\"", "path = \"/*/secret/value\""),
    ("concurrent", "concurrent = 4", "concurrent = 5"),
    ("per second", "per-second = 20", "per-second = 21"),
    ("no rate", "per-second = 20", ""),
    ("credential format", "SSWS {token}", "Token {token}"),
    (
        "credential kind",
        "kind = \"header\"\nheader = \"Authorization\"\nformat = \"SSWS {token}\"",
        "kind = \"bearer\"",
    ),
    ("token endpoint", "/app/installations/", "/apps/installations/"),
    ("step uses", "uses = [\"groups\", ", "uses = [\"groups\", \"list-users\", "),
    (
        "step needs",
        "needs = [\"users\"]\npartitioned = true\nreads = [{ type = \"acme_user\", properties = [\"login\"] }]",
        "partitioned = true",
    ),
    ("step reads", "properties = [\"login\"]", "properties = [\"login\", \"email\"]"),
    (
        "entity",
        "{ type = \"acme_org\", class = [\"Account\"] }, ",
        "{ type = \"acme_org\", class = [\"Account\"] }, { type = \"acme_x\", class = [\"User\"] }, ",
    ),
    ("class", "class = [\"UserGroup\"]", "class = [\"UserGroup\", \"Account\"]"),
    (
        "relationship",
        "relationships = [{ from = \"acme_group\",",
        "relationships = [{ from = \"acme_user\", verb = \"USES\", to = \"acme_user\" }, { from = \"acme_group\",",
    ),
    (
        "mapped relationship",
        "relationships = [{ from = \"acme_group\",",
        "relationships = [{ from = \"acme_user\", verb = \"USES\", to = \"host\", mapped = \"to\", class = \"Host\" }, { from = \"acme_group\",",
    ),
    (
        "mapping",
        "[rate]",
        "[[mappings]]\nid = \"m\"\nfrom = \"acme_user\"\nverb = \"IS\"\nto = { class = \"Person\" }\nmatch = [{ from = \"login\", to = \"email\" }]\n[rate]",
    ),
];

const NARROWER: &[(&str, &str, &str)] = &[
    ("path pattern", "path = { org = '^[a-z0-9-]+$' }", "path = { org = '^[a-z-]+$' }"),
    ("path fixed", "path = { org = '^[a-z0-9-]+$' }", "path = { org = '=acme' }"),
    ("path number", "id = 'int<=999999'", "id = '^[1-9][0-9]?$'"),
    ("query length", "after = 'text<=256'", "after = '^[a-z]{1,256}$'"),
    ("query fixed", "after = 'text<=256'", "after = '=x'"),
    ("query configured", "after = 'text<=256'", "after = '={config.org}'"),
    ("query required", "after = 'text<=256'", "after = { rule = 'text<=256', required = true }"),
    ("choice", "'^(all|admin)$', list = true", "'^all$', list = true"),
    ("no list", "'^(all|admin)$', list = true", "'^(all|admin)$'"),
    ("json length", "query = 'text<=100'", "query = 'text<=99'"),
    ("empty-on", "empty-on = [404]", "empty-on = []"),
    ("response header", "response-headers = [\"x-total\"]", "response-headers = []"),
    ("scrub", "path = \"/*/secret\"", "path = \"/*/*\""),
    ("rate", "concurrent = 4", "concurrent = 3"),
    ("host pattern", "pattern = '^[a-z0-9-]+\\.acme\\.com$'", "pattern = '^[a-z]+\\.acme\\.com$'"),
    (
        "step",
        "needs = [\"users\"]\npartitioned = true\nreads = [{ type = \"acme_user\", properties = [\"login\"] }]",
        "needs = [\"users\"]\npartitioned = true",
    ),
];

const DIFFERENT: &[(&str, &str, &str)] = &[
    ("pattern", "path = { org = '^[a-z0-9-]+$' }", "path = { org = '^[-0-9a-z]+$' }"),
    (
        "layout",
        "  organization(login: $org) { ...Page }",
        "  # the organisation\n  organization(login: $org) {\n ...Page, }",
    ),
    ("words", "label = \"Host name\"", "label = \"Host\""),
    ("description", "description = \"Users and groups of an Acme organisation\"", "description = \"Users\""),
    ("partitioned", "partitioned = true\n", ""),
    ("derive", "['^.*$', '/api/v3']", "['^eu\\.acme\\.com$', '/api/v3'], ['^[^.]+\\.acme\\.com$', '/api/v3']"),
    ("new name", "\"list-users\"", "\"users-list\""),
    ("revalidate", "pages = \"link\"", "pages = \"link\"\nrevalidate = true"),
];

#[test]
fn the_same_is_equal() {
    let same = diff(&manifest(), &manifest());
    assert_eq!((same.verdict, same.changes.len()), (Verdict::Equal, 0));
    let next = diff(&manifest(), &with(&[("version = \"1.2.3\"", "version = \"1.2.4\"")]));
    assert_eq!(next.verdict, Verdict::Equal);
    assert_ne!(same.digest(), next.digest());
    let read: Diff = serde_json::from_slice(&same.to_canonical_json().unwrap()).unwrap();
    assert_eq!(read, same);
}

#[test]
fn the_first_version_is_wider() {
    let first = Diff::initial(&manifest());
    assert!(first.is_wider());
    insta::assert_snapshot!("initial", render(&first));
}

#[test]
fn what_is_wider_is_shown_by_a_request() {
    let mut shown = String::new();
    for (name, from, to) in WIDER_URLS {
        let new = with(&[(from, to)]);
        let found = diff(&manifest(), &new);
        assert!(found.is_wider(), "{name}: {}", render(&found));
        let wider: Vec<_> = found.changes.iter().filter(|c| c.direction == Direction::Wider).collect();
        assert!(!wider.is_empty(), "{name}: {}", render(&found));
        for change in wider {
            let example = change.example.as_deref().unwrap_or_else(|| panic!("{name}: {}", render(&found)));
            if change.what.contains("a limit on it") {
                continue;
            }
            assert!(!could_send(&manifest(), example), "{name}: the old version sends {example}");
            assert!(could_send(&new, example), "{name}: the new version doesn't send {example}");
            shown.push_str(&format!("{name}: {example}\n"));
        }
    }
    insta::assert_snapshot!("wider", shown);
}

#[test]
fn what_else_is_wider_has_an_example_too() {
    let mut shown = String::new();
    for (name, from, to) in WIDER {
        let found = diff(&manifest(), &with(&[(from, to)]));
        assert!(found.is_wider(), "{name}: {}", render(&found));
        for change in found.changes.iter().filter(|c| c.direction == Direction::Wider) {
            shown.push_str(&format!("{name}: {}: {}\n", change.what, change.example.as_deref().unwrap()));
        }
        assert!(found.changes.iter().any(|c| c.direction == Direction::Wider), "{name}: {}", render(&found));
    }
    insta::assert_snapshot!("wider_else", shown);
}

#[test]
fn what_is_narrower_is_proved() {
    for (name, from, to) in NARROWER {
        let found = diff(&manifest(), &with(&[(from, to)]));
        assert_eq!(found.verdict, Verdict::Narrower, "{name}: {}", render(&found));
        let back = diff(&with(&[(from, to)]), &manifest());
        assert!(back.is_wider(), "{name}, backwards: {}", render(&back));
    }
}

#[test]
fn a_mapping_that_goes_is_narrower_and_one_that_changes_is_wider() {
    let rule = |to: &str| {
        let rule = "[[mappings]]\nid = \"m\"\nfrom = \"acme_user\"\nverb = \"IS\"\nto = { class = \"Person\" }\n";
        with(&[("[rate]", &format!("{rule}match = [{{ from = \"login\", to = \"{to}\" }}]\n[rate]"))])
    };
    let gone = diff(&rule("email"), &manifest());
    assert_eq!((gone.verdict, gone.changes.len()), (Verdict::Narrower, 1), "{}", render(&gone));
    let changed = diff(&rule("email"), &rule("name"));
    assert!(changed.is_wider(), "{}", render(&changed));
    assert!(changed.changes[0].detail.as_deref().unwrap().contains("login = email"), "{}", render(&changed));
}

#[test]
fn what_is_written_otherwise_is_different() {
    for (name, from, to) in DIFFERENT {
        let (old, new) = (manifest(), with(&[(from, to)]));
        for (old, new) in [(&old, &new), (&new, &old)] {
            let found = diff(old, new);
            assert_eq!(found.verdict, Verdict::Different, "{name}: {}", render(&found));
        }
    }
}

#[test]
fn what_nobody_can_tell_is_unknown() {
    for (name, from, to) in [
        ("words of a permission", "permission = \"acme.users.read\"", "permission = \"acme.users.manage\""),
        ("a word boundary", "path = { org = '^[a-z0-9-]+$' }", "path = { org = '^\\bacme\\b$' }"),
    ] {
        let found = diff(&manifest(), &with(&[(from, to)]));
        assert!(found.changes.iter().any(|c| c.direction == Direction::Unknown), "{name}: {}", render(&found));
        assert!(found.is_wider(), "{name}");
    }
}

#[test]
fn names_are_what_was_granted() {
    // Each request could be made before, under the other name.
    let new = with(&[
        ("id = \"list-users\"", "id = \"x\""),
        ("id = \"user-exists\"", "id = \"list-users\""),
        ("id = \"x\"", "id = \"user-exists\""),
    ]);
    let found = diff(&manifest(), &new);
    assert!(found.is_wider());
    assert!(
        render(&found).contains("the old version could make this request as `list-users` only"),
        "{}",
        render(&found)
    );
}

#[test]
fn a_screen_has_what_is_wider_first() {
    let new = with(&[
        ("version = \"1.2.3\"", "version = \"1.3.0\""),
        ("path = { org = '^[a-z0-9-]+$' }", "path = { org = '^[a-z0-9.-]+$' }"),
        ("query = 'text<=100'", "query = 'text<=10'"),
        ("nodes { id name }", "nodes { id name email }"),
        ("permission = \"acme.users.read\"", "permission = \"acme.users.manage\""),
        ("label = \"Host name\"", "label = \"Host\""),
        ("path = \"/*/secret\"", "path = \"/*/other\""),
        (
            "[[steps]]\nid = \"users\"",
            "[[operations]]\nid = \"list-keys\"\nrequest = \"GET https://{config.host}/users/{id}/keys\"\npath = { id = 'int<=99' }\nauth = \"api\"\n\n[[steps]]\nid = \"users\"",
        ),
        ("uses = [\"list-users\", \"user-exists\"]", "uses = [\"list-users\", \"list-keys\"]"),
    ]);
    let found = diff(&manifest(), &new);
    insta::assert_snapshot!("screen", render(&found));
    insta::assert_json_snapshot!("json", found);
}

/// Could some operation send the URL of an example? Found without the code that is tested: a template's arguments are whole
/// segments here, and whatever they are, the model is asked.
fn could_send(manifest: &Manifest, example: &str) -> bool {
    let mut words = example.split(' ');
    let (method, url) = (words.next().unwrap(), url::Url::parse(words.next().unwrap()).unwrap());
    let mut given = BTreeMap::from([("org".to_owned(), "acme".to_owned())]);
    let configured = example.split_once(" with `host` = ").map(|(_, value)| value.trim_matches('"').to_owned());
    given.extend(configured.map(|value| ("host".to_owned(), value)));
    if resolve_config(manifest, &given).is_err() {
        return false;
    }
    let config = resolve_config(manifest, &given).unwrap();
    manifest.operations.iter().any(|operation| {
        let compiled = CompiledOperation::new(operation, &config).unwrap();
        let template = Template::parse(&operation.request).unwrap();
        let text: String = template
            .path
            .iter()
            .map(|p| match p {
                Part::Text(text) => text.clone(),
                Part::Argument(name) => format!("{{{name}}}"),
                Part::Config(name) => config.values[name].clone(),
            })
            .collect();
        let mut arguments = Vec::new();
        for (declared, sent) in text.split('/').zip(url.path().split('/')) {
            if let Some(name) = declared.strip_prefix('{').and_then(|d| d.strip_suffix('}')) {
                arguments.push((name.to_owned(), percent_decode_str(sent).decode_utf8().unwrap().into_owned()));
            }
        }
        for (name, value) in url.query_pairs() {
            if operation.query.get(&*name).is_some_and(|a| !matches!(a.rule, Rule::Fixed(_))) {
                arguments.push((name.into_owned(), value.into_owned()));
            }
        }
        let sent = compiled.prepare(&arguments, &config);
        sent.is_ok_and(|r| r.url == url && r.method.as_str() == method)
    })
}

const RULES: [&str; 14] = [
    "text<=3",
    "text<=4",
    "^[a-z]{1,3}$",
    "^[a-z/]{1,3}$",
    "^.{1,4}$",
    "^[ -~]{1,3}$",
    "int<=9",
    "int<=12",
    "^[0-9]{1,2}$",
    "=a",
    "^a$",
    "^(a|b)$",
    "bool",
    "={config.org}",
];

fn argument() -> impl Strategy<Value = (usize, bool, bool)> {
    (0..RULES.len(), any::<bool>(), any::<bool>())
}

fn built(path: usize, query: Option<(usize, bool, bool)>, json: Option<(usize, bool, bool)>) -> Manifest {
    let mut manifest = manifest();
    let argument = |(rule, required, list): (usize, bool, bool)| {
        let rule = Rule::parse(RULES[rule]).unwrap();
        let fixed = matches!(rule, Rule::Fixed(_));
        porthole_model::manifest::Argument { rule, required: required && !fixed, list: list && !fixed }
    };
    let users = &mut manifest.operations[0];
    users.path.insert("org".to_owned(), argument((path.min(RULES.len() - 2), false, false)));
    users.query = query.map(|q| ("q".to_owned(), argument(q))).into_iter().collect();
    let fields = json.map(|j| ("j".to_owned(), argument(j))).into_iter().collect();
    manifest.operations[3].body = Some(porthole_model::manifest::Body::Json { arguments: fields, content_type: None });
    manifest
}

/// Every way to call an operation with some values, in a world where `org` is configured as `a`.
fn all_requests(manifest: &Manifest, id: &str) -> Vec<(porthole_model::operation::PreparedRequest, String)> {
    let given = BTreeMap::from([("org".to_owned(), "a".to_owned())]);
    let config = resolve_config(manifest, &given).unwrap();
    let compiled = CompiledOperation::new(manifest.operation(id).unwrap(), &config).unwrap();
    let values = ["a", "b", "é", "a/b", "..", "7", "12", "07", "true", "abc", "abcd", "~ ~", ""];
    let mut requests = Vec::new();
    for path in values {
        for other in values.iter().map(Some).chain([None]) {
            for times in 1..3 {
                let mut arguments = Vec::new();
                for (table, name, _) in crate::check::arguments(manifest.operation(id).unwrap()) {
                    match (table, other) {
                        ("path", _) => arguments.push((name.to_owned(), path.to_owned())),
                        (_, Some(other)) => {
                            arguments.extend(std::iter::repeat_n((name.to_owned(), (*other).to_owned()), times));
                        }
                        (_, None) => {}
                    }
                }
                if let Ok(request) = compiled.prepare(&arguments, &config) {
                    requests.push((request, format!("{arguments:?}")));
                }
            }
        }
    }
    requests
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// What isn't called wider makes no request that the old version could not make; and every example of what is called
    /// wider is a request that the old version could not make.
    #[test]
    fn not_wider_is_a_proof(
        old in (0..RULES.len(), proptest::option::of(argument()), proptest::option::of(argument())),
        new in (0..RULES.len(), proptest::option::of(argument()), proptest::option::of(argument())),
    ) {
        let (old, new) = (built(old.0, old.1, old.2), built(new.0, new.1, new.2));
        let found = diff(&old, &new);
        for id in ["list-users", "search-devices"] {
            let before: Vec<_> = all_requests(&old, id).into_iter().map(|(r, _)| r).collect();
            let more: Vec<_> = all_requests(&new, id).into_iter().filter(|(r, _)| !before.contains(r)).collect();
            let of_id = format!("operation `{id}`");
            let is_wider = found.changes.iter().any(|c| c.place.starts_with(&of_id) && c.direction.counts_as_wider());
            if let (false, Some((request, arguments))) = (is_wider, more.first()) {
                prop_assert!(false, "{} with {arguments} is new and not called wider: {}", request.url, render(&found));
            }
        }
        let wider = found.changes.iter().filter(|c| c.direction == Direction::Wider);
        for example in wider.filter(|c| !c.what.contains("a limit on it")).filter_map(|c| c.example.as_deref()) {
            if example.starts_with("GET") {
                prop_assert!(!could_send(&old, example), "{example}: {}", render(&found));
                prop_assert!(could_send(&new, example), "{example}: {}", render(&found));
            }
        }
        if found.verdict == Verdict::Equal {
            prop_assert_eq!(old, new);
        }
    }
}
