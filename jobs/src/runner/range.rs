//! One range: read, run, combined, and merged with what the table holds. It ends as a commit that is not written yet.
//!
//! All of it runs on threads that may block: decoding and aggregating would hold up everybody else on the async ones.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryPool;
use futures::StreamExt as _;
use rekap_tables::{Commit, DeadLetter, Outgoing, Table, TableStatus, WriterEpoch};
use rekap_tiered_storage::{Clock, InputBatch, Log, LogSlice, Offset, Partition, Positions, ReadPlan};
use tokio::runtime::Handle;

use super::control::Control;
use super::cut::Cut;
use super::failure::RangeError;
use crate::actions::Trigger;
use crate::query::{Change, CompiledJob, JobInput, Part, Records};
use crate::spec::OnError;

/// Bytes of dead letters that one range may hold in memory before it is cut smaller.
const MAX_DEAD_LETTER_BYTES: usize = 64 << 20;

/// What every range of a runner needs.
pub(super) struct Bench {
    pub(super) job: Arc<CompiledJob>,
    pub(super) table: Table,
    pub(super) log: Arc<Log>,
    pub(super) reads: Vec<Arc<ReadPlan>>,
    pub(super) memory: Arc<dyn MemoryPool>,
    pub(super) control: Arc<Control>,
    pub(super) epoch: WriterEpoch,
    pub(super) trigger: Arc<Trigger>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A range that was computed and is not written yet.
pub(super) struct Computed {
    /// The offsets that were read.
    pub(super) cut: Cut,
    pub(super) commit: Commit,
    /// Why the row of some key could not be computed.
    pub(super) output_error: Option<String>,
    /// Whether actions were asked about it.
    pub(super) told: bool,
}

/// Parts of a range, each with the number of its input, waiting for a worker. Those of one partition stand in order.
struct Queue {
    parts: Mutex<VecDeque<(usize, LogSlice)>>,
    /// How many keys the workers have met.
    keys: AtomicUsize,
    max_keys: usize,
}

impl Queue {
    /// The next part for a worker that has met so many further keys. The first is always given: a range that reads nothing would never
    /// end.
    fn next(&self, further_keys: usize) -> Option<(usize, LogSlice)> {
        let met = self.keys.fetch_add(further_keys, Ordering::Relaxed) + further_keys;
        if met >= self.max_keys.max(1) { None } else { self.parts().pop_front() }
    }

    /// What nobody has begun, in order.
    fn left(self) -> VecDeque<(usize, LogSlice)> {
        self.parts.into_inner().expect("no thread panics while it holds this lock")
    }

    fn parts(&self) -> MutexGuard<'_, VecDeque<(usize, LogSlice)>> {
        self.parts.lock().expect("no thread panics while it holds this lock")
    }
}

/// What a range gives beside its rows.
#[derive(Default)]
struct Aside {
    dead: BTreeMap<(usize, Partition, Offset), DeadLetter>,
    bytes: usize,
    tombstones: u64,
}

