//! Upsert jobs: the latest record of each key.
//!
//! Which record is the latest is a total order over all records (the `order` columns, then the record's own place), so it does not
//! matter in which order they come. A range keeps the latest candidate of each key, the table keeps its order key, and the greater one
//! stays. A latest record that fails WHERE, or is a tombstone, leaves its order key and no row, so an older record cannot bring the row
//! back.
//!
//! Where the key is the record key and nothing else orders, the log does ([`super::log_order`]): a range keeps the last candidate of each
//! key and partition.
//!
//! A tombstone has no `order` columns. Where the key is the record key, all records of a key come in one partition and in order, so
//! there a tombstone simply ends what was before it, and later records compete among themselves. Elsewhere its order is NULL, the
//! least.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{concat_batches, filter_record_batch, interleave_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use rekap_tables::Gathered;

use super::chain::{Chain, Kept};
use super::grouped::{Groups, columns_of, selected};
use super::log_order::{Standing, later};
use super::records::{Change, FailedRecord, Records};
use super::retention::Retention;
use super::tombstones::TombstoneKeys;

/// An upsert job, planned.
#[derive(Debug, Clone)]
pub(super) struct UpsertQuery {
    pub(super) branches: Vec<Branch>,
    /// How many key columns there are.
    pub(super) keys: usize,
    /// Whether the log says which record is the latest. The order key is then timestamp, partition and offset.
    pub(super) in_log_order: bool,
    /// Whether a tombstone wins over all that was before it, whatever its order. The records of a key have to come in order then.
    pub(super) resets: bool,
    /// Key columns, then the columns of the order key, as the table keeps them.
    pub(super) state: SchemaRef,
    pub(super) output: SchemaRef,
    pub(super) retention: Option<Retention>,
}

/// The ways from one input to the key and to the row.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    /// The number of the input.
    pub(super) input: usize,
    /// Where `_timestamp` stands among the columns read of that input, if it is needed.
    pub(super) timestamp: Option<usize>,
    /// To the key and order columns, for every record.
    pub(super) keys: Chain,
    /// To the output columns, for those that pass WHERE.
    pub(super) rows: Chain,
    /// How a tombstone's key columns are told from its record key; `None`: tombstones are ignored.
    pub(super) tombstones: Option<TombstoneKeys>,
}

/// The latest candidates of some keys.
#[derive(Debug, Clone)]
pub(super) struct Candidates {
    /// Key and order columns.
    state: RecordBatch,
    /// For each candidate its row in `rows`; NULL: it has none.
    row: UInt32Array,
    rows: RecordBatch,
    /// Which candidates win over all that was before them; empty: none.
    resets: Vec<bool>,
    /// The number of each candidate's key, in the order in which keys first appear; empty: each has a key of its own.
    key: Vec<usize>,
}

/// One worker's part of a range.
pub(super) struct Partial<'a> {
    query: &'a UpsertQuery,
    latest: Latest<'a>,
    pub(super) newest: Option<i64>,
    pub(super) late: u64,
}

/// Keeps the greatest candidate of each key.
struct Latest<'a> {
    query: &'a UpsertQuery,
    groups: Groups,
    converter: RowConverter,
    held: Vec<(Candidates, Rows)>,
    /// For each key: its candidate, as a batch and a row in it.
    best: Vec<(usize, usize)>,
    /// For each key: whether a candidate won over all that was before it. Kept where the query has such.
    resets: Vec<bool>,
    /// For each key and partition: the greatest timestamp. Kept where the log says what is the latest.
    newest: Vec<i64>,
    memory: MemoryReservation,
}

