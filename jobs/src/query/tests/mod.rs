//! Tests of the engine: jobs over plain records, cut into ranges in any way, with a real table in between.

mod failed_rows;
mod guide;
mod keys;
mod merge;
mod refusals;
mod retention;
mod shapes;
mod speed;
mod upserts;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use datafusion::datasource::MemTable;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::prelude::{SessionConfig, SessionContext};
use rekap_tables::{Commit, CommitOutcome, Table, TableId, Tables};
use rekap_tiered_storage::{Incarnation, Offset, Partition, Positions, Topic, TopicConfig, TopicSchema, UTC};

use super::*;

/// Memory of a test's ranges.
const MEMORY: usize = 1 << 30;

/// A record of a test.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) partition: u32,
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
}

pub(super) fn topic(name: &str, key: &[&str], schema: serde_json::Value) -> Topic {
    let config = TopicConfig {
        partitions: 2,
        key: key.iter().map(|field| (*field).to_owned()).collect(),
        schema: Some(TopicSchema::parse(schema).unwrap()),
        ..TopicConfig::default()
    };
    Topic { name: name.parse().unwrap(), incarnation: Incarnation::random(), config }
}

/// A job over topics, compiled, with a table of its own.
pub(super) struct Bench {
    pub(super) job: CompiledJob,
    tables: Tables,
    _folder: tempfile::TempDir,
    runs: u32,
}

pub(super) async fn compile(toml: &str, query: &str, topics: &[Topic]) -> Result<CompiledJob, Refusal> {
    let spec = JobSpec::from_toml(toml, query).unwrap();
    let inputs = spec.inputs.iter().filter_map(|(name, input)| {
        Some((name.clone(), topics.iter().find(|topic| topic.name == input.topic)?.clone()))
    });
    CompiledJob::compile(&spec, &inputs.collect()).await
}

pub(super) fn memory() -> Arc<dyn MemoryPool> {
    Arc::new(GreedyMemoryPool::new(MEMORY))
}

impl Bench {
    pub(super) async fn new(toml: &str, query: &str, topics: &[Topic]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tables = Tables::open(folder.path()).unwrap();
        let job = compile(toml, query, topics).await.unwrap_or_else(|refusal| panic!("{refusal}"));
        Bench { job, tables, _folder: folder, runs: 0 }
    }

    /// A fresh table.
    pub(super) fn table(&mut self) -> Table {
        self.runs += 1;
        let id = TableId { job: "test".into(), version: 1, attempt: self.runs };
        self.tables.create(&id, self.job.table_schema(), &Positions::new()).unwrap()
    }

    /// Runs one range: `shares[worker]` is a list of batches, each of one input.
    pub(super) fn range(&self, table: &Table, shares: &[Vec<(&str, &[Record])>]) -> Vec<FailedRecord> {
        let (at, epoch) = (table.status(), table.claim().unwrap());
        let (mut parts, mut failures) = (vec![], vec![]);
        for share in shares {
            let mut worker = self.job.worker(&memory()).unwrap();
            for (input, records) in share {
                for records in self.records(input, records) {
                    failures.extend(worker.add(&records, at.horizon).unwrap());
                }
            }
            parts.push(worker.finish().unwrap());
        }
        let touched = self.job.combine(parts, &memory()).unwrap();
        let horizon = self.job.horizon(at.horizon, &touched);
        let late = touched.late;
        let stored = table.gather(&self.job.keys(&touched).unwrap()).unwrap();
        let change = self.job.apply(touched, &stored).unwrap();
        let topic = self.job.inputs()[0].topic.name.clone();
        let mut to = at.positions.clone();
        let next = at.positions.get(&topic, Partition(0)).unwrap_or(Offset::ZERO).next();
        to.set(&topic, Partition(0), next);
        let commit = Commit {
            epoch,
            from: at.positions.clone(),
            to,
            state: change.state,
            has_row: change.has_row,
            rows: change.rows,
            dead_letters: vec![],
            tombstones_skipped: 0,
            late,
            horizon,
            outbox: vec![],
        };
        assert_eq!(table.commit(commit).unwrap(), CommitOutcome::Committed);
        failures
    }

