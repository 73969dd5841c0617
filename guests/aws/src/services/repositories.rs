//! Images of containers: ECR.

use crate::iam::add;
use crate::path::{self, Names};
use crate::policy;
use crate::spec::{Resource, Source, Step, Table, ask, ask_with, detail, from, regional};
use serde_json::Value;

const REPOSITORY: &str = "aws_ecr_repository";
const IMAGE: &str = "aws_ecr_image";

const REPOSITORIES: Step = regional(
    "ecr-repositories",
    "Image repositories",
    Table {
        source: &Source::List(ask("ecr:DescribeRepositories", "repositories")),
        details: &[
            detail("_policy", "ecr:GetRepositoryPolicy", &[("repositoryName", "{repositoryName}")], ""),
            detail("_lifecycle", "ecr:GetLifecyclePolicy", &[("repositoryName", "{repositoryName}")], ""),
            detail("_tags", "ecr:ListTagsForResource", &[("resourceArn", "{repositoryArn}")], "tags"),
        ],
        prepare: Some(repository),
        resources: &[Resource {
            kind: REPOSITORY,
            class: &["Repository"],
            key: "{repositoryArn}",
            name: "repositoryName",
            props: "arn=repositoryArn name=repositoryName uri=repositoryUri @createdOn=createdAt \
                    tagMutability=imageTagMutability ?scanOnPush=imageScanningConfiguration/scanOnPush \
                    encryptionType=encryptionConfiguration/encryptionType kmsKeyId=encryptionConfiguration/kmsKey \
                    policy=_shown ?hasLifecyclePolicy=_hasLifecycle",
            tags: "_tags Key Value",
            links: &[from("HAS", "aws_ecr", ".", "aws_ecr:{ACCOUNT}")],
            ..Resource::NEW
        }],
    },
);

fn repository(value: &mut Value, _: &Names) {
    let document = path::text(value, "_policy/policyText").and_then(|text| policy::read(&text).ok());
    add(value, "_shown", document.map(|document| Value::String(policy::shown(&document))));
    let lifecycle = value.get("_lifecycle").map(|policy| Value::Bool(policy.is_object()));
    add(value, "_hasLifecycle", lifecycle);
}

const IMAGES: Step = regional(
    "ecr-images",
    "Images",
    Table {
        source: &Source::Each(
            &Source::Stored(REPOSITORY, &["name"]),
            ask_with("ecr:DescribeImages", &[("repositoryName", "{name}")], "imageDetails"),
        ),
        resources: &[Resource {
            kind: IMAGE,
            class: &["Image"],
            key: "{^KEY}@{imageDigest}",
            name: "imageTags|imageDigest",
            props: "digest=imageDigest repositoryName *imageTags @pushedOn=imagePushedAt #sizeBytes=imageSizeInBytes \
                    scanStatus=imageScanStatus/status mediaType=imageManifestMediaType",
            links: &[from("HAS", REPOSITORY, ".", "{^KEY}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["ecr-repositories"]);

const IMAGE_FINDINGS: Step = regional(
    "ecr-findings",
    "Findings in images",
    Table {
        source: &Source::Each(
            &Source::Stored(IMAGE, &["digest", "repositoryName"]),
            ask_with(
                "ecr:DescribeImageScanFindings",
                &[("repositoryName", "{repositoryName}"), ("imageId/imageDigest", "{digest}")],
                "imageScanFindings/findings",
            ),
        ),
        prepare: Some(image_finding),
        resources: &[Resource {
            kind: "aws_ecr_image_scan_finding",
            class: &["Finding"],
            key: "{^KEY}:{name}:{_package}:{_version}",
            name: "name",
            props: "name severity description uri package=_package version=_version",
            links: &[from("HAS", IMAGE, ".", "{^KEY}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["ecr-images"]);

/// The package and its version, which a finding has in a list of names and values.
fn image_finding(value: &mut Value, _: &Names) {
    for (field, name) in [("_package", "package_name"), ("_version", "package_version")] {
        let attributes = path::each(value, "attributes");
        let found = attributes.into_iter().find(|a| path::text(a, "key").is_some_and(|key| key == name));
        let text = found.and_then(|a| path::text(a, "value")).map_or_else(|| "-".to_owned(), Into::into);
        add(value, field, Some(Value::String(text)));
    }
}

/// The steps.
pub const STEPS: &[&Step] = &[&REPOSITORIES, &IMAGES, &IMAGE_FINDINGS];
