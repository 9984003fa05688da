//! What the log is told about its cluster, and the librdkafka configurations made of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::LogError;

/// The most bytes that librdkafka keeps ready of one partition for one reader, in KiB: some tens of milliseconds of reading.
const QUEUED_KIB: u32 = 4096;

/// The most bytes of one answer to a fetch, of all partitions that one consumer reads from one broker.
const FETCH_BYTES: u32 = 16 << 20;

/// How long a broker may hold a fetch that finds nothing. A partition that is begun waits for the fetch under way.
const FETCH_WAIT_MS: u32 = 50;

/// The most KiB of records that wait to be sent; beyond, an append waits.
const SENDING_KIB: u32 = 128 << 10;

/// A record of 1 MiB with its key and headers goes into one request.
pub(super) const MAX_MESSAGE_BYTES: u32 = 2 << 20;

/// How long a record may wait for its acknowledgement.
const DELIVERY_MS: u32 = 30_000;

/// Properties that decide what is read and acknowledged: the log sets them itself.
const OWN: [&str; 14] = [
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "metadata.broker.list",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

/// Where the cluster is, and how to speak to it.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// The first brokers to ask: `host:port,host:port`.
    pub bootstrap: String,
    /// Further properties of librdkafka: TLS, SASL, compression, sizes. Those on which correctness rests are refused.
    pub properties: BTreeMap<String, String>,
    /// A folder of this process's own for what it knows about leader epochs.
    pub folder: PathBuf,
}

impl KafkaSettings {
    /// Refuses properties that the log sets itself.
    pub(super) fn check(&self) -> Result<(), LogError> {
        if self.bootstrap.trim().is_empty() {
            return Err(LogError::Invalid("log.bootstrap is empty: name at least one broker as host:port".into()));
        }
        match self.properties.keys().find(|name| OWN.contains(&name.as_str())) {
            Some(name) => Err(LogError::Invalid(format!(
                "log.properties: `{name}` decides what is read and acknowledged, so the log sets it itself; leave it out"
            ))),
            None => Ok(()),
        }
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "rekap")
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.max.ms", "1000")
            .set("allow.auto.create.topics", "false");
        config
    }

    fn with_properties(&self, mut config: ClientConfig) -> ClientConfig {
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// For questions and changes to the cluster. Nobody polls its log lines, so it has none.
    pub(super) fn admin(&self) -> ClientConfig {
        let mut config = self.with_properties(self.base());
        config.set_log_level(RDKafkaLogLevel::Emerg);
        config
    }

    /// For one lane of readers.
    pub(super) fn consumer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", "rekap")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            // The bytes are the bound, not the number of messages: a fast reader empties 100,000 in no time, and then pauses.
            .set("queued.min.messages", "10000000")
            .set("queued.max.messages.kbytes", QUEUED_KIB.to_string())
            .set("fetch.queue.backoff.ms", "2")
            .set("fetch.wait.max.ms", FETCH_WAIT_MS.to_string())
            .set("fetch.max.bytes", FETCH_BYTES.to_string())
            .set("fetch.message.max.bytes", MAX_MESSAGE_BYTES.to_string());
        self.with_properties(config)
    }

    /// For the committed offsets of one group.
    pub(super) fn group(&self, id: &str) -> ClientConfig {
        let mut config = self.with_properties(self.base());
        config.set("group.id", id).set("enable.auto.commit", "false");
        config
    }

    /// For appends.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "1")
            .set("compression.type", "lz4")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", SENDING_KIB.to_string())
            .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .set("message.timeout.ms", DELIVERY_MS.to_string());
        self.with_properties(config)
    }

    /// For appends that happen once, of the writer of that name.
    pub(super) fn transactional(&self, id: &str) -> ClientConfig {
        let mut config = self.producer();
        config.set("transactional.id", id).set("transaction.timeout.ms", "60000");
        config
    }
}

impl std::fmt::Debug for KafkaSettings {
    /// Without the values of the properties: passwords are among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.properties.keys().collect();
        f.debug_struct("KafkaSettings").field("bootstrap", &self.bootstrap).field("properties", &names).finish()
    }
}
