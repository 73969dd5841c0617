#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
use super::*;
use crate::author;
use crate::readonly::actions::nearest_write;
use crate::readonly::{Proof, prove as prove_any, prove_all};
use porthole_model::manifest::{Manifest, Method};
use porthole_model::operation::{CompiledOperation, Config};

/// The manifest of the module that signs most.
fn aws() -> Manifest {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/aws/");
    let read = |file: &str| std::fs::read_to_string(format!("{folder}{file}")).map_err(|e| e.to_string());
    author::read(&read("manifest.toml").unwrap(), &read).unwrap_or_else(|f| panic!("{f:?}")).manifest
}

fn row_of(operation: &Operation) -> &'static Row {
    let Ok(Proof::Action { action, .. }) = prove_any(operation) else { panic!("{}", operation.id) };
    let sign = operation.sign.as_ref().unwrap();
    let fixed = |arguments: &BTreeMap<String, Argument>, name: &str| match &arguments[name].rule {
        Rule::Fixed(value) => value.clone(),
        other => panic!("{other}"),
    };
    let row = match (&operation.body, operation.headers.get(TARGET)) {
        (Some(Body::Form { arguments }), _) => {
            actions::find_form(&sign.service, &fixed(arguments, VERSION), &fixed(arguments, ACTION))
        }
        (_, Some(target)) => actions::find_target(&sign.service, target),
        _ => rest(operation, sign, &Template::parse(&operation.request).unwrap()).ok(),
    };
    let row = row.unwrap();
    assert_eq!(row.action, action);
    row
}

/// The same request, with what tells another operation in its place. None where no manifest can say it: its method.
fn become_another(operation: &Operation, other: &Row) -> Option<Operation> {
    let mut changed = operation.clone();
    changed.action = Some(other.action.to_owned());
    match (&other.wire, &mut changed.body) {
        (Wire::Form { version, action }, Some(Body::Form { arguments })) => {
            arguments.get_mut(ACTION).unwrap().rule = Rule::Fixed((*action).to_owned());
            arguments.get_mut(VERSION).unwrap().rule = Rule::Fixed((*version).to_owned());
        }
        (Wire::Target(target), _) => drop(changed.headers.insert(TARGET.to_owned(), (*target).to_owned())),
        (Wire::Rest { method, path, .. }, _) => {
            let host = operation.request.split_once("https://").unwrap().1.split('/').next().unwrap().to_owned();
            let path = path.replace("{+}", "{}").split("{}").collect::<Vec<_>>().join("{bucket}");
            changed.request = format!("{method} https://{host}{path}");
            changed.path.insert("bucket".to_owned(), Argument { rule: Rule::Text(99), required: false, list: false });
            if Template::parse(&changed.request).is_err() {
                return None;
            }
        }
        _ => panic!("{} and {}", operation.id, other.operation),
    }
    Some(changed)
}

#[test]
fn every_operation_of_the_large_module_is_a_listed_read() {
    let manifest = aws();
    let proofs = prove_all(&manifest).unwrap();
    assert!(proofs.len() > 150, "{}", proofs.len());
    for (id, proof) in proofs {
        assert!(matches!(&proof, Proof::Action { level, .. } if level == "List" || level == "Read"), "{id}: {proof:?}");
    }
}

