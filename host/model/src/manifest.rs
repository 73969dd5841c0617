//! The manifest of a module: what it asks for. Authors write TOML (the `registry` crate reads it and says which line is
//! wrong); a packed module carries this structure as canonical JSON.
//!
//! Everything here is data. What a manifest means is decided in [`crate::operation`], [`crate::grant`] and
//! [`crate::plan`].

use crate::id::{OperationId, Slot, StepId};
use crate::mapping::Mapping;
use crate::object::End;
use crate::rule::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The one schema version there is.
pub const MANIFEST_SCHEMA: u32 = 1;

/// What a module asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// The version of this structure: [`MANIFEST_SCHEMA`].
    pub schema: u32,
    /// Who the module is.
    pub module: ModuleInfo,
    /// What a tenant fills in, by field name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, ConfigField>,
    /// Ways to fill the credential slots. Several methods of one slot are alternatives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<CredentialMethod>,
    /// Every request shape the module may use.
    pub operations: Vec<Operation>,
    /// The work, in pieces.
    pub steps: Vec<Step>,
    /// Rules by which its entities are related to others of the tenant, of whatever instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<Mapping>,
    /// Places in replies that hold secrets; the host blanks them before the guest sees the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scrub: Vec<ScrubRule>,
    /// How fast the provider may be asked.
    #[serde(default)]
    pub rate: Rate,
}

/// Who a module is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ModuleInfo {
    /// The module's name, as in `publisher/name@version`.
    pub name: crate::id::Name,
    /// Semantic version.
    pub version: String,
    /// The provider's name, for people.
    pub provider: String,
    /// One sentence, for people.
    pub description: String,
}

/// One field of the configuration. With `derive`, the value is computed and a tenant can't set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigField {
    /// For forms and prompts.
    #[serde(default)]
    pub label: String,
    /// More words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What a value may look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// The value when the tenant gives none. A field without default must be filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The value follows from another field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derive: Option<Derive>,
}

/// A configuration value that follows from another: the first case whose pattern matches gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Derive {
    /// The field that is looked at.
    pub from: String,
    /// Pattern and value, in order.
    pub cases: Vec<(Rule, String)>,
}

/// One way to fill a credential slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")] // Unknown fields are refused by the flattened kind; here they would be the kind's own.
pub struct CredentialMethod {
    /// The slot.
    pub slot: Slot,
    /// The name of this way, when a slot has several: `token`, `app`.
    pub method: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What the host does with the secret.
    #[serde(flatten)]
    pub kind: CredentialKind,
}

/// What the host does with a secret. Kinds are protocols, not vendors. `{name}` in a template is a field of the stored
/// secret; [`CredentialKind::fields`] lists the fields that a kind needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum CredentialKind {
    /// A header with the secret in it, such as `Authorization: SSWS {token}`.
    Header {
        /// The header's name.
        header: String,
        /// The header's value, with `{token}`.
        format: String,
    },
    /// `Authorization: Basic` (RFC 7617) with `username` and `password`.
    Basic,
    /// `Authorization: Bearer {token}` (RFC 6750).
    Bearer,
    /// OAuth 2.0 client credentials grant (RFC 6749, 4.4): `client_id` and `client_secret` buy an access token, which
    /// goes out as a bearer token.
    #[serde(rename = "oauth2-client-credentials")]
    Oauth2ClientCredentials {
        /// The token endpoint, a URL template with `{config.x}`.
        token_url: String,
        /// Space-separated scopes to ask for.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        scope: String,
    },
    /// OAuth 2.0 refresh token grant (RFC 6749, 6): `client_id`, `client_secret` and `refresh_token`.
    #[serde(rename = "oauth2-refresh-token")]
    Oauth2RefreshToken {
        /// The token endpoint, a URL template with `{config.x}`.
        token_url: String,
    },
    /// A JWT (RFC 7519, RS256) signed with `private_key` and issued by `issuer` is exchanged for an access token by one
    /// POST with the JWT as bearer token and an empty body.
    JwtExchange {
        /// Where the exchange happens, a URL template with `{config.x}` and `{field}` of the secret (digits and
        /// letters only).
        token_url: String,
        /// Which fields of the secret the template uses, besides `issuer` and `private_key`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        url_fields: Vec<String>,
        /// JSON pointer (RFC 6901) to the token in the answer.
        token: String,
        /// JSON pointer to the RFC 3339 time at which it expires.
        expires_at: String,
    },
    /// Signature Version 4 with a fixed key: `access_key_id` and `secret_access_key`. For trying things out; a key that
    /// doesn't expire and isn't narrowed by a session policy is worth more to a thief than a role.
    #[serde(rename = "sigv4-keys")]
    Sigv4Keys,
    /// Signature Version 4 with temporary credentials of a role: the platform's own key assumes `role_arn` with the
    /// instance's `external_id`, and with a session policy that allows the granted actions and nothing else.
    #[serde(rename = "sigv4-role")]
    Sigv4Role {
        /// The endpoint that hands out temporary credentials, a URL template with `{config.x}`.
        token_url: String,
        /// The region that requests to it are signed for: a text or `{config.x}`.
        region: String,
    },
}

