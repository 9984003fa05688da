//! What every handler works with: the rooms, wired together.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use rekap_migrations::DataFolder;
use rekap_orchestrator::{Export, Orchestrator, ScheduledTask, Schedules};
use rekap_tables::{TableError, Tables};
use rekap_tiered_storage::{
    Clock, ColdTier, EmbeddedLog, HotLog, Incarnation, KafkaLog, KafkaSettings, Log, Mirror, MirrorPolicy, Positions,
    Retention, RetentionPolicy, SchemaRegistry, SystemClock, Timestamp, Topic, TopicConfig, TopicName, TopicWriter,
};
use tokio_util::sync::CancellationToken;

use super::access::Sessions;
use super::ingest::Ingest;
use super::metrics::HttpMetrics;
use super::{StartError, blocking};
use crate::actions::{Board, Dispatcher};
use crate::config::LogKind;
use crate::notify::Notifications;
use crate::outgoing::{Admitted, Outgoing};
use crate::{Config, Problem};

/// The memory that all queries of the process share, replays included.
const QUERY_MEMORY_BYTES: usize = 512 << 20;

/// How often the log is told where versions stand.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The open rooms. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Rooms>);

/// The rooms themselves; what others stand on is dropped last.
struct Rooms {
    orchestrator: Arc<Orchestrator>,
    mirror: Arc<Mirror>,
    _retention: Retention,
    log: Log,
    http: HttpMetrics,
    ingest: Ingest,
    sessions: Sessions,
    notifications: Notifications,
    actions: Board,
    /// Held while a topic is made or changed: its new configuration is computed from the present one.
    altering: tokio::sync::Mutex<()>,
    /// A compiled writer for each topic, with the configuration that it was compiled from.
    writers: Mutex<HashMap<Incarnation, (TopicConfig, TopicWriter)>>,
    stop: CancellationToken,
    folder: DataFolder,
}

