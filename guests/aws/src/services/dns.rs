//! Names: zones, records and registered domains of Route 53.

use crate::ec2::INSTANCE;
use crate::engine::Run;
use crate::iam::add;
use crate::path::{self, Item, Names};
use crate::spec::{Ask, Resource, Sink, Source, Step, Table, ask, ask_with, detail, from, once, to};
use porthole_sdk::StepError;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ZONE: &str = "aws_route53_zone";
const RECORD: &str = "aws_route53_record";

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
            kind: RECORD,
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

/// What a name may lead to: the type, and the property that has the name or the address.
const TARGETS: [(&str, &str); 5] = [
    ("aws_elb", "dnsName"),
    ("aws_alb", "dnsName"),
    ("aws_nlb", "dnsName"),
    ("aws_cloudfront_distribution", "domainName"),
    (INSTANCE, "publicIpAddress"),
];

const CONNECTIONS: Step = once(
    "route53-connections",
    "What DNS records lead to",
    Table {
        source: &Source::Code(
            &[],
            &[
                (RECORD, &["values", "aliasTarget"]),
                ("aws_elb", &["dnsName"]),
                ("aws_alb", &["dnsName"]),
                ("aws_nlb", &["dnsName"]),
                ("aws_cloudfront_distribution", &["domainName"]),
                (INSTANCE, &["publicIpAddress"]),
            ],
            connections,
        ),
        resources: &[Resource {
            kind: RECORD,
            emitted: false,
            key: "{KEY}",
            links: &[
                to("CONNECTS", "aws_elb", "aws_elb", "{.}"),
                to("CONNECTS", "aws_alb", "aws_alb", "{.}"),
                to("CONNECTS", "aws_nlb", "aws_nlb", "{.}"),
                to("CONNECTS", "aws_cloudfront_distribution", "aws_cloudfront_distribution", "{.}"),
                to("CONNECTS", INSTANCE, INSTANCE, "{.}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["route53-records", "elb-classic", "elb-load-balancers", "cloudfront-distributions", "ec2-instances"]);

/// The records, each with what its values or its alias lead to: a field with the keys of each type.
fn connections(run: &Run<'_>, sink: &mut Sink<'_>) -> Result<(), StepError> {
    let mut known = Vec::new();
    for (kind, property) in TARGETS {
        let by_name = run.keys_by(property, kind)?.into_iter().map(|(name, key)| (plain(&name), key));
        known.push((kind, by_name.collect::<BTreeMap<_, _>>()));
    }
    run.stored(RECORD, &mut |mut records| {
        for record in &mut records {
            let names = path::each(&record.value, "values + aliasTarget").into_iter().filter_map(Value::as_str);
            let names: Vec<_> = names.map(plain).filter(|name| !name.is_empty()).collect();
            for (kind, keys) in &known {
                let found: Vec<_> = names.iter().filter_map(|name| keys.get(name)).collect();
                add(&mut record.value, kind, Some(json!(found)));
            }
        }
        sink(records)
    })
}

/// A name as both sides of a comparison are written: small, without the dot at its end and without what an alias puts before
/// a load balancer's name.
fn plain(name: &str) -> String {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.strip_prefix("dualstack.").map(str::to_owned).unwrap_or(name)
}

/// The steps.
pub const STEPS: &[&Step] = &[&ZONES, &RECORDS, &DOMAINS, &CONNECTIONS];

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn names_of_dns_are_readable() {
        assert_eq!(readable("\\052.acme.example."), "*.acme.example");
        assert_eq!(readable("a\\x.example"), "a\\x.example");
    }
}
