//! An inspection as one readable screen of text: who, what it reaches, then every operation under the reason why it is a
//! read, the ones that a person has to judge first.

use super::{CredentialLine, Inspection, OperationLine, SignatureStanding, StepLine};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// The longest text shown of a rule, a reason or a document, in characters; `--json` has all of it.
const SHOWN_CHARS: usize = 300;
/// What every import of the world starts and ends with.
const WORLD: (&str, &str) = ("porthole:integration/", "@0.1.0");

/// Renders an inspection for a terminal, without colours.
#[must_use]
pub fn render(inspection: &Inspection) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = write_all(&mut out, inspection);
    // The texts may come from a module that nobody has admitted.
    out.chars().map(|c| if c != '\n' && crate::text::deceives(c) { '?' } else { c }).collect()
}

fn write_all(out: &mut String, i: &Inspection) -> fmt::Result {
    writeln!(out, "{} {}: {}", i.module.name, i.module.version, i.module.description)?;
    writeln!(out, "  provider     {}", i.module.provider)?;
    write_signature(out, i)?;
    writeln!(out, "  digest       {}", i.digest)?;
    writeln!(out, "  size         {} KiB", i.size_bytes.div_ceil(1024))?;
    writeln!(out, "  imports      {}", imports(&i.imports))?;
    for host in &i.hosts {
        writeln!(out, "  reaches      {}", reached(host, i))?;
    }
    let speed = i.rate.per_second.map_or(", as fast as the provider lets it".to_owned(), |n| format!(", {n} a second"));
    writeln!(out, "  asks for     {} requests at once{speed}", i.rate.concurrent)?;
    for slot in &i.credentials {
        write_credential(out, slot)?;
    }
    for field in &i.config {
        let what = match (&field.derived_from, &field.default) {
            (Some(from), _) => {
                let values: Vec<_> = field.values.iter().map(|v| format!("{v:?}")).collect();
                format!("{}, following from {from}", cut(&values.join(" or ")))
            }
            (None, Some(default)) => format!("{}, else {default:?}", cut(field.rule.as_deref().unwrap_or_default())),
            (None, None) => format!("{}, required", cut(field.rule.as_deref().unwrap_or_default())),
        };
        writeln!(out, "  config       {}: {what}", field.name)?;
    }
    for group in &i.operations {
        writeln!(out, "\n{} ({}): {}", group.proof, group.operations.len(), why(&group.proof))?;
        let common = common_headers(&group.operations);
        if !common.is_empty() {
            writeln!(out, "  each sends   {}", headers(&common))?;
        }
        for operation in &group.operations {
            write_operation(out, operation, &common)?;
        }
    }
    writeln!(out, "\nsteps ({})", i.steps.len())?;
    for step in &i.steps {
        write_step(out, step)?;
    }
    if !i.mappings.is_empty() {
        writeln!(out, "\nmappings ({}): relate what it collects to entities of other instances", i.mappings.len())?;
        for (id, says) in &i.mappings {
            writeln!(out, "  {id}: {}", cut(says))?;
        }
    }
    if !i.findings.is_empty() {
        writeln!(out, "\nfindings ({})", i.findings.len())?;
        for finding in &i.findings {
            writeln!(out, "  {finding}")?;
        }
    }
    Ok(())
}

fn write_signature(out: &mut String, i: &Inspection) -> fmt::Result {
    match &i.signature {
        None => writeln!(out, "  publisher    unknown: no signature"),
        Some(signature) => {
            let standing = match signature.standing {
                SignatureStanding::Holds => "checked, holds for this file",
                SignatureStanding::Unchecked => "NOT CHECKED: give the publisher's key",
                SignatureStanding::Broken => "BROKEN: says nothing about this file",
            };
            writeln!(out, "  publisher    {}", signature.publisher)?;
            writeln!(out, "  signature    key {}: {standing}", signature.key)
        }
    }
}

