#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
use super::*;
use crate::fixture::manifest;

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn defaults_and_derived_values_are_filled_in() {
    let config = resolve_config(&manifest(), &given(&[("org", "acme")])).unwrap();
    assert_eq!(config.values["host"], "api.acme.com");
    assert_eq!(config.values["prefix"], "");
    assert_eq!(config.derived.iter().collect::<Vec<_>>(), ["prefix"]);

    let config = resolve_config(&manifest(), &given(&[("org", "acme"), ("host", "own.acme.com")])).unwrap();
    assert_eq!(config.values["prefix"], "/api/v3");
}

#[test]
fn what_does_not_fit_is_refused_all_at_once() {
    let findings =
        resolve_config(&manifest(), &given(&[("ogr", "x"), ("prefix", "/x"), ("host", "evil.com")])).unwrap_err();
    let text = crate::Findings(findings).to_string();
    insta::assert_snapshot!(text, @r#"
    config `ogr`: is no field of this module (hint: did you mean `org`?)
    config `prefix`: follows from `host` and can't be set
    config `host`: "evil.com" is outside its rule (hint: it must match `^[a-z0-9-]+\.acme\.com$`)
    config `org`: must be filled in (Organisation) (hint: As it stands in the address bar; it must match `^[a-z0-9-]{1,39}$`)
    "#);
}

#[test]
fn the_schema_says_the_same() {
    insta::assert_json_snapshot!("config_schema", config_schema(&manifest()));
}