impl Bench {
    /// Runs a range with so many workers. Once it touches `max_keys` keys, the parts that nobody has begun are left to the next range:
    /// of each partition parts are begun in order, so what was read is still one range. Answers what was read, and its commit.
    pub(super) fn run(
        &self,
        mut cut: Cut,
        slices: Vec<(usize, LogSlice)>,
        (workers, max_keys): (usize, usize),
        status: &TableStatus,
    ) -> Result<Computed, RangeError> {
        let horizon = status.horizon;
        let queue = Queue { parts: Mutex::new(slices.into()), keys: AtomicUsize::new(0), max_keys };
        let shares = self.shares(&queue, workers, horizon)?;
        for (number, left) in queue.left() {
            cut.end_at(&self.job.inputs()[number].topic.name, left.partition(), left.range().from);
        }
        let (parts, asides): (Vec<Part<'_>>, Vec<Aside>) = shares.into_iter().unzip();
        let touched = self.job.combine(parts, &self.memory)?;
        let (late, horizon) = (touched.late, self.job.horizon(horizon, &touched));
        let stored = self.table.gather(&self.job.keys(&touched)?)?;
        let change = self.job.apply(touched, &stored)?;
        if let Some(detail) = change.output_error.as_ref().filter(|_| self.job.inputs().iter().any(fails)) {
            return Err(RangeError::output(detail));
        }
        let from = cut
            .ranges
            .keys()
            .filter_map(|(topic, partition)| Some((topic, *partition, status.positions.get(topic, *partition)?)));
        let to = cut.to();
        let told = self.trigger.due(&to).is_some();
        let outbox = self.messages(&to, &change, horizon)?;
        let commit = Commit {
            epoch: self.epoch,
            from: from.collect(),
            to,
            state: change.state,
            has_row: change.has_row,
            rows: change.rows,
            tombstones_skipped: asides.iter().map(|aside| aside.tombstones).sum(),
            dead_letters: self.dead_letters(asides)?,
            late,
            horizon,
            outbox,
        };
        Ok(Computed { cut, commit, output_error: change.output_error, told })
    }

    /// The messages of the actions about what this commit changes, where it counts.
    fn messages(&self, to: &Positions, change: &Change, horizon: Option<i64>) -> Result<Vec<Outgoing>, RangeError> {
        let Some(actions) = self.trigger.due(to) else { return Ok(vec![]) };
        // The keys that are written: a candidate that came too late to be the latest leaves its key as it is.
        let width = self.job.table_schema().key().len();
        let keys = change.state.project(&(0..width).collect::<Vec<_>>()).map_err(DataFusionError::from)?;
        let changes = self.table.row_changes(&keys, &change.rows, horizon)?;
        if changes.is_empty() {
            return Ok(vec![]);
        }
        let (messages, failed) = Handle::current().block_on(actions.run(&changes, to, self.clock.now()));
        for (action, reason) in &failed {
            tracing::error!(table = %self.table.id(), action, reason, "the action could not be asked; the commit goes on");
        }
        self.trigger.note_failed(failed);
        Ok(messages)
    }

    fn shares(
        &self,
        queue: &Queue,
        workers: usize,
        horizon: Option<i64>,
    ) -> Result<Vec<(Part<'_>, Aside)>, RangeError> {
        let runtime = Handle::current();
        if workers == 1 {
            return Ok(vec![self.share(queue, horizon, &runtime)?]);
        }
        std::thread::scope(|scope| {
            let share = || scope.spawn(|| self.share(queue, horizon, &runtime));
            let threads: Vec<_> = (0..workers).map(|_| share()).collect();
            threads.into_iter().map(|thread| thread.join().expect("a worker does not panic")).collect()
        })
    }

    /// One worker: takes parts of the range until none is left, or all workers together have met keys enough.
    fn share(&self, queue: &Queue, horizon: Option<i64>, runtime: &Handle) -> Result<(Part<'_>, Aside), RangeError> {
        let (mut worker, mut aside) = (self.job.worker(&self.memory)?, Aside::default());
        let mut keys = 0;
        while let Some((number, slice)) = queue.next(worker.keys() - std::mem::replace(&mut keys, worker.keys())) {
            let input = &self.job.inputs()[number];
            let mut batches = self.log.read(slice, self.reads[number].clone());
            while let Some(batch) = runtime.block_on(batches.next()) {
                if self.control.is_stopped() {
                    return Err(RangeError::Stopped);
                }
                let mut batch = batch?;
                aside.take(number, input, &mut batch)?;
                let records = Records {
                    input: number,
                    partition: batch.partition,
                    offsets: batch.offsets,
                    rows: batch.rows,
                    tombstones: batch.tombstone_mask,
                };
                for failed in worker.add(&records, horizon)? {
                    let letter =
                        letter(input, failed.partition, failed.offset, "EVALUATION_FAILED", failed.detail, None);
                    aside.put(number, input, letter)?;
                }
            }
        }
        Ok((worker.finish()?, aside))
    }

    /// The dead letters of a range, with the values of those that only failed in an expression.
    fn dead_letters(&self, asides: Vec<Aside>) -> Result<Vec<DeadLetter>, RangeError> {
        let mut letters = vec![];
        for ((number, partition, offset), mut letter) in asides.into_iter().flat_map(|aside| aside.dead) {
            if letter.code == "EVALUATION_FAILED" {
                let topic = &self.job.inputs()[number].topic;
                let found = Handle::current().block_on(self.log.records(topic, partition, offset, 1))?.0;
                letter.value =
                    found.iter().find_map(|(_, batch)| batch.values().iter().next().flatten().map(<[u8]>::to_vec));
            }
            letters.push(letter);
        }
        Ok(letters)
    }
}

/// Whether a record of the input that cannot be used stops the version.
fn fails(input: &JobInput) -> bool {
    input.on_error == OnError::Fail
}

impl Aside {
    /// Takes what is no row out of a batch.
    fn take(&mut self, number: usize, input: &JobInput, batch: &mut InputBatch) -> Result<(), RangeError> {
        if !input.tombstones {
            self.tombstones += batch.tombstones;
        }
        for bad in batch.failures.drain(..) {
            self.put(number, input, letter(input, batch.partition, bad.offset, bad.code, bad.detail, Some(bad.value)))?;
        }
        Ok(())
    }

    fn put(&mut self, number: usize, input: &JobInput, letter: DeadLetter) -> Result<(), RangeError> {
        if fails(input) {
            return Err(RangeError::record(&letter.topic, letter.partition, letter.offset, &letter.detail));
        }
        self.bytes += size_of::<DeadLetter>() + letter.detail.len() + letter.value.as_ref().map_or(0, Vec::len);
        if self.bytes > MAX_DEAD_LETTER_BYTES {
            return Err(RangeError::TooLarge(format!("dead letters of more than {MAX_DEAD_LETTER_BYTES} bytes")));
        }
        self.dead.insert((number, letter.partition, letter.offset), letter);
        Ok(())
    }
}

fn letter(
    input: &JobInput,
    partition: Partition,
    offset: Offset,
    code: &str,
    detail: String,
    value: Option<Vec<u8>>,
) -> DeadLetter {
    let (topic, input) = (input.topic.name.clone(), input.name.clone());
    DeadLetter { input, topic, partition, offset, code: code.into(), detail, value }
}
