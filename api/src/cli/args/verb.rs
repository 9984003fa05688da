//! The verbs, in the order of the help.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use rekap_jobs::parse_duration;

use super::{
    AuditVerb, CatalogVerb, GroupVerb, MirrorVerb, Note, SchedulesVerb, Target, TokenVerb, TopicVerb, VersionCommand,
    VersionRef,
};

/// The verbs.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Verb {
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
        /// Pause JOB@N before anything reads: a version that ends the server (may be repeated)
        #[arg(long, value_name = "JOB@N")]
        pause: Vec<VersionRef>,
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
        /// Write the plan to a file, for `deploy --plan`; - is the standard output
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// How to show it; markdown suits a comment on a pull request
        #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
        format: PlanFormat,
        /// Of a deploy with --rebuild
        #[arg(long)]
        rebuild: bool,
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
pub(in crate::cli) enum PlanFormat {
    /// For a terminal
    Text,
    /// For a comment on a pull request
    Markdown,
}
