//! What the outside meets: load balancers, certificates, CloudFront, WAF.

use super::arn;
use crate::api::FUNCTION;
use crate::ec2::{INSTANCE, SECURITY_GROUP};
use crate::iam::add;
use crate::path::{self, Names};
use crate::s3::BUCKET;
use crate::spec::{Ask, Link, Resource, Source, Step, Table, ask, ask_with, detail, from, once, regional, to};
use serde_json::Value;

const CERTIFICATE: &str = "aws_acm_certificate";
const DISTRIBUTION: &str = "aws_cloudfront_distribution";
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
pub const STEPS: &[&Step] =
    &[&CLASSIC, &BALANCERS, &LISTENERS, &TARGET_GROUPS, &CERTIFICATES, &DISTRIBUTIONS, &WEB_ACLS];
