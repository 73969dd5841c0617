//! Identities and their policies.

use crate::path::{self, Names};
use crate::policy;
use crate::spec::{Link, Resource, Source, Step, Table, ask, ask_with, detail, from, once};
use crate::trust;
use serde_json::Value;

/// Users.
pub const USER: &str = "aws_iam_user";
/// Groups.
pub const GROUP: &str = "aws_iam_group";
/// Roles.
pub const ROLE: &str = "aws_iam_role";
/// Managed policies: the account's own, and those of AWS that are attached.
pub const MANAGED_POLICY: &str = "aws_iam_managed_policy";
/// Inline policies, by whose they are.
pub const INLINE_POLICIES: [&str; 3] = ["aws_iam_user_policy", "aws_iam_group_policy", "aws_iam_role_policy"];

/// What belongs to the service node.
const OF_IAM: Link = from("HAS", "aws_iam", ".", "aws_iam:{ACCOUNT}");

const USERS: Step = once(
    "iam-users",
    "Users",
    Table {
        source: &Source::List(ask("iam:ListUsers", "ListUsersResult/Users/member")),
        details: &[
            detail("_tags", "iam:ListUserTags", &[("UserName", "{UserName}")], "ListUserTagsResult/Tags/member"),
            detail(
                "_mfa",
                "iam:ListMFADevices",
                &[("UserName", "{UserName}")],
                "ListMFADevicesResult/MFADevices/member",
            ),
        ],
        prepare: Some(user),
        resources: &[
            Resource {
                kind: USER,
                class: &["User"],
                key: "{Arn}",
                name: "UserName",
                props: "arn=Arn username=UserName name=UserName userId=UserId path=Path \
                        @createdOn=CreateDate passwordLastUsedOn=_passwordLastUsedOn \
                        ?mfaEnabled=_mfaEnabled",
                tags: "_tags Key Value",
                links: &[OF_IAM],
                ..Resource::NEW
            },
            Resource {
                kind: "mfa_device",
                class: &["AccessKey"],
                part: "_mfa",
                key: "{SerialNumber}",
                props: "serialNumber=SerialNumber username=UserName @createdOn=EnableDate",
                links: &[from("HAS", USER, ".", "{^Arn}")],
                ..Resource::NEW
            },
        ],
    },
);

/// Whether there is a second factor, and the day of the last log-in: the minute would change the user in every run.
fn user(value: &mut Value, _: &Names) {
    let mfa = value.get("_mfa").and_then(Value::as_array).map(|devices| !devices.is_empty());
    let day = path::text(value, "PasswordLastUsed").map(|time| day(&time));
    add(value, "_mfaEnabled", mfa.map(Value::Bool));
    add(value, "_passwordLastUsedOn", day.map(Value::String));
}

/// The day of a time.
fn day(time: &str) -> String {
    time.split('T').next().unwrap_or(time).to_owned()
}

/// Adds a field to an item.
pub fn add(value: &mut Value, field: &str, new: Option<Value>) {
    if let (Some(fields), Some(new)) = (value.as_object_mut(), new) {
        fields.insert(field.to_owned(), new);
    }
}

