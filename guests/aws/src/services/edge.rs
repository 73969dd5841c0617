//! What the outside meets: load balancers, certificates, CloudFront, Route 53, WAF.

use super::arn;
use crate::api::FUNCTION;
use crate::ec2::{INSTANCE, SECURITY_GROUP};
use crate::engine::Run;
use crate::iam::add;
use crate::path::{self, Item, Names};
use crate::s3::BUCKET;
use crate::spec::{Ask, Link, Resource, Sink, Source, Step, Table, ask, ask_with, detail, from, once, regional, to};
use porthole_sdk::StepError;
use serde_json::{Value, json};

const CERTIFICATE: &str = "aws_acm_certificate";
const DISTRIBUTION: &str = "aws_cloudfront_distribution";
const ZONE: &str = "aws_route53_zone";
const OF_ELB: Link = from("HAS", "aws_elasticloadbalancing", ".", "aws_elasticloadbalancing:{ACCOUNT}");
const GROUPS: Link =
    to("HAS", SECURITY_GROUP, "SecurityGroups/member", "arn:{P}:ec2:{REGION}:{ACCOUNT}:security-group/{.}");

const CLASSIC: Step = regional(
    "elb-classic",
    "Classic load balancers",
    Table {
        source: &Source::List(ask(
            "elasticloadbalancing:DescribeLoadBalancers",
            "DescribeLoadBalancersResult/LoadBalancerDescriptions/member",
        )),
        details: &[detail(
            "_tags",
            "elasticloadbalancing:DescribeTags",
            &[("LoadBalancerNames.member.N", "{LoadBalancerName}")],
            "DescribeTagsResult/TagDescriptions/member/Tags/member",
        )],
        resources: &[Resource {
            kind: "aws_elb",
            class: &["Gateway"],
            key: "arn:{P}:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/{LoadBalancerName}",
            name: "LoadBalancerName",
            props: "name=LoadBalancerName dnsName=DNSName scheme=Scheme vpcId=VPCId @createdOn=CreatedTime \
                    *protocols=ListenerDescriptions/member/Listener/Protocol",
            tags: "_tags Key Value",
            links: &[
                OF_ELB,
                GROUPS,
                to("CONNECTS", INSTANCE, "Instances/member", "arn:{P}:ec2:{REGION}:{ACCOUNT}:instance/{InstanceId}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// What the load balancers of the second kind have in common.
const BALANCER: Resource = Resource {
    class: &["Gateway"],
    key: "{LoadBalancerArn}",
    name: "LoadBalancerName",
    props: "arn=LoadBalancerArn name=LoadBalancerName dnsName=DNSName scheme=Scheme state=State/Code vpcId=VpcId \
            ipAddressType=IpAddressType @createdOn=CreatedTime",
    tags: "_tags Key Value",
    ..Resource::NEW
};
const BALANCERS_LIST: Ask =
    ask("elasticloadbalancing:v2:DescribeLoadBalancers", "DescribeLoadBalancersResult/LoadBalancers/member");

const BALANCERS: Step = regional(
    "elb-load-balancers",
    "Application and network load balancers",
    Table {
        source: &Source::List(BALANCERS_LIST),
        details: &[detail(
            "_tags",
            "elasticloadbalancing:v2:DescribeTags",
            &[("ResourceArns.member.N", "{LoadBalancerArn}")],
            "DescribeTagsResult/TagDescriptions/member/Tags/member",
        )],
        resources: &[
            Resource { kind: "aws_alb", when: "Type=application", links: &[OF_ELB, GROUPS], ..BALANCER },
            Resource { kind: "aws_nlb", when: "Type=network", links: &[OF_ELB], ..BALANCER },
        ],
        ..Table::NEW
    },
);

const LISTENERS: Step = regional(
    "elb-listeners",
    "Listeners of load balancers",
    Table {
        source: &Source::Each(
            &Source::List(BALANCERS_LIST),
            ask_with(
                "elasticloadbalancing:v2:DescribeListeners",
                &[("LoadBalancerArn", "{LoadBalancerArn}")],
                "DescribeListenersResult/Listeners/member",
            ),
        ),
        resources: &[Resource {
            kind: "aws_lb_listener",
            class: &["ApplicationEndpoint"],
            key: "{ListenerArn}",
            props: "arn=ListenerArn protocol=Protocol #port=Port sslPolicy=SslPolicy loadBalancerArn=LoadBalancerArn",
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const TARGET_GROUPS: Step = regional(
    "elb-target-groups",
    "Target groups",
    Table {
        source: &Source::List(ask(
            "elasticloadbalancing:v2:DescribeTargetGroups",
            "DescribeTargetGroupsResult/TargetGroups/member",
        )),
        resources: &[Resource {
            kind: "aws_lb_target_group",
            class: &["Group"],
            key: "{TargetGroupArn}",
            name: "TargetGroupName",
            props: "arn=TargetGroupArn name=TargetGroupName protocol=Protocol #port=Port vpcId=VpcId targetType=TargetType \
                    *loadBalancerArns=LoadBalancerArns/member",
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const CERTIFICATES: Step = regional(
    "acm-certificates",
    "Certificates",
    Table {
        source: &Source::List(ask_with(
            "acm:ListCertificates",
            // Without these AWS lists keys of one kind alone.
            &[
                ("Includes/keyTypes", "RSA_1024"),
                ("Includes/keyTypes", "RSA_2048"),
                ("Includes/keyTypes", "RSA_3072"),
                ("Includes/keyTypes", "RSA_4096"),
                ("Includes/keyTypes", "EC_prime256v1"),
                ("Includes/keyTypes", "EC_secp384r1"),
                ("Includes/keyTypes", "EC_secp521r1"),
            ],
            "CertificateSummaryList",
        )),
        details: &[
            detail("c", "acm:DescribeCertificate", &[("CertificateArn", "{CertificateArn}")], ""),
            detail("_tags", "acm:ListTagsForCertificate", &[("CertificateArn", "{CertificateArn}")], "Tags"),
        ],
        prepare: Some(certificate),
        resources: &[Resource {
            kind: CERTIFICATE,
            class: &["Certificate"],
            key: "{CertificateArn}",
            name: "DomainName",
            props: "arn=CertificateArn name=DomainName *alternativeNames=c/Certificate/SubjectAlternativeNames \
                    state=c/Certificate/Status certificateType=c/Certificate/Type keyAlgorithm=c/Certificate/KeyAlgorithm \
                    issuer=c/Certificate/Issuer @issuedOn=c/Certificate/IssuedAt @createdOn=c/Certificate/CreatedAt \
                    @validFrom=c/Certificate/NotBefore @expiresOn=c/Certificate/NotAfter \
                    renewalEligibility=c/Certificate/RenewalEligibility *usedBy=c/Certificate/InUseBy",
            tags: "_tags Key Value",
            links: &[from("HAS", "aws_acm", ".", "aws_acm:{ACCOUNT}"), from("USES", "aws_alb", "_balancers", "{.}")],
            ..Resource::NEW
        }],
    },
);

/// Which of its users are application load balancers.
fn certificate(value: &mut Value, _: &Names) {
    let users = path::each(value, "c/Certificate/InUseBy").into_iter();
    let balancers = users.filter(|arn| arn.as_str().is_some_and(|arn| arn.contains(":loadbalancer/app/"))).cloned();
    let balancers = balancers.collect();
    add(value, "_balancers", Some(Value::Array(balancers)));
}

const DISTRIBUTIONS: Step = once(
    "cloudfront-distributions",
    "CloudFront distributions",
    Table {
        source: &Source::List(ask("cloudfront:ListDistributions", "Items/DistributionSummary")),
        details: &[detail("_tags", "cloudfront:ListTagsForResource", &[("Resource", "{ARN}")], "Items/Tag")],
        prepare: Some(distribution),
        resources: &[
            Resource {
                kind: DISTRIBUTION,
                class: &["Gateway"],
                key: "{ARN}",
                name: "DomainName",
                props: "arn=ARN id=Id domainName=DomainName state=Status ?enabled=Enabled *aliases=Aliases/Items/CNAME \
                        viewerProtocolPolicy=DefaultCacheBehavior/ViewerProtocolPolicy comment=Comment \
                        minimumTls=ViewerCertificate/MinimumProtocolVersion webAclId=WebACLId httpVersion=HttpVersion",
                tags: "_tags Key Value",
                links: &[
                    from("HAS", "aws_cloudfront", ".", "aws_cloudfront:{ACCOUNT}"),
                    to("USES", CERTIFICATE, ".", "{ViewerCertificate/ACMCertificateArn}"),
                    to("CONNECTS", BUCKET, "_buckets", "{.}"),
                    to("CONNECTS", "aws_apigateway_rest_api", "_apis", "{.}"),
                    to("TRIGGERS", FUNCTION, "_functions", "{.}"),
                    from("PROTECTS", "aws_waf_web_acl", ".", "{_webAcl}"),
                ],
                ..Resource::NEW
            },
            Resource {
                kind: "aws_cloudfront_distribution_origin",
                class: &["Configuration"],
                part: "Origins/Items/Origin",
                key: "{^ARN}/origin/{Id}",
                name: "Id",
                // The values of custom headers are secrets that the origin and the distribution share.
                props: "id=Id domainName=DomainName path=OriginPath \
                        protocolPolicy=CustomOriginConfig/OriginProtocolPolicy",
                links: &[from("HAS", DISTRIBUTION, ".", "{^ARN}")],
                ..Resource::NEW
            },
        ],
    },
);

/// What the names of origins and the associations of functions lead to, and the web ACL if it is one of WAF Classic.
fn distribution(value: &mut Value, names: &Names) {
    let p = &names.partition;
    let domains: Vec<_> =
        path::each(value, "Origins/Items/Origin/DomainName").into_iter().filter_map(Value::as_str).collect();
    let buckets: Vec<Value> =
        domains.iter().filter_map(|d| bucket(d)).map(|name| format!("arn:{p}:s3:::{name}").into()).collect();
    let api = |d: &&str| {
        let (id, rest) = d.split_once(".execute-api.")?;
        Some(Value::from(format!("arn:{p}:apigateway:{}::/restapis/{id}", rest.split_once(".amazonaws.com")?.0)))
    };
    let apis: Vec<Value> = domains.iter().filter_map(api).collect();
    let associations = "LambdaFunctionAssociations/Items/LambdaFunctionAssociation/LambdaFunctionARN";
    let found = ["DefaultCacheBehavior", "CacheBehaviors/Items/CacheBehavior"]
        .iter()
        .flat_map(|at| path::each(value, &format!("{at}/{associations}")));
    // A version is the eighth part.
    let function = |arn: &str| arn.split(':').take(7).collect::<Vec<_>>().join(":");
    let functions: Vec<Value> = found.filter_map(Value::as_str).map(|arn| function(arn).into()).collect();
    let classic = path::text(value, "WebACLId").filter(|id| !id.starts_with("arn:"));
    let acl = classic.map(|id| format!("arn:{p}:waf::{}:webacl/{id}", names.account).into());
    for (field, list) in [("_buckets", buckets), ("_apis", apis), ("_functions", functions)] {
        add(value, field, Some(Value::Array(list)));
    }
    add(value, "_webAcl", acl);
}

/// The bucket whose endpoint this name is: `NAME.s3.REGION…`, `NAME.s3-website-REGION…`.
fn bucket(domain: &str) -> Option<&str> {
    let (name, rest) = domain.split_once(".s3.").or_else(|| domain.split_once(".s3-"))?;
    rest.contains("amazonaws.com").then_some(name)
}

const ZONES: Step = once(
    "route53-zones",
    "DNS zones",
    Table {
        source: &Source::Code(&["route53:ListHostedZones"], &[], zones),
        details: &[detail("_tags", "route53:ListTagsForResource", &[("zone_id", "{_id}")], "ResourceTagSet/Tags/Tag")],
        resources: &[Resource {
            kind: ZONE,
            class: &["DomainZone"],
            key: "arn:{P}:route53:::hostedzone/{_id}",
            name: "_name",
            props: "name=_name zoneId=_id ?private=Config/PrivateZone comment=Config/Comment",
            tags: "_tags Key Value",
            links: &[
                from("HAS", "aws_route53", ".", "aws_route53:{ACCOUNT}"),
                from("HAS", "aws_route53_domain", ".", "aws_route53_domain:{_name}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// The zones with `_id`, which AWS writes as a path, and `_name` without the dot at its end.
fn zones(run: &Run<'_>, sink: &mut Sink<'_>) -> Result<(), StepError> {
    let short = |zone: &mut Value| {
        let id = path::text(zone, "Id").map(|id| id.trim_start_matches("/hostedzone/").to_owned());
        let name = path::text(zone, "Name").map(|name| readable(&name));
        add(zone, "_id", id.map(Value::String));
        add(zone, "_name", name.map(Value::String));
    };
    run.list_with(&ask("route53:ListHostedZones", "HostedZones/HostedZone"), short, sink)
}

/// A name of DNS without the dot at its end, and with the characters that Route 53 writes in octal (`\052` is `*`).
fn readable(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut rest = name.trim_end_matches('.');
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        match after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                text.push(char::from(byte));
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                text.push('\\');
                rest = after;
            }
        }
    }
    text + rest
}

const RECORDS: Step = once(
    "route53-records",
    "DNS records",
    Table {
        source: &Source::Code(&["route53:ListResourceRecordSets"], &[(ZONE, &["zoneId"])], records),
        prepare: Some(record),
        resources: &[Resource {
            kind: "aws_route53_record",
            class: &["DomainRecord"],
            key: "{^KEY}:{_name}:{Type}:{_set}",
            name: "_name",
            props: "name=_name recordType=Type #ttl=TTL *values=ResourceRecords/ResourceRecord/Value \
                    aliasTarget=AliasTarget/DNSName setIdentifier=SetIdentifier #weight=Weight routingRegion=Region \
                    failover=Failover healthCheckId=HealthCheckId",
            links: &[from("HAS", ZONE, ".", "{^KEY}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["route53-zones"]);

fn record(value: &mut Value, _: &Names) {
    let name = path::text(value, "Name").map(|name| readable(&name));
    // Of records that share name and type each has one of these; the others have none.
    let set = path::text(value, "SetIdentifier").unwrap_or_default().into_owned();
    add(value, "_name", name.map(Value::String));
    add(value, "_set", Some(Value::String(if set.is_empty() { "-".to_owned() } else { set })));
}

/// The records of every zone. The next page is named by three values, which the host takes for arguments: so each page is a
/// call of its own.
fn records(run: &Run<'_>, sink: &mut Sink<'_>) -> Result<(), StepError> {
    const FIRST: Ask = ask_with("route53:ListResourceRecordSets", &[("zone_id", "{zoneId}")], "");
    const NEXT: Ask = ask_with(
        "route53:ListResourceRecordSets",
        &[("zone_id", "{zoneId}"), ("name", "{NextRecordName}"), ("type", "{NextRecordType}")],
        "",
    );
    const NEXT_OF_SET: Ask = ask_with(
        "route53:ListResourceRecordSets",
        &[
            ("zone_id", "{zoneId}"),
            ("name", "{NextRecordName}"),
            ("type", "{NextRecordType}"),
            ("identifier", "{NextRecordIdentifier}"),
        ],
        "",
    );
    run.stored(ZONE, &mut |zones| {
        let mut waiting = vec![(FIRST, zones)];
        while let Some((ask, zones)) = waiting.pop() {
            let (mut next, mut next_of_set) = (Vec::new(), Vec::new());
            run.each(&ask, zones, &mut |pages| {
                for mut page in pages {
                    let Some(zone) = page.under.clone() else { continue };
                    let sets = crate::convert::remove(&mut page.value, "ResourceRecordSets/ResourceRecordSet");
                    sink(sets.into_iter().map(|value| Item { value, under: Some(zone.clone()) }).collect())?;
                    if page.text("IsTruncated") == "true" {
                        let of_set = !page.text("NextRecordIdentifier").is_empty();
                        for name in ["zoneId", "KEY"] {
                            add(&mut page.value, name, Some(json!(zone.text(name))));
                        }
                        page.under = None;
                        if of_set { next_of_set.push(page) } else { next.push(page) }
                    }
                }
                Ok(())
            })?;
            waiting
                .extend([(NEXT, next), (NEXT_OF_SET, next_of_set)].into_iter().filter(|(_, zones)| !zones.is_empty()));
        }
        Ok(())
    })
}

const DOMAINS: Step = once(
    "route53-domains",
    "Registered domains",
    Table {
        source: &Source::List(ask("route53domains:ListDomains", "Domains")),
        details: &[detail("_tags", "route53domains:ListTagsForDomain", &[("DomainName", "{DomainName}")], "TagList")],
        resources: &[Resource {
            kind: "aws_route53_domain",
            class: &["Domain"],
            key: "aws_route53_domain:{DomainName}",
            name: "DomainName",
            props: "name=DomainName domainName=DomainName ?autoRenew=AutoRenew ?transferLock=TransferLock @expiresOn=Expiry",
            tags: "_tags Key Value",
            links: &[from("HAS", "aws_route53", ".", "aws_route53:{ACCOUNT}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.commercial();

const WEB_ACLS: Step = once(
    "waf-web-acls",
    "Web ACLs of WAF Classic",
    Table {
        source: &Source::List(ask("waf:ListWebACLs", "WebACLs")),
        details: &[detail("_acl", "waf:GetWebACL", &[("WebACLId", "{WebACLId}")], "")],
        prepare: Some(web_acl),
        resources: &[Resource {
            kind: "aws_waf_web_acl",
            class: &["Firewall"],
            key: "{_arn}",
            name: "Name",
            props: "arn=_arn name=Name id=WebACLId defaultAction=_acl/WebACL/DefaultAction/Type \
                    metricName=_acl/WebACL/MetricName",
            links: &[from("HAS", "aws_waf", ".", "aws_waf:{ACCOUNT}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.commercial();

fn web_acl(value: &mut Value, names: &Names) {
    let known = arn(value, "_acl/WebACL/WebACLArn");
    let made =
        || Some(format!("arn:{}:waf::{}:webacl/{}", names.partition, names.account, path::text(value, "WebACLId")?));
    let arn = known.or_else(made);
    add(value, "_arn", arn.map(Value::String));
}

/// The steps.
pub const STEPS: &[&Step] = &[
    &CLASSIC,
    &BALANCERS,
    &LISTENERS,
    &TARGET_GROUPS,
    &CERTIFICATES,
    &DISTRIBUTIONS,
    &ZONES,
    &RECORDS,
    &DOMAINS,
    &WEB_ACLS,
];

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn names_of_dns_are_readable() {
        assert_eq!(readable("\\052.acme.example."), "*.acme.example");
        assert_eq!(readable("a\\x.example"), "a\\x.example");
    }
}
