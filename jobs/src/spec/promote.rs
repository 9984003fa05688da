//! The policy by which versions of a job are promoted. It is no part of a version's digest: it decides when rows are served, not
//! what they are.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::Fields;
use super::quantity::{Percent, Span};
use super::{SpecError, WatchPolicy};

/// When a version may take over, and for how long the one before is kept warm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct PromotePolicy {
    /// Promote without being asked once a version is ready.
    pub auto: bool,
    /// A promotion takes two people: it is done once another one than the first has asked for it too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub two_people: bool,
    /// How far behind the readable end a ready version may be.
    pub max_lag: Span,
    /// For how long all conditions have to hold before a version is ready.
    pub ready_for: Span,
    /// Without progress for this long a version fails.
    pub stall_timeout: Span,
    /// For how long the version before is kept warm after a promotion.
    pub rollback_window: Span,
    /// The greatest share of rows that may differ from the serving version's; `None` sets no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_changed: Option<Percent>,
    /// The jobs of one group are promoted and rolled back together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What has to hold for a while after the swap, or it is taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchPolicy>,
    /// Queries over the old and the new rows that have to hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// A query over `old`, `new` and `diff`: true passes, false fails, NULL or no rows is inconclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it shows, for people.
    pub name: String,
    /// The query.
    pub sql: String,
}

impl PromotePolicy {
    /// Whether a verification under the other policy answers what this one asks.
    pub fn asks_the_same(&self, other: &PromotePolicy) -> bool {
        self.max_changed == other.max_changed && self.checks == other.checks
    }
}

impl Default for PromotePolicy {
    fn default() -> Self {
        let seconds = |n| Span(Duration::from_secs(n));
        PromotePolicy {
            auto: false,
            two_people: false,
            max_lag: seconds(1),
            ready_for: seconds(5),
            stall_timeout: seconds(10 * 60),
            rollback_window: seconds(24 * 60 * 60),
            max_changed: None,
            group: None,
            watch: None,
            checks: vec![],
        }
    }
}

impl TryFrom<Value> for PromotePolicy {
    type Error = SpecError;

    fn try_from(value: Value) -> Result<Self, SpecError> {
        PromotePolicy::parse(value)
    }
}

impl PromotePolicy {
    pub(super) fn parse(value: Value) -> Result<Self, SpecError> {
        let mut fields = Fields::of(value, "promote")?;
        let defaults = PromotePolicy::default();
        let mut span = |field, default| fields.parsed(field, str::parse::<Span>).map(|span| span.unwrap_or(default));
        let max_lag = span("max_lag", defaults.max_lag)?;
        let ready_for = span("ready_for", defaults.ready_for)?;
        let stall_timeout = span("stall_timeout", defaults.stall_timeout)?;
        let rollback_window = span("rollback_window", defaults.rollback_window)?;
        let policy = PromotePolicy {
            auto: fields.boolean("auto")?.unwrap_or(defaults.auto),
            two_people: fields.boolean("two_people")?.unwrap_or(defaults.two_people),
            max_lag,
            ready_for,
            stall_timeout,
            rollback_window,
            max_changed: fields.parsed("max_changed", str::parse)?,
            group: group(&mut fields)?,
            watch: fields.take("watch").map(WatchPolicy::parse).transpose()?,
            checks: fields.list("checks")?.into_iter().enumerate().map(check).collect::<Result<_, _>>()?,
        };
        fields.finish()?;
        if policy.auto && policy.group.is_some() {
            let detail = "cannot be true in a group, whose jobs are promoted together";
            return Err(SpecError::new("promote.auto", detail, "leave out `auto`, or `group`"));
        }
        if policy.two_people && policy.auto {
            let detail = "cannot be true where `auto` is: nobody is asked then";
            return Err(SpecError::new("promote.two_people", detail, "leave out `two_people`, or `auto`"));
        }
        Ok(policy)
    }
}

fn group(fields: &mut Fields) -> Result<Option<String>, SpecError> {
    let group = fields.text("group")?;
    group.iter().try_for_each(|name| super::check_name("promote.group", name))?;
    Ok(group)
}

fn check((i, value): (usize, Value)) -> Result<Check, SpecError> {
    check_at(&format!("promote.checks[{i}]"), value)
}

/// A check that stands at `path`.
pub(super) fn check_at(path: &str, value: Value) -> Result<Check, SpecError> {
    let mut fields = Fields::of(value, path)?;
    let name = fields.required_text("name", "say what the check shows")?;
    let sql = fields.required_text("sql", "write a SELECT that gives true or false")?;
    fields.finish()?;
    Ok(Check { name, sql })
}
