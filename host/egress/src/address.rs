//! Which addresses may be dialled. Pure: an address comes in, a verdict and the document behind it come out.
//!
//! A name in a configuration can point anywhere, so the address is what counts, not the name. Nothing special is allowed:
//! neither the ranges that reach this machine or its network, nor those that smuggle an IPv4 address inside an IPv6 one
//! (translation, tunnels, mapping), because a kernel or a router on the way may unwrap it. Of IPv6 only what is handed
//! out as global unicast (2000::/3) is left.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address may not be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The address.
    pub address: IpAddr,
    /// The range that holds it.
    pub range: IpNet,
    /// What the range is for, and where that is written.
    pub reason: &'static str,
    /// The IPv4 address that the IPv6 address carries, for ranges that carry one.
    pub embedded: Option<Ipv4Addr>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is in {}: {}", self.address, self.range, self.reason)?;
        match self.embedded {
            Some(inner) => write!(f, ", carrying {inner}"),
            None => Ok(()),
        }
    }
}

/// Where an IPv6 range keeps the IPv4 address it carries.
#[derive(Clone, Copy)]
enum Carries {
    Nothing,
    /// In the last 32 bits.
    Low,
    /// In bits 16 to 48 (6to4).
    AfterPrefix,
    /// In the last 32 bits, inverted (Teredo).
    LowInverted,
}

struct Range {
    net: IpNet,
    reason: &'static str,
    carries: Carries,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8, reason: &'static str) -> Range {
    let net = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix));
    Range { net, reason, carries: Carries::Nothing }
}

const fn v6(address: u128, prefix: u8, reason: &'static str) -> Range {
    carrying(address, prefix, reason, Carries::Nothing)
}

const fn carrying(address: u128, prefix: u8, reason: &'static str, carries: Carries) -> Range {
    Range { net: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(address), prefix)), reason, carries }
}

const METADATA: &str = "metadata service of a cloud";
const DOCUMENTATION: &str = "documentation (RFC 5737)";

