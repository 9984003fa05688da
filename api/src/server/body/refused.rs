//! The refusal of a body for the records in it.

use axum::http::StatusCode;
use rekap_tiered_storage::{MAX_RECORD_BYTES, Refused, Violation};
use serde_json::{Value, json};

use crate::Problem;

/// How many refused records one answer lists: enough to see the pattern, few enough to read.
pub(super) const MAX_LISTED: usize = 20;

/// The refusal of these records, by their place in the body. Nothing was appended. The first decides the code.
pub(super) fn refused(records: Vec<(usize, Refused)>) -> Problem {
    let (index, first) = records.first().expect("something was refused");
    let problem = match first {
        Refused::TooLarge { .. } => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RECORD_TOO_LARGE",
            format!("record {index}: {first}; nothing was appended"),
            "keep large values elsewhere and send where they are",
        )
        .with("limit_bytes", MAX_RECORD_BYTES),
        Refused::Unavailable(detail) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "SCHEMA_REGISTRY_UNAVAILABLE",
            format!("record {index}: {detail}; nothing was appended"),
            "look at `[schema_registry]` and at the registry; trying again is safe",
        ),
        Refused::Invalid(Violation { field, detail }) => {
            let place = if field.is_empty() { String::new() } else { format!(", field `{field}`") };
            Problem::unprocessable(
                "INVALID_RECORD",
                format!("record {index}{place}: {detail}; nothing was appended"),
                "correct the records that `errors` lists and send the request again",
            )
            .with("field", field.as_str())
        }
    };
    let listed: Vec<Value> = records.iter().map(|(index, refusal)| listed(*index, refusal)).collect();
    problem.with("index", *index).with("errors", listed)
}

fn listed(index: usize, refusal: &Refused) -> Value {
    match refusal {
        Refused::TooLarge { .. } | Refused::Unavailable(_) => {
            json!({"index": index, "field": "", "detail": refusal.to_string()})
        }
        Refused::Invalid(Violation { field, detail }) => json!({"index": index, "field": field, "detail": detail}),
    }
}
