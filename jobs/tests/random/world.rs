//! One log, one table and one runner on disk, which end as a crash does: nothing is told to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use rekap_jobs::{CompiledJob, JobSpec, Pace, Run, Runner, RunnerHandle, RunnerInit};
use rekap_tables::{TableId, Tables};
use rekap_tiered_storage::{
    Clock, ColdTier, EmbeddedLog, Log, Mirror, MirrorPolicy, NewRecord, Offset, Partition, Positions, SystemClock,
    Timestamp, TopicConfig, TopicName, TopicSchema,
};

use crate::data::{Event, TopicModel};
use crate::query::Case;

/// How long a test waits for what has to come.
const DEADLINE: Duration = Duration::from_secs(30);

/// A dead letter: topic, partition, offset.
pub type Letter = (String, u32, i64);

pub struct World {
    pub log: Arc<Log>,
    mirror: Mirror,
    pub job: Arc<CompiledJob>,
    runner: RunnerHandle,
}

impl World {
    /// Opens what is on disk, or makes it, and runs the job.
    pub async fn open(folder: &Path, topics: &[TopicModel], case: &Case, max_records: u64) -> Result<World, String> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let hot = EmbeddedLog::open(&folder.join("log"), clock.clone()).map_err(|e| text(&e))?;
        let url = format!("file:{}", folder.join("cold").display());
        let cold = ColdTier::open(&url, clock.clone()).map_err(|e| text(&e))?;
        let log = Log::new(hot, Arc::new(cold));
        for topic in topics {
            if log.hot.topic(&name(topic)).await.is_err() {
                log.hot.create_topic(&name(topic), config(topic)).await.map_err(|e| text(&e))?;
            }
        }
        let policy = MirrorPolicy { max_age: Duration::from_secs(3_600), ..MirrorPolicy::default() };
        let mirror = Mirror::spawn(log.clone(), policy, clock.clone());
        let log = Arc::new(log);
        let spec = JobSpec::from_toml(&case.toml, &case.sql).map_err(|e| text(&e))?;
        let mut inputs = BTreeMap::new();
        for (input, spec) in &spec.inputs {
            inputs.insert(input.clone(), log.hot.topic(&spec.topic).await.map_err(|e| text(&e))?);
        }
        let job =
            Arc::new(CompiledJob::compile(&spec, &inputs).await.map_err(|e| format!("refused: {}: {e}", e.code))?);
        let tables = Tables::open(&folder.join("tables")).map_err(|e| text(&e))?;
        let id = TableId { job: "random".into(), version: 1, attempt: 1 };
        let table = match tables.open_table(&id).map_err(|e| text(&e))? {
            Some(table) => table,
            None => {
                let names: Vec<TopicName> = job.inputs().iter().map(|input| input.topic.name.clone()).collect();
                let zero = |name| [0, 1].map(|partition| (name, Partition(partition), Offset::ZERO));
                let start: Positions = names.iter().flat_map(zero).collect();
                tables.create(&id, job.table_schema(), &start).map_err(|e| text(&e))?
            }
        };
        let init = RunnerInit {
            job: job.clone(),
            table,
            log: log.clone(),
            start: Positions::new(),
            accepted_gaps: vec![],
            pace: Pace { max_records, max_keys: max_records as usize, workers: 2 },
            throttle: None,
            paused: false,
            memory: Arc::new(GreedyMemoryPool::new(256 << 20)),
            clock,
            trigger: Arc::default(),
        };
        let runner = Runner::spawn(init).map_err(|e| text(&e))?;
        Ok(World { log, mirror, job, runner })
    }

    /// Appends events of one topic; answers the offset of each.
    pub async fn append(&self, topic: &TopicModel, events: &[&Event]) -> Result<Vec<i64>, String> {
        let record = |event: &&Event| NewRecord {
            partition: Some(Partition(event.partition)),
            key: event.key.clone().map(Into::into),
            value: event.bytes(topic).map(Into::into),
            headers: vec![],
            timestamp: Some(Timestamp::from_micros(event.timestamp)),
        };
        let appended = self.log.hot.append(&name(topic), events.iter().map(record).collect(), None).await;
        let appended = appended.map_err(|e| e.to_string())?;
        let mut next: BTreeMap<u32, i64> = appended.iter().map(|(p, range)| (p.0, range.from.as_i64())).collect();
        let mut offset = |event: &&Event| {
            let next = next.get_mut(&event.partition).expect("it was appended to");
            *next += 1;
            *next - 1
        };
        Ok(events.iter().map(&mut offset).collect())
    }

    /// Mirrors a topic, and drops the hot copy of what is mirrored if asked to.
    pub async fn mirror(&self, topic: &TopicModel, trim: bool) -> Result<(), String> {
        self.mirror.flush(&name(topic)).await.map_err(|e| e.to_string())?;
        if trim {
            let known = self.log.hot.topic(&name(topic)).await.map_err(|e| e.to_string())?;
            for (partition, range) in self.log.hot.ranges(&name(topic)).await.map_err(|e| e.to_string())? {
                let middle = Offset::new(range.end.get() - range.end.since(range.earliest) / 3);
                self.log.hot.trim(&known, partition, middle).await.map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }

    /// Waits until all that there is was read; answers the table and its dead letters.
    pub async fn settle(&self) -> Result<(RecordBatch, BTreeSet<Letter>), String> {
        let mut ends = Positions::new();
        for input in self.job.inputs() {
            for (partition, range) in self.log.hot.ranges(&input.topic.name).await.map_err(|e| e.to_string())? {
                ends.set(&input.topic.name, partition, range.end);
            }
        }
        let mut watch = self.runner.watch();
        let there = |status: &rekap_jobs::RunnerStatus| {
            status.positions.reached(&ends) || matches!(status.run, Run::Failed { .. }) || status.problem.is_some()
        };
        let seen = tokio::time::timeout(DEADLINE, watch.wait_for(there)).await;
        let status = seen.map_err(|_| "no progress".to_owned())?.map_err(|e| e.to_string())?.clone();
        if let Run::Failed { reason } = &status.run {
            return Err(format!("failed: {reason}"));
        }
        if let Some(problem) = &status.problem {
            return Err(format!("problem: {problem}"));
        }
        let snapshot = self.runner.table().snapshot();
        let batches: Result<Vec<RecordBatch>, _> = snapshot.scan(100).collect();
        let batches = batches.map_err(|e| e.to_string())?;
        let rows = concat_batches(self.job.table_schema().columns(), &batches).map_err(|e| e.to_string())?;
        if rows.num_rows() as u64 != snapshot.status().rows {
            return Err(format!("{} rows, and the status says {}", rows.num_rows(), snapshot.status().rows));
        }
        let letters = snapshot.dead_letters(None, 10_000).map_err(|e| e.to_string())?.dead_letters;
        let place =
            |letter: &rekap_tables::DeadLetter| (letter.topic.to_string(), letter.partition.0, letter.offset.as_i64());
        Ok((rows, letters.iter().map(place).collect()))
    }
}

fn name(topic: &TopicModel) -> TopicName {
    topic.name.parse().expect("names of tests are names")
}

fn config(topic: &TopicModel) -> TopicConfig {
    TopicConfig {
        partitions: 2,
        key: if topic.keyed { vec!["k".into()] } else { vec![] },
        schema: Some(TopicSchema::parse(topic.schema()).expect("schemas of tests are schemas")),
        ..TopicConfig::default()
    }
}