/// The first range that holds an address decides, so the narrow ones stand before the wide ones.
static REFUSED: &[Range] = &[
    // Addresses at which a cloud answers its own machines, some with credentials. Named first: they sit inside wider
    // ranges, and 168.63.129.16 looks like any public address.
    v4(169, 254, 169, 254, 32, METADATA),
    v4(169, 254, 170, 2, 32, METADATA),
    v4(100, 100, 100, 200, 32, METADATA),
    v4(192, 0, 0, 192, 32, METADATA),
    v4(168, 63, 129, 16, 32, METADATA),
    v6(0xfd00_0ec2_0000_0000_0000_0000_0000_0254, 128, METADATA),
    v6(0xfd20_00ce_0000_0000_0000_0000_0000_0254, 128, METADATA),
    // IPv4.
    v4(0, 0, 0, 0, 8, "this network (RFC 791)"),
    v4(10, 0, 0, 0, 8, "private network (RFC 1918)"),
    v4(100, 64, 0, 0, 10, "shared address space of carriers (RFC 6598)"),
    v4(127, 0, 0, 0, 8, "loopback (RFC 1122)"),
    v4(169, 254, 0, 0, 16, "link-local (RFC 3927)"),
    v4(172, 16, 0, 0, 12, "private network (RFC 1918)"),
    v4(192, 0, 0, 0, 24, "protocol assignments (RFC 6890)"),
    v4(192, 0, 2, 0, 24, DOCUMENTATION),
    v4(192, 88, 99, 0, 24, "6to4 relays (RFC 7526)"),
    v4(192, 168, 0, 0, 16, "private network (RFC 1918)"),
    v4(198, 18, 0, 0, 15, "benchmarking (RFC 2544)"),
    v4(198, 51, 100, 0, 24, DOCUMENTATION),
    v4(203, 0, 113, 0, 24, DOCUMENTATION),
    v4(224, 0, 0, 0, 4, "multicast (RFC 5771)"),
    v4(255, 255, 255, 255, 32, "broadcast (RFC 919)"),
    v4(240, 0, 0, 0, 4, "reserved (RFC 1112)"),
    // IPv6: this machine, and what carries an IPv4 address.
    v6(0, 128, "unspecified address (RFC 4291)"),
    v6(1, 128, "loopback (RFC 4291)"),
    carrying(0, 96, "IPv4-compatible (RFC 4291)", Carries::Low),
    carrying(0xffff_0000_0000, 96, "IPv4-mapped (RFC 4291)", Carries::Low),
    carrying(0xffff_0000_0000_0000, 96, "IPv4-translated (RFC 2765)", Carries::Low),
    carrying(0x0064_ff9b << 96, 96, "NAT64 (RFC 6052)", Carries::Low),
    carrying(0x0064_ff9b_0001 << 80, 48, "local-use NAT64 (RFC 8215)", Carries::Low),
    carrying(0x2001 << 112, 32, "Teredo (RFC 4380)", Carries::LowInverted),
    carrying(0x2002 << 112, 16, "6to4 (RFC 3056)", Carries::AfterPrefix),
    // IPv6: the rest.
    v6(0x0100 << 112, 64, "discard-only (RFC 6666)"),
    v6(0x2001_0002 << 96, 48, "benchmarking (RFC 5180)"),
    v6(0x2001_0010 << 96, 28, "ORCHID (RFC 4843)"),
    v6(0x2001_0020 << 96, 28, "ORCHIDv2 (RFC 7343)"),
    v6(0x2001 << 112, 23, "protocol assignments (RFC 2928)"),
    v6(0x2001_0db8 << 96, 32, "documentation (RFC 3849)"),
    v6(0x3fff << 112, 20, "documentation (RFC 9637)"),
    v6(0x5f00 << 112, 16, "segment routing (RFC 9602)"),
    v6(0xfc00 << 112, 7, "unique local (RFC 4193)"),
    v6(0xfe80 << 112, 10, "link-local (RFC 4291)"),
    v6(0xfec0 << 112, 10, "site-local (RFC 3879)"),
    v6(0xff00 << 112, 8, "multicast (RFC 4291)"),
];

/// What IPv6 hands out for the public internet (RFC 4291, 2.4).
const GLOBAL_UNICAST: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::from_bits(0x2000 << 112), 3);

/// May this address be dialled?
///
/// # Errors
/// When it is no public unicast address; the refusal names the range.
pub fn vet(address: IpAddr) -> Result<(), Refusal> {
    if let Some(range) = REFUSED.iter().find(|range| range.net.contains(&address)) {
        let embedded = carried(address, range.carries);
        return Err(Refusal { address, range: range.net, reason: range.reason, embedded });
    }
    match address {
        IpAddr::V6(v6) if !GLOBAL_UNICAST.contains(&v6) => Err(Refusal {
            address,
            range: IpNet::V6(Ipv6Net::default()),
            reason: "outside global unicast, 2000::/3 (RFC 4291)",
            embedded: None,
        }),
        _ => Ok(()),
    }
}

/// Is this where a cloud answers its own machines? A range that an operator allows doesn't open it; the address does.
#[must_use]
pub fn is_metadata(address: IpAddr) -> bool {
    REFUSED.iter().any(|range| range.reason == METADATA && range.net.contains(&address))
}