impl UpsertQuery {
    pub(super) fn partial(&self, memory: &Arc<dyn MemoryPool>) -> Result<Partial<'_>> {
        Ok(Partial { query: self, latest: Latest::new(self, memory)?, newest: None, late: 0 })
    }

    /// The parts of a range as one, each key once.
    pub(super) fn combine(&self, parts: Vec<Candidates>, memory: &Arc<dyn MemoryPool>) -> Result<Candidates> {
        if let [one] = parts.as_slice() {
            return self.with_keys(one.clone());
        }
        let mut latest = Latest::new(self, memory)?;
        parts.into_iter().try_for_each(|part| latest.add(part))?;
        self.with_keys(latest.finish()?)
    }

    /// What becomes of the touched keys, given what the table holds of them: a candidate older than the stored order key is dropped.
    pub(super) fn apply(&self, mut touched: Candidates, stored: &Gathered) -> Result<Change> {
        let newer = if self.in_log_order { self.latest(&mut touched, stored)? } else { self.newer(&touched, stored)? };
        let state = filter_record_batch(&touched.state, &newer)?;
        let row = arrow::compute::filter(&touched.row, &newer)?;
        let row = row.as_any().downcast_ref::<UInt32Array>().expect("rows are u32");
        let has_row: BooleanArray = (0..row.len()).map(|i| Some(row.is_valid(i))).collect();
        let rows = take_record_batch(&touched.rows, &UInt32Array::from_iter_values(row.iter().flatten()))?;
        Ok(Change { state, has_row, rows, output_error: None })
    }

    fn newer(&self, touched: &Candidates, stored: &Gathered) -> Result<BooleanArray> {
        let mut newer = vec![true; touched.state.num_rows()];
        if stored.state.num_rows() > 0 {
            let converter = self.order_converter()?;
            let here = converter.convert_columns(&touched.state.columns()[self.keys..])?;
            let there = converter.convert_columns(&stored.state.columns()[self.keys..])?;
            for (i, row) in selected(&stored.found).into_iter().enumerate() {
                newer[row] = touched.resets(row) || here.row(row) > there.row(i);
            }
        }
        Ok(BooleanArray::from(newer))
    }

    /// The key columns, each key once, to look up what the table holds.
    pub(super) fn keys_of(&self, touched: &Candidates) -> Result<RecordBatch> {
        let keys = touched.state.project(&(0..self.keys).collect::<Vec<_>>())?;
        let mut first = vec![];
        for (row, key) in touched.key.iter().enumerate() {
            if *key == first.len() {
                first.push(row as u32);
            }
        }
        Ok(if first.is_empty() { keys } else { take_record_batch(&keys, &UInt32Array::from(first))? })
    }

    /// Tells the candidates of one key that stand in several partitions as such.
    fn with_keys(&self, mut touched: Candidates) -> Result<Candidates> {
        if self.in_log_order {
            let mut groups = Groups::new(self.key_schema())?;
            let key = groups.number(&touched.state.columns()[..self.keys])?.to_vec();
            touched.key = if groups.len() < key.len() { key } else { vec![] };
        }
        Ok(touched)
    }

    /// Which candidates are the latest of their keys in the log, with how far their partitions have come.
    fn latest(&self, touched: &mut Candidates, stored: &Gathered) -> Result<BooleanArray> {
        let places = Places::of(&touched.state, self.keys);
        let mut held = vec![None; stored.found.len()];
        if stored.state.num_rows() > 0 {
            let places = Places::of(&stored.state, self.keys);
            let keys = selected(&stored.found).into_iter().enumerate();
            keys.for_each(|(row, key)| held[key] = Some(places.standing(row, None)));
        }
        let mut best = held.clone();
        for row in 0..touched.state.num_rows() {
            let key = touched.key.get(row).copied().unwrap_or(row);
            best[key] = Some(later(held[key], best[key], places.standing(row, Some(row))));
        }
        let mut newest = places.newest.values().to_vec();
        let mut newer = vec![false; newest.len()];
        for standing in best.into_iter().flatten() {
            if let Standing { newest: reached, candidate: Some(row), .. } = standing {
                (newest[row], newer[row]) = (reached, true);
            }
        }
        touched.state = with_newest(&touched.state, self.keys, newest)?;
        Ok(BooleanArray::from(newer))
    }

    fn order_converter(&self) -> Result<RowConverter> {
        let order = &self.state.fields()[self.order_from()..];
        Ok(RowConverter::new(order.iter().map(|field| SortField::new(field.data_type().clone())).collect())?)
    }

    fn key_schema(&self) -> SchemaRef {
        columns_of(&self.state, &(0..self.keys).collect::<Vec<_>>())
    }

    /// The first of the columns by which candidates are compared: in the log's order those of one partition are, by their offsets.
    fn order_from(&self) -> usize {
        if self.in_log_order { self.keys + 2 } else { self.keys }
    }

    /// The columns of which a range keeps one candidate each: the key, and the partition where that is followed by itself.
    fn kept_by(&self) -> Vec<usize> {
        (0..self.keys).chain(self.in_log_order.then_some(self.keys + 1)).collect()
    }
}

/// The order key of candidates in the log's order.
struct Places {
    newest: TimestampMicrosecondArray,
    partitions: Int32Array,
}

impl Places {
    fn of(state: &RecordBatch, keys: usize) -> Self {
        let (newest, partitions) = (state.column(keys).as_primitive(), state.column(keys + 1).as_primitive());
        Places { newest: newest.clone(), partitions: partitions.clone() }
    }

    fn standing(&self, row: usize, candidate: Option<usize>) -> Standing {
        Standing { newest: self.newest.value(row), partition: self.partitions.value(row), candidate }
    }
}

