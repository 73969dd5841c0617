//! What there is. Everything follows from a kind, a region and a number.

use std::collections::BTreeMap;

/// The account.
pub const ACCOUNT: &str = "111111111111";
/// The regions that are enabled: the seventeen that every account has.
pub const REGIONS: [&str; 17] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ca-central-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "ap-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-southeast-1",
    "ap-southeast-2",
    "sa-east-1",
];
/// Begins the value of every environment variable of a function: whatever stores it has failed.
pub const SECRET: &str = "aws-fake-environment-secret";

/// How many of each kind. Those of regions are for each region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field is called like what it counts")]
pub struct Shape {
    pub users: usize,
    pub groups: usize,
    pub roles: usize,
    pub policies: usize,
    pub buckets: usize,
    pub instances: usize,
    pub volumes: usize,
    pub security_groups: usize,
    pub subnets: usize,
    pub vpcs: usize,
    pub functions: usize,
    pub apis: usize,
    pub rules: usize,
    /// Results of each rule.
    pub results: usize,
}

/// How much of each type a complete collection finds, by the type's name, and relationships by their verb.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Entities by type.
    pub entities: BTreeMap<&'static str, usize>,
    /// Relationships, as `type VERB type`. Those to services' nodes and mapped ones aren't counted.
    pub relationships: BTreeMap<&'static str, usize>,
}

impl Shape {
    /// An account with about so many resources in all, in the proportions of a large one: mostly volumes, instances, functions.
    #[must_use]
    pub fn of(resources: usize) -> Self {
        let part = |thousandths: usize| (resources * thousandths / 1000).max(1);
        let each = |thousandths: usize| (resources * thousandths / 1000 / REGIONS.len()).max(1);
        Self {
            users: part(40),
            groups: part(2),
            roles: part(40),
            policies: part(16),
            buckets: part(20),
            instances: each(220),
            volumes: each(330),
            security_groups: each(110),
            subnets: each(25),
            vpcs: each(4),
            functions: each(140),
            apis: each(8),
            rules: each(10),
            results: 40,
        }
    }

    /// Users with an inline policy: every tenth.
    #[must_use]
    pub fn user_policies(&self) -> usize {
        self.users.div_ceil(10)
    }

    /// Roles with an inline policy: every other one.
    #[must_use]
    pub fn role_policies(&self) -> usize {
        self.roles.div_ceil(2)
    }

    /// See [`Expected`].
    #[must_use]
    pub fn expected(&self) -> Expected {
        let r = REGIONS.len();
        let entities = BTreeMap::from([
            ("aws_account", 1),
            ("aws_iam_user", self.users),
            ("aws_iam_group", self.groups),
            ("aws_iam_role", self.roles),
            ("aws_iam_managed_policy", self.policies),
            ("aws_iam_user_policy", self.user_policies()),
            ("aws_iam_group_policy", self.groups),
            ("aws_iam_role_policy", self.role_policies()),
            ("aws_s3_bucket", self.buckets),
            ("aws_ec2_instance", self.instances * r),
            ("aws_ec2_volume", self.volumes * r),
            ("aws_ec2_security_group", self.security_groups * r),
            ("aws_ec2_subnet", self.subnets * r),
            ("aws_ec2_vpc", self.vpcs * r),
            ("aws_lambda_function", self.functions * r),
            ("aws_apigateway_rest_api", self.apis * r),
            ("aws_config_rule", self.rules * r),
        ]);
        let second = if self.security_groups > 1 { self.instances.div_ceil(10) } else { 0 };
        let relationships = BTreeMap::from([
            ("aws_iam_group CONTAINS aws_iam_user", self.users),
            ("aws_iam_user HAS aws_iam_managed_policy", self.users),
            ("aws_iam_role HAS aws_iam_managed_policy", self.roles),
            ("aws_iam_group HAS aws_iam_managed_policy", self.groups),
            ("aws_iam_user HAS aws_iam_user_policy", self.user_policies()),
            ("aws_ec2_vpc CONTAINS aws_ec2_subnet", self.subnets * r),
            ("aws_ec2_instance USES aws_ec2_volume", self.volumes * r),
            ("aws_ec2_security_group PROTECTS aws_ec2_instance", (self.instances + second) * r),
            ("aws_lambda_function HAS aws_iam_role", self.functions * r),
            ("aws_apigateway_rest_api TRIGGERS aws_lambda_function", self.apis * r),
            ("aws_config_rule EVALUATES aws_ec2_instance", self.rules * self.results.min(self.instances) * r),
        ]);
        Expected { entities, relationships }
    }

    /// All resources, without services' nodes.
    #[must_use]
    pub fn total(&self) -> usize {
        self.expected().entities.values().sum()
    }
}

impl Expected {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.entities.values().sum()
    }
}

/// The numbers below `of` that leave the rest `rest` when divided by `by`: how one kind is spread over another.
pub(super) fn every(of: usize, by: usize, rest: usize) -> std::iter::StepBy<std::ops::Range<usize>> {
    (rest.min(of)..of).step_by(by.max(1))
}

/// A number that a name ends in: `user-00012`.
pub(super) fn number(name: &str) -> Option<usize> {
    name.rsplit_once('-')?.1.parse().ok()
}

/// The id of something in a region, such as `i-0500000000000000a`.
pub(super) fn id(kind: &str, region: usize, n: usize) -> String {
    format!("{kind}-{region:02x}{n:015x}")
}

/// A role's ARN.
pub(super) fn role_arn(n: usize) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/role-{n:05}")
}

/// A managed policy's ARN.
pub(super) fn policy_arn(n: usize) -> String {
    format!("arn:aws:iam::{ACCOUNT}:policy/policy-{n:05}")
}

/// A function's ARN.
pub(super) fn function_arn(region: &str, n: usize) -> String {
    format!("arn:aws:lambda:{region}:{ACCOUNT}:function:function-{n:05}")
}
