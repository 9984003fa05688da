//! The check of an event against its topic's schema.

use std::sync::Arc;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::LocationSegment;
use serde_json::Value;

use super::InvalidSchema;

/// A message quotes at most this much of an event: enough to see it, not enough to fill a log.
const MAX_DETAIL: usize = 300;

/// A compiled schema. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Validator(Arc<jsonschema::Validator>);

/// Why an event does not satisfy its topic's schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}`: {detail}")]
pub struct Violation {
    /// The field, as `price` or `trades.0.amount`; empty when it is the event as a whole.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Compiles a schema that refers to nothing outside of itself.
pub(crate) fn compile(schema: &Value) -> Result<Validator, InvalidSchema> {
    jsonschema::options()
        .offline()
        .should_validate_formats(true)
        .build(schema)
        .map(|compiled| Validator(Arc::new(compiled)))
        .map_err(|error| InvalidSchema { at: error.instance_path().as_str().to_owned(), detail: detail(&error) })
}

impl Validator {
    /// Checks one event; names the first field that is wrong.
    pub fn check(&self, event: &Value) -> Result<(), Violation> {
        if self.0.is_valid(event) {
            return Ok(());
        }
        self.0.validate(event).map_err(|error| Violation { field: field(&error), detail: detail(&error) })
    }
}

fn field(error: &ValidationError<'_>) -> String {
    let steps = error.instance_path().segments().map(|step| match step {
        LocationSegment::Property(name) => name.into_owned(),
        LocationSegment::Index(index) => index.to_string(),
    });
    let last = match error.kind() {
        ValidationErrorKind::Required { property } => property.as_str(),
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected.first().map(String::as_str),
        _ => None,
    };
    steps.chain(last.map(str::to_owned)).collect::<Vec<_>>().join(".")
}

fn detail(error: &ValidationError<'_>) -> String {
    let detail = error.to_string();
    match detail.char_indices().nth(MAX_DETAIL) {
        Some((end, _)) => format!("{}…", &detail[..end]),
        None => detail,
    }
}
