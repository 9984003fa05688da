//! Why a job's specification is refused.

/// A specification that is no job, with the field at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {detail}; {remedy}")]
pub struct SpecError {
    /// The field, as a path: `inputs.ticks.start`.
    pub field: String,
    /// What is wrong with it, with the value found.
    pub detail: String,
    /// What to write instead.
    pub remedy: String,
}

impl SpecError {
    /// A refusal of `field`.
    pub fn new(field: impl Into<String>, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        SpecError { field: field.into(), detail: detail.into(), remedy: remedy.into() }
    }
}
