//! What an examination of a tier found: one line per thing that must hold.

use std::time::Duration;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It works, and somebody should look at it.
    Warn,
    /// Rekap cannot work like this, or would lose or double records.
    Fail,
    /// It could not be looked at, because an earlier check failed.
    Skipped,
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The check's stable name, in small letters with dashes.
    pub check: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What to do about it; empty where there is nothing to do.
    pub remedy: String,
    /// How long the check took.
    pub took: Duration,
}

impl Finding {
    /// A check that holds.
    pub fn pass(check: &'static str, detail: impl Into<String>) -> Self {
        Finding { check, verdict: Verdict::Pass, detail: detail.into(), remedy: String::new(), took: Duration::ZERO }
    }

    /// A check that holds, with something to look at.
    pub fn warn(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Warn, remedy: remedy.into(), ..Self::pass(check, detail) }
    }

    /// A check that failed.
    pub fn fail(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Fail, remedy: remedy.into(), ..Self::pass(check, detail) }
    }

    /// A check that an earlier failure left no sense in.
    pub fn skipped(check: &'static str) -> Self {
        Finding { verdict: Verdict::Skipped, ..Self::pass(check, "an earlier check failed") }
    }
}