impl CredentialKind {
    /// Where tokens are bought, for the kinds that buy them: a URL template.
    #[must_use]
    pub fn token_url(&self) -> Option<&str> {
        match self {
            Self::Oauth2ClientCredentials { token_url, .. }
            | Self::Oauth2RefreshToken { token_url }
            | Self::JwtExchange { token_url, .. }
            | Self::Sigv4Role { token_url, .. } => Some(token_url),
            Self::Header { .. } | Self::Basic | Self::Bearer | Self::Sigv4Keys => None,
        }
    }

    /// Those of its fields that are names and no secrets: they may be written where others can read them.
    #[must_use]
    pub fn names(&self) -> &[&str] {
        match self {
            Self::Basic => &["username"],
            Self::Oauth2ClientCredentials { .. } | Self::Oauth2RefreshToken { .. } => &["client_id"],
            Self::JwtExchange { .. } => &["issuer"],
            Self::Sigv4Keys => &["access_key_id"],
            Self::Sigv4Role { .. } => &["role_arn"],
            Self::Header { .. } | Self::Bearer => &[],
        }
    }

    /// Does it sign requests for a service and region ([`Sign`])?
    #[must_use]
    pub fn signs(&self) -> bool {
        matches!(self, Self::Sigv4Keys | Self::Sigv4Role { .. })
    }

    /// The fields of the secret that a tenant has to give, and whether each is many lines long.
    #[must_use]
    pub fn fields(&self) -> Vec<(&str, bool)> {
        match self {
            Self::Header { .. } | Self::Bearer => vec![("token", false)],
            Self::Basic => vec![("username", false), ("password", false)],
            Self::Oauth2ClientCredentials { .. } => vec![("client_id", false), ("client_secret", false)],
            Self::Oauth2RefreshToken { .. } => {
                vec![("client_id", false), ("client_secret", false), ("refresh_token", false)]
            }
            Self::JwtExchange { url_fields, .. } => {
                let mut fields = vec![("issuer", false)];
                fields.extend(url_fields.iter().map(|f| (f.as_str(), false)));
                fields.push(("private_key", true));
                fields
            }
            Self::Sigv4Keys => vec![("access_key_id", false), ("secret_access_key", false)],
            Self::Sigv4Role { .. } => vec![("role_arn", false), ("external_id", false)],
        }
    }
}

/// The methods a template may use. Whether a POST is a read is proved in `registry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST: a GraphQL query, or a search by POST that a reviewer accepted by name.
    Post,
}

