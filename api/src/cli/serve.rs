//! `rekap serve`.

use std::io::IsTerminal;
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use super::args::VersionRef;
use super::failure::Failure;
use super::restarts;
use crate::{Config, ConfigError, LogFormat, Rekap, StartError};

/// Runs the server until it is told to stop (Ctrl-C or SIGTERM).
pub(super) async fn serve(
    config: Option<&Path>,
    insecure: bool,
    log: Option<LogFormat>,
    pause: Vec<VersionRef>,
) -> Result<(), Failure> {
    let mut config = Config::load(config, std::env::vars()).map_err(refused)?;
    log_to_stderr(log.unwrap_or(config.server.log));
    config.server.insecure = insecure;
    config.pause = pause.into_iter().map(|of| (of.job, of.version)).collect();
    // A file that grows past the limit of this process is then an error like a full disk, and not its end.
    let _file_too_large = signal(SignalKind::from_raw(SIGXFSZ))?;
    let running = Rekap::start(config).await.map_err(|e| match e {
        StartError::Config(e) => refused(e),
        e => Failure::Failed(e.to_string()),
    })?;
    tracing::info!("rekap listens on {}", running.url());
    if let Some(postgres) = running.postgres {
        tracing::info!("Postgres clients connect to {postgres}");
    }
    let restart = tokio::select! {
        stop = stop_signal() => stop.map(|()| false)?,
        () = async { tokio::join!(running.mended(), tokio::time::sleep(restarts::rest())); } => true,
    };
    tracing::info!(restart, "stopping");
    let addr = running.addr;
    running.shutdown().await;
    if restart { Err(restarts::start_anew(addr)) } else { Ok(()) }
}

/// The signal of a file that grows past `RLIMIT_FSIZE`, on Linux.
const SIGXFSZ: i32 = 25;

/// A configuration that cannot be used is a usage error.
fn refused(error: ConfigError) -> Failure {
    Failure::Usage(error.to_string())
}

/// Logs to the error stream; `RUST_LOG` says what.
fn log_to_stderr(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,rekap=info,rekap_api=info"));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) || !std::io::stderr().is_terminal();
    // A second subscriber (a test that embeds the server) keeps the first one.
    // A log on a disk that is full must not end the server: telling of that failure on the same stream would panic.
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    let _ = match format {
        LogFormat::Text => lines.with_ansi(!plain).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn stop_signal() -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
