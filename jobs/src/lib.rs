//! Versioned stream jobs: a range of the log is a query, and its result is merged into a table.
//!
//! A [`JobSpec`] says what a job reads and how; [`CompiledJob`] is its SQL, planned once; a runner takes one version of it from range
//! to range. This room knows nothing of aliases, promotion or HTTP.

mod actions;
mod query;
mod runner;
mod spec;

pub use actions::{Actions, Bound, InvalidAction, Trigger, When};
pub use query::{
    Change, CompiledJob, FailedRecord, JobInput, Part, Place, Records, Refusal, Touched, Worker, bound_functions,
    check_size, sql_error,
};
pub use runner::{
    Failure, Histogram, HoldTimedOut, LostRange, Pace, PartitionStatus, RangeStats, Run, Runner, RunnerHandle,
    RunnerInit, RunnerStatus, SnapshotError, Throttle, ThrottledBy,
};
pub use spec::{
    ActionSpec, ActionTarget, Check, Digest, InputSpec, InvalidQuantity, JobSpec, OnError, Percent, PromotePolicy,
    STATE_VERSION, Span, SpecError, WatchPolicy, parse_bytes, parse_duration,
};
