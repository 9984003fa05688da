//! Why a query is not answered.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::DataFusionError;
use rekap_tiered_storage::LogError;

/// A refused or failed query, by what its author does about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SqlError {
    /// It is a statement of another kind.
    #[error("`{0}` is not answered here")]
    NoSelect(String),
    /// There are several.
    #[error("these are {0} statements")]
    Several(usize),
    /// It cannot be planned.
    #[error("{0}")]
    Invalid(String),
    /// It needs more memory than queries have.
    #[error("the query needs more memory than there is for queries: {0}")]
    TooLarge(String),
    /// It gives more rows than an answer holds.
    #[error("the query gives more than {0} rows")]
    TooManyRows(u64),
    /// It takes too long.
    #[error("the query took longer than {} s", .0.as_secs_f64())]
    TooSlow(Duration),
    /// The log cannot be read.
    #[error(transparent)]
    Log(Arc<LogError>),
    /// It failed while it ran.
    #[error("{0}")]
    Failed(String),
}

impl SqlError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            SqlError::NoSelect(_) => "NOT_A_SELECT",
            SqlError::Several(_) => "SEVERAL_STATEMENTS",
            SqlError::Invalid(_) => "INVALID_QUERY",
            SqlError::TooLarge(_) => "QUERY_TOO_LARGE",
            SqlError::TooManyRows(_) => "QUERY_TOO_MANY_ROWS",
            SqlError::TooSlow(_) => "QUERY_TIMED_OUT",
            SqlError::Log(_) => "LOG_UNREADABLE",
            SqlError::Failed(_) => "QUERY_FAILED",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            SqlError::NoSelect(_) => "write one SELECT over `live.<alias>`, `version.\"<alias>@<n>\"` or `log.<topic>`",
            SqlError::Several(_) => "send them one by one",
            SqlError::Invalid(_) => {
                "correct the query; `GET /v1/jobs` lists the aliases, `GET /v1/tables/{alias}` the columns, \
                 `GET /v1/topics` the topics; names with dots, dashes or capitals stand in double quotes"
            }
            SqlError::TooLarge(_) => "narrow it by WHERE, group by fewer values, or raise `max_memory` in [sql]",
            SqlError::TooManyRows(_) => "take fewer rows by LIMIT, group them, or raise `max_rows` in [sql]",
            SqlError::TooSlow(_) => {
                "narrow it by WHERE (by key, or by _partition, _offset and _timestamp), or raise `max_time` in [sql]"
            }
            SqlError::Log(_) => "see GET /v1/topics/{topic} and the server's log",
            SqlError::Failed(_) => "change the expression that the detail names",
        }
    }
}

impl From<DataFusionError> for SqlError {
    fn from(error: DataFusionError) -> SqlError {
        match error.find_root() {
            DataFusionError::External(source) => match source.downcast_ref::<SqlError>() {
                Some(ours) => ours.clone(),
                None => SqlError::Failed(error.strip_backtrace()),
            },
            DataFusionError::ResourcesExhausted(detail) => SqlError::TooLarge(detail.clone()),
            DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::NotImplemented(_) => {
                SqlError::Invalid(error.strip_backtrace())
            }
            DataFusionError::SQL(..) => SqlError::Invalid(rekap_jobs::sql_error(&error)),
            _ => SqlError::Failed(error.strip_backtrace()),
        }
    }
}
