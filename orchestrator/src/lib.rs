//! Deployments: the catalog, aliases, promotion and rollback.

mod sql;
mod verify;

pub use sql::SqlError;
pub use verify::{Change, CheckResult, ColumnResult, Counts, Report, Sample, Types, Verdict};
