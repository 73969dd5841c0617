//! What a module is, for a person who decides about it: one structure for programs, one screen for eyes. Inspecting
//! doesn't admit; a module that would be refused is shown with the reasons.

mod screen;

use crate::admit::admit;
use crate::diff::relationship_text;
use crate::error::Result;
use crate::finding::Finding;
use crate::pack::{digest, manifest_of};
use crate::readonly::{Proof, prove};
use crate::wasm;
use porthole_model::id::{ModuleDigest, OperationId, StepId};
use porthole_model::manifest::{
    Body, CredentialKind, CredentialMethod, EmptyOn, Manifest, ModuleInfo, Pages, Rate, Sign,
};
use porthole_model::operation::{Part, Template};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

pub use screen::render;

/// What a module is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// Name, version, provider, description.
    pub module: ModuleInfo,
    /// Its identity.
    pub digest: ModuleDigest,
    /// Who signed it, as far as whoever inspects has looked. None: nobody showed a signature.
    pub signature: Option<SignatureLine>,
    /// The size of the file, in bytes.
    pub size_bytes: usize,
    /// What the component imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// The hosts it can reach, with arguments and configuration fields in braces.
    pub hosts: BTreeSet<String>,
    /// Where its credentials are exchanged for tokens. The guest has no part in that.
    pub token_endpoints: BTreeSet<String>,
    /// Every operation, grouped by why it is a read: the groups that a reviewer has to read closely come first.
    pub operations: Vec<OperationGroup>,
    /// What a tenant fills in.
    pub config: Vec<ConfigLine>,
    /// The credential slots.
    pub credentials: Vec<CredentialLine>,
    /// The steps, in the order of the manifest.
    pub steps: Vec<StepLine>,
    /// The rules by which its entities are related to others of the tenant, each in one line, by id.
    pub mappings: BTreeMap<String, String>,
    /// How fast it asks.
    pub rate: Rate,
    /// Why it would be refused, and what someone should look at. Empty for a module in order.
    pub findings: Vec<Finding>,
}

/// A signature, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SignatureLine {
    /// The publisher that the signature names.
    pub publisher: String,
    /// The key that the signature names.
    pub key: String,
    /// Does it hold for this file?
    pub standing: SignatureStanding,
}

/// What is known of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureStanding {
    /// It was checked with the publisher's key, and holds for this file.
    Holds,
    /// It names this file; nobody has checked it with the publisher's key.
    Unchecked,
    /// It is about another file, or was changed, or is by another key. It says nothing about this file.
    Broken,
}

/// Operations with the same kind of proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OperationGroup {
    /// The kind of proof, or `not proved`.
    pub proof: String,
    /// The operations.
    pub operations: Vec<OperationLine>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OperationLine {
    /// Its id.
    pub id: OperationId,
    /// `METHOD https://host/path`.
    pub request: String,
    /// The arguments, with their rules; those with a fixed value (`=value`) are sent by the host.
    pub arguments: BTreeMap<String, String>,
    /// Fixed request headers.
    pub headers: BTreeMap<String, String>,
    /// The GraphQL document, if it is one.
    pub document: Option<String>,
    /// Response headers that the guest may see.
    pub response_headers: Vec<String>,
    /// Places in replies that are blanked before the guest sees them.
    pub blanked: Vec<String>,
    /// How it pages: `none`, `link`, `cursor`.
    pub pages: &'static str,
    /// Statuses that mean "none here", alone or with a code.
    pub empty_on: Vec<EmptyOn>,
    /// The credential slot, if any.
    pub auth: Option<String>,
    /// What the provider's administrator has to grant.
    pub permission: Option<String>,
    /// Its answers are kept, sealed, and asked about again.
    pub revalidate: bool,
    /// The permission that it needs, in the provider's words.
    pub action: Option<String>,
    /// What its signature is good for: service and region.
    pub sign: Option<Sign>,
    /// The reason of a search by POST, or the name of a GraphQL query.
    pub note: Option<String>,
}

/// One configuration field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConfigLine {
    /// Its name.
    pub name: String,
    /// For people.
    pub label: String,
    /// What a value may look like.
    pub rule: Option<String>,
    /// The value when none is given.
    pub default: Option<String>,
    /// The field it follows from.
    pub derived_from: Option<String>,
    /// The values it can have when it follows from another field.
    pub values: Vec<String>,
}

