//! What machines are made of: images, snapshots, key pairs.

use crate::ec2::{INSTANCE, OF_EC2, VOLUME};
use crate::engine::Run;
use crate::iam::add;
use crate::path::{self, Names};
use crate::spec::{Resource, Sink, Source, Step, Table, ask, detail, from, regional, to};
use porthole_sdk::StepError;
use serde_json::Value;

const KEY_PAIR: &str = "aws_key_pair";
const TAGS: &str = "tagSet/item key value";

const KEY_PAIRS: Step = regional(
    "ec2-key-pairs",
    "Key pairs",
    Table {
        source: &Source::List(ask("ec2:DescribeKeyPairs", "keySet/item")),
        resources: &[Resource {
            kind: KEY_PAIR,
            class: &["AccessKey"],
            key: "arn:{P}:ec2:{REGION}:{ACCOUNT}:key-pair/{keyPairId}",
            name: "keyName",
            props: "keyPairId name=keyName keyType fingerprint=keyFingerprint @createdOn=createTime",
            tags: TAGS,
            links: &[OF_EC2],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const IMAGES: Step = regional(
    "ec2-images",
    "Machine images",
    Table {
        source: &Source::List(ask("ec2:DescribeImages", "imagesSet/item")),
        resources: &[Resource {
            kind: "aws_ami",
            class: &["Image"],
            when: "imageOwnerId={ACCOUNT}",
            key: "arn:{P}:ec2:{REGION}::image/{imageId}",
            name: "name|imageId",
            props: "imageId name description state=imageState ?public=isPublic architecture platformDetails rootDeviceType \
                    @createdOn=creationDate *snapshotIds=blockDeviceMapping/item/ebs/snapshotId",
            tags: TAGS,
            links: &[OF_EC2],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const SNAPSHOTS: Step = regional(
    "ec2-snapshots",
    "Snapshots of volumes",
    Table {
        source: &Source::List(ask("ec2:DescribeSnapshots", "snapshotSet/item")),
        details: &[detail(
            "_shared",
            "ec2:DescribeSnapshotAttribute",
            &[("SnapshotId", "{snapshotId}")],
            "createVolumePermission/item",
        )],
        prepare: Some(snapshot),
        resources: &[Resource {
            kind: "aws_ebs_snapshot",
            class: &["DataStore", "Disk", "Image"],
            when: "ownerId={ACCOUNT}",
            key: "arn:{P}:ec2:{REGION}::snapshot/{snapshotId}",
            name: "tag|snapshotId",
            props: "snapshotId volumeId state=status #sizeGb=volumeSize ?encrypted kmsKeyId description @createdOn=startTime \
                    ?public=_public *sharedWith=_shared/userId",
            tags: TAGS,
            links: &[from("HAS", VOLUME, ".", "arn:{P}:ec2:{REGION}:{ACCOUNT}:volume/{volumeId}")],
            ..Resource::NEW
        }],
    },
);

/// Everybody may make a volume of it.
fn snapshot(value: &mut Value, _: &Names) {
    let shared = value.get("_shared").map(|list| path::each(list, "group").into_iter().any(|group| group == "all"));
    add(value, "_public", shared.map(Value::Bool));
}

const INSTANCE_KEYS: Step = regional(
    "ec2-instance-keys",
    "Key pairs of instances",
    Table {
        source: &Source::Code(
            &[],
            &[(KEY_PAIR, &["name", "region"]), (INSTANCE, &["keyName", "region"])],
            instance_keys,
        ),
        resources: &[Resource {
            kind: INSTANCE,
            emitted: false,
            key: "{KEY}",
            links: &[to("USES", KEY_PAIR, ".", "{_pair}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["ec2-key-pairs", "ec2-instances"]);

/// The instances of the region with the key of their key pair as `_pair`: EC2 names it, and its id is only in the other list.
fn instance_keys(run: &Run<'_>, sink: &mut Sink<'_>) -> Result<(), StepError> {
    let pairs = run.keys_by("name", KEY_PAIR)?;
    run.stored(INSTANCE, &mut |mut instances| {
        for instance in &mut instances {
            let pair = pairs.get(&instance.text("keyName")).cloned();
            add(&mut instance.value, "_pair", pair.map(Value::String));
        }
        sink(instances)
    })
}

/// The steps.
pub const STEPS: &[&Step] = &[&KEY_PAIRS, &IMAGES, &SNAPSHOTS, &INSTANCE_KEYS];
