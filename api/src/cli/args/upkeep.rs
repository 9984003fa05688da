//! `rekap schedules …`, `rekap audit …` and `rekap catalog …`: what keeps a server in order.

use std::path::PathBuf;

use clap::Subcommand;

use super::Note;

/// `rekap schedules …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SchedulesVerb {
    /// Run one now, beside its times
    Run {
        /// The schedule
        schedule: String,
        #[command(flatten)]
        note: Note,
    },
}

/// `rekap audit …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AuditVerb {
    /// Check the hash chain
    Verify,
}

/// `rekap catalog …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CatalogVerb {
    /// Write the catalog of the data folder to a file, with no server running on it
    Export {
        /// The file; - is the standard output
        file: PathBuf,
        /// The configuration that names the data folder [default: ./rekap.toml if it is there]
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Read a catalog into a data folder that has none
    Restore {
        /// A file of `catalog export`, or the folder of `[catalog] export`, as /backup/catalog or s3://bucket/catalog
        from: PathBuf,
        /// The configuration that names the data folder [default: ./rekap.toml if it is there]
        #[arg(long)]
        config: Option<PathBuf>,
    },
}