fn carried(address: IpAddr, carries: Carries) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let [_, _, a, b, c, d, .., w, x, y, z] = v6.octets();
    match carries {
        Carries::Nothing => None,
        Carries::Low => Some(Ipv4Addr::new(w, x, y, z)),
        Carries::AfterPrefix => Some(Ipv4Addr::new(a, b, c, d)),
        Carries::LowInverted => Some(Ipv4Addr::new(!w, !x, !y, !z)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    /// The first and last address of every refused range, and the public neighbours that must stay open.
    #[test]
    fn every_special_range_is_refused_to_its_edges() {
        for range in REFUSED {
            for address in [range.net.network(), range.net.broadcast()] {
                assert!(vet(address).is_err(), "{address} of {} ({})", range.net, range.reason);
            }
        }
    }

    #[test]
    fn addresses_are_refused_for_the_range_that_a_reader_expects() {
        let cases = [
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("0.0.0.0", "this network"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("169.254.1.1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("100.100.100.200", "metadata"),
            ("168.63.129.16", "metadata"),
            ("100.64.0.1", "shared"),
            ("100.127.255.255", "shared"),
            ("192.0.0.8", "protocol"),
            ("192.0.2.1", "documentation"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.9", "documentation"),
            ("192.88.99.1", "6to4"),
            ("198.18.0.1", "benchmarking"),
            ("198.19.255.255", "benchmarking"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::127.0.0.1", "carrying 127.0.0.1"),
            ("::8.8.8.8", "carrying 8.8.8.8"),
            ("::ffff:10.0.0.1", "carrying 10.0.0.1"),
            ("::ffff:8.8.8.8", "IPv4-mapped"),
            ("::ffff:0:169.254.169.254", "IPv4-translated"),
            ("64:ff9b::a00:1", "carrying 10.0.0.1"),
            ("64:ff9b::808:808", "NAT64"),
            ("64:ff9b:1::7f00:1", "carrying 127.0.0.1"),
            ("64:ff9b:1:ffff::1", "local-use NAT64"),
            ("2002:7f00:1::", "carrying 127.0.0.1"),
            ("2002:a9fe:a9fe::1", "carrying 169.254.169.254"),
            ("2001:0:1:2:3:4:80ff:fffe", "carrying 127.0.0.1"),
            ("2001:2::1", "benchmarking"),
            ("2001:10::1", "ORCHID"),
            ("2001:20::1", "ORCHIDv2"),
            ("2001:1ff::1", "protocol"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("5f00::1", "segment"),
            ("100::1", "discard"),
            ("fc00::1", "unique local"),
            ("fdff::1", "unique local"),
            ("fd00:ec2::254", "metadata"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("4000::1", "outside global unicast"),
            ("1fff::1", "outside global unicast"),
        ];
        for (address, reason) in cases {
            let refusal = vet(address.parse().unwrap()).err().unwrap_or_else(|| panic!("{address} was let through"));
            assert!(refusal.to_string().contains(reason), "{address}: `{refusal}` doesn't say {reason}");
        }
    }

    #[test]
    fn public_neighbours_stay_open() {
        let open = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "3ffe:ffff::1",
        ];
        for address in open {
            assert_eq!(vet(address.parse().unwrap()), Ok(()), "{address}");
        }
    }

    proptest! {
        /// Whatever the standard library calls special, the table refuses; and no wrapping opens an IPv4 address.
        #[test]
        fn nothing_special_passes(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_broadcast()
                || v4.is_documentation() || v4.is_unspecified() || v4.is_multicast();
            prop_assert!(!special || vet(v4.into()).is_err());
            let low = u128::from(bits);
            for prefix in [0, 0xffff_0000_0000, 0xffff_0000_0000_0000, 0x0064_ff9b << 96, 0x0064_ff9b_0001 << 80] {
                prop_assert!(vet(Ipv6Addr::from_bits(prefix | low).into()).is_err());
            }
            prop_assert!(vet(Ipv6Addr::from_bits((0x2002 << 112) | (low << 80)).into()).is_err());
        }

        #[test]
        fn only_global_unicast_of_ipv6_passes(bits: u128) {
            let v6 = Ipv6Addr::from_bits(bits);
            if vet(v6.into()).is_ok() {
                prop_assert_eq!(bits >> 125, 1);
                prop_assert!(v6.to_ipv4().is_none());
            }
        }
    }
}
