//! The orchestrator: what there is of it, how it starts and how it stops.
//!
//! It starts by folding the catalog; all the rest (tables opened, runners started, what was under way gone on with) is the steward's
//! first look. If the process dies, at any line, the next start does the same.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use datafusion::execution::memory_pool::MemoryPool;
use rekap_tables::Tables;
use rekap_tiered_storage::{Clock, Log, LogError, Positions};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::book::{Book, Outcome};
use crate::drill::Drills;
use crate::export::{self, Export};
use crate::fleet::Fleet;
use crate::gate::Gates;
use crate::governor::ReplayLimits;
use crate::readers::Readers;
use crate::recovery::Recovery;
use crate::schedules::Keeper;
use crate::sql::{Engine, SqlLimits};
use crate::state::State;
use crate::steward::{self, Watch};
use crate::swaps::Swaps;
use crate::{By, Rejection};

/// What the orchestrator is made of.
pub struct Config {
    /// The folder of the catalog.
    pub catalog: PathBuf,
    /// The log that jobs read.
    pub log: Arc<Log>,
    /// Where tables are kept.
    pub tables: Tables,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The memory that all queries share.
    pub memory: Arc<dyn MemoryPool>,
    /// What readers' queries may take.
    pub sql: SqlLimits,
    /// Where the catalog is copied to.
    pub export: Option<Export>,
    /// What replays may take.
    pub replay: ReplayLimits,
    /// The versions that are paused before anything reads, by job and number.
    pub pause: Vec<(String, u32)>,
}

/// The control plane of one Rekap.
pub struct Orchestrator {
    pub(crate) log: Arc<Log>,
    pub(crate) tables: Tables,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) memory: Arc<dyn MemoryPool>,
    pub(crate) sql: Engine,
    pub(crate) book: Arc<Book>,
    pub(crate) fleet: Fleet,
    pub(crate) gates: Gates,
    pub(crate) swaps: Swaps,
    pub(crate) recovery: Recovery,
    pub(crate) readers: Readers,
    /// Held while runners are told whose changes count, so that what an older state says is never told last.
    pub(crate) telling: Mutex<()>,
    pub(crate) folder: PathBuf,
    pub(crate) export: Option<Export>,
    pub(crate) replay: ReplayLimits,
    pub(crate) drills: Arc<Drills>,
    pub(crate) keeper: Keeper,
    pub(crate) watch: Mutex<Watch>,
    pub(crate) slowest: watch::Sender<Positions>,
    pub(crate) stopping: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Orchestrator {
    /// Opens the catalog, opens the table of every live version, and sets the steward to work.
    pub async fn open(config: Config) -> Result<Arc<Self>, Rejection> {
        let Config { catalog, log, tables, clock, memory, sql, export, replay, pause } = config;
        let folder = catalog.clone();
        let book = blocking({
            let clock = clock.clone();
            move || Book::open(&folder, clock)
        })
        .await?;
        let orchestrator = Arc::new(Orchestrator {
            log,
            tables,
            clock,
            memory,
            sql: Engine::new(sql).map_err(|e| LogError::store("starting the threads of queries", e))?,
            book: Arc::new(book),
            fleet: Fleet::default(),
            gates: Gates::default(),
            swaps: Swaps::default(),
            recovery: Recovery::default(),
            readers: Readers::default(),
            telling: Mutex::default(),
            folder: catalog,
            export: export.clone(),
            replay,
            drills: Arc::default(),
            keeper: Keeper::default(),
            watch: Mutex::default(),
            slowest: watch::Sender::new(Positions::new()),
            stopping: watch::Sender::new(false),
            tasks: Mutex::default(),
        });
        for (job, version) in pause {
            orchestrator.pause_at_start(job, version).await?;
        }
        orchestrator.open_tables().await;
        orchestrator.begin_recovery().await;
        let mut tasks = vec![steward::spawn(&orchestrator), steward::spawn_persist(&orchestrator)];
        tasks.extend(export.map(|export| export::spawn(&orchestrator, export)));
        *orchestrator.tasks.lock().expect("no holder of this lock panics") = tasks;
        Ok(orchestrator)
    }

    /// Adds a task that ends when the orchestrator stops.
    pub(crate) fn add_task(&self, task: JoinHandle<()>) {
        self.tasks.lock().expect("no holder of this lock panics").push(task);
    }

    /// Stops every runner after its commit, and makes the tables durable.
    pub async fn shutdown(&self) {
        self.stopping.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().expect("no holder of this lock panics"));
        for task in tasks {
            if task.await.is_err() {
                tracing::error!("a task of the orchestrator had panicked");
            }
        }
        self.drills_end().await;
        for key in self.fleet.all().keys() {
            if let Some(runner) = self.fleet.take_runner(key) {
                runner.stop().await;
            }
        }
        self.persist().await;
    }

    /// Why the catalog or the tables take no writes until they are opened again; `None` while all is well.
    pub async fn failure(&self) -> Option<String> {
        if let Some(failure) = self.book.failure() {
            return Some(failure);
        }
        let tables = self.tables.clone();
        blocking(move || tables.failure()).await
    }

    /// The present state.
    pub(crate) fn state(&self) -> Arc<State> {
        self.book.state()
    }

    /// Decides, records and publishes; see [`Book::write`]. Goes through even if the caller goes away.
    pub(crate) async fn write<A>(
        &self,
        by: &By,
        job: &str,
        decide: impl FnOnce(&State, rekap_tiered_storage::Timestamp) -> Outcome<A> + Send + 'static,
    ) -> Result<A, Rejection>
    where
        A: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
    {
        let (book, by, job) = (self.book.clone(), by.clone(), job.to_owned());
        blocking(move || book.write(&by, &job, decide)).await
    }
}

/// Runs what blocks on the disk where that does not hold up anybody else.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
