//! The cold tier: whether its store keeps what exactly-once stands on.

use std::sync::Arc;

use rekap_tiered_storage::{ColdTier, Finding, SystemClock};

use crate::Config;

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let location = config.cold_location();
    let opened = tokio::task::spawn_blocking(move || ColdTier::open(location, Arc::new(SystemClock))).await;
    match opened {
        Ok(Ok(cold)) => cold.examine().await,
        Ok(Err(e)) => {
            vec![Finding::fail("cold-reachable", e.to_string(), "correct `[cold]`, or the rights of the folder")]
        }
        Err(e) => vec![Finding::fail("cold-reachable", e.to_string(), "this is a bug: report it")],
    }
}
