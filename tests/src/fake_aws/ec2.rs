//! EC2: form in, XML out.

use super::reply::{Page, Reply, add};
use super::server::Ask;
use super::world::{ACCOUNT, REGIONS, every, id};

/// Items of a page when no number is asked for, and the most that can be.
const PAGE: [usize; 2] = [1000, 1000];

pub(super) fn answer(ask: &Ask<'_>) -> Option<Reply> {
    let shape = ask.shape;
    Some(match ask.name.as_str() {
        "DescribeRegions" => regions(ask),
        "DescribeInstances" => list(ask, "reservationSet", shape.instances, instance),
        "DescribeVolumes" => list(ask, "volumeSet", shape.volumes, volume),
        "DescribeSecurityGroups" => list(ask, "securityGroupInfo", shape.security_groups, security_group),
        "DescribeVpcs" => list(ask, "vpcSet", shape.vpcs, vpc),
        "DescribeSubnets" => list(ask, "subnetSet", shape.subnets, subnet),
        _ => return None,
    })
}

fn whole(ask: &Ask<'_>, result: &str) -> Reply {
    let name = &ask.name;
    Reply::xml(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{name}Response \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>0</requestId>{result}</{name}Response>"
    ))
}

fn list(ask: &Ask<'_>, container: &str, total: usize, item: impl Fn(&mut String, &Ask<'_>, usize)) -> Reply {
    let [usual, most] = PAGE;
    let Some(page) = Page::of(total, &ask.arguments, ["NextToken", "MaxResults"], usual, most) else {
        return Reply::ec2_error("InvalidParameterValue", "Unable to parse pagination token");
    };
    let mut body = format!("<{container}>");
    for n in page.numbers() {
        body.push_str("<item>");
        item(&mut body, ask, n);
        body.push_str("</item>");
    }
    add(&mut body, format_args!("</{container}>"));
    if let Some(next) = page.next {
        add(&mut body, format_args!("<nextToken>{next}</nextToken>"));
    }
    whole(ask, &body)
}

fn regions(ask: &Ask<'_>) -> Reply {
    let mut body = String::from("<regionInfo>");
    for region in REGIONS {
        add(
            &mut body,
            format_args!(
                "<item><regionName>{region}</regionName><regionEndpoint>ec2.{region}.amazonaws.com</regionEndpoint>\
                 <optInStatus>opt-in-not-required</optInStatus></item>"
            ),
        );
    }
    body.push_str("</regionInfo>");
    whole(ask, &body)
}

fn tags(body: &mut String, name: &str) {
    add(
        body,
        format_args!(
            "<tagSet><item><key>Name</key><value>{name}</value></item><item><key>stage</key><value>test</value></item>\
             </tagSet>"
        ),
    );
}

fn groups(body: &mut String, ask: &Ask<'_>, group: usize) {
    let group = group % ask.shape.security_groups;
    add(
        body,
        format_args!(
            "<groupSet><item><groupId>{}</groupId><groupName>group-{group}</groupName></item></groupSet>",
            id("sg", ask.region, group)
        ),
    );
}

/// A reservation with one instance. Every tenth has a second interface with another group.
fn instance(body: &mut String, ask: &Ask<'_>, n: usize) {
    let (shape, r) = (ask.shape, ask.region);
    let subnet = n % shape.subnets;
    let place =
        format!("<subnetId>{}</subnetId><vpcId>{}</vpcId>", id("subnet", r, subnet), id("vpc", r, subnet % shape.vpcs));
    add(
        body,
        format_args!(
            "<reservationId>{}</reservationId><ownerId>{ACCOUNT}</ownerId><groupSet/><instancesSet><item>\
             <instanceId>{}</instanceId><imageId>ami-0123456789abcdef0</imageId><instanceState><code>16</code>\
             <name>running</name></instanceState><privateDnsName>ip-10-0-0-1.ec2.internal</privateDnsName>\
             <instanceType>t3.micro</instanceType><launchTime>2024-01-02T03:04:05.000Z</launchTime>\
             <placement><availabilityZone>{}a</availabilityZone><tenancy>default</tenancy></placement>\
             <monitoring><state>disabled</state></monitoring>{place}<privateIpAddress>10.0.{}.{}</privateIpAddress>\
             <sourceDestCheck>true</sourceDestCheck>",
            id("r", r, n),
            id("i", r, n),
            ask.region_name(),
            n / 256 % 256,
            n % 256,
        ),
    );
    groups(body, ask, n);
    body.push_str("<architecture>x86_64</architecture><rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping>");
    for volume in every(shape.volumes, shape.instances, n) {
        add(
            body,
            format_args!(
                "<item><deviceName>/dev/xvda</deviceName><ebs><volumeId>{}</volumeId><status>attached</status>\
                 <attachTime>2024-01-02T03:04:06.000Z</attachTime><deleteOnTermination>true</deleteOnTermination></ebs>\
                 </item>",
                id("vol", r, volume)
            ),
        );
    }
    body.push_str("</blockDeviceMapping>");
    tags(body, &format!("host-{n}"));
    body.push_str("<networkInterfaceSet>");
    for interface in 0..if n.is_multiple_of(10) { 2 } else { 1 } {
        add(
            body,
            format_args!(
                "<item><networkInterfaceId>{}</networkInterfaceId>{place}<ownerId>{ACCOUNT}</ownerId>\
                 <status>in-use</status>",
                id("eni", r, n * 2 + interface)
            ),
        );
        groups(body, ask, n + interface);
        body.push_str("</item>");
    }
    body.push_str("</networkInterfaceSet><ebsOptimized>false</ebsOptimized></item></instancesSet>");
}

