//! What a server is told: `rekap.toml`, all of it optional, and `REKAP__…` variables over it.
//!
//! Unknown fields are refused with their place. Relative paths start at the file. Nothing here touches the data folder, so a
//! wrong configuration changes nothing.

mod load;
mod notify;
mod registry;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rekap_jobs::{parse_bytes, parse_duration};
use rekap_orchestrator::{ReplayLimits, ScheduleSpec, Schedules, SqlLimits};
use rekap_tiered_storage::{Clock, ColdLocation, RegistrySettings, SystemClock};
use serde::{Deserialize, Deserializer, de::Error};

pub use load::ConfigError;
pub use notify::{NotifyConfig, OutgoingConfig};
pub use registry::SchemaRegistry;

/// The port that a server listens on where nothing else is said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7480";

/// All that a server is told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder that holds everything durable.
    pub data: PathBuf,
    /// Where and how to listen.
    pub server: Server,
    /// The hot tier.
    pub log: Log,
    /// The cold tier.
    pub cold: Cold,
    /// What goes from the hot tier to the cold one, and when.
    pub mirror: Mirror,
    /// What queries may take.
    pub sql: Sql,
    /// Postgres clients.
    pub postgres: Postgres,
    /// The copy of the catalog outside.
    pub catalog: Catalog,
    /// Where the schemas of Avro and Protobuf records are.
    pub schema_registry: SchemaRegistry,
    /// What replays may take.
    pub replay: Replay,
    /// What is done at which times.
    pub schedules: Vec<ScheduleSpec>,
    /// Which events are told to whom.
    pub notify: Vec<NotifyConfig>,
    /// Which machines the server may call.
    pub outgoing: OutgoingConfig,
    /// The versions that are paused before anything reads, by job and number. Only said on the command line, never in a file.
    #[serde(skip)]
    pub pause: Vec<(String, u32)>,
}

/// `[replay]`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Replay {
    /// The most records a second of one replay that says nothing else; as many as it can where it is not said.
    pub max_records_per_s: Option<NonZeroU64>,
    /// The most cores of one replay; all where it is not said.
    pub cores: Option<NonZeroUsize>,
}

/// `[catalog]`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Catalog {
    /// Where every change of the catalog is copied to: `file:/backup/catalog`, or `s3://bucket/catalog` on the server of `[cold]`.
    pub export: Option<String>,
}

/// `[postgres]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Postgres {
    /// The address that Postgres clients connect to; port 0 takes a free one. `None` listens nowhere.
    pub listen: Option<SocketAddr>,
    /// The most clients at once; one more is told so and closed.
    pub max_connections: usize,
}

impl Default for Postgres {
    fn default() -> Self {
        Postgres { listen: None, max_connections: 100 }
    }
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names, beside this machine's, under which a server on loopback is reached: those of a proxy in front of it.
    pub hosts: Vec<String>,
    /// Listen beyond loopback without TLS and tokens. Only said on the command line, never in a file.
    #[serde(skip)]
    pub insecure: bool,
    /// Requests need a token. When it is not said: beyond loopback they do, unless the server is `insecure`.
    pub tokens: Option<bool>,
    /// The certificate; without one the server speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// What senders may take.
    pub limits: Limits,
    /// How many bytes of records may be on their way into the log at once; who sends more is told to wait.
    #[serde(deserialize_with = "bytes")]
    pub max_ingest: u64,
    /// How the server's log is written.
    pub log: LogFormat,
}

/// `[server.tls]`: PEM files, read again when they change.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate, and those that it is signed by.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// `[server.limits]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once; further ones wait until one of them ends.
    pub connections: usize,
    /// Requests that are answered at once; further ones are told to come again.
    pub requests: usize,
    /// Requests a second of one token, or of one address without a token; 0 sets no bound.
    pub requests_per_second: u32,
    /// How long the head of a request may take, and how long a connection may wait for its next request.
    #[serde(deserialize_with = "duration")]
    pub head_time: Duration,
}

/// How the server's log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Which hot tier.
    pub kind: LogKind,
    /// The embedded log deletes nothing of a mirrored topic that is not in the cold tier yet.
    pub retention_waits_for_mirror: bool,
    /// Kafka's bootstrap servers.
    pub bootstrap: Option<String>,
    /// Further properties of the Kafka client.
    pub properties: BTreeMap<String, String>,
}

/// The kinds of hot tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// In this process, under the data folder.
    Embedded,
    /// An Apache Kafka cluster.
    Kafka,
}

/// `[cold]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cold {
    /// Where the Delta tables lie: `file:` and a folder, or `s3://bucket/prefix`; `None` is `<data>/cold`.
    pub url: Option<String>,
    /// The URL of an S3 server other than AWS's.
    pub endpoint: Option<String>,
    /// The S3 region.
    pub region: Option<String>,
    /// The bucket is in the path of a request, not in its host name.
    pub path_style: bool,
    /// Talk to an endpoint on another machine without TLS.
    pub allow_http: bool,
}

/// `[mirror]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mirror {
    /// Which topics are mirrored: names, `*` in a name matches any text.
    pub topics: Vec<String>,
    /// A record is in the cold tier this long after its append, as a rule.
    #[serde(deserialize_with = "duration")]
    pub max_age: Duration,
    /// A cold file is cut at about this size.
    #[serde(deserialize_with = "bytes")]
    pub max_bytes: u64,
    /// A topic's retention is raised up to this while it comes near what is not mirrored.
    #[serde(deserialize_with = "some_duration")]
    pub raise_retention_to: Option<Duration>,
}

