//! Why a query is not answered.

use datafusion::common::DataFusionError;

/// A refused or failed query, by what its author does about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// It is a statement of another kind.
    #[error("`{0}` is not answered here")]
    NoSelect(String),
    /// It cannot be planned.
    #[error("{0}")]
    Invalid(String),
    /// It names what cannot be asked yet.
    #[error("`{0}` cannot be asked yet")]
    NotBuilt(String),
    /// It needs more memory than queries have.
    #[error("the query needs more memory than there is for queries: {0}")]
    TooLarge(String),
    /// It gives more rows than an answer holds.
    #[error("the query gives more than {0} rows")]
    TooManyRows(u64),
    /// It takes too long.
    #[error("the query took longer than {0} s")]
    TooSlow(u64),
    /// It failed while it ran.
    #[error("{0}")]
    Failed(String),
}

impl SqlError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            SqlError::NoSelect(_) => "NOT_A_SELECT",
            SqlError::Invalid(_) => "INVALID_QUERY",
            SqlError::NotBuilt(_) => "NOT_BUILT",
            SqlError::TooLarge(_) | SqlError::TooManyRows(_) | SqlError::TooSlow(_) => "QUERY_TOO_LARGE",
            SqlError::Failed(_) => "QUERY_FAILED",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            SqlError::NoSelect(_) => "write one SELECT over `live.<alias>` or `version.\"<alias>@<n>\"`",
            SqlError::Invalid(_) => {
                "correct the query; `GET /v1/jobs` lists the aliases, `GET /v1/tables/{alias}` the columns"
            }
            SqlError::NotBuilt(_) => "read the topic's records by `GET /v1/topics/{topic}/records`",
            SqlError::TooLarge(_) | SqlError::TooManyRows(_) | SqlError::TooSlow(_) => {
                "narrow it by WHERE, group it, or take fewer rows by LIMIT"
            }
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
            DataFusionError::SQL(..) => SqlError::Invalid(error.strip_backtrace()),
            _ => SqlError::Failed(error.strip_backtrace()),
        }
    }
}
