//! How the story is told: numbered steps, facts with a tick, quiet explanations; plain text where nobody looks; with `--json` one object
//! a line.

use std::fmt::Display;
use std::time::Duration;

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::out::{Out, Style};

/// Everything below a heading stands this far in.
pub(super) const INDENT: &str = "   ";

/// The teller.
pub(super) struct Stage {
    pub(super) out: Out,
    step: u32,
}

impl Stage {
    pub(super) fn new(out: Out) -> Self {
        Stage { out, step: 0 }
    }

    /// The first line.
    pub(super) fn title(&self, title: &str, subtitle: &str) -> Result<(), Failure> {
        let human = format!("\n{}  {}", self.out.paint(Style::Bold, title), self.out.paint(Style::Dim, subtitle));
        self.told("title", title, &human)
    }

    /// The next numbered step.
    pub(super) fn step(&mut self, heading: &str) -> Result<(), Failure> {
        self.step += 1;
        let number = self.out.paint(Style::Name, self.step);
        self.told("heading", heading, &format!("\n{number}  {}", self.out.paint(Style::Bold, heading)))
    }

    /// A heading without a number.
    pub(super) fn heading(&self, heading: &str) -> Result<(), Failure> {
        self.told("heading", heading, &format!("\n{}", self.out.paint(Style::Bold, heading)))
    }

    /// What is about to happen, or why.
    pub(super) fn say(&self, text: impl Display) -> Result<(), Failure> {
        let text = text.to_string();
        self.told("said", &text, &format!("{INDENT}{}", self.out.paint(Style::Dim, &text)))
    }

    /// What happened.
    pub(super) fn fact(&self, text: impl Display) -> Result<(), Failure> {
        let text = text.to_string();
        self.told("fact", &text, &format!("{INDENT}{} {text}", self.out.paint(Style::Good, "✓")))
    }

    /// A line as it is.
    pub(super) fn line(&self, text: impl Display) -> Result<(), Failure> {
        let text = text.to_string();
        self.told("said", text.trim(), &format!("{INDENT}{text}"))
    }

    /// Something said: of a kind for programs, or as it looks.
    fn told(&self, kind: &str, text: &str, human: &str) -> Result<(), Failure> {
        if self.out.is_json() { self.out.line(json!({"step": self.step, kind: text})) } else { self.out.line(human) }
    }

    /// A figure that has to be so; the story ends where it is not.
    pub(super) fn proof(&self, holds: bool, text: impl Display) -> Result<(), Failure> {
        if holds { self.fact(text) } else { Err(Failure::Failed(format!("the quickstart expected: {text}"))) }
    }
}

/// A duration for people.
pub(super) fn took(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}
