//! The tables that readers get: what an alias serves, one version, one SELECT over them.
//!
//! A reader copies pointers and waits for no command and no swap. What it holds stays readable until it lets go, whatever is retired
//! meanwhile.

use datafusion::execution::SendableRecordBatchStream;
use rekap_tables::{Cursor, DeadLetterPage, Table};
use rekap_tiered_storage::{Positions, TopicName};
use tokio::sync::watch;

use crate::fleet::Member;
use crate::orchestrator::blocking;
use crate::state::{Job, Version};
use crate::{Orchestrator, Rejection, Scope, SqlSession, SqlTable, sql};

impl Orchestrator {
    /// The table that an alias serves now, with its version.
    pub fn serving(&self, alias: &str) -> Result<(u32, Table), Rejection> {
        // A version that was retired between the two looks has a successor in the newer state.
        for _ in 0..3 {
            let state = self.state();
            let job = state.job(alias)?;
            let version = job.serving().ok_or_else(|| Rejection::NotServing(alias.to_owned()))?;
            let Some(member) = self.fleet.get(alias, version.number) else { continue };
            if self.is_held_back(alias, version, &member) {
                return Err(Rejection::Recovering { job: alias.to_owned(), version: version.number });
            }
            return Ok((version.number, member.table));
        }
        let state = self.state();
        let version = state.job(alias)?.serving().map_or(0, |version| version.number);
        Err(Rejection::Recovering { job: alias.to_owned(), version })
    }

    /// True when every alias is served: part of being ready for traffic.
    pub fn is_serving(&self) -> bool {
        let state = self.state();
        let mut aliases = state.jobs().filter(|job| job.serving().is_some());
        aliases.all(|job| self.serving(&job.name).is_ok())
    }

    /// The table that an alias serves in one state.
    fn served_in(&self, job: &Job) -> Option<Table> {
        let version = job.serving()?;
        let member = self.fleet.get(&job.name, version.number)?;
        (!self.is_held_back(&job.name, version, &member)).then_some(member.table)
    }

    fn is_held_back(&self, job: &str, version: &Version, member: &Member) -> bool {
        let key = (job.to_owned(), version.number);
        let reached = |target: &Positions| version.positions_within(&member.positions(), target).reached(target);
        version.rebuilding || self.recovery.holds_back(&key, reached)
    }

    /// The table of one version.
    pub fn version_table(&self, job: &str, number: u32) -> Result<Table, Rejection> {
        let state = self.state();
        let job = state.job(job)?;
        let version = job.version(number)?;
        let member = self.fleet.get(&job.name, number).filter(|member| member.attempt == version.attempt);
        let phase = || self.phase_of(job, version).to_string();
        let missing = || Rejection::NoTable { job: job.name.clone(), version: number, phase: phase() };
        member.filter(|_| version.role.is_live()).map(|member| member.table).ok_or_else(missing)
    }

    /// How many queries run now.
    pub fn queries_running(&self) -> u64 {
        self.sql.running()
    }

    /// Answers one SELECT over `live.<alias>`, `version."<alias>@<n>"` and `log.<topic>`.
    pub async fn sql(&self, query: &str) -> Result<SendableRecordBatchStream, Rejection> {
        self.sql_within(query, &Scope::default()).await
    }

    /// The same for who sees no more than that: nothing else is there to be named.
    pub async fn sql_within(&self, query: &str, scope: &Scope) -> Result<SendableRecordBatchStream, Rejection> {
        Ok(self.sql.query(self.sql_now(scope), query).await?)
    }

    /// One query over the same tables, planned by whoever asks for it.
    pub fn sql_session(&self, scope: &Scope) -> SqlSession {
        self.sql.session(self.sql_now(scope))
    }

    /// What a query can name now, by who sees no more than that.
    pub async fn sql_tables(&self, scope: &Scope) -> Result<Vec<SqlTable>, Rejection> {
        Ok(self.sql_now(scope).list().await?)
    }

    /// The tables of this moment, all of one state, so that a query over several aliases sees a group moved, or not.
    fn sql_now(&self, scope: &Scope) -> sql::SqlTables {
        let mut state = self.state();
        // A version that was retired between the two looks has a successor in the newer state.
        for _ in 0..2 {
            let is_there = |job: &Job| job.serving().is_none_or(|v| self.fleet.get(&job.name, v.number).is_some());
            if state.jobs().all(|job| is_there(job)) {
                break;
            }
            state = self.state();
        }
        let live = state.jobs().filter(|job| scope.has_job(&job.name));
        let live = live.filter_map(|job| Some((job.name.clone(), self.served_in(job)?)));
        let versions = state.live().filter(|(job, _)| scope.has_job(&job.name)).filter_map(|(job, version)| {
            let table = self.version_table(&job.name, version.number).ok()?;
            Some((format!("{}@{}", job.name, version.number), table))
        });
        let (live, versions) = (live.collect(), versions.collect());
        sql::SqlTables { live, versions, log: self.log.clone(), scope: scope.clone() }
    }

    /// A page of the records of a version that could not be decoded or evaluated.
    pub async fn dead_letters(
        &self,
        job: &str,
        number: u32,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<DeadLetterPage, Rejection> {
        let table = self.version_table(job, number)?;
        let page = blocking(move || table.snapshot().dead_letters(after.as_ref(), limit)).await;
        let failed = |e: rekap_tables::TableError| e.to_string();
        page.map_err(failed).map_err(|detail| Rejection::Table { job: job.to_owned(), version: number, detail })
    }

    /// Per partition the lowest position, known to be on disk, that any live version may go on from. The log keeps what is above.
    pub fn slowest_positions(&self) -> watch::Receiver<Positions> {
        self.slowest.subscribe()
    }

    /// The live versions that read a topic, as `bpi@3`.
    pub fn topic_readers(&self, topic: &TopicName) -> Vec<String> {
        self.state().readers(topic)
    }
}
