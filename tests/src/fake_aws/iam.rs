//! IAM: query in, XML out. Policy documents are URL-encoded in it, as at the provider.

use super::reply::{Page, Reply, add};
use super::server::Ask;
use super::world::{ACCOUNT, every, number, policy_arn, role_arn};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Items of a page when no number is asked for, and the most that can be.
const PAGE: [usize; 2] = [100, 1000];

pub(super) fn answer(ask: &Ask<'_>) -> Option<Reply> {
    let shape = ask.shape;
    Some(match ask.name.as_str() {
        "ListUsers" => list(ask, "Users", shape.users, user),
        "ListGroups" => list(ask, "Groups", shape.groups, group),
        "ListRoles" => list(ask, "Roles", shape.roles, |body, n| role(body, n, shape.users)),
        "ListPolicies" => {
            // Of the provider's own policies none is attached.
            let own = if ask.argument("Scope") == "AWS" { 0 } else { shape.policies };
            list(ask, "Policies", own, policy)
        }
        "GetGroup" => members(ask),
        "ListEntitiesForPolicy" => entities(ask),
        "ListUserPolicies" => inline(ask, "UserName", shape.users, |n| n % 10 == 0),
        "ListGroupPolicies" => inline(ask, "GroupName", shape.groups, |_| true),
        "ListRolePolicies" => inline(ask, "RoleName", shape.roles, |n| n % 2 == 0),
        "GetUserPolicy" => document(ask, "UserName"),
        "GetGroupPolicy" => document(ask, "GroupName"),
        "GetRolePolicy" => document(ask, "RoleName"),
        "GetPolicyVersion" => version(ask),
        "GetRole" => one(ask, "RoleName", shape.roles, |body, n| {
            body.push_str("<Role>");
            role(body, n, shape.users);
            body.push_str("</Role>");
        }),
        "ListAccountAliases" => list(ask, "AccountAliases", 1, |body, _| body.push_str("acme-large")),
        "ListSAMLProviders" => whole(ask, "<SAMLProviderList/>"),
        "ListOpenIDConnectProviders" => whole(ask, "<OpenIDConnectProviderList/>"),
        "ListMFADevices" => list(ask, "MFADevices", 0, user),
        "ListUserTags" | "ListRoleTags" => {
            list(ask, "Tags", 1, |body, _| body.push_str("<Key>team</Key><Value>core</Value>"))
        }
        "ListAccessKeys" => list(ask, "AccessKeyMetadata", 0, user),
        "ListInstanceProfiles" => list(ask, "InstanceProfiles", 0, user),
        "GetAccountSummary" => whole(
            ask,
            &format!("<SummaryMap><entry><key>Users</key><value>{}</value></entry></SummaryMap>", shape.users),
        ),
        "GetAccountPasswordPolicy" => Reply::xml_error(404, "NoSuchEntity", "No password policy"),
        _ => return None,
    })
}

/// An answer with this result.
fn whole(ask: &Ask<'_>, result: &str) -> Reply {
    let name = &ask.name;
    Reply::xml(format!(
        "<{name}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{name}Result>{result}</{name}Result>\
         <ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></{name}Response>"
    ))
}

/// One page of a list. `item` writes what stands between `<member>` and `</member>`.
fn list(ask: &Ask<'_>, container: &str, total: usize, item: impl Fn(&mut String, usize)) -> Reply {
    let [usual, most] = PAGE;
    let Some(page) = Page::of(total, &ask.arguments, ["Marker", "MaxItems"], usual, most) else {
        return Reply::xml_error(400, "ValidationError", "Invalid Marker");
    };
    let mut body = format!("<{container}>");
    for n in page.numbers() {
        body.push_str("<member>");
        item(&mut body, n);
        body.push_str("</member>");
    }
    add(&mut body, format_args!("</{container}>"));
    end(&mut body, page.next.as_deref());
    whole(ask, &body)
}

fn end(body: &mut String, next: Option<&str>) {
    add(body, format_args!("<IsTruncated>{}</IsTruncated>", next.is_some()));
    if let Some(next) = next {
        add(body, format_args!("<Marker>{next}</Marker>"));
    }
}

/// What is asked of one that exists.
fn one(ask: &Ask<'_>, argument: &str, total: usize, item: impl FnOnce(&mut String, usize)) -> Reply {
    let Some(n) = number(ask.argument(argument)).filter(|n| *n < total) else {
        return Reply::xml_error(404, "NoSuchEntity", "There is no such entity");
    };
    let mut body = String::new();
    item(&mut body, n);
    whole(ask, &body)
}

fn user(body: &mut String, n: usize) {
    add(
        body,
        format_args!(
            "<Path>/</Path><UserName>user@acme.example-{n:05}</UserName><UserId>AIDA{n:017}</UserId>\
             <Arn>arn:aws:iam::{ACCOUNT}:user/user@acme.example-{n:05}</Arn>\
             <CreateDate>2024-01-02T03:04:05Z</CreateDate>"
        ),
    );
}

fn group(body: &mut String, n: usize) {
    add(
        body,
        format_args!(
            "<Path>/</Path><GroupName>group-{n:05}</GroupName><GroupId>AGPA{n:017}</GroupId>\
             <Arn>arn:aws:iam::{ACCOUNT}:group/group-{n:05}</Arn><CreateDate>2024-01-02T03:04:05Z</CreateDate>"
        ),
    );
}