impl App {
    /// Opens every room under the data folder, in the order in which they need each other.
    pub(super) async fn open(config: &Config, port: u16, stop: CancellationToken) -> Result<App, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let path = config.data.clone();
        let folder = blocking(move || DataFolder::open(&path)).await.map_err(cannot("the data folder"))?;
        let log = open_log(config, folder.path(), clock.clone()).await?;
        let path = folder.path().join("tables");
        let now = clock.now();
        let tables = blocking(move || open_tables(&path, now)).await.map_err(cannot("the folder of tables"))?;
        let schedules = config.read_schedules()?;
        let export = config.export_location().as_ref().map(Export::open).transpose();
        let export = export.map_err(cannot("catalog.export"))?;
        let export = export.map(|export| export.by_schedule(schedules.have(ScheduledTask::CatalogExport)));
        let memory: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(QUERY_MEMORY_BYTES));
        let orchestrator = Orchestrator::open(rekap_orchestrator::Config {
            catalog: folder.path().join("catalog"),
            log: Arc::new(log.clone()),
            tables,
            clock: clock.clone(),
            memory,
            sql: config.sql_limits(),
            export,
            replay: config.replay_limits(),
            pause: config.pause.clone(),
        });
        let orchestrator = orchestrator.await.map_err(no_catalog)?;
        // In a cluster others make topics, by the thousand, and delete them.
        if config.log.kind == LogKind::Embedded {
            orchestrator.settle_topics().await.map_err(no_catalog)?;
        }
        let folder = blocking(move || folder.sync().map(|()| folder)).await.map_err(cannot("the data folder"))?;
        let policy = mirror_policy(config, &schedules);
        let retention =
            RetentionPolicy { mirror: policy.clone(), waits_for_mirror: config.log.retention_waits_for_mirror };
        let retention = Retention::spawn(log.clone(), retention, orchestrator.slowest_positions(), clock.clone());
        let mirror = Arc::new(Mirror::spawn(log.clone(), policy, clock.clone()));
        orchestrator.keep_schedules(schedules, &mirror).await.map_err(no_catalog)?;
        let outgoing = outgoing(config)?;
        let notifications = Notifications::of(&config.notify).map_err(cannot("the list of notifications"))?;
        let started = notifications.start(folder.path(), &orchestrator, &outgoing, &clock, &stop);
        started.map_err(cannot("the folder of notifications"))?;
        let actions = Board::default();
        Dispatcher::spawn(&orchestrator, log.clone(), outgoing, clock, stop.clone(), actions.clone());
        if config.log.kind == LogKind::Kafka {
            tokio::spawn(tell_progress(Arc::downgrade(&orchestrator), log.clone(), stop.clone()));
        }
        Ok(App(Arc::new(Rooms {
            orchestrator,
            mirror,
            _retention: retention,
            log,
            http: HttpMetrics::default(),
            ingest: Ingest::new(config.server.max_ingest),
            sessions: Sessions::new(port, config.server.tls.is_some()),
            notifications,
            actions,
            altering: tokio::sync::Mutex::default(),
            writers: Mutex::default(),
            stop,
            folder,
        })))
    }

    /// The control plane.
    pub(crate) fn orchestrator(&self) -> &Arc<Orchestrator> {
        &self.0.orchestrator
    }

    /// Both tiers.
    pub(super) fn log(&self) -> &Log {
        &self.0.log
    }

    /// The mirror.
    pub(super) fn mirror(&self) -> &Mirror {
        &self.0.mirror
    }

    /// The counts of requests.
    pub(super) fn http(&self) -> &HttpMetrics {
        &self.0.http
    }

    /// The bytes being appended.
    pub(super) fn ingest(&self) -> &Ingest {
        &self.0.ingest
    }

    /// The console's sessions.
    pub(super) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// How the actions of jobs fare.
    pub(super) fn actions(&self) -> &Board {
        &self.0.actions
    }

    /// What is told to whom.
    pub(super) fn notifications(&self) -> &Notifications {
        &self.0.notifications
    }

    /// A topic by the name in the path. A name that no topic can have is the name of none.
    pub(super) async fn topic(&self, name: &str) -> Result<Topic, Problem> {
        let name: TopicName = name.parse().map_err(|invalid: rekap_tiered_storage::InvalidTopicName| {
            Problem::not_found("UNKNOWN_TOPIC", invalid.to_string(), "GET /v1/topics lists all topics")
        })?;
        Ok(self.0.log.hot.topic(&name).await?)
    }

    /// Keeps others from changing topics meanwhile.
    pub(super) async fn altering(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.altering.lock().await
    }

    /// The writer of a topic as it is configured now.
    pub(super) fn writer(&self, topic: &Topic) -> Result<TopicWriter, Problem> {
        let mut writers = self.0.writers.lock().expect("no holder of this lock panics");
        if let Some((config, writer)) = writers.get(&topic.incarnation)
            && *config == topic.config
        {
            return Ok(writer.clone());
        }
        let writer = TopicWriter::with_registry(topic, self.0.log.registry.clone())?;
        writers.insert(topic.incarnation, (topic.config.clone(), writer.clone()));
        Ok(writer)
    }

    /// Writes a file of a few bytes to the data folder, as an append or a deploy would.
    pub(super) async fn probe_disk(&self) -> std::io::Result<()> {
        let path = self.0.folder.path().join("probe");
        blocking(move || {
            let mut file = std::fs::File::create(&path)?;
            std::io::Write::write_all(&mut file, b"rekap writes here to see whether it can\n")?;
            file.sync_data()
        })
        .await
    }

    /// Comes when the server is told to stop.
    pub(super) async fn stopping(&self) {
        self.0.stop.cancelled().await;
    }

    /// What the disk refused to one of the rooms, which takes no writes until it is opened again; `None` while all is well.
    pub(super) async fn refused_by_disk(&self) -> Option<String> {
        match self.0.log.hot.failure() {
            Some(failure) => Some(failure),
            None => self.0.orchestrator.failure().await,
        }
    }

    /// The data folder.
    pub(super) fn folder(&self) -> &Path {
        self.0.folder.path()
    }

    /// Brings every room to rest.
    pub(super) async fn close(self) {
        self.0.orchestrator.shutdown().await;
    }
}