impl Method {
    /// The method as it goes over the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

/// One named, read-only request shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Operation {
    /// The name by which the guest, the grant, the review and the log call it.
    pub id: OperationId,
    /// `METHOD https://host/path`, with `{argument}` and `{config.field}`.
    pub request: String,
    /// Rules of the arguments in the path and the host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub path: BTreeMap<String, Argument>,
    /// Rules of the query parameters; those with a fixed value are always sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, Argument>,
    /// Fixed request headers, such as `accept`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body of a POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// The credential slot that signs it; none means that the request goes out without a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Slot>,
    /// How the provider pages.
    #[serde(default, skip_serializing_if = "Pages::is_none")]
    pub pages: Pages,
    /// Statuses that mean "there is none here", alone or with the provider's code for the error. Every other 4xx or 5xx is
    /// a fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub empty_on: Vec<EmptyOn>,
    /// Response headers that the guest may see, lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<String>,
    /// Why this POST is a read. Shown to the reviewer by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_by_post: Option<String>,
    /// What the provider's administrator has to grant, for documents and messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// The host keeps the answers of this GET, sealed, and asks the next time whether they still hold (RFC 9110, 13). What
    /// the author says with it of the provider: a 304 means that nothing changed, and where an operation pages by link, a
    /// 304 carries the `Link` header that a 200 would have, or the tag changes with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revalidate: bool,
    /// What the signature is good for, where the credential is of a kind that signs requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<Sign>,
    /// What the provider's access management checks, in its own words: `iam:ListUsers`. Several operations may share one.
    /// Grants become policies of exactly these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

/// The scope of a signature (Signature Version 4): a request that is signed for one service and region is refused by every
/// other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sign {
    /// The service, by its signing name.
    pub service: String,
    /// The region: a text, `{argument}` of the path, or `{config.x}`.
    pub region: String,
}

/// An answer that means "there is none here": a status, or a status with one code of an error. Written `404`, or
/// `404 NoSuchTagSet`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "EmptyOnForm", into = "EmptyOnForm")]
pub struct EmptyOn {
    /// The status.
    pub status: u16,
    /// The provider's code for the error; none means any.
    pub code: Option<String>,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum EmptyOnForm {
    Status(u16),
    Code(String),
}

impl std::str::FromStr for EmptyOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (status, code) = text.split_once(' ').map_or((text, None), |(status, code)| (status, Some(code)));
        let good = code.is_none_or(|c| !c.is_empty() && c.len() <= 128 && c.bytes().all(|b| b.is_ascii_graphic()));
        match status.parse() {
            Ok(status) if good => Ok(Self { status, code: code.map(str::to_owned) }),
            _ => Err(format!("`{text}` is neither a status nor `STATUS CODE`, such as `404 NoSuchTagSet`")),
        }
    }
}

impl std::fmt::Display for EmptyOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status)?;
        self.code.as_ref().map_or(Ok(()), |code| write!(f, " {code}"))
    }
}

impl TryFrom<EmptyOnForm> for EmptyOn {
    type Error = String;

    fn try_from(form: EmptyOnForm) -> Result<Self, String> {
        match form {
            EmptyOnForm::Status(status) => Ok(Self { status, code: None }),
            EmptyOnForm::Code(text) => text.parse(),
        }
    }
}

impl From<EmptyOn> for EmptyOnForm {
    fn from(empty: EmptyOn) -> Self {
        match empty.code {
            None => Self::Status(empty.status),
            Some(_) => Self::Code(empty.to_string()),
        }
    }
}

/// One argument: its rule, and how it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Argument {
    /// What a value may look like.
    pub rule: Rule,
    /// The guest must give it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// It may be given more than once (`?a=1&a=2`, or a JSON list).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub list: bool,
}

/// The body of a POST. Fixed fields are out of the guest's reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Body {
    /// `application/x-www-form-urlencoded`. A list whose name ends in `.N` is numbered: `Name.1=a&Name.2=b`.
    Form {
        /// The fields.
        arguments: BTreeMap<String, Argument>,
    },
    /// A JSON object. A name with `/` in it is the way to a member of an object: `filter/types`.
    Json {
        /// The fields.
        arguments: BTreeMap<String, Argument>,
        /// The media type, where a provider wants another one than `application/json`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
    },
    /// `{"query": document, "variables": {…}}`, as GraphQL over HTTP has it. The document is fixed and is proved to be
    /// exactly one query.
    Graphql {
        /// The document.
        document: String,
        /// The variables a guest may set.
        variables: BTreeMap<String, Argument>,
    },
}

