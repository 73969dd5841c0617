//! S3: paths in, XML out. A bucket answers only in its own region.

use super::reply::{Page, Reply, add};
use super::server::Ask;
use super::world::{REGIONS, number};

/// The most buckets of a page: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html>.
const BUCKETS_MAX: usize = 10_000;
const OWNER: &str = "<Owner><ID>0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef</ID></Owner>";

pub(super) fn answer(ask: &Ask<'_>, path: &str) -> Option<Reply> {
    if path == "/" {
        return Some(buckets(ask));
    }
    let Some(n) = number(path.trim_matches('/')).filter(|n| *n < ask.shape.buckets) else {
        return Some(Reply::s3_error(404, "NoSuchBucket"));
    };
    let has = |what: &str| ask.arguments.contains_key(what);
    if region(n) != ask.region_name() && !(has("location") && ask.region == 0) {
        return Some(Reply::s3_error(301, "PermanentRedirect"));
    }
    let xml = |body: &str| Some(Reply { kind: "application/xml", ..Reply::xml(body.to_owned()) });
    let none = |code: &str| Some(Reply::s3_error(404, code));
    match ask.arguments.keys().find(|k| k.as_str() != "x-id").map(String::as_str) {
        // The oldest region has no name here.
        Some("location") if n.is_multiple_of(REGIONS.len()) => xml("<LocationConstraint/>"),
        Some("location") => xml(&format!("<LocationConstraint>{}</LocationConstraint>", region(n))),
        Some("acl") => xml(&format!(
            "<AccessControlPolicy>{OWNER}<AccessControlList><Grant>\
             <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">\
             <ID>0123456789abcdef</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>\
             </AccessControlPolicy>"
        )),
        Some("encryption") => xml("<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
             <SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>\
             <BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>"),
        Some("versioning") if n.is_multiple_of(2) => {
            xml("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        }
        Some("versioning") => xml("<VersioningConfiguration/>"),
        Some("logging") => xml("<BucketLoggingStatus/>"),
        Some("tagging") if n.is_multiple_of(2) => {
            xml("<Tagging><TagSet><Tag><Key>stage</Key><Value>test</Value></Tag></TagSet></Tagging>")
        }
        Some("tagging") => none("NoSuchTagSet"),
        Some("publicAccessBlock") => xml("<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>\
             <IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy>\
             <RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>"),
        Some("inventory") => xml(
            "<ListInventoryConfigurationsResult><IsTruncated>false</IsTruncated></ListInventoryConfigurationsResult>",
        ),
        Some("policy" | "policyStatus") => none("NoSuchBucketPolicy"),
        Some("cors") => none("NoSuchCORSConfiguration"),
        Some("lifecycle") => none("NoSuchLifecycleConfiguration"),
        Some("replication") => none("ReplicationConfigurationNotFoundError"),
        Some("object-lock") => none("ObjectLockConfigurationNotFoundError"),
        _ => None,
    }
}

fn region(n: usize) -> &'static str {
    REGIONS.get(n % REGIONS.len()).copied().unwrap_or("us-east-1")
}

/// All buckets, or a page when a number is asked for; only then it says where each one is.
fn buckets(ask: &Ask<'_>) -> Reply {
    let paged = ask.arguments.contains_key("max-buckets");
    let usual = if paged { BUCKETS_MAX } else { ask.shape.buckets.max(1) };
    let most = usual.max(BUCKETS_MAX);
    let names = ["continuation-token", "max-buckets"];
    let Some(page) = Page::of(ask.shape.buckets, &ask.arguments, names, usual, most) else {
        return Reply::s3_error(400, "InvalidArgument");
    };
    let mut body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ListAllMyBucketsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{OWNER}<Buckets>"
    );
    for n in page.numbers() {
        add(
            &mut body,
            format_args!("<Bucket><Name>bucket-{n:05}</Name><CreationDate>2024-01-02T03:04:05.000Z</CreationDate>"),
        );
        if paged {
            add(&mut body, format_args!("<BucketRegion>{}</BucketRegion>", region(n)));
        }
        body.push_str("</Bucket>");
    }
    body.push_str("</Buckets>");
    if let Some(next) = page.next {
        add(&mut body, format_args!("<ContinuationToken>{next}</ContinuationToken>"));
    }
    body.push_str("</ListAllMyBucketsResult>");
    Reply { kind: "application/xml", ..Reply::xml(body) }
}