fn volume(body: &mut String, ask: &Ask<'_>, n: usize) {
    add(
        body,
        format_args!(
            "<volumeId>{}</volumeId><size>8</size><snapshotId/><availabilityZone>{}a</availabilityZone>\
             <status>in-use</status><createTime>2024-01-02T03:04:05.000Z</createTime><attachmentSet><item>\
             <volumeId>{}</volumeId><instanceId>{}</instanceId><device>/dev/xvda</device><status>attached</status>\
             <attachTime>2024-01-02T03:04:06.000Z</attachTime><deleteOnTermination>true</deleteOnTermination></item>\
             </attachmentSet><volumeType>gp3</volumeType><iops>3000</iops><encrypted>{}</encrypted>",
            id("vol", ask.region, n),
            ask.region_name(),
            id("vol", ask.region, n),
            id("i", ask.region, n % ask.shape.instances),
            n.is_multiple_of(2),
        ),
    );
    tags(body, &format!("disk-{n}"));
}

fn security_group(body: &mut String, ask: &Ask<'_>, n: usize) {
    let (shape, r) = (ask.shape, ask.region);
    add(
        body,
        format_args!(
            "<ownerId>{ACCOUNT}</ownerId><groupId>{}</groupId><groupName>group-{n}</groupName>\
             <groupDescription>of &lt;many&gt; &amp; more</groupDescription><vpcId>{}</vpcId><ipPermissions><item>\
             <ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort><groups/><ipRanges><item>\
             <cidrIp>0.0.0.0/0</cidrIp></item><item><cidrIp>203.0.113.{}/32</cidrIp></item></ipRanges><ipv6Ranges/>\
             <prefixListIds/></item><item><ipProtocol>tcp</ipProtocol><fromPort>5432</fromPort><toPort>5432</toPort>\
             <groups><item><userId>{ACCOUNT}</userId><groupId>{}</groupId></item></groups><ipRanges/><ipv6Ranges/>\
             <prefixListIds/></item></ipPermissions><ipPermissionsEgress><item><ipProtocol>-1</ipProtocol><groups/>\
             <ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges><ipv6Ranges/><prefixListIds/></item>\
             </ipPermissionsEgress>",
            id("sg", r, n),
            id("vpc", r, n % shape.vpcs),
            n % 256,
            id("sg", r, (n + 1) % shape.security_groups),
        ),
    );
    tags(body, &format!("wall-{n}"));
}

fn vpc(body: &mut String, ask: &Ask<'_>, n: usize) {
    add(
        body,
        format_args!(
            "<vpcId>{}</vpcId><ownerId>{ACCOUNT}</ownerId><state>available</state><cidrBlock>10.{}.0.0/16</cidrBlock>\
             <dhcpOptionsId>default</dhcpOptionsId><instanceTenancy>default</instanceTenancy><isDefault>{}</isDefault>",
            id("vpc", ask.region, n),
            n % 256,
            n == 0,
        ),
    );
    tags(body, &format!("net-{n}"));
}

fn subnet(body: &mut String, ask: &Ask<'_>, n: usize) {
    add(
        body,
        format_args!(
            "<subnetId>{}</subnetId><state>available</state><vpcId>{}</vpcId><ownerId>{ACCOUNT}</ownerId>\
             <cidrBlock>10.{}.{}.0/24</cidrBlock><availableIpAddressCount>250</availableIpAddressCount>\
             <availabilityZone>{}a</availabilityZone><defaultForAz>false</defaultForAz>\
             <mapPublicIpOnLaunch>false</mapPublicIpOnLaunch>",
            id("subnet", ask.region, n),
            id("vpc", ask.region, n % ask.shape.vpcs),
            n % ask.shape.vpcs % 256,
            n / ask.shape.vpcs % 256,
            ask.region_name(),
        ),
    );
    tags(body, &format!("part-{n}"));
}
