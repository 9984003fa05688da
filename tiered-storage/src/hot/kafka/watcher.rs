//! What librdkafka says by itself: log lines, and errors of connections. The last error explains a question without an answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use tokio::time::Instant;

use super::flight::Flight;

/// For how long an error explains what goes wrong.
const EXPLAINS: Duration = Duration::from_secs(30);

/// Listens to all clients of one log.
#[derive(Clone, Default)]
pub(super) struct Watcher(Arc<Mutex<Option<(Instant, RDKafkaErrorCode, String)>>>);

impl Watcher {
    /// The last error of a connection, if it is a fresh one.
    pub(super) fn last_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        let last = self.0.lock().expect("no holder panics");
        last.as_ref().filter(|(at, ..)| at.elapsed() < EXPLAINS).map(|(_, code, said)| (*code, said.clone()))
    }
}

impl ClientContext for Watcher {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(facility, "librdkafka: {line}"),
            _ => tracing::debug!(facility, "librdkafka: {line}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        tracing::debug!(%error, reason, "librdkafka reports an error");
        let mut last = self.0.lock().expect("no holder panics");
        // That all brokers are down is a consequence; why is what was said before.
        if code != RDKafkaErrorCode::AllBrokersDown || last.is_none() {
            *last = Some((Instant::now(), code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Watcher {}

impl ProducerContext for Watcher {
    type DeliveryOpaque = Arc<Flight>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, flight: Arc<Flight>) {
        flight.landed(delivered);
    }
}
