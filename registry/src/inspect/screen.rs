//! An inspection as one readable screen of text.

use super::{Inspection, OperationLine};
use std::fmt::{self, Write};

/// The longest text shown of a rule or a reason, in characters.
const SHOWN_CHARS: usize = 100;

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
    writeln!(out, "  digest       {}", i.digest)?;
    writeln!(out, "  size         {} KiB", i.size_bytes.div_ceil(1024))?;
    writeln!(out, "  imports      {}", list(i.imports.iter().map(String::as_str)))?;
    writeln!(out, "  reaches      {}", list(i.hosts.iter().map(String::as_str)))?;
    let speed = i.rate.per_second.map(|n| format!(", {n} a second")).unwrap_or_default();
    writeln!(out, "  rate         {} at once{speed}", i.rate.concurrent)?;
    for slot in &i.credentials {
        let methods: Vec<_> = slot.methods.iter().map(|(m, f)| format!("{m} ({})", f.join(", "))).collect();
        writeln!(out, "  credential   {}: {}", slot.slot, methods.join(" or "))?;
    }
    for field in &i.config {
        let what = match (&field.derived_from, &field.default) {
            (Some(from), _) => format!("follows from {from}"),
            (None, Some(default)) => format!("{}, else {default:?}", cut(field.rule.as_deref().unwrap_or_default())),
            (None, None) => format!("{}, required", cut(field.rule.as_deref().unwrap_or_default())),
        };
        writeln!(out, "  config       {}: {what}", field.name)?;
    }
    for group in &i.operations {
        writeln!(out, "\n{} ({})", group.proof, group.operations.len())?;
        let width = group.operations.iter().map(|o| o.id.as_str().len()).max().unwrap_or_default().min(40);
        for operation in &group.operations {
            write_operation(out, operation, width)?;
        }
    }
    writeln!(out, "\nsteps ({})", i.steps.len())?;
    let width = i.steps.iter().map(|s| s.id.as_str().len()).max().unwrap_or_default();
    for step in &i.steps {
        let entities = step.entities.iter().map(|(t, c)| format!("{t} ({})", c.join(", ")));
        let emits: Vec<_> = entities.chain(step.relationships.iter().cloned()).collect();
        let partitions = if step.partitioned { " per partition" } else { "" };
        writeln!(out, "  {:width$}  {}{partitions}", step.id.as_str(), list(emits.iter().map(String::as_str)))?;
    }
    if !i.findings.is_empty() {
        writeln!(out, "\nfindings ({})", i.findings.len())?;
        for finding in &i.findings {
            writeln!(out, "  {finding}")?;
        }
    }
    Ok(())
}

fn write_operation(out: &mut String, o: &OperationLine, width: usize) -> fmt::Result {
    writeln!(out, "  {:width$}  {}", o.id.as_str(), o.request)?;
    if let Some(permission) = &o.permission {
        writeln!(out, "  {:width$}    needs: {}", "", cut(permission))?;
    }
    if let Some(note) = &o.note {
        writeln!(out, "  {:width$}    {}", "", cut(note))?;
    }
    Ok(())
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
