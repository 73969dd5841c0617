//! Buckets: listed once, and asked about in the region of each.

use crate::engine::Run;
use crate::iam::add;
use crate::path::{self, Names};
use crate::policy;
use crate::spec::{Detail, Resource, Sink, Source, Step, Table, ask, detail, from, once, to};
use porthole_sdk::StepError;
use serde_json::Value;

/// Buckets.
pub const BUCKET: &str = "aws_s3_bucket";
/// The groups of an access list that are everybody, and everybody with an account of AWS.
const EVERYBODY: [&str; 2] =
    ["http://acs.amazonaws.com/groups/global/AllUsers", "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"];

/// Where a bucket's questions are asked, and about which.
const WHERE: &[(&str, &str)] = &[("region", "{_region}"), ("bucket", "{Name}")];

const fn about(field: &'static str, operation: &'static str) -> Detail {
    detail(field, operation, WHERE, "")
}

const BUCKETS: Step = once(
    "s3-buckets",
    "Buckets",
    Table {
        source: &Source::Code(&["s3:ListBuckets", "s3:GetBucketLocation"], &[], buckets),
        details: &[
            about("_acl", "s3:GetBucketAcl"),
            about("_encryption", "s3:GetBucketEncryption"),
            about("_logging", "s3:GetBucketLogging"),
            about("_replication", "s3:GetBucketReplication"),
            about("_tagging", "s3:GetBucketTagging"),
            about("_versioning", "s3:GetBucketVersioning"),
            about("_lifecycle", "s3:GetBucketLifecycleConfiguration"),
            about("_cors", "s3:GetBucketCors"),
            about("_policyStatus", "s3:GetBucketPolicyStatus"),
            about("_block", "s3:GetPublicAccessBlock"),
            about("_lock", "s3:GetObjectLockConfiguration"),
            detail("_inventories", "s3:ListBucketInventoryConfigurations", WHERE, "InventoryConfiguration"),
        ],
        prepare: Some(bucket),
        resources: &[Resource {
            kind: BUCKET,
            class: &["DataStore"],
            key: "arn:{P}:s3:::{Name}",
            name: "Name",
            props: "name=Name region=_region @createdOn=CreationDate \
                    encryption=_encryption/Rule/ApplyServerSideEncryptionByDefault/SSEAlgorithm \
                    kmsKeyId=_encryption/Rule/ApplyServerSideEncryptionByDefault/KMSMasterKeyID ?encrypted=_encrypted \
                    ?versioning=_versioning/Status ?mfaDelete=_versioning/MfaDelete \
                    loggingTarget=_logging/LoggingEnabled/TargetBucket loggingPrefix=_logging/LoggingEnabled/TargetPrefix \
                    ?blockPublicAcls=_block/BlockPublicAcls ?ignorePublicAcls=_block/IgnorePublicAcls \
                    ?blockPublicPolicy=_block/BlockPublicPolicy ?restrictPublicBuckets=_block/RestrictPublicBuckets \
                    ?policyIsPublic=_policyStatus/IsPublic ?public=_public ?objectLock=_lock/ObjectLockEnabled \
                    *corsOrigins=_cors/CORSRule/AllowedOrigin *lifecycleRules=_lifecycle/Rule/ID \
                    *replicatedTo=_replication/Rule/Destination/Bucket \
                    *inventoryTo=_inventories/Destination/S3BucketDestination/Bucket",
            tags: "_tagging/TagSet/Tag Key Value",
            links: &[
                from("HAS", "aws_s3", ".", "aws_s3:{ACCOUNT}"),
                to("ALLOWS", "everyone", "_everybody", "global:everyone")
                    .props("permission=Permission grantee=Grantee/URI")
                    .apart("{Grantee/URI}|{Permission}")
                    .carried(&["UserGroup", "Everyone"]),
                to("LOGS", BUCKET, "_logging/LoggingEnabled", "arn:{P}:s3:::{TargetBucket}"),
                to("CONNECTS", BUCKET, "_replication/Rule/Destination", "{Bucket}"),
                to("USES", "aws_kms_key", ".", "{_kmsKey}"),
                to("PUBLISHES", BUCKET, "_inventories/Destination/S3BucketDestination", "{Bucket}"),
            ],
            ..Resource::NEW
        }],
    },
);

