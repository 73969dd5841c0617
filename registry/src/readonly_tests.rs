#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use crate::fixture::manifest;
use porthole_model::manifest::Argument;
use porthole_model::rule::Rule;

fn graphql(document: &str, variables: &[(&str, &str)]) -> Operation {
    let argument = |rule: &str| {
        let (rule, required) = rule.strip_prefix("required ").map_or((rule, false), |r| (r, true));
        let (rule, list) = rule.strip_prefix("list ").map_or((rule, false), |r| (r, true));
        Argument { rule: Rule::parse(rule).unwrap(), required, list }
    };
    let mut operation = manifest().operation("groups").unwrap().clone();
    let variables = variables.iter().map(|(name, rule)| ((*name).to_owned(), argument(rule))).collect();
    operation.body = Some(Body::Graphql { document: document.to_owned(), variables });
    operation
}

fn other(id: &str, change: impl FnOnce(&mut Operation)) -> Result<Proof, Finding> {
    let mut operation = manifest().operation(id).unwrap().clone();
    change(&mut operation);
    prove(&operation)
}

#[test]
fn each_kind_of_read_is_proved() {
    let proofs = prove_all(&manifest()).unwrap();
    insta::assert_json_snapshot!("proofs", proofs);
}

#[test]
fn queries_are_proved() {
    for (document, variables) in [
        ("{ viewer { login } }", &[][..]),
        ("query { viewer { login } }", &[]),
        ("# mutation\nquery A { a }", &[]),
        ("query A { mutation subscription query }", &[]),
        ("query A($a: [ID!]!) { nodes(ids: $a) { id } }", &[("a", "required list text<=99")]),
        ("query A($a: Int = 5, $b: Boolean) { x(a: $a, b: $b) }", &[("a", "int<=9"), ("b", "bool")]),
        ("query A($a: Role!) { x(a: $a) }", &[("a", "=ADMIN")]),
        ("query A { a(text: \"mutation { b }\") }", &[]),
    ] {
        assert!(prove(&graphql(document, variables)).is_ok(), "{document}: {:?}", prove(&graphql(document, variables)));
    }
}

#[test]
fn what_is_no_single_query_is_refused() {
    for (document, variables, message) in [
        ("mutation { deleteAll }", &[][..], "holds a mutation"),
        ("mutation A { deleteAll }", &[], "holds a mutation"),
        ("subscription { events }", &[], "holds a subscription"),
        ("query A { a } mutation B { b }", &[], "holds a mutation"),
        ("{ a } mutation B { b }", &[], "holds a mutation"),
        ("query A { a } query B { b }", &[], "more than one operation"),
        ("{ a } query B { b }", &[], "more than one operation"),
        ("fragment F on T { a }", &[], "no query"),
        ("", &[], "can't be proved"),
        ("# query A { a }", &[], "can't be proved"),
        ("query A { a ", &[], "doesn't parse"),
        ("query A { a } garbage", &[], "can't be proved"),
        ("type T { a: Int } query A { a }", &[], "ObjectTypeDefinition"),
        ("extend schema { mutation: M } query A { a }", &[], "SchemaExtension"),
        // One parser's comment is the next one's line.
        ("query A { a } # \r mutation B { b }", &[], "invisible character U+000D"),
        ("query A { a } # \u{2028} mutation B { b }", &[], "invisible character U+2028"),
        ("\u{feff}query A { a }", &[], "invisible character U+FEFF"),
        ("query A($a: String) { a }", &[], "`$a` is not in `variables`"),
        ("query A { a }", &[("a", "text<=9")], "names `a`, which the query doesn't declare"),
        ("query A($a: Int) { a }", &[("a", "text<=9")], "which rule `text<=9` doesn't make"),
        ("query A($a: Int) { a }", &[("a", "int<=3000000000")], "doesn't make"),
        ("query A($a: String) { a }", &[("a", "int<=9")], "doesn't make"),
        ("query A($a: String!) { a }", &[("a", "text<=9")], "may be left out"),
        ("query A($a: [String]) { a }", &[("a", "text<=9")], "is a list in the query"),
        ("query A($a: String) { a }", &[("a", "list text<=9")], "is no list in the query"),
        ("query A($a: [[String]]) { a }", &[("a", "list text<=9")], "list of lists"),
    ] {
        let finding = prove(&graphql(document, variables)).unwrap_err();
        assert!(finding.to_string().contains(message), "{document:?}: {finding}");
        assert!(finding.place.starts_with("operation `groups`"), "{finding}");
    }
    let deep = format!("query A {}{}", "{ a ".repeat(5000), "}".repeat(5000));
    assert!(prove(&graphql(&deep, &[])).is_err());
    assert!(prove(&graphql(&format!("query A {{ {} }}", "a ".repeat(60_000)), &[])).is_err());
}

#[test]
fn what_else_is_sent_is_refused() {
    let body = || Some(Body::Json { arguments: BTreeMap::new(), content_type: None });
    let reason = "the provider searches by POST, the body is the filter";
    for (result, message) in [
        (other("list-users", |o| o.body = body()), "a GET or HEAD with a body"),
        (other("user-exists", |o| o.body = body()), "a GET or HEAD with a body"),
        (other("list-users", |o| o.read_by_post = Some(reason.to_owned())), "sends none"),
        (other("list-users", |o| o.request = o.request.replace("GET", "POST")), "it is a POST"),
        (other("list-users", |o| o.request = o.request.replace("GET", "DELETE")), "is not `METHOD"),
        (other("search-devices", |o| o.read_by_post = None), "it is a POST"),
        (other("search-devices", |o| o.read_by_post = Some("search".to_owned())), "6 characters"),
        (other("search-devices", |o| o.read_by_post = Some(" ".repeat(30))), "0 characters"),
        (other("search-devices", |o| o.request = "POST https://a.com/{x}/search".to_owned()), "exact path"),
        (other("groups", |o| o.read_by_post = Some(reason.to_owned())), "can't stand in for it"),
    ] {
        let finding = result.unwrap_err();
        assert!(finding.to_string().contains(message), "{finding}");
    }
}

proptest::proptest! {
    #[test]
    fn no_document_makes_the_proof_panic(document in "[{}()$:!a-z\"#\\\\\n ]{0,200}") {
        let _ = prove(&graphql(&document, &[]));
    }

    /// Wherever a mutation is put between the definitions, it isn't proved.
    #[test]
    fn a_mutation_anywhere_is_refused(before in "(fragment [a-z]{1,5} on [A-Z] \\{ a \\} ){0,3}", after in "( fragment x on Y \\{ b \\}){0,3}") {
        let document = format!("{before}mutation M {{ delete }}{after}");
        proptest::prop_assert!(prove(&graphql(&document, &[])).is_err());
    }
}
