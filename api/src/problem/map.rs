//! The errors of the inner rooms, each with its status: the only place that knows both.

use arrow::error::ArrowError;
use axum::http::StatusCode;
use rekap_jobs::SpecError;
use rekap_orchestrator::{Kind, Rejection, SqlError};
use rekap_tables::{InvalidCursor, TableError, UnusableFilter};
use rekap_tiered_storage::{InvalidPositions, InvalidSchema, InvalidTopicName, LogError};
use serde_json::json;

use super::Problem;

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        Problem::from(&error)
    }
}

impl From<&LogError> for Problem {
    fn from(error: &LogError) -> Self {
        let (status, code, remedy) = match error {
            LogError::UnknownTopic(_) => {
                (StatusCode::NOT_FOUND, "UNKNOWN_TOPIC", "GET /v1/topics lists all; PUT /v1/topics/{topic} makes one")
            }
            LogError::TopicExists(_) => (StatusCode::CONFLICT, "TOPIC_EXISTS", "use another name, or alter that topic"),
            LogError::UnknownPartition { .. } => {
                (StatusCode::NOT_FOUND, "UNKNOWN_PARTITION", "use a partition that the topic has")
            }
            LogError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "INVALID", "change what the detail names"),
            LogError::OutOfRange { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "OFFSET_OUT_OF_RANGE", "GET /v1/topics/{topic} shows what is held")
            }
            LogError::Gap { .. } => {
                (StatusCode::CONFLICT, "GAP", "replay from past the gap, or bring the mirrored files back")
            }
            LogError::Diverged { .. } | LogError::Truncated { .. } => (
                StatusCode::CONFLICT,
                "LOG_DIVERGED",
                "restore the log, or make the topic again and deploy its jobs with `rebuild`",
            ),
            LogError::PartialAppend { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "PARTIAL_APPEND",
                "read the offsets that landed before sending the rest; with an Idempotency-Key it is all or nothing",
            ),
            LogError::KeyReused(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED", "use a new key for a new request")
            }
            LogError::InUse(_) => (StatusCode::SERVICE_UNAVAILABLE, "IN_USE", "stop the other process"),
            LogError::NewerFormat { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "NEWER_FORMAT", "start the newer Rekap that wrote this data folder")
            }
            LogError::Registry(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "SCHEMA_REGISTRY_UNAVAILABLE",
                "look at `[schema_registry]` and at the registry; trying again is safe",
            ),
            LogError::Store { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "STORE_FAILED",
                "look at the disk, the brokers or the object store; trying again with the same Idempotency-Key is safe",
            ),
        };
        let problem = Problem::new(status, code, error.to_string(), remedy);
        match &error {
            LogError::PartialAppend { landed, .. } => {
                let ranges = landed.iter().map(|(p, range)| (p.to_string(), json!([range.from, range.to])));
                problem.with("landed", serde_json::Value::Object(ranges.collect()))
            }
            _ => problem,
        }
    }
}

impl From<InvalidTopicName> for Problem {
    fn from(error: InvalidTopicName) -> Self {
        Problem::unprocessable("INVALID_NAME", error.to_string(), "choose a name that Apache Kafka takes too")
    }
}

impl From<InvalidPositions> for Problem {
    fn from(error: InvalidPositions) -> Self {
        Problem::unprocessable("INVALID_POSITIONS", error.to_string(), "pass on what `Rekap-Positions` said")
    }
}

impl From<InvalidSchema> for Problem {
    fn from(error: InvalidSchema) -> Self {
        let problem = Problem::unprocessable(
            "INVALID_SCHEMA",
            error.to_string(),
            "write a JSON Schema of an object; docs/guide.md lists the types that become columns",
        );
        problem.with("field", error.at)
    }
}

impl From<SpecError> for Problem {
    fn from(error: SpecError) -> Self {
        let detail = format!("`{}`: {}", error.field, error.detail);
        Problem::unprocessable("INVALID_SPEC", detail, error.remedy).with("field", error.field)
    }
}

impl From<UnusableFilter> for Problem {
    fn from(error: UnusableFilter) -> Self {
        Problem::unprocessable(
            "UNUSABLE_FILTER",
            error.to_string(),
            "filter by key columns from the left, or ask POST /v1/sql",
        )
    }
}

impl From<InvalidCursor> for Problem {
    fn from(error: InvalidCursor) -> Self {
        Problem::unprocessable("INVALID_CURSOR", error.to_string(), "pass on `next_cursor`, or begin without a cursor")
    }
}

impl From<TableError> for Problem {
    fn from(error: TableError) -> Self {
        match error {
            TableError::ForeignCursor(cursor) => InvalidCursor(cursor.to_string()).into(),
            TableError::Store { .. } => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "STORE_FAILED",
                error.to_string(),
                "look at the disk; trying again is safe",
            ),
            _ => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "TABLE_FAILED",
                error.to_string(),
                "see the server's log; a replay fills the table again",
            ),
        }
    }
}

impl From<ArrowError> for Problem {
    fn from(error: ArrowError) -> Self {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            error.to_string(),
            "this is a bug: report it with the server's log",
        )
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        match &rejection {
            Rejection::Log(error) => return error.into(),
            Rejection::Sql(SqlError::Log(error)) => return error.as_ref().into(),
            _ => {}
        }
        let status = match rejection.kind() {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Precondition => StatusCode::PRECONDITION_FAILED,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let problem = Problem::new(status, rejection.code(), rejection.to_string(), rejection.remedy());
        match (&rejection, rejection.conditions()) {
            (_, Some(conditions)) => problem.with("conditions", json!(conditions)),
            (Rejection::Refused { place: Some((line, column)), .. }, None) => {
                problem.with("place", json!({"line": line, "column": column}))
            }
            (Rejection::GroupNotReady { jobs, .. }, None) => problem.with("conditions", json!(jobs)),
            _ => problem,
        }
    }
}