/// All buckets, with `_region`, where each is. A listing that doesn't say it is asked about bucket by bucket.
fn buckets(run: &Run<'_>, sink: &mut Sink<'_>) -> Result<(), StepError> {
    const LOCATION: Detail = detail("_location", "s3:GetBucketLocation", &[("bucket", "{Name}")], "");
    let home = run.cx.config("sts_region")?;
    run.source(&Source::List(ask("s3:ListBuckets", "Buckets/Bucket")), &mut |buckets| {
        let (mut known, mut unknown): (Vec<_>, Vec<_>) =
            buckets.into_iter().partition(|b| !b.text("BucketRegion").is_empty());
        run.detail(&LOCATION, &mut unknown)?;
        for bucket in &mut known {
            let region = bucket.text("BucketRegion");
            add(&mut bucket.value, "_region", Some(Value::String(region)));
        }
        for bucket in &mut unknown {
            let region = bucket.value.get("_location").map(|place| location(place, home));
            add(&mut bucket.value, "_region", region.map(Value::String));
        }
        known.append(&mut unknown);
        sink(known)
    })
}

/// The first region of a partition says nothing, and the oldest buckets of Ireland say `EU`.
fn location(place: &Value, home: &str) -> String {
    match path::text(place, ".").as_deref() {
        None => home.to_owned(),
        Some("EU") => "eu-west-1".to_owned(),
        Some(region) => region.to_owned(),
    }
}

/// Whether a bucket is encrypted and with which key, whom its access list lets in as `_everybody`, whether it is public.
fn bucket(value: &mut Value, names: &Names) {
    let says = |path| path::text(value, path).is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let grants = path::each(value, "_acl/AccessControlList/Grant").into_iter();
    let public = |grant: &&Value| path::text(grant, "Grantee/URI").is_some_and(|uri| EVERYBODY.contains(&&*uri));
    let ignored = says("_block/IgnorePublicAcls");
    let everybody: Vec<Value> = grants.filter(public).filter(|_| !ignored).cloned().collect();
    let by_policy = says("_policyStatus/IsPublic") && !says("_block/RestrictPublicBuckets");
    // Of a bucket that couldn't be asked about all of them it isn't said.
    let is_known = ["_acl", "_policyStatus", "_block"].iter().all(|field| value.get(field).is_some());
    let is_public = is_known.then_some(!everybody.is_empty() || by_policy);
    let encrypted = value
        .get("_encryption")
        .map(|e| path::text(e, "Rule/ApplyServerSideEncryptionByDefault/SSEAlgorithm").is_some());
    // A key by ARN or id; an alias isn't followed.
    let key = path::text(value, "_encryption/Rule/ApplyServerSideEncryptionByDefault/KMSMasterKeyID");
    let key = key.filter(|key| !key.contains("alias/")).map(|key| {
        match (key.starts_with("arn:"), path::text(value, "_region")) {
            (false, Some(region)) => format!("arn:{}:kms:{region}:{}:key/{key}", names.partition, names.account),
            _ => key.into_owned(),
        }
    });
    add(value, "_kmsKey", key.map(Value::String));
    add(value, "_public", is_public.map(Value::Bool));
    add(value, "_encrypted", encrypted.map(Value::Bool));
    add(value, "_everybody", Some(Value::Array(everybody)));
}

const BUCKET_POLICIES: Step = once(
    "s3-bucket-policies",
    "Bucket policies",
    Table {
        source: &Source::Stored(BUCKET, &["name", "region"]),
        details: &[detail("_document", "s3:GetBucketPolicy", &[("region", "{region}"), ("bucket", "{name}")], "")],
        prepare: Some(bucket_policy),
        resources: &[Resource {
            kind: "aws_s3_bucket_policy",
            class: &["AccessPolicy"],
            when: "_policy!=",
            key: "aws_s3_bucket_policy:{name}",
            name: "name",
            props: "bucketName=name policy=_policy",
            links: &[from("HAS", BUCKET, ".", "arn:{P}:s3:::{name}")],
            ..Resource::NEW
        }],
    },
)
.after(&["s3-buckets"]);

fn bucket_policy(value: &mut Value, _: &Names) {
    let document = value.get("_document").filter(|document| document.is_object()).map(policy::shown);
    add(value, "_policy", document.map(Value::String));
}

/// The steps.
pub const STEPS: &[&Step] = &[&BUCKETS, &BUCKET_POLICIES];
