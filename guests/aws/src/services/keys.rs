//! Keys: KMS, the access keys of users, and what gives instances a role.

use crate::engine::Run;
use crate::iam::{ROLE, USER, add};
use crate::path::{self, Names};
use crate::policy;
use crate::spec::{Detail, Resource, Sink, Source, Step, Table, ask, ask_with, detail, from, once, regional, to};
use porthole_sdk::StepError;
use serde_json::Value;
use std::collections::BTreeMap;

const KMS_KEYS: Step = regional(
    "kms-keys",
    "KMS keys",
    Table {
        source: &Source::Code(&["kms:ListKeys", "kms:DescribeKey", "kms:ListAliases"], &[], kms_keys),
        details: &[
            detail("_policy", "kms:GetKeyPolicy", &[("KeyId", "{_own}"), ("PolicyName", "default")], ""),
            detail("_rotation", "kms:GetKeyRotationStatus", &[("KeyId", "{_own}")], ""),
        ],
        prepare: Some(kms_key),
        resources: &[Resource {
            kind: "aws_kms_key",
            class: &["CryptoKey"],
            key: "{KeyArn}",
            name: "_aliases|KeyId",
            props: "arn=KeyArn keyId=KeyId *aliases=_aliases description=_key/KeyMetadata/Description \
                    ?enabled=_key/KeyMetadata/Enabled state=_key/KeyMetadata/KeyState manager=_key/KeyMetadata/KeyManager \
                    @createdOn=_key/KeyMetadata/CreationDate origin=_key/KeyMetadata/Origin usage=_key/KeyMetadata/KeyUsage \
                    spec=_key/KeyMetadata/KeySpec ?multiRegion=_key/KeyMetadata/MultiRegion \
                    @deletionOn=_key/KeyMetadata/DeletionDate ?rotationEnabled=_rotation/KeyRotationEnabled policy=_shown",
            links: &[from("HAS", "aws_kms", ".", "aws_kms:{ACCOUNT}")],
            ..Resource::NEW
        }],
    },
);

/// The keys with what they are, `_aliases`, and `_own`: the id of those that the account manages. AWS doesn't tell about the
/// policy and the rotation of its own.
fn kms_keys(run: &Run<'_>, sink: &mut Sink<'_>) -> Result<(), StepError> {
    const DESCRIBED: Detail = detail("_key", "kms:DescribeKey", &[("KeyId", "{KeyId}")], "");
    let mut aliases: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    run.source(&Source::List(ask("kms:ListAliases", "Aliases")), &mut |items| {
        for alias in items {
            aliases.entry(alias.text("TargetKeyId")).or_default().push(Value::String(alias.text("AliasName")));
        }
        Ok(())
    })?;
    run.source(&Source::List(ask("kms:ListKeys", "Keys")), &mut |mut keys| {
        run.detail(&DESCRIBED, &mut keys)?;
        for key in &mut keys {
            let id = key.text("KeyId");
            let is_own = key.text("_key/KeyMetadata/KeyManager") == "CUSTOMER";
            add(&mut key.value, "_aliases", aliases.get(&id).cloned().map(Value::Array));
            add(&mut key.value, "_own", is_own.then_some(Value::String(id)));
        }
        sink(keys)
    })
}

fn kms_key(value: &mut Value, _: &Names) {
    let document = path::text(value, "_policy/Policy").and_then(|text| policy::read(&text).ok());
    add(value, "_shown", document.map(|document| Value::String(policy::shown(&document))));
}

const ACCESS_KEYS: Step = once(
    "iam-access-keys",
    "Access keys of users",
    Table {
        source: &Source::Each(
            &Source::Stored(USER, &["name"]),
            ask_with("iam:ListAccessKeys", &[("UserName", "{name}")], "ListAccessKeysResult/AccessKeyMetadata/member"),
        ),
        details: &[detail("_used", "iam:GetAccessKeyLastUsed", &[("AccessKeyId", "{AccessKeyId}")], "")],
        prepare: Some(access_key),
        resources: &[Resource {
            kind: "aws_iam_access_key",
            class: &["AccessKey"],
            key: "aws_iam_access_key:{AccessKeyId}",
            name: "AccessKeyId",
            props: "accessKeyId=AccessKeyId username=^name state=Status ?active=_active @createdOn=CreateDate \
                    lastUsedOn=_day lastUsedService=_used/GetAccessKeyLastUsedResult/AccessKeyLastUsed/ServiceName",
            links: &[from("HAS", USER, ".", "{^KEY}")],
            ..Resource::NEW
        }],
    },
)
.after(&["iam-users"]);

/// Whether it is active, and the day of its last use: the minute would change it in every run.
fn access_key(value: &mut Value, _: &Names) {
    let used = path::text(value, "_used/GetAccessKeyLastUsedResult/AccessKeyLastUsed/LastUsedDate");
    // A key that was never used says `N/A`.
    let day = used.filter(|time| time.contains('T')).map(|time| time.split('T').next().unwrap_or_default().to_owned());
    let active = path::text(value, "Status").map(|status| status == "Active");
    add(value, "_day", day.map(Value::String));
    add(value, "_active", active.map(Value::Bool));
}

const INSTANCE_PROFILES: Step = once(
    "iam-instance-profiles",
    "Instance profiles",
    Table {
        source: &Source::List(ask("iam:ListInstanceProfiles", "ListInstanceProfilesResult/InstanceProfiles/member")),
        resources: &[Resource {
            kind: "aws_iam_instance_profile",
            class: &["Configuration"],
            key: "{Arn}",
            name: "InstanceProfileName",
            props: "arn=Arn name=InstanceProfileName instanceProfileId=InstanceProfileId path=Path @createdOn=CreateDate",
            links: &[to("HAS", ROLE, "Roles/member", "{Arn}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// The steps.
pub const STEPS: &[&Step] = &[&KMS_KEYS, &ACCESS_KEYS, &INSTANCE_PROFILES];
