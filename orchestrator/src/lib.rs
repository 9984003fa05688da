//! Deployments: the catalog, aliases, promotion and rollback.
//!
//! Every command becomes events in an append-only, hash-chained [catalog](Catalog); state is a fold over it. [`decide`] and [`react`]
//! are pure: what may be done, and what is to be done next. The steward does it, and a crash between any two lines is survived by
//! looking again. This room knows neither HTTP nor a terminal.

mod actions;
mod book;
mod by;
mod catalog;
mod commands;
mod comparing;
#[cfg(test)]
mod crashes;
pub mod decide;
mod drill;
mod error;
pub mod event;
mod export;
mod fleet;
mod gate;
mod governor;
mod group;
mod history;
#[cfg(test)]
mod model;
mod orchestrator;
mod phase;
mod planning;
pub mod react;
mod readers;
mod reading;
mod reads;
pub mod ready;
mod recovery;
mod replay_start;
mod schedules;
mod schema;
mod sql;
pub mod state;
mod steward;
mod swap;
mod swaps;
#[cfg(test)]
mod testing;
mod token;
mod topics;
mod verify;
pub mod views;

pub use actions::{ActionView, Due, Lane};
pub use by::{By, RequestKey};
pub use catalog::{Answered, Audit, Broken, Catalog, CatalogError, Draft, Entry, FORMAT_VERSION, Hash, Head};
pub use decide::{GroupPromotion, Promotion as PromotionRequest};
pub use error::{Kind, Rejection};
pub use export::Export;
pub use governor::ReplayLimits;
pub use orchestrator::{Config, Orchestrator};
pub use phase::{Phase, Run, Standing, phase};
pub use readers::SeenReader;
pub use ready::{Condition, Conditions};
pub use replay_start::ReplayStart;
pub use schedules::{
    InvalidSchedule, Known as KnownSchedule, Outcome as ScheduleOutcome, Ran, ScheduleSpec, ScheduleView, Schedules,
    Task as ScheduledTask,
};
pub use schema::{ColumnChange, ColumnChangeKind};
pub use sql::{SqlError, SqlLimits, SqlSession, SqlTable};
pub use token::{Ended, Issued, Scope, Token, TokenRole};
pub use verify::{Change, CheckResult, ColumnResult, Counts, Report, Sample, Types, Verdict};
