#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
use super::*;
use crate::Findings;
use crate::fixture::{GOOD, manifest as good};
use porthole_model::manifest::{Body, Pages};

/// The findings of the good manifest with one text replaced.
fn read(text: &str) -> Result<Authored, Vec<Finding>> {
    super::read(text, &|name| Err(format!("no file `{name}`")))
}

fn changed(from: &str, to: &str) -> Vec<Finding> {
    assert!(GOOD.contains(from), "the fixture doesn't hold {from:?}");
    read(&GOOD.replacen(from, to, 1)).map_or_else(|findings| findings, |authored| authored.warnings)
}

fn line_of(text: &str) -> usize {
    GOOD.lines().position(|l| l.contains(text)).unwrap() + 1
}

#[test]
fn the_author_form_becomes_the_manifest() {
    let authored = read(GOOD).unwrap_or_else(|f| panic!("{}", Findings(f)));
    assert_eq!(authored.warnings, vec![]);
    let manifest = authored.manifest;
    insta::assert_json_snapshot!("good_manifest", manifest);
    assert_eq!(manifest.operations[0].headers["accept"], "application/json");
    assert!(matches!(&manifest.operations[2].body, Some(Body::Graphql { variables, .. }) if variables.len() == 3));
    assert!(matches!(&manifest.operations[2].pages, Pages::Cursor { more: Some(_), .. }));
}

#[test]
fn canonical_json_reads_back() {
    let json = good().to_canonical_json().unwrap();
    let again: Manifest = serde_json::from_slice(&json).unwrap();
    assert_eq!(again, good());
    assert_eq!(again.to_canonical_json().unwrap(), json);
}

#[test]
fn what_is_not_asked_for_is_not_in_the_canonical_json() {
    let json = |text: &str| String::from_utf8(read_manifest(text).unwrap().to_canonical_json().unwrap()).unwrap();
    let on = GOOD.replacen("pages = \"link\"", "pages = \"link\"\nrevalidate = true", 1);
    let off = GOOD.replacen("pages = \"link\"", "pages = \"link\"\nrevalidate = false", 1);
    // A module that was packed before there was such a thing keeps its digest.
    assert_eq!(json(&off), json(GOOD));
    assert!(!json(GOOD).contains("revalidate"));
    assert_eq!(json(&on).replace(",\"revalidate\":true", ""), json(GOOD));
}

#[test]
fn windows_line_ends_give_the_same_manifest() {
    assert_eq!(read_manifest(&GOOD.replace('\n', "\r\n")).unwrap(), good());
}

