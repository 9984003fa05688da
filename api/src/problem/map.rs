//! The errors of the inner rooms, each with its status: the only place that knows both.

use axum::http::StatusCode;
use rekap_tiered_storage::{InvalidPositions, InvalidTopicName, LogError};

use super::Problem;

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        let (status, code, remedy) = match &error {
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
            LogError::Diverged { .. } => {
                (StatusCode::CONFLICT, "TOPIC_REMADE", "deploy with `rebuild` to read the new topic")
            }
            LogError::Truncated { .. } => {
                (StatusCode::CONFLICT, "TOPIC_TRUNCATED", "make the topic again, and deploy its jobs with `rebuild`")
            }
            LogError::KeyReused(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED", "use a new key for a new request")
            }
            LogError::NewerFormat { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "NEWER_FORMAT", "start the newer Rekap that wrote this data folder")
            }
            LogError::Store { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "STORE_FAILED",
                "look at the disk or the object store; trying again with the same Idempotency-Key is safe",
            ),
        };
        Problem::new(status, code, error.to_string(), remedy)
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
