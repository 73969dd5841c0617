//! What machines are made of: images, snapshots, key pairs.

use crate::ec2::{OF_EC2, VOLUME};
use crate::iam::add;
use crate::path::{self, Names};
use crate::spec::{Resource, Source, Step, Table, ask, detail, from, regional};
use serde_json::Value;

const TAGS: &str = "tagSet/item key value";

const KEY_PAIRS: Step = regional(
    "ec2-key-pairs",
    "Key pairs",
    Table {
        source: &Source::List(ask("ec2:DescribeKeyPairs", "keySet/item")),
        resources: &[Resource {
            kind: "aws_key_pair",
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

/// The steps.
pub const STEPS: &[&Step] = &[&KEY_PAIRS, &IMAGES, &SNAPSHOTS];