fn role(body: &mut String, n: usize, users: usize) {
    let principal = match (n % 20, n % 4) {
        (19, _) => format!("{{\"AWS\":\"arn:aws:iam::{ACCOUNT}:root\"}}"),
        (_, 0) => "{\"Service\":\"ec2.amazonaws.com\"}".to_owned(),
        (_, 1) => "{\"Service\":\"lambda.amazonaws.com\"}".to_owned(),
        (_, 2) => format!("{{\"AWS\":\"arn:aws:iam::{ACCOUNT}:user/user@acme.example-{:05}\"}}", n % users.max(1)),
        _ => format!("{{\"AWS\":\"{}\"}}", role_arn(n - 1)),
    };
    let trust = format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":{principal},\
         \"Action\":\"sts:AssumeRole\"}}]}}"
    );
    add(
        body,
        format_args!(
            "<Path>/</Path><RoleName>role-{n:05}</RoleName><RoleId>AROA{n:017}</RoleId><Arn>{}</Arn>\
             <CreateDate>2024-01-02T03:04:05Z</CreateDate><AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument>\
             <MaxSessionDuration>3600</MaxSessionDuration>",
            role_arn(n),
            utf8_percent_encode(&trust, NON_ALPHANUMERIC),
        ),
    );
}

fn policy(body: &mut String, n: usize) {
    add(
        body,
        format_args!(
            "<PolicyName>policy-{n:05}</PolicyName><PolicyId>ANPA{n:017}</PolicyId><Arn>{}</Arn><Path>/</Path>\
             <DefaultVersionId>v1</DefaultVersionId><AttachmentCount>1</AttachmentCount>\
             <PermissionsBoundaryUsageCount>0</PermissionsBoundaryUsageCount><IsAttachable>true</IsAttachable>\
             <CreateDate>2024-01-02T03:04:05Z</CreateDate><UpdateDate>2024-01-02T03:04:05Z</UpdateDate>",
            policy_arn(n)
        ),
    );
}

/// A group and one page of its users.
fn members(ask: &Ask<'_>) -> Reply {
    let shape = ask.shape;
    let Some(n) = number(ask.argument("GroupName")).filter(|n| *n < shape.groups) else {
        return Reply::xml_error(404, "NoSuchEntity", "There is no such group");
    };
    let users: Vec<usize> = every(shape.users, shape.groups, n).collect();
    let [usual, most] = PAGE;
    let Some(page) = Page::of(users.len(), &ask.arguments, ["Marker", "MaxItems"], usual, most) else {
        return Reply::xml_error(400, "ValidationError", "Invalid Marker");
    };
    let mut body = String::from("<Group>");
    group(&mut body, n);
    body.push_str("</Group><Users>");
    for n in users.get(page.numbers()).unwrap_or_default() {
        body.push_str("<member>");
        user(&mut body, *n);
        body.push_str("</member>");
    }
    body.push_str("</Users>");
    end(&mut body, page.next.as_deref());
    whole(ask, &body)
}

/// Who has a managed policy: one page over groups, users and roles, in this order.
fn entities(ask: &Ask<'_>) -> Reply {
    let shape = ask.shape;
    let Some(n) = number(ask.argument("PolicyArn")).filter(|n| *n < shape.policies) else {
        return Reply::xml_error(404, "NoSuchEntity", "There is no such policy");
    };
    let kinds =
        [("Group", shape.groups, "group"), ("User", shape.users, "user@acme.example"), ("Role", shape.roles, "role")];
    let all: Vec<(&str, String)> = kinds
        .iter()
        .flat_map(|(kind, total, name)| {
            every(*total, shape.policies, n).map(move |m| (*kind, format!("{name}-{m:05}")))
        })
        .collect();
    let [usual, most] = PAGE;
    let Some(page) = Page::of(all.len(), &ask.arguments, ["Marker", "MaxItems"], usual, most) else {
        return Reply::xml_error(400, "ValidationError", "Invalid Marker");
    };
    let part = all.get(page.numbers()).unwrap_or_default();
    let mut body = String::new();
    for (kind, _, _) in kinds {
        add(&mut body, format_args!("<Policy{kind}s>"));
        for (_, name) in part.iter().filter(|(of, _)| *of == kind) {
            let id = number(name).unwrap_or(0);
            add(
                &mut body,
                format_args!("<member><{kind}Name>{name}</{kind}Name><{kind}Id>{id:021}</{kind}Id></member>"),
            );
        }
        add(&mut body, format_args!("</Policy{kind}s>"));
    }
    end(&mut body, page.next.as_deref());
    whole(ask, &body)
}

/// The names of inline policies: one, or none.
fn inline(ask: &Ask<'_>, argument: &str, total: usize, has: impl Fn(usize) -> bool) -> Reply {
    match number(ask.argument(argument)).filter(|n| *n < total) {
        None => Reply::xml_error(404, "NoSuchEntity", "There is no such entity"),
        Some(n) => list(ask, "PolicyNames", usize::from(has(n)), |body, _| body.push_str("inline")),
    }
}

/// A policy document as the provider sends it.
fn encoded(n: usize) -> String {
    let text = format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":[\"s3:Get*\",\"s3:List*\"],\
         \"Resource\":\"arn:aws:s3:::bucket-{n:05}/*\"}}]}}"
    );
    utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()
}

fn document(ask: &Ask<'_>, argument: &str) -> Reply {
    one(ask, argument, usize::MAX, |body, n| {
        let name = ask.argument(argument);
        add(
            body,
            format_args!(
                "<{argument}>{name}</{argument}><PolicyName>inline</PolicyName><PolicyDocument>{}</PolicyDocument>",
                encoded(n)
            ),
        );
    })
}

fn version(ask: &Ask<'_>) -> Reply {
    one(ask, "PolicyArn", ask.shape.policies, |body, n| {
        add(
            body,
            format_args!(
                "<PolicyVersion><Document>{}</Document><VersionId>v1</VersionId><IsDefaultVersion>true</IsDefaultVersion>\
                 <CreateDate>2024-01-02T03:04:05Z</CreateDate></PolicyVersion>",
                encoded(n)
            ),
        );
    })
}
