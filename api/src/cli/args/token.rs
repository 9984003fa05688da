//! `rekap token …`: who may do what.

use std::time::Duration;

use clap::Subcommand;
use rekap_jobs::parse_duration;

use super::Note;

/// `rekap token …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TokenVerb {
    /// Make a token and print it, this once
    Create {
        /// Who is to hold it; the audit log knows them by it
        name: String,
        /// What it may do: viewer, developer, operator or admin
        #[arg(long)]
        role: String,
        /// Only these jobs, with * for any text; repeat it for several [default: all]
        #[arg(long, value_name = "PATTERN")]
        job: Vec<String>,
        /// Only these topics, with * for any text; repeat it for several [default: all]
        #[arg(long, value_name = "PATTERN")]
        topic: Vec<String>,
        /// For how long it is good [default: until it is revoked]
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        expires: Option<Duration>,
        #[command(flatten)]
        note: Note,
    },
    /// List the tokens, without what is secret of them
    List,
    /// Revoke a token: the next request with it is refused
    Revoke {
        /// Its id
        id: String,
    },
    /// Say whose token one has, and what it may do
    Whoami,
}
