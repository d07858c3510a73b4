//! Findings for people, in the style of rustc.

use std::fmt::{self, Write as _};

use super::{Counts, Diagnostic, location, tally};

/// Characters of a line that are shown around the place.
const WIDTH: usize = 110;

pub(super) fn all(diagnostics: &[Diagnostic], counts: Counts) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{diagnostic}");
    }
    let (errors, warnings) = tally(diagnostics);
    let looked_at = format!(
        "{}, {}, {}",
        plural(counts.files, "file"),
        plural(counts.tables, "table"),
        plural(counts.rules, "rule")
    );
    let found = match (errors, warnings) {
        (0, 0) => "no mistakes".to_owned(),
        (0, w) => plural(w, "warning"),
        (e, 0) => plural(e, "error"),
        (e, w) => format!("{}, {}", plural(e, "error"), plural(w, "warning")),
    };
    let _ = writeln!(out, "{found} ({looked_at})");
    out
}

pub(super) fn write(d: &Diagnostic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "{}[{}]: {}", d.severity.as_str(), d.code.as_str(), printable(&d.message))?;
    let number = if d.place.line == 0 { String::new() } else { d.place.line.to_string() };
    let margin = " ".repeat(number.len().max(1));
    writeln!(f, "{margin}--> {}", location(&d.place))?;
    if let Some(line) = &d.excerpt {
        let (shown, before, carets) = window(line, d.place.column, d.length);
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {shown}")?;
        writeln!(f, "{margin} | {}{}", " ".repeat(before), "^".repeat(carets))?;
    }
    if let Some(expected) = &d.expected {
        writeln!(f, "{margin} = expected: {}", printable(expected))?;
    }
    if let Some(help) = &d.help {
        writeln!(f, "{margin} = help: {}", printable(help))?;
    }
    for (place, message) in &d.related {
        writeln!(f, "{margin} = note: {} ({})", printable(message), location(place))?;
    }
    Ok(())
}

/// The part of a line to show, the columns before the carets, and the number of carets.
fn window(line: &str, column: u32, length: u32) -> (String, usize, usize) {
    let chars: Vec<char> = printable(line.trim_end()).chars().collect();
    let at = (column.max(1) as usize - 1).min(chars.len());
    let from = if at + 20 > WIDTH { at.saturating_sub(WIDTH / 2) } else { 0 };
    let to = (from + WIDTH).min(chars.len());
    let mut shown = String::new();
    let mut before = at - from;
    if from > 0 {
        shown.push('…');
        before += 1;
    }
    shown.extend(&chars[from..to]);
    if to < chars.len() {
        shown.push('…');
    }
    let carets = (length.max(1) as usize).min(to.saturating_sub(at).max(1));
    (shown, before, carets)
}

/// One character for one, so that columns stay right; nothing that moves a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { ' ' } else { c }).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