/// How a provider pages. The host finds the next page itself, so that a list is complete only when the provider says so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pages {
    /// One response is the whole answer.
    #[default]
    None,
    /// `Link: <…>; rel="next"` (RFC 8288). The link must be of the same origin and hold declared query parameters only.
    /// The next request is the same operation with those; the link's path is not used.
    Link,
    /// A cursor in the body goes into an argument of the next request.
    Cursor {
        /// JSON pointer to the cursor; in XML the names of the elements on the way, from the root. Absent, null or empty
        /// means that this was the last page.
        cursor: String,
        /// The same to a boolean that must be true for there to be a next page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        more: Option<String>,
        /// The argument that takes the cursor.
        argument: String,
        /// What the body is.
        #[serde(default, skip_serializing_if = "BodyFormat::is_json")]
        body: BodyFormat,
    },
}

/// What a reply's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyFormat {
    /// JSON (RFC 8259).
    #[default]
    Json,
    /// XML 1.0.
    Xml,
}

impl BodyFormat {
    /// It is the usual one.
    #[must_use]
    pub fn is_json(&self) -> bool {
        *self == Self::Json
    }
}

impl Pages {
    /// There is no paging.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// One piece of the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Step {
    /// Its id.
    pub id: StepId,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The operations it may call. Others are denied, even if another step may call them.
    pub uses: Vec<OperationId>,
    /// Steps that must have ended before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StepId>,
    /// The guest's `partitions` says which partitions there are; the step runs once for each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partitioned: bool,
    /// What it reads back of earlier steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Read>,
    /// The entity types it emits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<EntityDecl>,
    /// The relationship types it emits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relationships: Vec<RelationshipDecl>,
}

/// What a step reads back of what earlier steps emitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Read {
    /// The entity type.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// The properties it gets to see.
    pub properties: Vec<String>,
}

/// An entity type that a step emits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EntityDecl {
    /// The type, such as `github_user`.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// The classes, such as `["User"]`. Every entity of the type has exactly these.
    pub class: Vec<String>,
}

/// A relationship type that a step emits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RelationshipDecl {
    /// The entity type it comes from.
    pub from: String,
    /// The verb, upper case: `HAS`, `OWNS`, `ALLOWS`.
    pub verb: String,
    /// The entity type it goes to.
    pub to: String,
    /// One end isn't collected by the instance: each relationship of the type carries it ([`crate::object::Far`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped: Option<Mapped>,
}

/// The far end of a relationship type: one that the instance doesn't collect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mapped {
    /// Which end it is.
    pub end: End,
    /// Its classes. Every far end of the type has exactly these.
    pub class: Vec<String>,
}

impl RelationshipDecl {
    /// The relationship's type: `from_verb_to` in lower case, such as `github_account_owns_github_repo`.
    #[must_use]
    pub fn relationship_type(&self) -> String {
        format!("{}_{}_{}", self.from, self.verb.to_ascii_lowercase(), self.to)
    }

    /// The entity type at one end.
    #[must_use]
    pub fn at(&self, end: End) -> &str {
        match end {
            End::From => &self.from,
            End::To => &self.to,
        }
    }
}

/// A place in replies that holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScrubRule {
    /// The operations whose replies hold it.
    pub operations: Vec<OperationId>,
    /// A path into the JSON body, with `*` for any list index or key: `/*/config/secret`.
    pub path: String,
}

/// How fast a provider may be asked. The provider's own headers come on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Rate {
    /// Requests under way at once, for one instance.
    pub concurrent: u32,
    /// Requests a second, for one instance. None: only the provider's headers limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
}

impl Default for Rate {
    fn default() -> Self {
        // Eight at once keeps a provider busy over one HTTP/2 connection and is below every secondary limit we know.
        Self { concurrent: 8, per_second: None }
    }
}

impl Manifest {
    /// Finds an operation.
    #[must_use]
    pub fn operation(&self, id: &str) -> Option<&Operation> {
        self.operations.iter().find(|o| o.id.as_str() == id)
    }

    /// Finds a step.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|s| s.id.as_str() == id)
    }

    /// The manifest as it is packed: JSON without spaces, maps sorted by key, fields in the order of this file. The same
    /// manifest gives the same bytes.
    ///
    /// # Errors
    /// Never for a manifest that was read by `registry`; JSON can't express a map key that is no string.
    pub fn to_canonical_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
