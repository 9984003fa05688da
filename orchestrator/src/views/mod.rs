//! What users are shown. Every field is named as the REST API names it, so that it is only serialized there.

mod deployment;
mod drill;
mod event;
mod group;
mod job;
mod plan;
mod token;
mod version;

pub use deployment::{Approved, Armed, Deployed, Promoted, Promotion, RolledBack};
pub use drill::DrillView;
pub use event::{EventView, EventsPage};
pub use group::{GroupApproved, GroupJob, GroupMoved, GroupPromoted, GroupSwapped, GroupView};
pub use job::{JobView, RollbackView, TableView};
pub use plan::{
    Change, InputChange, PlanBase, PlanInput, PlanRefusal, PlanReport, PlanRollback, ReplayGap, ReplayRange, Tiers,
};
pub use token::TokenView;
pub use version::{PartitionView, ProgressView, ThrottledView, VerificationState, VerificationView, VersionView};