    /// What the log would hand out of these records: one batch per partition.
    fn records(&self, input: &str, records: &[Record]) -> Vec<Records> {
        let number = self.job.inputs().iter().position(|other| other.name == input).unwrap();
        let input = &self.job.inputs()[number];
        let mut batches = vec![];
        for partition in 0..2 {
            let of: Vec<Record> = records.iter().filter(|record| record.partition == partition).cloned().collect();
            let all = decoded(input, &of);
            let keep: BooleanArray = of.iter().map(|record| Some(input.tombstones || record.value.is_some())).collect();
            let rows = filter_record_batch(&all, &keep).unwrap().project(&input.columns).unwrap();
            let kept = of.iter().filter(|record| input.tombstones || record.value.is_some());
            batches.push(Records {
                input: number,
                partition: Partition(partition),
                offsets: kept.clone().map(|record| record.offset).collect(),
                rows,
                tombstones: input.tombstones.then(|| kept.map(|record| Some(record.value.is_none())).collect()),
            });
        }
        batches
    }

    /// The table's rows in key order.
    pub(super) fn rows(&self, table: &Table) -> RecordBatch {
        let batches: Vec<_> = table.snapshot().scan(1_000).map(|batch| batch.unwrap()).collect();
        let rows = concat_batches(self.job.table_schema().columns(), &batches).unwrap();
        sorted(&rows, self.job.table_schema().key().len())
    }
}

/// Records as rows of an input's schema.
fn decoded(input: &JobInput, records: &[Record]) -> RecordBatch {
    let values: BinaryArray =
        records.iter().map(|record| record.value.as_ref().map(|value| value.as_bytes())).collect();
    let all: Vec<usize> = (0..input.decoder.columns().len()).collect();
    let decoded = input.decoder.decode(&values, &all);
    assert!(decoded.failures.is_empty(), "{:?}", decoded.failures);
    let schema = input.decoder.input_schema();
    let n = records.len();
    let timestamps = TimestampMicrosecondArray::from_iter_values(records.iter().map(|record| record.timestamp));
    let keys: BinaryArray = records.iter().map(|record| record.key.as_ref().map(|key| key.as_bytes())).collect();
    let envelope: [ArrayRef; 6] = [
        Arc::new(Int32Array::from_iter_values(records.iter().map(|record| record.partition as i32))),
        Arc::new(Int64Array::from_iter_values(records.iter().map(|record| record.offset))),
        Arc::new(timestamps.with_timezone(UTC)),
        Arc::new(keys),
        Arc::new(values.clone()),
        new_null_array(schema.field_with_name("_headers").unwrap().data_type(), n),
    ];
    RecordBatch::try_new(schema, decoded.fields.into_iter().chain(envelope).collect()).unwrap()
}

/// One query over all rows, as the engine itself answers it.
pub(super) async fn whole(query: &str, inputs: &[(&JobInput, &[Record])], keys: usize) -> RecordBatch {
    let mut config = SessionConfig::new().with_target_partitions(2);
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    config.options_mut().execution.time_zone = Some("UTC".into());
    let context = SessionContext::new_with_config(config);
    for (input, records) in inputs {
        let live: Vec<Record> = records.iter().filter(|record| record.value.is_some()).cloned().collect();
        let table = MemTable::try_new(input.decoder.input_schema(), vec![vec![decoded(input, &live)]]).unwrap();
        context.register_table(input.name.as_str(), Arc::new(table)).unwrap();
    }
    let frame = context.sql(query).await.unwrap();
    let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await.unwrap();
    sorted(&concat_batches(&schema, &batches).unwrap(), keys)
}

/// Rows in the order of their first columns, with NULLs first.
fn sorted(rows: &RecordBatch, keys: usize) -> RecordBatch {
    let columns = &rows.columns()[..keys];
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let encoded = RowConverter::new(fields).unwrap().convert_columns(columns).unwrap();
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    order.sort_by(|a, b| encoded.row(*a as usize).cmp(&encoded.row(*b as usize)));
    arrow::compute::take_record_batch(rows, &arrow::array::UInt32Array::from(order)).unwrap()
}

/// A small generator of numbers: the same seed gives the same rows.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

pub(super) fn pretty(rows: &RecordBatch) -> String {
    arrow::util::pretty::pretty_format_batches(std::slice::from_ref(rows)).unwrap().to_string()
}
