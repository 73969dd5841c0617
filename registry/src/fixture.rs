//! What the tests of this crate start from: a manifest that uses every part of the author form, and a component of the
//! world.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod core;

use crate::author::read_manifest;
use crate::pack::{Packed, pack};
use porthole_model::manifest::Manifest;

pub(crate) use self::core::core_module;

pub(crate) const WORLD: &str = include_str!("../../wit/integration@0.1.0/integration.wit");

/// A manifest in order. Tests change one thing of it.
pub(crate) const GOOD: &str = r#"
[module]
name = "acme"
version = "1.2.3"
provider = "Acme"
description = "Users and groups of an Acme organisation"

[config.host]
label = "Host name"
pattern = '^[a-z0-9-]+\.acme\.com$'
default = "api.acme.com"

[config.prefix]
derive = { from = "host", cases = [['^api\.acme\.com$', ''], ['^.*$', '/api/v3']] }

[config.org]
label = "Organisation"
description = "As it stands in the address bar"
pattern = '^[a-z0-9-]{1,39}$'

[[credentials]]
slot = "api"
method = "token"
kind = "header"
header = "Authorization"
format = "SSWS {token}"

[[credentials]]
slot = "api"
kind = "jwt-exchange"
token-url = "https://{config.host}{config.prefix}/app/installations/{installation_id}/access_tokens"
url-fields = ["installation_id"]
token = "/token"
expires-at = "/expires_at"

[[operations]]
id = "list-users"
request = "GET https://{config.host}{config.prefix}/orgs/{org}/users"
path = { org = '^[a-z0-9-]+$' }
query = { limit = '=100', after = 'text<=256', role = { rule = '^(all|admin)$', list = true } }
headers = { Accept = "application/json" }
auth = "api"
pages = "link"
empty-on = [404]
response-headers = ["x-total"]
permission = "acme.users.read"

[[operations]]
id = "user-exists"
request = "HEAD https://{config.host}{config.prefix}/users/{id}"
path = { id = 'int<=999999' }
auth = "api"

[[operations]]
id = "groups"
request = "POST https://{config.host}/graphql"
graphql = '''
query Groups($org: String!, $first: Int, $cursor: String) {
  organization(login: $org) { ...Page }
}
fragment Page on Organization {
  groups(first: $first, after: $cursor) { pageInfo { endCursor hasNextPage } nodes { id name } }
}
'''
variables = { org = { rule = 'text<=39', required = true }, first = 'int<=100', cursor = 'text<=256' }
auth = "api"
pages = { cursor = "/data/organization/groups/pageInfo/endCursor", more = "/data/organization/groups/pageInfo/hasNextPage", argument = "cursor" }

[[operations]]
id = "search-devices"
request = "POST https://{config.host}/devices/search"
json = { query = 'text<=100', page = 'int<=10000' }
read-by-post = "the provider searches devices by POST; the body is the filter"
auth = "api"

[[steps]]
id = "users"
title = "Users"
uses = ["list-users", "user-exists"]
entities = [{ type = "acme_org", class = ["Account"] }, { type = "acme_user", class = ["User"] }]
relationships = [{ from = "acme_org", verb = "HAS", to = "acme_user" }]

[[steps]]
id = "groups"
uses = ["groups", "search-devices"]
needs = ["users"]
partitioned = true
reads = [{ type = "acme_user", properties = ["login"] }]
entities = [{ type = "acme_group", class = ["UserGroup"] }]
relationships = [{ from = "acme_group", verb = "HAS", to = "acme_user" }]

[[scrub]]
operations = ["list-users"]
path = "/*/secret"

[rate]
concurrent = 4
per-second = 20
"#;

pub(crate) fn manifest() -> Manifest {
    read_manifest(GOOD).unwrap_or_else(|findings| panic!("{}", crate::Findings(findings)))
}

pub(crate) fn packed() -> Packed {
    pack(&core_module(WORLD), &manifest()).unwrap()
}