/// Tells the log again and again where each version stands, for those who watch lag there.
async fn tell_progress(orchestrator: Weak<Orchestrator>, log: Log, stop: CancellationToken) {
    let mut told: HashMap<String, Positions> = HashMap::new();
    let mut again = tokio::time::interval(TELL_EVERY);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(again.tick()).await.is_some() {
        let Some(orchestrator) = orchestrator.upgrade() else { return };
        let mut now = HashMap::new();
        for job in orchestrator.jobs() {
            let live = job.versions.iter().filter_map(|n| orchestrator.version(&job.job, *n).ok());
            now.extend(live.map(|view| (format!("{}-{}", view.job, view.version), view.positions)));
        }
        drop(orchestrator);
        now.retain(|_, at: &mut Positions| !at.is_empty());
        for (reader, at) in now.iter().filter(|(reader, at)| told.get(*reader) != Some(*at)) {
            if let Err(error) = log.hot.note_progress(reader, at).await {
                tracing::debug!(%error, reader, "the log was not told how far a version is");
            }
        }
        told = now;
    }
}

/// Both tiers of the log.
async fn open_log(config: &Config, folder: &Path, clock: Arc<dyn Clock>) -> Result<Log, StartError> {
    let hot = open_hot(config, folder, clock.clone()).await?;
    let location = config.cold_location();
    let cold = blocking(move || ColdTier::open(location, clock)).await.map_err(cannot("the cold tier"))?;
    cold.refuse_careless_store().await.map_err(cannot("the cold tier"))?;
    Ok(Log::new(hot, Arc::new(cold)).with_registry(open_registry(config, folder)?))
}

/// The client of the schema registry.
fn open_registry(config: &Config, folder: &Path) -> Result<SchemaRegistry, StartError> {
    match config.registry_settings(folder) {
        Some(settings) => SchemaRegistry::open(settings).map_err(cannot("the schema registry")),
        None => Ok(SchemaRegistry::none()),
    }
}

/// The hot tier.
async fn open_hot(config: &Config, folder: &Path, clock: Arc<dyn Clock>) -> Result<Arc<dyn HotLog>, StartError> {
    let crate::config::Log { kind, bootstrap, properties, .. } = config.log.clone();
    match kind {
        LogKind::Embedded => {
            let path = folder.join("log");
            Ok(blocking(move || EmbeddedLog::open(&path, clock)).await.map_err(cannot("the embedded log"))?)
        }
        LogKind::Kafka => {
            let bootstrap = bootstrap.unwrap_or_default();
            let settings = KafkaSettings { bootstrap, properties, folder: folder.join("kafka") };
            Ok(KafkaLog::open(settings, clock).await.map_err(cannot("the log in Kafka"))?)
        }
    }
}

/// The tables. A database that is damaged is set aside, and the versions replay into a new one: tables hold nothing that the log does
/// not. One of a newer format is somebody's good data, and one that the disk refuses now may be good as well: these are refused.
fn open_tables(path: &Path, now: Timestamp) -> Result<Tables, TableError> {
    let failure = match Tables::open(path) {
        Err(failure) if failure.is_damage() => failure,
        opened => return opened,
    };
    let aside = path.with_file_name(format!("tables.broken-{}", now.as_micros()));
    if std::fs::rename(path, &aside).is_err() {
        return Err(failure);
    }
    tracing::error!("{failure}; the tables are set aside in {}, and filled again by replay", aside.display());
    Tables::open(path)
}

/// What calls other machines.
fn outgoing(config: &Config) -> Result<Outgoing, StartError> {
    let admitted = Admitted::of(&config.outgoing.allow).map_err(cannot("the list of `[outgoing] allow`"))?;
    Outgoing::new(admitted).map_err(cannot("the client of webhooks"))
}

/// What is mirrored, and when. What has a schedule is not done by itself.
fn mirror_policy(config: &Config, schedules: &Schedules) -> MirrorPolicy {
    let crate::Mirror { topics, max_age, max_bytes, raise_retention_to } = config.mirror.clone();
    let (compacts, cleans) = (!schedules.have(ScheduledTask::Compaction), !schedules.have(ScheduledTask::CleanUp));
    MirrorPolicy { topics, max_age, max_bytes, compacts, cleans, raise_retention_to }
}

/// A catalog that does not open, with what to do.
fn no_catalog(rejection: rekap_orchestrator::Rejection) -> StartError {
    cannot("the catalog")(format!("{rejection}; {}", rejection.remedy()))
}

/// A room that does not open.
fn cannot<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> StartError {
    move |reason| StartError::Open { what, reason: reason.to_string() }
}
