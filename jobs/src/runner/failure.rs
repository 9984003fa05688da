//! What goes wrong in a run, by what the runner does about it.

use std::fmt;

use datafusion::common::DataFusionError;
use rekap_tables::TableError;
use rekap_tiered_storage::{LogError, Offset, Partition, TopicName};
use serde::{Deserialize, Serialize};

use crate::query::is_environment;

/// Why a version failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// What happened, to what.
    pub detail: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.detail, self.remedy)
    }
}

/// Why a range was not committed. Nothing of it was written.
#[derive(Debug)]
pub(super) enum RangeError {
    /// Trying again may help.
    Environment(String),
    /// A smaller range may do.
    TooLarge(String),
    /// The runner was told to end.
    Stopped,
    /// Trying again gives the same.
    Fatal(Failure),
}

impl RangeError {
    pub(super) fn fatal(code: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        RangeError::Fatal(Failure { code: code.into(), detail: detail.into(), remedy: remedy.into() })
    }

    /// A range on which the engine panicked: a version is stopped by it, its process is not.
    pub(super) fn panicked(panic: &dyn fmt::Display) -> Self {
        RangeError::fatal("ENGINE", panic.to_string(), "change the query; this is a bug worth reporting")
    }

    /// A record that an input with `on_error = "fail"` met.
    pub(super) fn record(topic: &TopicName, partition: Partition, offset: Offset, detail: &str) -> Self {
        RangeError::fatal(
            "RECORD_FAILED",
            format!("topic `{topic}` partition {partition} offset {offset}: {detail}"),
            "correct the query or the columns and deploy again, or set on_error = \"dead-letter\"",
        )
    }

    /// A key whose row cannot be computed, in a job with `on_error = "fail"`.
    pub(super) fn output(detail: &str) -> Self {
        RangeError::fatal(
            "OUTPUT_FAILED",
            detail,
            "write the query so that it can be, as with nullif(x, 0) or TRY_CAST, and deploy it",
        )
    }
}

impl From<LogError> for RangeError {
    fn from(error: LogError) -> Self {
        let code = match &error {
            LogError::Store { .. } | LogError::OutOfRange { .. } | LogError::Registry(_) => {
                return RangeError::Environment(error.to_string());
            }
            LogError::Gap { .. } => "GAP",
            LogError::Diverged { .. } | LogError::Truncated { .. } | LogError::UnknownTopic(_) => "LOG_DIVERGED",
            _ => "LOG_UNREADABLE",
        };
        let remedy = match code {
            "GAP" => "restore what is missing and resume, or replay with `--accept-gap` to do without it",
            _ => "deploy again with `rebuild`, or restore what is missing and resume",
        };
        RangeError::fatal(code, error.to_string(), remedy)
    }
}

impl From<TableError> for RangeError {
    fn from(error: TableError) -> Self {
        let code = match &error {
            TableError::Store { .. } | TableError::NotAt { .. } => return RangeError::Environment(error.to_string()),
            TableError::KeyTooLong { .. } => "KEY_TOO_LONG",
            _ => "TABLE_UNUSABLE",
        };
        RangeError::fatal(code, error.to_string(), "deploy the corrected query, or replay the version")
    }
}

impl From<DataFusionError> for RangeError {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => RangeError::TooLarge(error.strip_backtrace()),
            _ if is_environment(&error) => RangeError::Environment(error.strip_backtrace()),
            _ => {
                RangeError::fatal("ENGINE", error.strip_backtrace(), "change the query; this is a bug worth reporting")
            }
        }
    }
}