/// The state with other timestamps in its order key.
fn with_newest(state: &RecordBatch, keys: usize, newest: Vec<i64>) -> Result<RecordBatch> {
    let mut columns = state.columns().to_vec();
    columns[keys] = Arc::new(TimestampMicrosecondArray::from(newest).with_data_type(columns[keys].data_type().clone()));
    Ok(RecordBatch::try_new(state.schema(), columns)?)
}

impl Candidates {
    fn resets(&self, row: usize) -> bool {
        self.resets.get(row).copied().unwrap_or(false)
    }

    fn filter(mut self, mask: &BooleanArray) -> Result<Self> {
        let mut kept = mask.values().iter();
        self.resets.retain(|_| kept.next().unwrap_or(false));
        let row = arrow::compute::filter(&self.row, mask)?;
        let row = row.as_any().downcast_ref::<UInt32Array>().expect("rows are u32").clone();
        Ok(Candidates { state: filter_record_batch(&self.state, mask)?, row, ..self })
    }

    fn size(&self) -> usize {
        self.state.get_array_memory_size() + self.row.get_array_memory_size() + self.rows.get_array_memory_size()
    }
}

impl Partial<'_> {
    /// Takes in records; answers those on which an expression failed. Records below `horizon` are counted and left out.
    pub(super) fn add(&mut self, records: &Records, horizon: Option<i64>) -> Result<Vec<FailedRecord>> {
        let mut failures = vec![];
        for (number, branch) in self.query.branches.iter().enumerate() {
            if branch.input == records.input {
                let candidates = self.query.candidates(records, branch, number, &mut failures)?;
                let candidates = self.in_time(candidates, horizon)?;
                self.latest.add(candidates)?;
            }
        }
        Ok(failures)
    }

    fn in_time(&mut self, mut candidates: Candidates, horizon: Option<i64>) -> Result<Candidates> {
        let Some(retention) = &self.query.retention else { return Ok(candidates) };
        if let Some(in_time) = retention.in_time(candidates.state.column(retention.time), horizon)? {
            self.late += in_time.false_count() as u64;
            candidates = candidates.filter(&in_time)?;
        }
        let timestamps = candidates.state.num_columns() - super::records::PLACE_COLUMNS;
        let newest = retention.newest(candidates.state.column(retention.time), candidates.state.column(timestamps))?;
        self.newest = self.newest.max(newest);
        Ok(candidates)
    }

    /// How many keys were seen.
    pub(super) fn keys(&self) -> usize {
        self.latest.groups.len()
    }

    /// The latest candidate of each key seen.
    pub(super) fn finish(self) -> Result<Candidates> {
        self.latest.finish()
    }
}

impl UpsertQuery {
    /// The candidates among some records: all but those on which an expression fails.
    fn candidates(
        &self,
        records: &Records,
        branch: &Branch,
        number: usize,
        failures: &mut Vec<FailedRecord>,
    ) -> Result<Candidates> {
        let tombstone = |row: usize| records.tombstones.as_ref().is_some_and(|mask| mask.value(row));
        let patched = match (&branch.tombstones, &records.tombstones) {
            (Some(keys), Some(mask)) if mask.true_count() > 0 => keys.patch(&records.rows, mask)?,
            _ => records.rows.clone(),
        };
        let (keys, no_key) = branch.keys.run(&patched)?;
        let (rows, no_row) = branch.rows.run(&records.rows)?;
        let mut usable = vec![true; records.rows.num_rows()];
        for failed in no_key.into_iter().chain(no_row.into_iter().filter(|failed| !tombstone(failed.row))) {
            usable[failed.row] = false;
            failures.push(records.failed(failed.row, failed.detail));
        }
        if branch.tombstones.is_none() {
            (0..usable.len()).filter(|row| tombstone(*row)).for_each(|row| usable[row] = false);
        }
        let mut output = vec![None; usable.len()];
        let passed = rows.iter().flat_map(|kept| kept.rows.values());
        passed.enumerate().for_each(|(i, row)| output[*row as usize] = Some(i as u32));
        (0..output.len()).filter(|row| tombstone(*row)).for_each(|row| output[row] = None);

        let rows = concat_batches(&self.output, rows.iter().map(|kept| &kept.batch))?;
        let all = self.with_order(keys, records, branch, number)?;
        let (state, of): (RecordBatch, Vec<u32>) = all;
        let row = of.iter().map(|row| output[*row as usize]).collect();
        let usable: BooleanArray = of.iter().map(|row| Some(usable[*row as usize])).collect();
        let resets = of.iter().filter(|_| self.resets).map(|row| tombstone(*row as usize)).collect();
        let candidates = Candidates { state, row, rows, resets, key: vec![] };
        if usable.false_count() == 0 { Ok(candidates) } else { candidates.filter(&usable) }
    }

