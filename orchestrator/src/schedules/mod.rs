//! Schedules: what is done at times that somebody named, in a time zone, on our own clock.
//!
//! ```text
//! [[schedules]] ─► Schedule (checked at start) ─┐
//! when it was last due, the time now ───────────┴─due (pure)─► run it · too late · still running ─► schedule.ran in the catalog
//! ```
//!
//! A schedule runs in this process only. If the process dies in a run, nothing of the run is recorded, so the next start finds its time
//! missed and makes it up once, within the schedule's grace. What each task does is safe to begin anew.

mod cron;
mod due;
mod keeper;
mod known;
mod spec;
mod tasks;

pub(crate) use keeper::Keeper;
pub use keeper::ScheduleView;
pub use known::{Known, Outcome, Ran};
use spec::Schedule;
pub use spec::{InvalidSchedule, ScheduleSpec, Schedules, Task};
