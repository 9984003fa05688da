//! The grammar of the command line, noun by noun.

mod group;
mod token;
mod topic;
mod upkeep;
mod verb;
mod version;

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser};
use rekap_migrations::Format;

pub(super) use group::GroupVerb;
pub(super) use token::TokenVerb;
pub(super) use topic::{MirrorVerb, TopicVerb};
pub(super) use upkeep::{AuditVerb, CatalogVerb, SchedulesVerb};
pub(super) use verb::{PlanFormat, Verb};
pub(crate) use version::VersionRef;
pub(super) use version::{Note, Target, VersionCommand};

/// Kappa for teams: replay history through new code, prove it, swap it in, and swap it back if it was wrong.
#[derive(Debug, Parser)]
#[command(name = "rekap", version, long_version = LONG_VERSION.as_str(), max_term_width = 110)]
#[command(after_help = "Exit: 0 done, 1 failed, 2 usage, 3 refused, 4 unreachable, 5 timed out.")]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// The version, the commit that it is built from, and which version of each durable format it writes.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let formats = Format::ALL.map(|format| format!("{format} {}", format.current())).join(", ");
    format!("{}\ncommit: {}\nformats: {formats}", env!("CARGO_PKG_VERSION"), env!("REKAP_COMMIT"))
});

/// What every verb takes.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The server
    #[arg(long, global = true, env = "REKAP_URL", default_value = "http://127.0.0.1:7480")]
    pub(super) url: String,
    /// The token to say who you are
    #[arg(long, global = true, env = "REKAP_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// The certificate that the server's is signed by, as PEM [default: those that this machine trusts]
    #[arg(long, global = true, env = "REKAP_CA", value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// Print what the server answers, as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }
}
