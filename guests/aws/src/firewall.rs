//! Rules of firewalls, taken apart into one peer each. Pure.

use crate::iam::add;
use crate::path::{self, Names};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// The key of everything outside.
pub const INTERNET: &str = "global:internet";
/// How EC2 writes "all protocols".
const ALL_PROTOCOLS: &str = "-1";

/// Adds to a security group, as `_rules`, whom it allows: lists of rules by what the peer is (`internet`, `network`, `host`,
/// `group`, `list`).
pub fn security_group(group: &mut Value, names: &Names) {
    let own = path::text(group, "ownerId").map_or_else(|| names.account.clone(), Into::into);
    let mut rules: Map<String, Value> = Map::new();
    for (direction, list) in [("ingress", "ipPermissions/item"), ("egress", "ipPermissionsEgress/item")] {
        for permission in path::each(group, list) {
            for (kind, peer) in peers(permission, names, &own) {
                let rule = rule(permission, direction, peer);
                if let Value::Array(list) = rules.entry(kind).or_insert_with(|| json!([])) {
                    list.push(rule);
                }
            }
        }
    }
    add(group, "_rules", Some(Value::Object(rules)));
}

/// Whom one permission names: what each is, and its key with what else is known.
fn peers(permission: &Value, names: &Names, own: &str) -> Vec<(&'static str, Value)> {
    let arn = |owner: &str, rest: String| format!("arn:{}:ec2:{}:{owner}:{rest}", names.partition, names.region);
    let text = |value, name| path::text(value, name).unwrap_or_default().into_owned();
    let mut peers = Vec::new();
    for range in path::each(permission, "ipRanges/item + ipv6Ranges/item") {
        let cidr = text(range, "cidrIp|cidrIpv6");
        let (kind, to) = address(&cidr);
        let internal = is_internal(&cidr);
        peers.push((
            kind,
            json!({"to": to, "cidr": cidr, "internal": internal, "description": text(range, "description")}),
        ));
    }
    for group in path::each(permission, "groups/item") {
        let owner = path::text(group, "userId").map_or_else(|| own.to_owned(), Into::into);
        let to = arn(&owner, format!("security-group/{}", text(group, "groupId")));
        peers.push(("group", json!({"to": to, "description": text(group, "description")})));
    }
    for list in path::each(permission, "prefixListIds/item") {
        let to = arn(&names.account, format!("prefix-list/{}", text(list, "prefixListId")));
        peers.push(("list", json!({"to": to, "description": text(list, "description")})));
    }
    peers
}

/// The rule for one peer. Without a limit to protocols there are no ports; for ICMP they are type and code.
fn rule(permission: &Value, direction: &str, mut peer: Value) -> Value {
    let text = |name| path::text(permission, name).map(std::borrow::Cow::into_owned);
    let protocol = text("ipProtocol").unwrap_or_else(|| ALL_PROTOCOLS.to_owned());
    let all = protocol == ALL_PROTOCOLS;
    let (from, to) = if all { (None, None) } else { (text("fromPort"), text("toPort")) };
    let shown = |port: &Option<String>| port.clone().unwrap_or_default();
    let apart = format!("{direction}|{protocol}|{}|{}", shown(&from), shown(&to));
    for (name, value) in [
        ("ingress", Some(Value::Bool(direction == "ingress"))),
        ("protocol", Some(Value::String(protocol))),
        ("allProtocols", all.then_some(Value::Bool(true))),
        ("fromPort", from.map(Value::String)),
        ("toPort", to.map(Value::String)),
        ("apart", Some(Value::String(apart))),
    ] {
        add(&mut peer, name, value);
    }
    peer
}

/// What a range of addresses is, and its key: everything, one address, or a network.
#[must_use]
pub fn address(cidr: &str) -> (&'static str, String) {
    match cidr.split_once('/') {
        Some(("0.0.0.0" | "::", "0")) => ("internet", INTERNET.to_owned()),
        Some((address, "32")) if !address.contains(':') => ("host", format!("ip:{address}")),
        Some((address, "128")) => ("host", format!("ip:{address}")),
        _ => ("network", format!("cidr:{cidr}")),
    }
}

/// Inside of what nobody can reach from outside: RFC 1918, 100.64.0.0/10 (RFC 6598), fc00::/7 (RFC 4193).
#[must_use]
pub fn is_internal(cidr: &str) -> bool {
    let (address, bits) = cidr.split_once('/').unwrap_or((cidr, "128"));
    let bits: u8 = bits.parse().unwrap_or(0);
    match address.parse() {
        Ok(IpAddr::V4(v4)) => match v4.octets() {
            [10, ..] => bits >= 8,
            [172, second, ..] => bits >= 12 && (16..32).contains(&second),
            [192, 168, ..] => bits >= 16,
            [100, second, ..] => bits >= 10 && (64..128).contains(&second),
            _ => false,
        },
        Ok(IpAddr::V6(v6)) => bits >= 7 && v6.octets().first().is_some_and(|first| first & 0xfe == 0xfc),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_the_internet_hosts_or_networks() {
        let ranges = [
            ("0.0.0.0/0", "internet", "global:internet", false),
            ("::/0", "internet", "global:internet", false),
            ("203.0.113.7/32", "host", "ip:203.0.113.7", false),
            ("2001:db8::1/128", "host", "ip:2001:db8::1", false),
            ("10.1.0.0/16", "network", "cidr:10.1.0.0/16", true),
            ("172.32.0.0/16", "network", "cidr:172.32.0.0/16", false),
            ("172.31.0.0/16", "network", "cidr:172.31.0.0/16", true),
            ("10.0.0.0/7", "network", "cidr:10.0.0.0/7", false),
            ("100.64.0.0/10", "network", "cidr:100.64.0.0/10", true),
            ("fd00::/8", "network", "cidr:fd00::/8", true),
            ("2001:db8::/32", "network", "cidr:2001:db8::/32", false),
            ("0.0.0.0/1", "network", "cidr:0.0.0.0/1", false),
        ];
        for (cidr, kind, key, internal) in ranges {
            assert_eq!((address(cidr), is_internal(cidr)), ((kind, key.to_owned()), internal), "{cidr}");
        }
    }
}
