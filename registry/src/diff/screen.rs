//! A diff as text: what takes a decision first, with the request that shows it under each.

use super::{Change, Diff, Direction, Side};
use std::fmt::{self, Write};

/// The longest line of a fact, in characters; an example is shown whole, because it is what is decided about.
const SHOWN_CHARS: usize = 240;
/// The longest example, in characters.
const SHOWN_EXAMPLE_CHARS: usize = 1_000;

/// Renders a diff for a terminal, without colours.
#[must_use]
pub fn render(diff: &Diff) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = write_all(&mut out, diff);
    // The texts may come from a module that nobody has admitted.
    out.chars().map(|c| if c != '\n' && crate::text::deceives(c) { '?' } else { c }).collect()
}

fn write_all(out: &mut String, diff: &Diff) -> fmt::Result {
    let name = |side: &Side| format!("{} {}", side.name, side.version);
    let old = diff.old.as_ref().map_or_else(|| "nothing".to_owned(), name);
    writeln!(out, "{old} -> {}: {}", name(&diff.new), headline(diff))?;
    for direction in [Direction::Wider, Direction::Unknown, Direction::Narrower, Direction::Different] {
        let changes: Vec<_> = diff.changes.iter().filter(|c| c.direction == direction).collect();
        if changes.is_empty() {
            continue;
        }
        writeln!(out, "\n{} ({})", title(direction), changes.len())?;
        for change in changes {
            write_change(out, change)?;
        }
    }
    Ok(())
}

fn headline(diff: &Diff) -> String {
    let counts = [
        (Direction::Wider, "wider"),
        (Direction::Unknown, "unknown"),
        (Direction::Narrower, "narrower"),
        (Direction::Different, "different"),
    ];
    let counted = counts.into_iter().filter_map(|(direction, word)| {
        let count = diff.changes.iter().filter(|c| c.direction == direction).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    let counted: Vec<_> = counted.collect();
    if counted.is_empty() {
        return "equal".to_owned();
    }
    format!("{} ({})", diff.verdict.as_str(), counted.join(", "))
}

fn title(direction: Direction) -> &'static str {
    match direction {
        Direction::Wider => "wider: the new version may do what the old one could not",
        Direction::Unknown => "unknown: nobody can tell, so it counts as wider",
        Direction::Narrower => "narrower",
        Direction::Different => "different",
    }
}

fn write_change(out: &mut String, change: &Change) -> fmt::Result {
    // Taken apart without `..`, so that a new field can't be forgotten.
    let Change { direction: _, place, what, example, detail } = change;
    writeln!(out, "  {}: {}", cut(place, SHOWN_CHARS), cut(what, SHOWN_CHARS))?;
    if let Some(example) = example {
        writeln!(out, "      > {}", cut(example, SHOWN_EXAMPLE_CHARS))?;
    }
    if let Some(detail) = detail {
        writeln!(out, "      {}", cut(detail, SHOWN_CHARS))?;
    }
    Ok(())
}

/// One line, and not longer than that.
fn cut(text: &str, most: usize) -> String {
    let mut shown: String = text.chars().map(|c| if c == '\n' { ' ' } else { c }).take(most).collect();
    if text.chars().count() > most {
        shown.push('…');
    }
    shown
}