const GROUPS: Step = once(
    "iam-groups",
    "Groups",
    Table {
        source: &Source::List(ask("iam:ListGroups", "ListGroupsResult/Groups/member")),
        resources: &[Resource {
            kind: GROUP,
            class: &["UserGroup"],
            key: "{Arn}",
            name: "GroupName",
            props: "arn=Arn name=GroupName groupId=GroupId path=Path @createdOn=CreateDate",
            links: &[OF_IAM],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const ROLES: Step = once(
    "iam-roles",
    "Roles",
    Table {
        source: &Source::List(ask("iam:ListRoles", "ListRolesResult/Roles/member")),
        details: &[detail("_role", "iam:GetRole", &[("RoleName", "{RoleName}")], "")],
        prepare: Some(role),
        resources: &[Resource {
            kind: ROLE,
            class: &["AccessRole"],
            key: "{Arn}",
            name: "RoleName",
            props: "arn=Arn name=RoleName roleId=RoleId path=Path description=Description \
                    @createdOn=CreateDate #maxSessionSeconds=MaxSessionDuration \
                    lastUsedOn=_lastUsedOn \
                    permissionsBoundaryArn=_role/GetRoleResult/Role/PermissionsBoundary/PermissionsBoundaryArn \
                    trustPolicy=_trustPolicy *unresolvedPrincipals=_unresolved",
            tags: "_role/GetRoleResult/Role/Tags/member Key Value",
            links: &[OF_IAM],
            ..Resource::NEW
        }],
    },
);

/// The trust policy without external ids, the principals in it that name nobody, and the day of the last use.
fn role(value: &mut Value, _: &Names) {
    let arn = path::text(value, "Arn").unwrap_or_default().into_owned();
    let document = path::text(value, "AssumeRolePolicyDocument").and_then(|text| policy::read(&text).ok());
    let last_used = path::text(value, "_role/GetRoleResult/Role/RoleLastUsed/LastUsedDate").map(|time| day(&time));
    add(value, "_lastUsedOn", last_used.map(Value::String));
    if let Some(document) = document {
        let unresolved = trust::evaluate(&arn, &document).unresolved.into_iter().map(Value::String).collect();
        add(value, "_trustPolicy", Some(Value::String(policy::shown(&document))));
        add(value, "_unresolved", Some(Value::Array(unresolved)));
    }
}

const MANAGED_POLICIES: Step = once(
    "iam-managed-policies",
    "Managed policies",
    Table {
        source: &Source::Lists(&[
            ask_with(
                "iam:ListPolicies",
                &[("Scope", "Local"), ("OnlyAttached", "false")],
                "ListPoliciesResult/Policies/member",
            ),
            // All of AWS's own would be more than a thousand.
            ask_with(
                "iam:ListPolicies",
                &[("Scope", "AWS"), ("OnlyAttached", "true")],
                "ListPoliciesResult/Policies/member",
            ),
        ]),
        details: &[detail(
            "_version",
            "iam:GetPolicyVersion",
            &[("PolicyArn", "{Arn}"), ("VersionId", "{DefaultVersionId}")],
            "",
        )],
        prepare: Some(managed_policy),
        resources: &[Resource {
            kind: MANAGED_POLICY,
            class: &["AccessPolicy"],
            key: "{Arn}",
            name: "PolicyName",
            props: "arn=Arn name=PolicyName policyId=PolicyId path=Path description=Description \
                    @createdOn=CreateDate @updatedOn=UpdateDate defaultVersionId=DefaultVersionId \
                    policy=_policy",
            links: &[OF_IAM],
            ..Resource::NEW
        }],
    },
);

fn managed_policy(value: &mut Value, _: &Names) {
    document(value, "_version/GetPolicyVersionResult/PolicyVersion/Document");
}

/// The document at a path, as `_policy`.
fn document(value: &mut Value, at: &str) {
    let document = path::text(value, at).and_then(|text| policy::read(&text).ok());
    add(value, "_policy", document.map(|document| Value::String(policy::shown(&document))));
}

fn inline_policy(value: &mut Value, _: &Names) {
    document(value, "_get/*/PolicyDocument");
}

/// The step of the inline policies of one kind of principal, which is all that their names differ in.
macro_rules! inline_policies {
    ($step:ident, $of:ident, $Kind:literal, $kind:literal) => {
        const $step: Step = once(
            concat!("iam-", $kind, "-policies"),
            concat!("Inline policies of ", $kind, "s"),
            Table {
                source: &Source::Each(
                    &Source::Stored($of, &["name"]),
                    ask_with(
                        concat!("iam:List", $Kind, "Policies"),
                        &[(concat!($Kind, "Name"), "{name}")],
                        concat!("List", $Kind, "PoliciesResult/PolicyNames/member"),
                    ),
                ),
                details: &[detail(
                    "_get",
                    concat!("iam:Get", $Kind, "Policy"),
                    &[(concat!($Kind, "Name"), "{^name}"), ("PolicyName", "{value}")],
                    "",
                )],
                prepare: Some(inline_policy),
                resources: &[Resource {
                    kind: concat!("aws_iam_", $kind, "_policy"),
                    class: &["AccessPolicy"],
                    key: concat!("aws_iam_", $kind, "_policy:{^KEY}:{value}"),
                    name: "value",
                    props: "name=value principalArn=^KEY policy=_policy",
                    links: &[OF_IAM, from("HAS", $of, ".", "{^KEY}")],
                    ..Resource::NEW
                }],
            },
        )
        .after(&[concat!("iam-", $kind, "s")]);
    };
}
inline_policies!(USER_POLICIES, USER, "User", "user");
inline_policies!(GROUP_POLICIES, GROUP, "Group", "group");
inline_policies!(ROLE_POLICIES, ROLE, "Role", "role");

const MEMBERSHIPS: Step = once(
    "iam-memberships",
    "Members of groups",
    Table {
        source: &Source::Each(
            &Source::Stored(GROUP, &["name"]),
            ask_with("iam:GetGroup", &[("GroupName", "{name}")], "GetGroupResult/Users/member"),
        ),
        resources: &[Resource {
            kind: USER,
            emitted: false,
            key: "{Arn}",
            links: &[from("CONTAINS", GROUP, ".", "{^KEY}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["iam-groups", "iam-users"]);

const SAML_PROVIDERS: Step = once(
    "iam-saml-providers",
    "SAML providers",
    Table {
        source: &Source::List(ask("iam:ListSAMLProviders", "ListSAMLProvidersResult/SAMLProviderList/member")),
        resources: &[Resource {
            kind: "aws_iam_saml_provider",
            class: &["Service"],
            key: "{Arn}",
            props: "arn=Arn @createdOn=CreateDate @validUntil=ValidUntil",
            links: &[OF_IAM],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const OIDC_PROVIDERS: Step = once(
    "iam-oidc-providers",
    "OpenID Connect providers",
    Table {
        source: &Source::List(ask(
            "iam:ListOpenIDConnectProviders",
            "ListOpenIDConnectProvidersResult/OpenIDConnectProviderList/member",
        )),
        resources: &[Resource {
            kind: "aws_iam_oidc_provider",
            class: &["Service"],
            key: "{Arn}",
            props: "arn=Arn",
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const PASSWORD_POLICY: Step = once(
    "iam-password-policy",
    "Password policy",
    Table {
        source: &Source::List(ask("iam:GetAccountPasswordPolicy", "GetAccountPasswordPolicyResult/PasswordPolicy")),
        resources: &[Resource {
            kind: "aws_iam_account_password_policy",
            class: &["PasswordPolicy"],
            key: "aws_iam_account_password_policy:{ACCOUNT}",
            props: "#minimumLength=MinimumPasswordLength ?requireSymbols=RequireSymbols \
                    ?requireNumbers=RequireNumbers ?requireUppercase=RequireUppercaseCharacters \
                    ?requireLowercase=RequireLowercaseCharacters \
                    ?allowUsersToChange=AllowUsersToChangePassword ?expires=ExpirePasswords \
                    #maxAgeDays=MaxPasswordAge #historyCount=PasswordReusePrevention \
                    ?hardExpiry=HardExpiry",
            links: &[from("HAS", "aws_account", ".", "arn:{P}:iam::{ACCOUNT}:root")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// The steps of IAM that are tables.
pub const STEPS: &[&Step] = &[
    &USERS,
    &GROUPS,
    &ROLES,
    &MANAGED_POLICIES,
    &USER_POLICIES,
    &GROUP_POLICIES,
    &ROLE_POLICIES,
    &MEMBERSHIPS,
    &SAML_PROVIDERS,
    &OIDC_PROVIDERS,
    &PASSWORD_POLICY,
];