#[test]
fn the_nearest_write_of_each_operation_cant_be_admitted_expressed_or_reached() {
    let manifest = aws();
    let values = manifest.config.keys().map(|name| (name.clone(), "x".to_owned())).collect();
    let config = Config { values, ..Config::default() };
    let (mut refused, mut no_method) = (0, 0);
    for operation in &manifest.operations {
        let read = row_of(operation);
        let write = nearest_write(read).unwrap();
        match become_another(operation, write) {
            Some(write_operation) => {
                let why = prove_any(&write_operation).unwrap_err().to_string();
                assert!(why.contains(operation.id.as_str()), "{why}");
                assert!(why.contains(write.action) || matches!(write.wire, Wire::Rest { .. }), "{why}");
                // Calling it what it was doesn't help.
                let claims = Operation { action: operation.action.clone(), ..write_operation };
                assert!(prove_any(&claims).is_err(), "{}", operation.id);
                refused += 1;
            }
            // PUT, PATCH and DELETE are no methods of a manifest.
            None => no_method += 1,
        }
        // The read's wire under the write's name.
        let lie = Operation { action: Some(write.action.to_owned()), ..operation.clone() };
        if write.action != read.action {
            let why = prove_any(&lie).unwrap_err().to_string();
            assert!(why.contains(write.action) && why.contains(read.action), "{why}");
        }
        // No argument chooses the operation, whatever a guest gives.
        let compiled = CompiledOperation::new(operation, &config).unwrap();
        for name in [ACTION, VERSION, "action", "x-amz-target", "X-Amz-Target", "X-Amz-Signature", "Operation"] {
            let arguments = [(name.to_owned(), write.operation.to_owned())];
            assert!(compiled.check(&arguments).is_err(), "{}: {name}", operation.id);
        }
    }
    assert!(refused > 120 && no_method > 10, "{refused} {no_method}");
}

#[test]
fn what_could_make_another_operation_of_it_is_refused() {
    let manifest = aws();
    let refused = |id: &str, says: &str, change: &dyn Fn(&mut Operation)| {
        let mut operation = manifest.operation(id).unwrap().clone();
        change(&mut operation);
        let why = prove_any(&operation).unwrap_err().to_string();
        assert!(why.contains(says), "{id}: wanted {says:?}, found {why}");
    };
    let free = || Argument { rule: Rule::Text(99), required: false, list: false };
    let fixed = |value: &str| Argument { rule: Rule::Fixed(value.to_owned()), ..free() };
    let form = |operation: &mut Operation, name: &str, argument: Argument| match &mut operation.body {
        Some(Body::Form { arguments }) => drop(arguments.insert(name.to_owned(), argument)),
        _ => panic!("no form"),
    };
    refused("iam:ListUsers", "would choose the operation", &|o| form(o, "Action", free()));
    refused("iam:ListUsers", "would choose the operation", &|o| form(o, "action", fixed("CreateUser")));
    refused("iam:ListUsers", "would speak to the signature", &|o| form(o, "X-Amz-Credential", free()));
    refused("iam:ListUsers", "a path or a query", &|o| drop(o.query.insert("Other".to_owned(), fixed("x"))));
    refused("iam:ListUsers", "a target in a header", &|o| {
        o.headers.insert(TARGET.to_owned(), "AWSEvents.PutRule".to_owned());
    });
    refused("iam:ListUsers", "may change what", &|o| drop(o.headers.insert("x-amz-meta".to_owned(), "x".to_owned())));
    refused("iam:ListUsers", "doesn't know", &|o| o.sign.as_mut().unwrap().service = "sts".to_owned());
    refused("iam:ListUsers", "can't stand in for it", &|o| {
        o.read_by_post = Some("it is a search, honestly".to_owned())
    });
    refused("iam:ListUsers", "which permission it needs", &|o| o.action = None);
    refused("s3:GetBucketAcl", "s3:", &|o| drop(o.query.remove("acl")));
    refused("s3:GetBucketAcl", "could make another", &|o| drop(o.query.insert("versions".to_owned(), free())));
    refused("s3:GetBucketAcl", "may hold a slash", &|o| {
        o.path.insert("bucket".to_owned(), Argument { rule: Rule::parse("^[a-z/]+$").unwrap(), ..free() });
    });
    refused("s3:GetBucketAcl", "s3:", &|o| {
        o.request = "GET https://s3.{region}.{config.dns}/{bucket}/key".to_owned();
        o.query.clear();
    });
    refused("s3:GetBucketAcl", "several endpoints", &|o| {
        o.request = "GET https://{config.dns}/{bucket}".to_owned();
    });
    let get = Template::parse(&manifest.operation("s3:GetBucketAcl").unwrap().request).unwrap();
    assert_eq!(get.method, Method::Get);
}
