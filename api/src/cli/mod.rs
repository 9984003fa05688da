//! The command line. One file per noun; all of it but `serve` and `quickstart` talks to a running server through its REST API.
//!
//! It keeps nothing: whatever a verb was doing when the process dies, the server goes on with it or never began it.

mod actions;
mod append;
pub(crate) mod args;
mod catalog;
pub(crate) mod client;
pub(crate) mod commands;
pub(crate) mod deploy;
mod drill;
pub(crate) mod failure;
pub(crate) mod folder;
mod groups;
mod history;
mod jobs;
mod markdown;
mod new;
mod notifications;
pub(crate) mod out;
mod plan;
mod restarts;
pub(crate) mod rows;
mod runbook;
mod schedules;
pub(crate) mod serve;
mod shell;
mod tables;
mod test;
mod tokens;
mod topics;
mod tree;
pub(crate) mod watch;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Global, Verb};
use client::Client;
use failure::Failure;
use out::Out;

/// The stack of each thread: planning recurses over expressions as deep as a query is long. Only what is used takes memory.
const STACK_BYTES: usize = 64 << 20;

/// What a verb works with.
pub(crate) struct Session {
    /// The server.
    pub(crate) client: Client,
    /// Where output goes.
    pub(crate) out: Out,
}

/// The whole program: reads the arguments, runs the verb, answers the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(cli.global.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build()
    {
        Ok(runtime) => runtime,
        Err(e) => return fail(&out, &Failure::Failed(format!("the async runtime does not start: {e}"))),
    };
    let ended = runtime.block_on(run(cli.global, cli.verb, out));
    // What still runs (a follower's connection, a reader's thread) must not hold the prompt.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(failure) => fail(&out, &failure),
    }
}

/// Prints why, answers the code.
fn fail(out: &Out, failure: &Failure) -> ExitCode {
    out.failure(failure);
    failure.exit_code()
}

/// Runs one verb.
async fn run(global: Global, verb: Verb, out: Out) -> Result<ExitCode, Failure> {
    let client = Client::trusting(&global.url, global.token, global.ca.as_deref())?;
    let session = Session { client, out };
    let s = &session;
    match verb {
        Verb::Serve { config, insecure, log_format, pause } => {
            serve::serve(config.as_deref(), insecure, log_format, pause).await
        }
        Verb::Quickstart { keep } => crate::quickstart::run(out, keep).await,
        Verb::Topic(verb) => topics::topic(s, verb).await,
        Verb::Mirror(verb) => topics::mirror(s, verb).await,
        Verb::Plan { dir, exit_code, output, format, rebuild } => {
            let markdown = format == args::PlanFormat::Markdown;
            return deploy::plan(s, &dir, deploy::PlanHow { exit_code, rebuild, output, markdown }).await;
        }
        Verb::Deploy { dir, plan, rebuild, watch, note } => {
            deploy::deploy(s, &dir, deploy::How { plan, rebuild, watch, note: note.note }).await
        }
        Verb::Apply { dir } => deploy::apply(s, &dir).await,
        Verb::Jobs => jobs::jobs(s).await,
        Verb::Versions { job } => jobs::versions(s, &job).await,
        Verb::Watch { target } => watch::watch(s, target).await,
        Verb::Wait { version, phase, timeout } => watch::wait(s, &version, &phase, timeout).await,
        Verb::Verify { version, note } => commands::verify(s, &version, note.note).await,
        Verb::Promote { version, when_ready, force, watch, note } => {
            commands::promote(s, &version, commands::Promotion { when_ready, force, watch, note: note.note }).await
        }
        Verb::Rollback { job, to, note } => commands::rollback(s, &job, to, note.note).await,
        Verb::Replay { version, start, accept_gap, max_records_per_s, note } => {
            let how = commands::Replay { start, accept_gap, max_records_per_s, note: note.note };
            commands::replay(s, &version, how).await
        }
        Verb::Drill { job, note } => drill::drill(s, &job, note.note).await,
        Verb::Schedules { verb } => schedules::schedules(s, verb).await,
        Verb::Pause(it) => commands::act(s, it, "pause").await,
        Verb::Resume(it) => commands::act(s, it, "resume").await,
        Verb::Abort(it) => commands::act(s, it, "abort").await,
        Verb::Retire(it) => commands::act(s, it, "retire").await,
        Verb::Runbook { job } => runbook::runbook(s, &job).await,
        Verb::Group(verb) => groups::group(s, verb).await,
        Verb::Freeze { job, until, note } => commands::freeze(s, &job, until, note.note).await,
        Verb::Actions { job } => actions::actions(s, &job).await,
        Verb::Notifications => notifications::notifications(s).await,
        Verb::Rows { table, filters, limit } => tables::rows(s, &table, &filters, limit).await,
        Verb::Sql { query, format } => tables::sql(s, &query, format.as_deref()).await,
        Verb::DeadLetters { version, limit } => tables::dead_letters(s, &version, limit).await,
        Verb::History { job, limit } => history::history(s, &job, limit).await,
        Verb::Token(verb) => tokens::token(s, verb).await,
        Verb::Audit { verb } => history::audit(s, verb.is_some()).await,
        Verb::Catalog(verb) => catalog::catalog(s, verb).await,
        Verb::Doctor { config } => crate::doctor::run(&out, config.as_deref()).await,
        Verb::New { dir, topic } => new::new(s, &dir, topic.as_deref()).await,
        Verb::Completions { shell } => shell::completions(&s.out, shell),
        Verb::Man { dir } => shell::man(&dir),
        Verb::Test { dir, accept } => test::test(s, &dir, accept).await,
    }
    .map(|()| ExitCode::SUCCESS)
}
