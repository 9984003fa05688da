//! The grammar of the command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use rekap_jobs::parse_duration;
use rekap_migrations::Format;

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

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the server
    Serve {
        /// The configuration [default: ./rekap.toml if it is there]
        #[arg(long)]
        config: Option<PathBuf>,
        /// Listen beyond loopback without TLS and tokens
        #[arg(long)]
        insecure: bool,
        /// How the log on the error stream is written [default: `log` of [server], or text]
        #[arg(long, value_enum)]
        log_format: Option<crate::LogFormat>,
    },
    /// See the whole loop in half a minute, with nothing set up
    Quickstart {
        /// Leave the server up
        #[arg(long)]
        keep: bool,
    },
    /// Topics and their records
    #[command(subcommand)]
    Topic(TopicVerb),
    /// Say what a deploy would do
    Plan {
        /// The job's folder
        dir: PathBuf,
        /// Exit with 10 when there are changes
        #[arg(long)]
        exit_code: bool,
        /// Write the plan to a file, for `deploy --plan`
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// How to show it; markdown suits a comment on a pull request
        #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
        format: PlanFormat,
    },
    /// Deploy a job's folder as a new version
    Deploy {
        /// The job's folder
        dir: PathBuf,
        /// Only if the plan in this file still holds
        #[arg(long)]
        plan: Option<PathBuf>,
        /// Make a new version even if nothing changed
        #[arg(long)]
        rebuild: bool,
        /// Watch the replay until the version is ready
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        note: Note,
    },
    /// Make the topics of DIR/topics.toml and deploy all job folders below DIR
    Apply {
        /// The folder
        dir: PathBuf,
    },
    /// List the jobs
    Jobs,
    /// List a job's versions
    Versions {
        /// The job
        job: String,
    },
    /// Watch a job, or one version of it
    Watch {
        /// JOB or JOB@N
        target: Target,
    },
    /// Wait until a version has come to a phase
    Wait {
        /// JOB@N
        version: VersionRef,
        /// The phase, such as Ready or Serving
        #[arg(long = "for", value_name = "PHASE")]
        phase: String,
        /// Give up after this long
        #[arg(long, default_value = "10m", value_parser = parse_duration)]
        timeout: Duration,
    },
    /// Compare a version with the serving one, at the same positions
    Verify {
        /// JOB@N
        version: VersionRef,
        #[command(flatten)]
        note: Note,
    },
    /// Let the alias serve this version
    Promote {
        /// JOB@N
        version: VersionRef,
        /// As soon as it is ready
        #[arg(long)]
        when_ready: bool,
        /// Go on although this condition is not met (any but caught_up)
        #[arg(long, value_name = "CONDITION")]
        force: Vec<String>,
        /// Watch until it serves
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        note: Note,
    },
    /// Let the alias serve what it served before
    Rollback {
        /// The job
        job: String,
        /// The version to go back to [default: the one that served before]
        #[arg(long)]
        to: Option<u32>,
        #[command(flatten)]
        note: Note,
    },
    /// Jobs that are promoted and rolled back as one
    #[command(subcommand)]
    Group(GroupVerb),
    /// Replay a version into a fresh table
    Replay {
        /// JOB@N
        version: VersionRef,
        /// beginning, end, or a time [default: as the job says]
        #[arg(long)]
        start: Option<String>,
        /// Do without what neither tier holds any more; the version says what it left out
        #[arg(long)]
        accept_gap: bool,
        /// Read no faster than that [default: as the server says]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        max_records_per_s: Option<u64>,
        #[command(flatten)]
        note: Note,
    },
    /// Replay history beside what serves, and compare: does history still give what is served?
    Drill {
        /// The job
        job: String,
        #[command(flatten)]
        note: Note,
    },
    /// What the server does at which times
    Schedules {
        #[command(subcommand)]
        verb: Option<SchedulesVerb>,
    },
    /// Pause a version
    Pause(VersionCommand),
    /// Let a paused version go on
    Resume(VersionCommand),
    /// Give a candidate up
    Abort(VersionCommand),
    /// Retire a version and let its table go
    Retire(VersionCommand),
    /// Stop automatic promotion and clean-up of a job
    Freeze {
        /// The job
        job: String,
        /// Until when (RFC 3339) [default: a day from now; a moment in the past ends a freeze]
        #[arg(long)]
        until: Option<String>,
        #[command(flatten)]
        note: Note,
    },
    /// Read a table's rows
    Rows {
        /// ALIAS or ALIAS@N
        table: String,
        /// Key columns from the left, as column=value
        #[arg(value_name = "COLUMN=VALUE")]
        filters: Vec<String>,
        /// At most this many rows
        #[arg(short = 'n', long, default_value_t = 100)]
        limit: usize,
    },
    /// Ask one SELECT over live.<alias>
    Sql {
        /// The query
        query: String,
        /// json, csv or arrow instead of a table
        #[arg(long)]
        format: Option<String>,
    },
    /// List the records that a version could not use
    DeadLetters {
        /// JOB@N
        version: VersionRef,
        /// At most this many
        #[arg(short = 'n', long, default_value_t = 100)]
        limit: usize,
    },
    /// What happened to a job, and who did it
    History {
        /// The job
        job: String,
        /// At most this many events
        #[arg(short = 'n', long, default_value_t = 100)]
        limit: usize,
    },
    /// What a job sends about the rows that change, and how that fares
    Actions {
        /// The job
        job: String,
    },
    /// What is told to whom by webhook, and how that fares
    Notifications,
    /// What can be done about a job as it is now, with the exact commands
    Runbook {
        /// The job
        job: String,
    },
    /// The cold tier's state
    #[command(subcommand)]
    Mirror(MirrorVerb),
    /// Who may do what
    #[command(subcommand)]
    Token(TokenVerb),
    /// The audit log
    Audit {
        /// Check the hash chain
        #[command(subcommand)]
        verb: Option<AuditVerb>,
    },
    /// Take out or bring back the catalog
    #[command(subcommand)]
    Catalog(CatalogVerb),
    /// Look for what would keep a server from working, without one
    Doctor {
        /// The configuration [default: ./rekap.toml if it is there]
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Start a job folder, which passes its own test as it stands
    New {
        /// The folder to make; the job is named as it
        dir: PathBuf,
        /// Make it from this topic's schema and records
        #[arg(long)]
        topic: Option<String>,
    },
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write man pages
    Man {
        /// The folder to write them to
        dir: PathBuf,
    },
    /// Run the cases in DIR/tests, without a server
    Test {
        /// The job's folder
        dir: PathBuf,
        /// Write down what comes out as what is expected
        #[arg(long)]
        accept: bool,
    },
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PlanFormat {
    /// For a terminal
    Text,
    /// For a comment on a pull request
    Markdown,
}

/// `rekap topic …`
#[derive(Debug, Subcommand)]
pub(super) enum TopicVerb {
    /// Make a topic
    Create {
        /// Its name
        topic: String,
        /// The number of partitions
        #[arg(short, long, default_value_t = 1)]
        partitions: u32,
        /// A field of the record key; repeat it for several
        #[arg(short, long)]
        key: Vec<String>,
        /// A file with its schema: a JSON Schema, an Avro schema, or a .proto source
        #[arg(long)]
        schema: Option<PathBuf>,
        /// json, avro, protobuf, text or bytes [default: json]
        #[arg(long)]
        format: Option<String>,
        /// confluent: each value follows the id of its schema in the schema registry [default: bare]
        #[arg(long)]
        wire: Option<String>,
        /// Which message of the .proto source the records are [default: its first]
        #[arg(long)]
        message: Option<String>,
        /// How long the hot tier keeps a record
        #[arg(long, value_parser = parse_duration)]
        retention: Option<Duration>,
    },
    /// List the topics
    List,
    /// Show a topic's partitions
    Show {
        /// The topic
        topic: String,
    },
    /// Append events: one JSON value a line, or a .csv file; .gz and .zst files go as they are
    Append {
        /// The topic
        topic: String,
        /// The file; - or nothing is the standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Read records from both tiers
    Read {
        /// The topic
        topic: String,
        /// The partition [default: all]
        #[arg(short, long)]
        partition: Option<u32>,
        /// beginning, end, an offset, or a time
        #[arg(long, default_value = "beginning")]
        from: String,
        /// At most this many records
        #[arg(short = 'n', long)]
        number: Option<u64>,
        /// Wait for further records
        #[arg(short, long)]
        follow: bool,
    },
    /// Delete a topic with its hot records
    Delete {
        /// The topic
        topic: String,
    },
}

/// `rekap group …`
#[derive(Debug, Subcommand)]
pub(super) enum GroupVerb {
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

/// `rekap schedules …`
#[derive(Debug, Subcommand)]
pub(super) enum SchedulesVerb {
    /// Run one now, beside its times
    Run {
        /// The schedule
        schedule: String,
        #[command(flatten)]
        note: Note,
    },
}

/// `rekap mirror …`
#[derive(Debug, Subcommand)]
pub(super) enum MirrorVerb {
    /// How far the mirror is
    Status {
        /// One topic, by partition [default: all topics]
        topic: Option<String>,
    },
    /// Mirror a topic up to its present end
    Flush {
        /// The topic
        topic: String,
    },
}

/// `rekap token …`
#[derive(Debug, Subcommand)]
pub(super) enum TokenVerb {
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

/// `rekap audit …`
#[derive(Debug, Subcommand)]
pub(super) enum AuditVerb {
    /// Check the hash chain
    Verify,
}

/// `rekap catalog …`
#[derive(Debug, Subcommand)]
pub(super) enum CatalogVerb {
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

/// A command upon one version.
#[derive(Debug, Args)]
pub(super) struct VersionCommand {
    /// JOB@N
    pub(super) version: VersionRef,
    #[command(flatten)]
    pub(super) note: Note,
}

/// Why, for the audit log.
#[derive(Debug, Args)]
pub(super) struct Note {
    /// Why, for the audit log
    #[arg(long)]
    pub(super) note: Option<String>,
}

/// `JOB@N`.
#[derive(Debug, Clone)]
pub(crate) struct VersionRef {
    pub(crate) job: String,
    pub(crate) version: u32,
}

impl FromStr for VersionRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` names no version: write JOB@N, as in bpi@2");
        let (job, version) = text.split_once('@').ok_or_else(wrong)?;
        Ok(VersionRef { job: job.to_owned(), version: version.parse().map_err(|_| wrong())? })
    }
}

/// `JOB` or `JOB@N`.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Job(String),
    Version(VersionRef),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('@') { text.parse().map(Target::Version) } else { Ok(Target::Job(text.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_version_is_named_with_its_job() {
        let version: VersionRef = "bpi@2".parse().unwrap();
        assert_eq!((version.job.as_str(), version.version), ("bpi", 2));
        assert!("bpi".parse::<VersionRef>().unwrap_err().contains("bpi@2"));
    }
}