#[test]
fn each_mistake_is_named_with_its_line() {
    // What is replaced, by what, the line of the finding (0: of the replaced text), and what it says.
    let cases: &[(&str, &str, &str, &str)] = &[
        // Form.
        ("version = \"1.2.3\"", "version = \"1.2\"", "", "module: version: \"1.2\" is no semantic version"),
        ("version = \"1.2.3\"", "versoin = \"1.2.3\"", "", "unknown key `versoin` (hint: did you mean `version`?)"),
        ("name = \"acme\"", "name = 7", "", "module: name: must be a text, this is an integer"),
        ("name = \"acme\"", "name = \"Acme!\"", "", "`Acme!` is no name"),
        ("[rate]\n", "[raet]\n", "[rate]", "unknown key `raet` (hint: did you mean `rate`?)"),
        ("pages = \"link\"", "pages = \"links\"", "", "`links` is no way to page"),
        ("empty-on = [404]", "empty_on = [404]", "", "unknown key `empty_on` (hint: did you mean `empty-on`?)"),
        ("empty-on = [404]", "empty-on = [\"none\"]", "", "neither a status"),
        ("empty-on = [404]", "empty-on = [-1]", "", "must be a whole number"),
        ("auth = \"api\"", "auth = \"apl\"", "", "no credential has the slot `apl` (hint: did you mean `api`?)"),
        (
            "kind = \"header\"",
            "kind = \"heeder\"",
            "",
            "`heeder` is no kind of credential (hint: did you mean `header`?)",
        ),
        (
            "after = 'text<=256'",
            "after = 'text<256'",
            "",
            "operation `list-users`: query `after`: `text<256` is no rule",
        ),
        ("after = 'text<=256'", "after = { rule = 'bool', requierd = true }", "", "did you mean `required`?"),
        ("after = 'text<=256'", "after = '^($'", "", "unclosed group"),
        // Configuration.
        ("pattern = '^[a-z0-9-]{1,39}$'", "pattern = 'a+'", "", "must match the whole value: from ^ to $"),
        ("pattern = '^[a-z0-9-]{1,39}$'", "", "[config.org]", "config `org`: has no rule for its value"),
        ("default = \"api.acme.com\"", "default = \"evil.com\"", "", "config `host`: default: \"evil.com\" is outside"),
        ("from = \"host\"", "from = \"hots\"", "", "config `prefix`: derive: names the field `hots`"),
        ("['^.*$', '/api/v3']", "['^.*$', '.evil.com/']", "derive =", "no piece of a path"),
        ("['^.*$', '/api/v3']", "['^.*$', '/../v3']", "derive =", "no piece of a path"),
        (r"pattern = '^[a-z0-9-]+\.acme\.com$'", "pattern = '^.+$'", "[config.host]", "stands in the host"),
        (r"pattern = '^[a-z0-9-]+\.acme\.com$'", r"pattern = '^[a-z0-9:]+\.acme\.com$'", "[config.host]", "can hold"),
        // Credentials.
        ("format = \"SSWS {token}\"", "format = \"SSWS\"", "", "must hold `{token}` once"),
        ("header = \"Authorization\"", "header = \"Host\"", "", "`Host` can't be set"),
        ("header = \"Authorization\"", "header = \"X-HTTP-Method-Override\"", "", "overrides the method"),
        ("/installations/{installation_id}/", "/installations/{other}/", "", "`{other}` is neither in `url-fields`"),
        (
            "https://{config.host}{config.prefix}/app",
            "https://{installation_id}.acme.com/app",
            "",
            "stands in the host",
        ),
        // Operations.
        ("id = \"user-exists\"", "id = \"list-users\"", "head", "operation `list-users`: exists twice"),
        ("path = { org = '^[a-z0-9-]+$' }", "", "GET https", "`{org}` has no rule in `path`"),
        ("path = { id = 'int<=999999' }", "path = { id = 'int<=9', x = 'bool' }", "", "`{x}` isn't in the request"),
        (
            "path = { id = 'int<=999999' }",
            "revalidate = true\npath = { id = 'int<=999999' }",
            "",
            "operation `user-exists`: revalidate: only the answer of a GET can be asked about again, and this is a HEAD",
        ),
        ("json = { query", "revalidate = true\njson = { query", "", "and this is a POST"),
        ("HEAD https://{config.host}", "HEAD https://{config.hots}", "", "names the config field `hots`"),
        ("HEAD https://{config.host}{config.prefix}", "HEAD https://{id}.acme.com:{id}", "", "isn't a domain name"),
        ("HEAD https://{config.host}{config.prefix}", "HEAD https://169.254.169.254", "", "isn't a domain name"),
        ("HEAD https://", "HEAD http://", "", "is not `METHOD https://host/path`"),
        ("HEAD https://", "DELETE https://", "", "is not `METHOD https://host/path`"),
        ("/users/{id}\"", "/users/{id}?x=1\"", "HEAD", "write query parameters in `query`"),
        ("after = 'text<=256'", "_method = '=delete'", "", "`_method` overrides the method"),
        ("after = 'text<=256'", "X-HTTP-Method-Override = 'text<=9'", "", "overrides the method"),
        ("after = 'text<=256'", "org = 'text<=256'", "", "query `org`: is also in `path`"),
        (
            "Accept = \"application/json\"",
            "Authorization = \"x\"",
            "",
            "headers `authorization`: `authorization` can't be set",
        ),
        ("Accept = \"application/json\"", "X-Forwarded-Host = \"x\"", "", "can't be set"),
        ("Accept = \"application/json\"", "Accept = \"a\\nb: c\"", "", "is no header value"),
        ("response-headers = [\"x-total\"]", "response-headers = [\"X-Total\"]", "", "no header name in lower case"),
        ("response-headers = [\"x-total\"]", "response-headers = [\"set-cookie\"]", "", "isn't shown to guests"),
        ("empty-on = [404]", "empty-on = [403]", "", "403 is about permission"),
        ("empty-on = [404]", "empty-on = [500]", "", "500 is not a 4xx status"),
        ("argument = \"cursor\"", "argument = \"curser\"", "", "names the argument `curser`"),
        ("cursor = \"/data", "cursor = \"data", "", "is no JSON pointer"),
        (
            "after = 'text<=256'",
            "after = '={config.ogr}'",
            "",
            "names the config field `ogr`, which doesn't exist (hint: did you mean `org`?)",
        ),
        ("after = 'text<=256'", "after = '=x-{config.org}'", "", "holds a configuration field among other text"),
        (
            "path = { org = '^[a-z0-9-]+$' }",
            "path = { org = '={config.org}' }",
            "",
            "write `{config.org}` into the request",
        ),
        (
            "pattern = '^[a-z0-9-]{1,39}$'",
            "rule = '={config.host}'",
            "[config.org]",
            "its rule refers to the field `host`",
        ),
        // Steps.
        (
            "needs = [\"users\"]",
            "needs = [\"usres\"]",
            "",
            "names the step `usres`, which doesn't exist (hint: did you mean `users`?)",
        ),
        ("needs = [\"users\"]", "", "reads =", "add needs = [\"users\"]"),
        (
            "title = \"Users\"",
            "needs = [\"groups\"]",
            "needs = [\"users\"]",
            "the steps wait for each other: groups needs users needs groups",
        ),
        ("title = \"Users\"", "needs = [\"users\"]", "", "the steps wait for each other: users needs users"),
        (
            "uses = [\"list-users\", \"user-exists\"]",
            "uses = [\"list-user\", \"user-exists\"]",
            "",
            "did you mean `list-users`?",
        ),
        (
            "\"acme_group\", class = [\"UserGroup\"]",
            "\"acme_group\", class = [\"Usergroup\"]",
            "",
            "did you mean `UserGroup`?",
        ),
        (
            "\"acme_group\", class = [\"UserGroup\"]",
            "\"acme_user\", class = [\"User\"]",
            "",
            "is emitted by step `users` already",
        ),
        (
            "verb = \"HAS\", to = \"acme_user\" }]\n\n[[scrub",
            "verb = \"HAVE\", to = \"acme_user\" }]\n\n[[scrub",
            "acme_group\", verb",
            "did you mean `HAS`?",
        ),
        ("from = \"acme_group\"", "from = \"acme_grup\"", "", "names the entity type `acme_grup`"),
        (
            "operations = [\"list-users\"]",
            "operations = [\"list-user\"]",
            "",
            "scrub 1: operations: names the operation",
        ),
        ("concurrent = 4", "concurrent = 0", "", "rate: concurrent: is 0"),
        ("label = \"Organisation\"", "label = \"Org\\u202Eanisation\"", "", "U+202E"),
    ];
    let mut wrong = Vec::new();
    for (from, to, line, message) in cases {
        let findings = changed(from, to);
        let line = match *line {
            "" => line_of(from.lines().next().unwrap()),
            // A thing as a whole stands at the head of its table.
            "head" => line_of(from.lines().next().unwrap()) - 1,
            line => line_of(line.lines().next().unwrap()),
        };
        let found = findings.iter().find(|f| f.to_string().contains(message));
        match found.map(|f| (f.position, f.severity)) {
            Some((Some(position), crate::Severity::Error)) if position.line == line => {}
            other => wrong
                .push(format!("{to:?}: wanted line {line} {message:?}, found {other:?} in\n{}", Findings(findings))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The good manifest with a relationship that carries its far end, and a mapping.
const MAPPED: &[(&str, &str)] = &[
    (
        "relationships = [{ from = \"acme_group\", verb = \"HAS\", to = \"acme_user\" }]",
        "relationships = [\n    { from = \"acme_group\", verb = \"HAS\", to = \"acme_user\" },\n    { from = \"acme_group\", \
         verb = \"ALLOWS\", to = \"host\", mapped = \"to\", class = [\"Network\", \"Host\"] },\n]",
    ),
    (
        "[rate]",
        "[[mappings]]\nid = \"user-is-person\"\nfrom = \"acme_user\"\nverb = \"IS\"\nto = { class = \"Person\" }\n\
         match = [{ from = \"login\", to = \"email\" }]\nemail = true\n\n[rate]",
    ),
];

fn mapped() -> String {
    MAPPED.iter().fold(GOOD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

#[test]
fn far_ends_and_mappings_are_read_and_written() {
    let manifest = read_manifest(&mapped()).unwrap_or_else(|f| panic!("{}", Findings(f)));
    let json = String::from_utf8(manifest.to_canonical_json().unwrap()).unwrap();
    for part in [
        r#"{"from":"acme_group","verb":"HAS","to":"acme_user"}"#,
        r#"{"from":"acme_group","verb":"ALLOWS","to":"host","mapped":{"end":"to","class":["Network","Host"]}}"#,
        concat!(
            r#""mappings":[{"id":"user-is-person","from":"acme_user","verb":"IS","to":{"class":"Person"},"#,
            r#""match":[{"from":"login","to":"email"}],"email":true}]"#
        ),
    ] {
        assert!(json.contains(part), "{json}");
    }
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
    // A module that was packed before there was such a thing keeps its digest.
    let plain = String::from_utf8(good().to_canonical_json().unwrap()).unwrap();
    assert!(!plain.contains("mapped") && !plain.contains("mappings"));
}

#[test]
fn each_mistake_about_far_ends_and_mappings_is_named_with_its_line() {
    let cases: &[(&str, &str, &str, &str)] = &[
        ("mapped = \"to\"", "mapped = \"up\"", "", "mapped: `up` is no end (hint: write \"to\" or \"from\")"),
        ("mapped = \"to\", ", "", "verb = \"ALLOWS\"", "class: is that of a far end"),
        (", class = [\"Network\", \"Host\"]", "", "verb = \"ALLOWS\"", "has no class"),
        ("[\"Network\", \"Host\"]", "[\"Network\", \"Hosts\"]", "", "names the class `Hosts`"),
        ("[\"Network\", \"Host\"]", "[\"Host\", \"Host\"]", "", "names the class `Host` twice"),
        ("mapped = \"to\"", "mapped = \"from\"", "", "names the entity type `host`, which doesn't exist"),
        ("to = \"host\"", "to = \"Host\"", "", "is no name for a type"),
        ("to = \"host\"", "to = \"acme_user\"", "", "other classes for `acme_user` than the step that emits it"),
        ("id = \"user-is-person\"", "id = \"User\"", "", "`User` is no name"),
        (
            "from = \"acme_user\"\nverb",
            "from = \"acme_usr\"\nverb",
            "",
            "mapping `user-is-person`: from: names the entity",
        ),
        ("verb = \"IS\"", "verb = \"BE\"", "", "mapping `user-is-person`: verb: names the verb `BE`"),
        ("{ class = \"Person\" }", "{ class = \"Persona\" }", "", "did you mean `Person`?"),
        ("{ class = \"Person\" }", "{ }", "", "names neither a class nor a type, or both"),
        ("{ class = \"Person\" }", "{ kind = \"Person\" }", "", "unknown key `kind`"),
        ("to = { class = \"Person\" }\n", "", "[[mappings]]", "mapping `user-is-person`: `to` is missing"),
        ("[{ from = \"login\", to = \"email\" }]", "[]", "", "has 0 pairs of properties"),
        ("to = \"email\" }]", "to = \"_key\" }]", "", "`_key` is no name of a property"),
    ];
    for (from, to, line, message) in cases {
        let text = mapped();
        assert!(text.contains(from), "{from}");
        let findings = read(&text.replacen(from, to, 1)).unwrap_err();
        let line = if line.is_empty() { from.lines().next().unwrap() } else { line };
        let line = text.lines().position(|l| l.contains(line)).unwrap() + 1;
        let found = findings.iter().find(|f| f.to_string().contains(message));
        let found = found.unwrap_or_else(|| panic!("{to:?}: {}", Findings(findings.clone())));
        assert_eq!(found.position.unwrap().line, line, "{to:?}: {found}");
    }
    // Two rules of one name, and one that relates as a step does.
    let text = mapped();
    let start = text.find("[[mappings]]").unwrap();
    let rule = &text[start..text.find("[rate]").unwrap()];
    let findings = read(&text.replacen("[rate]", &format!("{rule}[rate]"), 1)).unwrap_err();
    assert!(findings[0].to_string().contains("mapping `user-is-person`: exists twice"), "{}", findings[0]);
    let same = text.replacen(
        "from = \"acme_user\"\nverb = \"IS\"\nto = { class = \"Person\" }",
        "from = \"acme_group\"\nverb = \"HAS\"\nto = { type = \"acme_user\" }",
        1,
    );
    let findings = read(&same).unwrap_err();
    assert!(findings[0].to_string().contains("which a step emits already"), "{}", findings[0]);
}

#[test]
fn what_is_missing_is_told_at_the_head_of_its_table() {
    let findings = changed("token = \"/token\"\n", "");
    assert_eq!(findings[0].position.unwrap().line, line_of("kind = \"jwt-exchange\"") - 2);
    assert!(findings[0].to_string().ends_with("credential `api/jwt-exchange`: `token` is missing"), "{}", findings[0]);
}

#[test]
fn several_mistakes_are_told_at_once_in_order() {
    let text = GOOD
        .replace("kind = \"header\"", "kind = \"heeder\"")
        .replace("pages = \"link\"", "pages = \"lnk\"")
        .replace("version = \"1.2.3\"", "versio = \"1.2.3\"");
    let findings = read(&text).unwrap_err();
    assert!(findings.len() >= 4, "{}", Findings(findings));
    assert!(findings.is_sorted_by_key(|f| f.position));
}

#[test]
fn a_mutation_that_claims_to_be_a_query_is_refused_with_its_line() {
    let findings = changed("query Groups(", "mutation Groups(");
    let finding = findings.iter().find(|f| f.is_error()).unwrap();
    assert_eq!(finding.position.unwrap().line, line_of("query Groups("));
    let text = finding.to_string();
    assert!(text.contains("operation `groups`") && text.contains("the document holds a mutation"), "{text}");

    let findings = changed("fragment Page on", "mutation Delete { deleteAll }\nfragment Page on");
    assert_eq!(findings[0].position.unwrap().line, line_of("fragment Page on"));
    assert!(findings[0].message.contains("mutation"), "{}", findings[0]);
}

#[test]
fn syntax_errors_have_a_line() {
    let findings = changed("[[operations]]", "[[operations]");
    assert_eq!(findings[0].position.unwrap().line, line_of("[[operations]]"));
}

#[test]
fn an_unused_operation_is_a_warning() {
    let warnings = changed("uses = [\"groups\", \"search-devices\"]", "uses = [\"groups\"]");
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].severity, crate::Severity::Warning);
    assert!(warnings[0].to_string().contains("operation `search-devices`: no step uses it"), "{}", warnings[0]);
}

#[test]
fn limits_hold() {
    let operation = |n: usize| format!("[[operations]]\nid = \"o{n}\"\nrequest = \"GET https://a.example.com/{n}\"\n");
    let many: String = (0..=crate::check::MAX_OPERATIONS).map(operation).collect();
    let findings = changed("[[steps]]", &format!("{many}\n[[steps]]"));
    assert!(findings.iter().any(|f| f.message.contains("operations, at most 500")));
    let long = format!("# {}", "x".repeat(MAX_MANIFEST_BYTES));
    assert!(read(&long).unwrap_err()[0].message.contains("bytes, at most"));
}

#[test]
fn a_manifest_full_of_wrong_names_is_judged_in_bounded_time() {
    let uses: Vec<_> = (0..60_000).map(|n| format!("\"wrong-{n}\"")).collect();
    let started = std::time::Instant::now();
    let findings = changed("uses = [\"list-users\", \"user-exists\"]", &format!("uses = [{}]", uses.join(",")));
    assert!(findings.len() >= 60_000);
    assert!(findings.iter().filter(|f| f.hint.is_some()).count() < 200);
    // Two orders of magnitude above what it takes; without the bound it takes minutes.
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn an_argument_can_be_fixed_to_a_configuration_field() {
    assert_eq!(changed("after = 'text<=256'", "after = '={config.org}'"), vec![]);
    assert_eq!(changed("org = { rule = 'text<=39', required = true }", "org = '={config.org}'"), vec![]);
}

#[test]
fn a_header_has_one_spelling() {
    let findings = changed("Accept = \"application/json\"", "Accept = \"a\", accept = \"b\"");
    assert!(findings[0].to_string().contains("names a header twice"), "{}", findings[0]);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,400}") {
        let _ = read(&text);
    }

    #[test]
    fn no_damage_makes_the_reader_panic(at in 0usize..GOOD.len(), len in 0usize..40, with in "[\\[\\]{}='\"a-z0-9.<$^\n ]{0,12}") {
        let (start, end) = (GOOD.floor_char_boundary(at), GOOD.floor_char_boundary((at + len).min(GOOD.len())));
        let damaged = format!("{}{with}{}", &GOOD[..start], &GOOD[end..]);
        if let Err(findings) = read(&damaged) {
            proptest::prop_assert!(findings.iter().any(Finding::is_error));
        }
    }
}
