//! `rekap serve`.

use std::io::IsTerminal;
use std::path::Path;

use super::failure::Failure;
use crate::{Config, ConfigError, Rekap, StartError};

/// Runs the server until it is told to stop (Ctrl-C or SIGTERM).
pub(super) async fn serve(config: Option<&Path>, insecure: bool) -> Result<(), Failure> {
    log_to_stderr();
    let mut config = Config::load(config, std::env::vars()).map_err(refused)?;
    config.server.insecure = insecure;
    let running = Rekap::start(config).await.map_err(|e| match e {
        StartError::Config(e) => refused(e),
        e => Failure::Failed(e.to_string()),
    })?;
    tracing::info!("rekap listens on {}", running.url());
    stop_signal().await?;
    tracing::info!("stopping");
    running.shutdown().await;
    Ok(())
}

/// A configuration that cannot be used is a usage error.
fn refused(error: ConfigError) -> Failure {
    Failure::Usage(error.to_string())
}

/// Logs to the error stream; `RUST_LOG` says what.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,rekap=info,rekap_api=info"));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) || !std::io::stderr().is_terminal();
    // A second subscriber (a test that embeds the server) keeps the first one.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(!plain).with_writer(std::io::stderr).try_init();
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn stop_signal() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