/// `[sql]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sql {
    /// The memory of all queries together; what needs more is refused.
    #[serde(deserialize_with = "bytes")]
    pub max_memory: u64,
    /// The rows of one answer.
    pub max_rows: u64,
    /// The time of one query, from its start to its last row.
    #[serde(deserialize_with = "duration")]
    pub max_time: Duration,
}

impl Default for Sql {
    fn default() -> Self {
        let SqlLimits { max_memory, max_rows, max_time } = SqlLimits::default();
        Sql { max_memory, max_rows, max_time }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data: "./rekap-data".into(),
            server: Server::default(),
            log: Log::default(),
            cold: Cold::default(),
            mirror: Mirror::default(),
            sql: Sql::default(),
            postgres: Postgres::default(),
            catalog: Catalog::default(),
            schema_registry: SchemaRegistry::default(),
            replay: Replay::default(),
            schedules: Vec::new(),
            notify: Vec::new(),
            outgoing: OutgoingConfig::default(),
            pause: Vec::new(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Server {
            listen: DEFAULT_LISTEN.parse().expect("a socket address"),
            hosts: Vec::new(),
            insecure: false,
            tokens: None,
            tls: None,
            limits: Limits::default(),
            max_ingest: 256 << 20,
            log: LogFormat::Text,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits { connections: 10_000, requests: 1_000, requests_per_second: 0, head_time: Duration::from_secs(60) }
    }
}

impl Server {
    /// True when requests need a token.
    pub fn wants_tokens(&self) -> bool {
        self.tokens.unwrap_or(!self.listen.ip().is_loopback() && !self.insecure)
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { kind: LogKind::Embedded, retention_waits_for_mirror: true, bootstrap: None, properties: BTreeMap::new() }
    }
}

impl Default for Cold {
    fn default() -> Self {
        Cold { url: None, endpoint: None, region: None, path_style: true, allow_http: false }
    }
}

impl Default for Mirror {
    fn default() -> Self {
        Mirror {
            topics: vec!["*".into()],
            max_age: Duration::from_secs(60),
            max_bytes: 128_000_000,
            raise_retention_to: None,
        }
    }
}

impl Config {
    /// Refuses what this build cannot do, and what would put an open server on a network by accident.
    pub fn check(&self) -> Result<(), ConfigError> {
        let guarded = self.server.tls.is_some() && self.server.wants_tokens();
        if !self.server.listen.ip().is_loopback() && !self.server.insecure && !guarded {
            return Err(ConfigError::OpenServer(self.server.listen));
        }
        if let Some(listen) = self.postgres.listen
            && !listen.ip().is_loopback()
            && !self.server.insecure
            && !guarded
        {
            return Err(ConfigError::OpenPostgres(listen));
        }
        if self.log.kind == LogKind::Kafka && self.log.bootstrap.is_none() {
            return Err(ConfigError::NoBootstrap);
        }
        if let Some(location) = self.export_location() {
            location.check().map_err(|refused| ConfigError::InvalidExport(refused.to_string()))?;
        }
        self.read_schedules()?;
        notify::check(self).map_err(ConfigError::InvalidNotify)?;
        self.cold_location().check().map_err(|refused| ConfigError::InvalidCold(refused.to_string()))
    }

    /// The schedules, if all of them can be kept.
    pub(crate) fn read_schedules(&self) -> Result<Schedules, ConfigError> {
        Ok(Schedules::read(&self.schedules, self.catalog.export.is_some(), SystemClock.now())?)
    }

    /// What replays may take.
    pub(crate) fn replay_limits(&self) -> ReplayLimits {
        let Replay { max_records_per_s, cores } = self.replay;
        ReplayLimits { max_records_per_s: max_records_per_s.map(NonZeroU64::get), cores: cores.map(NonZeroUsize::get) }
    }

    /// Where the catalog is copied to; a bucket is on the server that `[cold]` names.
    pub fn export_location(&self) -> Option<ColdLocation> {
        Some(self.beside_the_cold_tier(self.catalog.export.clone()?))
    }

    /// A place at that URL, reached as the cold tier is.
    pub(crate) fn beside_the_cold_tier(&self, url: String) -> ColdLocation {
        ColdLocation { url, ..self.cold_location() }
    }

    /// What queries may take.
    pub(crate) fn sql_limits(&self) -> SqlLimits {
        let Sql { max_memory, max_rows, max_time } = self.sql.clone();
        SqlLimits { max_memory, max_rows, max_time }
    }

    /// How the schema registry is asked; `None` without one. What it says is kept below `folder`.
    pub(crate) fn registry_settings(&self, folder: &Path) -> Option<RegistrySettings> {
        self.schema_registry.settings(folder)
    }

    /// Where the cold tier lies.
    pub fn cold_location(&self) -> ColdLocation {
        let Cold { url, endpoint, region, path_style, allow_http } = self.cold.clone();
        let url = url.unwrap_or_else(|| format!("file:{}", self.data.join("cold").display()));
        ColdLocation { url, endpoint, region, path_style, allow_http, keys: None }
    }
}

/// Reads `"60s"`.
fn duration<'de, D: Deserializer<'de>>(text: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(text)?).map_err(D::Error::custom)
}

fn some_duration<'de, D: Deserializer<'de>>(text: D) -> Result<Option<Duration>, D::Error> {
    duration(text).map(Some)
}

/// Reads `"128MB"`.
fn bytes<'de, D: Deserializer<'de>>(text: D) -> Result<u64, D::Error> {
    parse_bytes(&String::deserialize(text)?).map_err(D::Error::custom)
}