fn write_credential(out: &mut String, slot: &CredentialLine) -> fmt::Result {
    for method in &slot.methods {
        write!(out, "  credential   {}/{}: {} ({})", slot.slot, method.method, method.kind, method.fields.join(", "))?;
        if let Some(header) = &method.header {
            write!(out, ", sent as `{header}`")?;
        }
        if let Some(endpoint) = &method.token_endpoint {
            write!(out, ", exchanged at {endpoint}")?;
        }
        if let Some(scope) = &method.scope {
            write!(out, ", scope {scope}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What a proof rests on, and what is left to a person.
fn why(proof: &str) -> &'static str {
    match proof {
        "search by POST" => "a read because the author says so; judge each reason",
        "GraphQL query" => "the document is fixed and holds one query, no mutation",
        "HEAD" | "GET" => "safe by RFC 9110",
        _ => "refused: nothing shows that it is a read",
    }
}

/// The headers that all of several operations send, so that they needn't be read with each.
fn common_headers(operations: &[OperationLine]) -> BTreeMap<String, String> {
    let [first, rest @ ..] = operations else { return BTreeMap::new() };
    if rest.is_empty() {
        return BTreeMap::new();
    }
    let in_all = |(name, value): &(&String, &String)| rest.iter().all(|o| o.headers.get(*name) == Some(*value));
    first.headers.iter().filter(in_all).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn headers(headers: &BTreeMap<String, String>) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("  ")
}

fn write_operation(out: &mut String, o: &OperationLine, common: &BTreeMap<String, String>) -> fmt::Result {
    let credential = if o.auth.is_none() { "  (without a credential)" } else { "" };
    writeln!(out, "  {}{credential}", o.id.as_str())?;
    writeln!(out, "      {}", o.request)?;
    let mut line = |what: &str, text: String| match text.is_empty() {
        true => Ok(()),
        false => writeln!(out, "      {what:<8} {}", cut(&text)),
    };
    match (&o.document, &o.note) {
        (Some(document), _) => line("query", document.split_whitespace().collect::<Vec<_>>().join(" "))?,
        (None, Some(note)) => line("reason", note.clone())?,
        (None, None) => {}
    }
    let (fixed, free): (Vec<_>, Vec<_>) = o.arguments.iter().partition(|(_, rule)| rule.starts_with('='));
    line("chooses", free.iter().map(|(name, rule)| format!("{name} {rule}")).collect::<Vec<_>>().join("  "))?;
    line("fixed", fixed.iter().map(|(name, rule)| format!("{name}{rule}")).collect::<Vec<_>>().join("  "))?;
    let own = o.headers.iter().filter(|(name, _)| !common.contains_key(*name));
    line("headers", headers(&own.map(|(name, value)| (name.clone(), value.clone())).collect()))?;
    line("sees", o.response_headers.join(", "))?;
    line("blanked", o.blanked.join(", "))?;
    line("none on", o.empty_on.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))?;
    let kept = "its answers, sealed, to ask whether they still hold";
    line("keeps", if o.revalidate { kept.to_owned() } else { String::new() })?;
    line("signed", o.sign.as_ref().map(|s| format!("for {} in {}", s.service, s.region)).unwrap_or_default())?;
    line("needs", o.permission.clone().or_else(|| o.action.clone()).unwrap_or_default())
}

fn write_step(out: &mut String, step: &StepLine) -> fmt::Result {
    let partitions = if step.partitioned { "  (once for each partition)" } else { "" };
    writeln!(out, "  {}{partitions}", step.id.as_str())?;
    let entities = step.entities.iter().map(|(t, c)| format!("{t} ({})", c.join(", ")));
    let emits: Vec<_> = entities.chain(step.relationships.iter().cloned()).collect();
    writeln!(out, "      emits    {}", list(emits.iter().map(String::as_str)))?;
    writeln!(out, "      uses     {}", list(step.uses.iter().map(|id| id.as_str())))?;
    if !step.reads.is_empty() {
        let reads: Vec<_> = step.reads.iter().map(|(t, p)| format!("{t} ({})", p.join(", "))).collect();
        writeln!(out, "      reads    {}", reads.join(", "))?;
    }
    if !step.needs.is_empty() {
        writeln!(out, "      after    {}", list(step.needs.iter().map(|id| id.as_str())))?;
    }
    Ok(())
}

/// A host, and what it is unless a tenant configures another.
fn reached(host: &str, i: &Inspection) -> String {
    let mut usual = host.to_owned();
    for field in &i.config {
        if let Some(default) = &field.default {
            usual = usual.replace(&format!("{{config.{}}}", field.name), default);
        }
    }
    if usual == host { usual } else { format!("{host}, which is {usual} unless configured otherwise") }
}

/// The imports by their short names when all are of the world; as they are when one isn't.
fn imports(imports: &[String]) -> String {
    let short: Option<Vec<&str>> =
        imports.iter().map(|name| name.strip_prefix(WORLD.0)?.strip_suffix(WORLD.1)).collect();
    match short {
        Some(mut short) if !short.is_empty() => {
            short.sort_unstable();
            format!("{} of porthole:integration{}, nothing else", short.join(", "), WORLD.1)
        }
        _ => list(imports.iter().map(String::as_str)),
    }
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}

/// One line at most.
fn cut(text: &str) -> String {
    let mut shown: String = text.chars().map(|c| if c == '\n' { ' ' } else { c }).take(SHOWN_CHARS).collect();
    if text.chars().count() > SHOWN_CHARS {
        shown.push('…');
    }
    shown
}
