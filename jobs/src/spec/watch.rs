//! What has to hold of a version for a while after it was promoted.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::fields::Fields;
use super::promote::check_at;
use super::quantity::{Percent, Span};
use super::{Check, SpecError};

/// `[promote.watch]`: when one of these does not hold, the promotion is taken back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WatchPolicy {
    /// For how long after the swap.
    #[serde(rename = "for")]
    pub lasts: Span,
    /// How often the checks are asked.
    pub every: Span,
    /// How far behind the log it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lag: Option<Span>,
    /// Which share of the records since the swap may become dead letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_dead_letters: Option<Percent>,
    /// Queries over `live`, the rows that are served: false fails, all else does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

impl WatchPolicy {
    pub(super) fn parse(value: Value) -> Result<Self, SpecError> {
        let mut fields = Fields::of(value, "promote.watch")?;
        let lasts: Option<Span> = fields.parsed("for", str::parse)?;
        let missing = || SpecError::new("promote.watch.for", "is missing", "say for how long, as in \"30m\"");
        let every = fields.parsed("every", str::parse)?.unwrap_or(Span(Duration::from_secs(10)));
        let checks = fields.list("checks")?.into_iter().enumerate();
        let policy = WatchPolicy {
            lasts: lasts.ok_or_else(missing)?,
            every,
            max_lag: fields.parsed("max_lag", str::parse)?,
            max_dead_letters: fields.parsed("max_dead_letters", str::parse)?,
            checks: checks
                .map(|(i, value)| check_at(&format!("promote.watch.checks[{i}]"), value))
                .collect::<Result<_, _>>()?,
        };
        fields.finish()?;
        for (field, span) in [("for", policy.lasts), ("every", policy.every)] {
            if span.0.is_zero() {
                let remedy = "write a time above 0, or leave out `[promote.watch]`";
                return Err(SpecError::new(format!("promote.watch.{field}"), "is 0", remedy));
            }
        }
        Ok(policy)
    }
}
