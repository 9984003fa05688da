//! Everything that the command line prints: lines, tables, colours. Colours and bars only where a person looks: never into a pipe,
//! never under `NO_COLOR`.

use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::failure::Failure;
use crate::Problem;

/// Where output goes, and in which dress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    json: bool,
    colours: bool,
}

/// The few styles that there are, as ANSI codes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    Bold,
    Dim,
    Good,
    Bad,
    Warn,
    Name,
}

impl Style {
    /// The code that starts it.
    fn code(self) -> &'static str {
        match self {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Bad => "31",
            Style::Warn => "33",
            Style::Name => "36",
        }
    }
}

impl Out {
    /// Output to the process's own streams.
    pub(crate) fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Out { json, colours: std::io::stdout().is_terminal() && !plain }
    }

    /// Output in which nothing is painted.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Out { json: false, colours: false }
    }

    /// The user wants the server's own JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A person looks at this.
    pub(crate) fn is_live(&self) -> bool {
        self.colours && !self.json
    }

    /// `text` in a style, or as it is where nobody looks.
    pub(crate) fn paint(&self, style: Style, text: impl std::fmt::Display) -> String {
        if self.is_live() { format!("\x1b[{}m{text}\x1b[0m", style.code()) } else { text.to_string() }
    }

    /// One line.
    pub(crate) fn line(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// What the server answered, with `--json`; else what `human` makes of it.
    pub(crate) fn answer(
        &self,
        answer: &Value,
        human: impl FnOnce(&Out, &Value) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.json { self.line(answer) } else { human(self, answer) }
    }

    /// A table with its columns aligned; columns whose every cell is a number stand to the right.
    pub(crate) fn table(&self, head: &[&str], rows: &[Vec<String>], indent: &str) -> Result<(), Failure> {
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).chain([head[i].chars().count()]).max();
        let widths: Vec<usize> = (0..head.len()).map(|i| width(i).unwrap_or(0)).collect();
        let number = |cell: &String| cell.is_empty() || cell == "-" || cell.parse::<f64>().is_ok();
        let right: Vec<bool> = (0..head.len()).map(|i| rows.iter().all(|row| number(&row[i]))).collect();
        let layout = |cells: &mut dyn Iterator<Item = &str>| {
            let pad = |(i, cell): (usize, &str)| {
                let blank = " ".repeat(widths[i].saturating_sub(cell.chars().count()));
                if right[i] { blank + cell } else { cell.to_owned() + &blank }
            };
            cells.enumerate().map(pad).collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.line(format!("{indent}{}", self.paint(Style::Dim, layout(&mut head.iter().copied()))))?;
        rows.iter().try_for_each(|row| self.line(format!("{indent}{}", layout(&mut row.iter().map(String::as_str)))))
    }

    /// A failure, on the error stream: title, detail, remedy.
    pub(crate) fn failure(&self, failure: &Failure) {
        if matches!(failure, Failure::NobodyReads) {
            return;
        }
        let problem = failure.problem();
        let mut err = std::io::stderr().lock();
        // Nobody is left to be told when the error stream itself fails.
        let _ = if self.json { writeln!(err, "{}", failure.json()) } else { self.explain(&mut err, &problem) };
    }

    /// A problem for people.
    fn explain(&self, err: &mut dyn Write, problem: &Problem) -> std::io::Result<()> {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let dress = Out { colours, ..*self };
        let title = dress.paint(Style::Bad, &problem.title);
        writeln!(err, "{title} {}", dress.paint(Style::Dim, format!("[{}]", problem.code)))?;
        writeln!(err, "  {}", problem.detail)?;
        for (name, value) in &problem.facts {
            writeln!(err, "  {} {value}", dress.paint(Style::Dim, format!("{name}:")))?;
        }
        if !problem.remedy.is_empty() {
            writeln!(err, "  {} {}", dress.paint(Style::Good, "→"), problem.remedy)?;
        }
        Ok(())
    }
}

/// A cell of a table: text as it is, nothing for null, JSON for all else.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A count with its thousands apart: 1,234,567.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or("")).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1000, 1234567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
