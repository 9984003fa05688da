//! Where queries run: on threads of their own, so that no query holds up a reader, a runner or a rollback.
//!
//! A query lives as long as its answer is read: when the reader goes away, it ends at its next batch. It holds nothing that a crash
//! could lose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use tokio::runtime::Runtime;

use super::{PARTITIONS, SqlError, SqlLimits, SqlSession, SqlTables, catalog, select, session};

/// The threads, the memory and the bounds of all queries.
pub(crate) struct Engine {
    limits: SqlLimits,
    memory: Arc<RuntimeEnv>,
    /// `None` only while this is dropped.
    threads: Option<Runtime>,
    running: Arc<AtomicU64>,
}

impl Engine {
    /// An engine with these bounds.
    pub(crate) fn new(limits: SqlLimits) -> std::io::Result<Self> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(PARTITIONS)
            .thread_name("rekap-sql")
            .enable_all()
            .build()?;
        let memory = environment(usize::try_from(limits.max_memory).unwrap_or(usize::MAX));
        Ok(Engine { limits, memory, threads: Some(threads), running: Arc::default() })
    }

    /// How many queries run now.
    pub(crate) fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    /// Answers one SELECT over `tables`.
    pub(crate) async fn query(&self, tables: SqlTables, sql: &str) -> Result<SendableRecordBatchStream, SqlError> {
        let session = self.session(tables);
        let (context, sql) = (session.context().clone(), sql.to_owned());
        session.begin(async move { select(&context, &sql).await }).await
    }

    /// A query over `tables` that somebody else plans. It counts as running for as long as it is there.
    pub(crate) fn session(&self, tables: SqlTables) -> SqlSession {
        let context = session(&self.memory);
        context.register_catalog(catalog::NAME, tables.into_catalog());
        let threads = self.threads.as_ref().expect("the threads end with the engine").handle().clone();
        SqlSession::new(context, threads, self.limits.clone(), Running::begin(&self.running))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Waiting for queries here would hold up the thread that drops the engine.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

/// Counts a query for as long as it is there.
pub(super) struct Running(Arc<AtomicU64>);

impl Running {
    fn begin(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Running(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What queries run in: so much memory, and no disk.
pub(super) fn environment(max_memory: usize) -> Arc<RuntimeEnv> {
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(max_memory)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()
        .expect("a runtime without disk needs nothing that could be missing")
}