    /// Key and order columns, and which record each row is of.
    fn with_order(
        &self,
        keys: Vec<Kept>,
        records: &Records,
        branch: &Branch,
        number: usize,
    ) -> Result<(RecordBatch, Vec<u32>)> {
        let of: Vec<u32> = keys.iter().flat_map(|kept| kept.rows.values()).copied().collect();
        let keys = concat_batches(branch.keys.schema(), keys.iter().map(|kept| &kept.batch))?;
        let places = records.places(branch.timestamp, number);
        let [timestamp, _, partition, offset] = places.clone();
        let places = if self.in_log_order { vec![timestamp, partition, offset] } else { places.to_vec() };
        let indices = UInt32Array::from(of.clone());
        let places =
            places.iter().map(|place| arrow::compute::take(place, &indices, None)).collect::<Result<Vec<_>, _>>()?;
        let columns: Vec<ArrayRef> = keys.columns().iter().cloned().chain(places).collect();
        Ok((RecordBatch::try_new(self.state.clone(), columns)?, of))
    }
}

impl<'a> Latest<'a> {
    fn new(query: &'a UpsertQuery, memory: &Arc<dyn MemoryPool>) -> Result<Self> {
        Ok(Latest {
            query,
            groups: Groups::new(columns_of(&query.state, &query.kept_by()))?,
            converter: query.order_converter()?,
            held: vec![],
            best: vec![],
            resets: vec![],
            newest: vec![],
            memory: MemoryConsumer::new("range of a job").register(memory),
        })
    }

    fn add(&mut self, candidates: Candidates) -> Result<()> {
        let kept_by = candidates.state.project(&self.query.kept_by())?;
        let order = self.converter.convert_columns(&candidates.state.columns()[self.query.order_from()..])?;
        let batch = self.held.len();
        for (row, group) in self.groups.number(kept_by.columns())?.iter().enumerate() {
            match self.best.get_mut(*group) {
                None => self.best.push((batch, row)),
                Some(best) if candidates.resets(row) => *best = (batch, row),
                Some(best) => {
                    let there = if best.0 == batch { order.row(best.1) } else { self.held[best.0].1.row(best.1) };
                    if order.row(row) > there {
                        *best = (batch, row);
                    }
                }
            }
        }
        if self.query.resets {
            self.resets.resize(self.best.len(), false);
            let numbers = self.groups.numbers().iter().enumerate();
            numbers.for_each(|(row, group)| self.resets[*group] |= candidates.resets(row));
        }
        if self.query.in_log_order {
            self.newest.resize(self.best.len(), i64::MIN);
            let places = Places::of(&candidates.state, self.query.keys);
            for (timestamp, group) in places.newest.values().iter().zip(self.groups.numbers()) {
                self.newest[*group] = self.newest[*group].max(*timestamp);
            }
        }
        self.memory.try_grow(candidates.size() + order.size())?;
        self.held.push((candidates, order));
        Ok(())
    }

    fn finish(self) -> Result<Candidates> {
        if self.best.is_empty() {
            let (state, output) = (self.query.state.clone(), self.query.output.clone());
            let row = UInt32Array::from(Vec::<u32>::new());
            let (state, rows) = (RecordBatch::new_empty(state), RecordBatch::new_empty(output));
            return Ok(Candidates { state, row, rows, resets: vec![], key: vec![] });
        }
        let states: Vec<&RecordBatch> = self.held.iter().map(|(candidates, _)| &candidates.state).collect();
        let rows: Vec<&RecordBatch> = self.held.iter().map(|(candidates, _)| &candidates.rows).collect();
        let (mut row, mut places) = (vec![], vec![]);
        for (batch, candidate) in &self.best {
            let held = &self.held[*batch].0.row;
            row.push(held.is_valid(*candidate).then_some(places.len() as u32));
            if held.is_valid(*candidate) {
                places.push((*batch, held.value(*candidate) as usize));
            }
        }
        let rows = if places.is_empty() {
            RecordBatch::new_empty(self.query.output.clone())
        } else {
            interleave_record_batch(&rows, &places)?
        };
        let mut state = interleave_record_batch(&states, &self.best)?;
        if self.query.in_log_order {
            state = with_newest(&state, self.query.keys, self.newest)?;
        }
        Ok(Candidates { state, row: row.into(), rows, resets: self.resets, key: vec![] })
    }
}