/// One credential slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CredentialLine {
    /// The slot.
    pub slot: String,
    /// The ways to fill it.
    pub methods: Vec<MethodLine>,
}

/// One way to fill a credential slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MethodLine {
    /// Its name.
    pub method: String,
    /// What the host does with the secret: `bearer`, `jwt-exchange`.
    pub kind: String,
    /// The fields that a tenant gives.
    pub fields: Vec<String>,
    /// The header that carries it, if the manifest names one.
    pub header: Option<String>,
    /// Where it is exchanged for a token, if it is.
    pub token_endpoint: Option<String>,
    /// The scopes that are asked for.
    pub scope: Option<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepLine {
    /// Its id.
    pub id: StepId,
    /// The operations it may call.
    pub uses: Vec<OperationId>,
    /// The steps before it.
    pub needs: Vec<StepId>,
    /// What it reads back of earlier steps: the properties by entity type.
    pub reads: BTreeMap<String, Vec<String>>,
    /// It runs once for each partition.
    pub partitioned: bool,
    /// The entity types it emits, with their classes.
    pub entities: BTreeMap<String, Vec<String>>,
    /// The relationship types it emits, as `FROM VERB TO`, with the far end of those that carry one.
    pub relationships: Vec<String>,
}

/// Explains a packed module.
///
/// # Errors
/// When the bytes hold no manifest that can be read.
pub fn inspect(bytes: &[u8]) -> Result<Inspection> {
    let manifest = manifest_of(bytes)?;
    let shape = wasm::shape(bytes)?;
    let mut findings = admit(bytes).err().unwrap_or_default();
    let warnings = crate::check::check(&manifest);
    findings.extend(warnings.into_iter().filter(|f| !f.is_error()));
    Ok(Inspection {
        digest: digest(bytes),
        signature: None,
        size_bytes: bytes.len(),
        imports: shape.imports.into_iter().map(str::to_owned).collect(),
        exports: shape.exports.into_iter().map(str::to_owned).collect(),
        hosts: hosts(&manifest),
        token_endpoints: token_endpoints(&manifest),
        operations: operations(&manifest),
        config: config(&manifest),
        credentials: credentials(&manifest),
        steps: steps(&manifest),
        mappings: manifest.mappings.iter().map(|m| (m.id.to_string(), m.to_string())).collect(),
        rate: manifest.rate,
        findings,
        module: manifest.module,
    })
}

/// The hosts of every template, also those where tokens are bought.
fn hosts(manifest: &Manifest) -> BTreeSet<String> {
    let tokens = manifest.credentials.iter().filter_map(|c| c.kind.token_url()).map(|url| format!("POST {url}"));
    let requests = manifest.operations.iter().map(|o| o.request.clone()).chain(tokens);
    requests.filter_map(|text| Template::parse(&text).ok()).map(|t| text_of(&t.host)).collect()
}

fn token_endpoints(manifest: &Manifest) -> BTreeSet<String> {
    manifest.credentials.iter().filter_map(|c| c.kind.token_url()).map(str::to_owned).collect()
}

fn text_of(parts: &[Part]) -> String {
    let piece = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Argument(name) => format!("{{{name}}}"),
        Part::Config(name) => format!("{{config.{name}}}"),
    };
    parts.iter().map(piece).collect()
}

