//! Deployments: the catalog, aliases, promotion and rollback.
//!
//! Every command becomes events in an append-only, hash-chained [catalog](Catalog); state is a fold over it. [`decide`] and [`react`]
//! are pure: what may be done, and what is to be done next. The steward does it, and a crash between any two lines is survived by
//! looking again. This room knows neither HTTP nor a terminal.

mod book;
mod by;
mod catalog;
mod commands;
mod comparing;
pub mod decide;
mod error;
pub mod event;
mod fleet;
mod gate;
mod history;
mod orchestrator;
mod phase;
mod planning;
pub mod react;
mod reading;
mod reads;
pub mod ready;
mod recovery;
mod schema;
mod sql;
pub mod state;
mod steward;
mod swap;
mod swaps;
#[cfg(test)]
mod testing;
mod verify;
pub mod views;

pub use by::{By, RequestKey};
pub use catalog::{Answered, Audit, Broken, Catalog, CatalogError, Draft, Entry, FORMAT_VERSION, Hash, Head};
pub use decide::Promotion as PromotionRequest;
pub use error::{Kind, Rejection};
pub use orchestrator::{Config, Orchestrator};
pub use phase::{Phase, Run, Standing, phase};
pub use ready::{Condition, Conditions};
pub use sql::{SqlError, SqlLimits};
pub use verify::{Change, CheckResult, ColumnResult, Counts, Report, Sample, Types, Verdict};
