//! The rest of the network: addresses, interfaces, gateways, routes, network ACLs, flow logs.

use crate::ec2::{INSTANCE, OF_EC2, SUBNET, VPC};
use crate::engine::Run;
use crate::iam::add;
use crate::path::{self, Names};
use crate::s3::BUCKET;
use crate::spec::{Resource, Sink, Source, Step, Table, ask, from, regional, to};
use porthole_sdk::StepError;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const EIP: &str = "aws_eip";
const ENI: &str = "aws_eni";
const ROUTE_TABLE: &str = "aws_route_table";
const TAGS: &str = "tagSet/item key value";
const INTERFACE: &str = "arn:{P}:ec2:{REGION}:{ACCOUNT}:network-interface/{networkInterfaceId}";
const ADDRESS: &str = "arn:{P}:ec2:{REGION}:{ACCOUNT}:elastic-ip/{allocationId}";
const OWN_VPC: &str = "arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:vpc/{vpcId}";

const ADDRESSES: Step = regional(
    "ec2-addresses",
    "Elastic addresses",
    Table {
        source: &Source::List(ask("ec2:DescribeAddresses", "addressesSet/item")),
        resources: &[Resource {
            kind: EIP,
            class: &["IpAddress"],
            // One of EC2 Classic has no id; nobody has those any more.
            when: "allocationId!=",
            key: ADDRESS,
            name: "tag|publicIp",
            props: "allocationId publicIpAddress=publicIp privateIpAddress domain instanceId networkInterfaceId",
            tags: TAGS,
            links: &[
                OF_EC2,
                from("USES", INSTANCE, ".", "arn:{P}:ec2:{REGION}:{ACCOUNT}:instance/{instanceId}"),
                from("USES", ENI, ".", INTERFACE),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const INTERFACES: Step = regional(
    "ec2-interfaces",
    "Network interfaces",
    Table {
        source: &Source::List(ask("ec2:DescribeNetworkInterfaces", "networkInterfaceSet/item")),
        resources: &[Resource {
            kind: ENI,
            class: &["NetworkInterface"],
            key: "arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:network-interface/{networkInterfaceId}",
            name: "tag|networkInterfaceId",
            props: "networkInterfaceId description interfaceType state=status vpcId subnetId availabilityZone macAddress \
                    privateIpAddress publicIpAddress=association/publicIp instanceId=attachment/instanceId \
                    ?sourceDestCheck *securityGroupIds=groupSet/item/groupId",
            tags: TAGS,
            links: &[OF_EC2],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const INTERNET_GATEWAYS: Step = regional(
    "ec2-internet-gateways",
    "Internet gateways",
    Table {
        source: &Source::List(ask("ec2:DescribeInternetGateways", "internetGatewaySet/item")),
        resources: &[Resource {
            kind: "aws_internet_gateway",
            class: &["Gateway"],
            key: "arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:internet-gateway/{internetGatewayId}",
            name: "tag|internetGatewayId",
            props: "internetGatewayId",
            tags: TAGS,
            links: &[
                OF_EC2,
                from("HAS", VPC, "attachmentSet/item", "arn:{P}:ec2:{REGION}:{^ownerId|ACCOUNT}:vpc/{vpcId}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const NAT_GATEWAYS: Step = regional(
    "ec2-nat-gateways",
    "NAT gateways",
    Table {
        source: &Source::List(ask("ec2:DescribeNatGateways", "natGatewaySet/item")),
        resources: &[Resource {
            kind: "aws_nat_gateway",
            class: &["Gateway"],
            when: "state!=deleted",
            key: "arn:{P}:ec2:{REGION}:{ACCOUNT}:natgateway/{natGatewayId}",
            name: "tag|natGatewayId",
            props: "natGatewayId state vpcId subnetId connectivityType @createdOn=createTime \
                    *publicIpAddresses=natGatewayAddressSet/item/publicIp",
            tags: TAGS,
            links: &[
                OF_EC2,
                from("HAS", VPC, ".", OWN_VPC),
                to("USES", ENI, "natGatewayAddressSet/item", INTERFACE),
                to("USES", EIP, "natGatewayAddressSet/item", ADDRESS),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const VPN_GATEWAYS: Step = regional(
    "ec2-vpn-gateways",
    "VPN gateways",
    Table {
        source: &Source::List(ask("ec2:DescribeVpnGateways", "vpnGatewaySet/item")),
        resources: &[Resource {
            kind: "aws_vpn_gateway",
            class: &["Gateway"],
            when: "state!=deleted",
            key: "arn:{P}:ec2:{REGION}:{ACCOUNT}:vpn-gateway/{vpnGatewayId}",
            name: "tag|vpnGatewayId",
            props: "vpnGatewayId state gatewayType=type amazonSideAsn",
            tags: TAGS,
            links: &[OF_EC2, from("HAS", VPC, "attachments/item", "arn:{P}:ec2:{REGION}:{ACCOUNT}:vpc/{vpcId}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const VPN_CONNECTIONS: Step = regional(
    "ec2-vpn-connections",
    "VPN connections",
    Table {
        source: &Source::List(ask("ec2:DescribeVpnConnections", "vpnConnectionSet/item")),
        resources: &[Resource {
            kind: "aws_vpn_connection",
            class: &["Network"],
            when: "state!=deleted",
            key: "arn:{P}:ec2:{REGION}:{ACCOUNT}:vpn-connection/{vpnConnectionId}",
            name: "tag|vpnConnectionId",
            // The configuration of the customer's gateway has the shared key in it: it is not read.
            props: "vpnConnectionId state customerGatewayId vpnGatewayId transitGatewayId connectionType=type category",
            tags: TAGS,
            links: &[OF_EC2],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const FLOW_LOGS: Step = regional(
    "ec2-flow-logs",
    "Flow logs",
    Table {
        source: &Source::List(ask("ec2:DescribeFlowLogs", "flowLogSet/item")),
        prepare: Some(flow_log),
        resources: &[
            Resource {
                kind: "aws_flow_log",
                class: &["Configuration"],
                key: "arn:{P}:ec2:{REGION}:{ACCOUNT}:vpc-flow-log/{flowLogId}",
                name: "tag|flowLogId",
                props: "flowLogId state=flowLogStatus resourceId trafficType destinationType=logDestinationType \
                        destination=logDestination logGroupName roleArn=deliverLogsPermissionArn @createdOn=creationTime",
                tags: TAGS,
                links: &[OF_EC2],
                ..Resource::NEW
            },
            Resource {
                kind: VPC,
                emitted: false,
                when: "_vpc!=",
                key: "arn:{P}:ec2:{REGION}:{ACCOUNT}:vpc/{_vpc}",
                links: &[
                    to(
                        "LOGS",
                        "aws_cloudwatch_log_group",
                        ".",
                        "arn:{P}:logs:{REGION}:{ACCOUNT}:log-group:{logGroupName}",
                    ),
                    to("LOGS", BUCKET, ".", "{_bucket}"),
                ],
                ..Resource::NEW
            },
        ],
        ..Table::NEW
    },
);

/// The VPC, when the log is of one, and the bucket without the folder in it.
fn flow_log(value: &mut Value, _: &Names) {
    let vpc = path::text(value, "resourceId").filter(|id| id.starts_with("vpc-")).map(|id| json!(id));
    let bucket = path::text(value, "logDestination").filter(|arn| arn.contains(":s3:::"));
    let bucket = bucket.and_then(|arn| arn.split('/').next().map(|arn| json!(arn)));
    add(value, "_vpc", vpc);
    add(value, "_bucket", bucket);
}

const NETWORK_ACLS: Step = regional(
    "ec2-network-acls",
    "Network ACLs",
    Table {
        source: &Source::List(ask("ec2:DescribeNetworkAcls", "networkAclSet/item")),
        prepare: Some(network_acl),
        resources: &[Resource {
            kind: "aws_network_acl",
            class: &["Firewall"],
            key: "arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:network-acl/{networkAclId}",
            name: "tag|networkAclId",
            props: "networkAclId vpcId ?default ownerId",
            tags: TAGS,
            links: &[
                OF_EC2,
                to("ALLOWS", "network", "_rules/allow", "cidr:{cidr}").props(ENTRY).apart(APART).carried(&["Network"]),
                to("DENIES", "network", "_rules/deny", "cidr:{cidr}").props(ENTRY).apart(APART).carried(&["Network"]),
                to(
                    "PROTECTS",
                    SUBNET,
                    "associationSet/item",
                    "arn:{P}:ec2:{REGION}:{^ownerId|ACCOUNT}:subnet/{subnetId}",
                ),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// What an entry of a network ACL says, and what tells two of them apart.
const ENTRY: &str = "?egress #ruleNumber protocol #fromPort=portRange/from #toPort=portRange/to cidr ?internal";
const APART: &str = "{direction}|{ruleNumber}";

/// The entries by what they do, as `_rules`.
fn network_acl(value: &mut Value, _: &Names) {
    let mut rules: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for entry in path::each(value, "entrySet/item") {
        let mut rule = entry.clone();
        let text = |path| path::text(entry, path).unwrap_or_default().into_owned();
        let cidr = text("cidrBlock|ipv6CidrBlock");
        let direction = if text("egress") == "true" { "egress" } else { "ingress" };
        add(&mut rule, "internal", Some(json!(crate::firewall::is_internal(&cidr))));
        add(&mut rule, "cidr", Some(json!(cidr)));
        add(&mut rule, "direction", Some(json!(direction)));
        rules.entry(text("ruleAction")).or_default().push(rule);
    }
    add(value, "_rules", Some(json!(rules)));
}

const ROUTE_TABLES: Step = regional(
    "ec2-route-tables",
    "Route tables",
    Table {
        source: &Source::Code(
            &["ec2:DescribeRouteTables"],
            &[(SUBNET, &["subnetId", "vpcId", "region"])],
            route_tables,
        ),
        resources: &[Resource {
            kind: ROUTE_TABLE,
            class: &["Configuration"],
            key: "arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:route-table/{routeTableId}",
            name: "tag|routeTableId",
            props: "routeTableId vpcId ?main=_main *destinations=routeSet/item/destinationCidrBlock \
                    *gatewayIds=routeSet/item/gatewayId",
            tags: TAGS,
            links: &[OF_EC2, from("HAS", VPC, ".", OWN_VPC), from("USES", SUBNET, "_subnets", "{.}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["ec2-subnets"]);

/// The route tables, each with the subnets that use it as `_subnets`: those that name it, and of a VPC's main table those
/// that name none.
fn route_tables(run: &Run<'_>, sink: &mut Sink<'_>) -> Result<(), StepError> {
    // By id: the subnet's key, and its VPC.
    let mut subnets: BTreeMap<String, (String, String)> = BTreeMap::new();
    run.stored(SUBNET, &mut |items| {
        subnets.extend(items.iter().map(|item| (item.text("subnetId"), (item.text("KEY"), item.text("vpcId")))));
        Ok(())
    })?;
    let mut tables = Vec::new();
    run.source(&Source::List(ask("ec2:DescribeRouteTables", "routeTableSet/item")), &mut |items| {
        tables.extend(items);
        Ok(())
    })?;
    let mut of_table: Vec<Vec<String>> = Vec::new();
    for table in &tables {
        let named = path::each(&table.value, "associationSet/item/subnetId").into_iter().filter_map(Value::as_str);
        of_table.push(named.filter_map(|id| subnets.remove(id)).map(|(key, _)| key).collect());
    }
    for (table, mut keys) in tables.iter_mut().zip(of_table) {
        let main = path::each(&table.value, "associationSet/item/main").into_iter().any(|main| main == "true");
        if main {
            let vpc = table.text("vpcId");
            keys.extend(subnets.values().filter(|(_, of)| *of == vpc).map(|(key, _)| key.clone()));
        }
        add(&mut table.value, "_subnets", Some(json!(keys)));
        add(&mut table.value, "_main", Some(json!(main)));
    }
    sink(tables)
}

/// The steps.
pub const STEPS: &[&Step] = &[
    &ADDRESSES,
    &INTERFACES,
    &INTERNET_GATEWAYS,
    &NAT_GATEWAYS,
    &VPN_GATEWAYS,
    &VPN_CONNECTIONS,
    &FLOW_LOGS,
    &NETWORK_ACLS,
    &ROUTE_TABLES,
];
