//! `rekap group …`: jobs that are promoted and rolled back as one.

use clap::Subcommand;

use super::Note;

/// `rekap group …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GroupVerb {
    /// Show what a promotion of the group would do
    Show {
        /// `group` in `[promote]` of its jobs
        group: String,
    },
    /// Promote the newest candidate of each of its jobs: all or none
    Promote {
        /// The group
        group: String,
        /// Go on although this condition is not met (any but caught_up)
        #[arg(long, value_name = "CONDITION")]
        force: Vec<String>,
        #[command(flatten)]
        note: Note,
    },
    /// Take the last promotion of the group back
    Rollback {
        /// The group
        group: String,
        #[command(flatten)]
        note: Note,
    },
}
