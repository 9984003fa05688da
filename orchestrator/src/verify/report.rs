//! What a verification found.

use rekap_tiered_storage::Positions;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a check, or all of them together, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// A person has to decide.
    Inconclusive,
    /// It does not hold.
    Fail,
}

/// How many rows are the same on both sides, and how many are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// On both sides and equal in all columns that both have.
    pub same: u64,
    /// On both sides and not equal.
    pub changed: u64,
    /// Only in the new version.
    pub added: u64,
    /// Only in the old version.
    pub removed: u64,
}

/// One column of either version.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ColumnResult {
    /// Its name.
    pub name: String,
    /// True when only the new version has it.
    pub added: bool,
    /// True when only the old version has it.
    pub removed: bool,
    /// In how many rows that both sides have it differs.
    pub changed: u64,
    /// In how many rows the old value is NULL and the new one is not.
    pub nulls_vanished: u64,
    /// In how many rows the new value is NULL and the old one is not.
    pub nulls_appeared: u64,
    /// The largest `|new - old| / |old|` over the changed numbers whose old value is not zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest_relative_change: Option<f64>,
    /// The mean of `|new - old| / |old|` over the same numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_relative_change: Option<f64>,
    /// The types in both versions, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Types>,
}

/// The types of a column that has another one in each version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Types {
    /// In the old version.
    pub old: String,
    /// In the new version.
    pub new: String,
}

/// What one check of the policy gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's name.
    pub name: String,
    /// What it says.
    pub verdict: Verdict,
    /// The value that it gave.
    pub measured: Value,
    /// Why it does not pass.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// How it differs.
    pub change: Change,
    /// The row as the old version has it.
    pub old: Option<Value>,
    /// The row as the new version has it.
    pub new: Option<Value>,
}

/// How a row differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// On both sides and not equal.
    Changed,
    /// Only in the new version.
    Added,
    /// Only in the old version.
    Removed,
}

impl Change {
    /// As it stands in `diff.change`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Change::Changed => "changed",
            Change::Added => "added",
            Change::Removed => "removed",
        }
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What follows from all of it.
    pub verdict: Verdict,
    /// Why it does not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where both versions stood.
    pub positions: Positions,
    /// How many rows are the same and how many are not.
    pub counts: Counts,
    /// The columns of either version.
    pub columns: Vec<ColumnResult>,
    /// The policy's checks.
    pub checks: Vec<CheckResult>,
    /// Some of the rows that differ.
    pub samples: Vec<Sample>,
}

impl Report {
    /// What is said where nothing could be compared.
    pub(crate) fn inconclusive(reason: String) -> Self {
        Report {
            verdict: Verdict::Inconclusive,
            reason: Some(reason),
            positions: Positions::new(),
            counts: Counts::default(),
            columns: vec![],
            checks: vec![],
            samples: vec![],
        }
    }
}