fn operations(manifest: &Manifest) -> Vec<OperationGroup> {
    // What a person has to judge comes first; what a machine has proved comes last.
    let order = ["not proved", "search by POST", "GraphQL query", "HEAD", "GET"];
    let mut groups: BTreeMap<&str, Vec<OperationLine>> = BTreeMap::new();
    for operation in &manifest.operations {
        let proof = prove(operation);
        let group = proof.as_ref().map_or("not proved", Proof::as_str);
        let note = match proof {
            Ok(Proof::SearchByPost { reason, .. }) => Some(reason),
            Ok(Proof::GraphqlQuery { name }) => name,
            Ok(Proof::Action { level, .. }) => Some(format!("{level}, by our table of actions")),
            Ok(Proof::Get | Proof::Head) => None,
            Err(finding) => Some(finding.message),
        };
        let arguments = crate::check::arguments(operation);
        groups.entry(group).or_default().push(OperationLine {
            id: operation.id.clone(),
            request: operation.request.clone(),
            arguments: arguments.map(|(_, name, argument)| (name.to_owned(), argument.rule.to_string())).collect(),
            headers: operation.headers.clone(),
            document: match &operation.body {
                Some(Body::Graphql { document, .. }) => Some(document.clone()),
                Some(Body::Form { .. } | Body::Json { .. }) | None => None,
            },
            response_headers: operation.response_headers.clone(),
            blanked: manifest
                .scrub
                .iter()
                .filter(|rule| rule.operations.contains(&operation.id))
                .map(|rule| rule.path.clone())
                .collect(),
            pages: match operation.pages {
                Pages::None => "none",
                Pages::Link => "link",
                Pages::Cursor { .. } => "cursor",
            },
            empty_on: operation.empty_on.clone(),
            auth: operation.auth.as_ref().map(ToString::to_string),
            permission: operation.permission.clone(),
            revalidate: operation.revalidate,
            action: operation.action.clone(),
            sign: operation.sign.clone(),
            note,
        });
    }
    let take =
        |proof: &str| groups.remove(proof).map(|operations| OperationGroup { proof: proof.to_owned(), operations });
    order.into_iter().filter_map(take).collect()
}

fn config(manifest: &Manifest) -> Vec<ConfigLine> {
    let line = |(name, field): (&String, &porthole_model::manifest::ConfigField)| ConfigLine {
        name: name.clone(),
        label: field.label.clone(),
        rule: field.rule.as_ref().map(ToString::to_string),
        default: field.default.clone(),
        derived_from: field.derive.as_ref().map(|d| d.from.clone()),
        values: {
            let cases = field.derive.iter().flat_map(|d| d.cases.iter().map(|(_, value)| value.clone()));
            cases.collect::<BTreeSet<_>>().into_iter().collect()
        },
    };
    manifest.config.iter().map(line).collect()
}

fn credentials(manifest: &Manifest) -> Vec<CredentialLine> {
    let mut slots: BTreeMap<String, Vec<MethodLine>> = BTreeMap::new();
    for method in &manifest.credentials {
        slots.entry(method.slot.to_string()).or_default().push(method_line(method));
    }
    slots.into_iter().map(|(slot, methods)| CredentialLine { slot, methods }).collect()
}

fn method_line(method: &CredentialMethod) -> MethodLine {
    let kind = match &method.kind {
        CredentialKind::Header { .. } => "header",
        CredentialKind::Basic => "basic",
        CredentialKind::Bearer => "bearer",
        CredentialKind::Oauth2ClientCredentials { .. } => "oauth2-client-credentials",
        CredentialKind::Oauth2RefreshToken { .. } => "oauth2-refresh-token",
        CredentialKind::JwtExchange { .. } => "jwt-exchange",
        CredentialKind::Sigv4Keys => "sigv4-keys",
        CredentialKind::Sigv4Role { .. } => "sigv4-role",
    };
    MethodLine {
        method: method.method.clone(),
        kind: kind.to_owned(),
        fields: method.kind.fields().into_iter().map(|(name, _)| name.to_owned()).collect(),
        header: match &method.kind {
            CredentialKind::Header { header, format } => Some(format!("{header}: {format}")),
            _ => None,
        },
        token_endpoint: method.kind.token_url().map(str::to_owned),
        scope: match &method.kind {
            CredentialKind::Oauth2ClientCredentials { scope, .. } if !scope.is_empty() => Some(scope.clone()),
            _ => None,
        },
    }
}

fn steps(manifest: &Manifest) -> Vec<StepLine> {
    let line = |step: &porthole_model::manifest::Step| StepLine {
        id: step.id.clone(),
        uses: step.uses.clone(),
        needs: step.needs.clone(),
        reads: step.reads.iter().map(|r| (r.entity_type.clone(), r.properties.clone())).collect(),
        partitioned: step.partitioned,
        entities: step.entities.iter().map(|e| (e.entity_type.clone(), e.class.clone())).collect(),
        relationships: step.relationships.iter().map(relationship_text).collect(),
    };
    manifest.steps.iter().map(line).collect()
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
