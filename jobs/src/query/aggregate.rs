//! GROUP BY jobs: records → state (`Partial`), state + state → state (`combine`), state → rows.
//!
//! ```text
//! records ─chain─► keys, arguments ─┐   per core
//! records ─chain─► keys, arguments ─┤
//!                                   ├─ combine ─► state of the keys touched ─┬─ + stored state ─► new state ─► rows ─HAVING, SELECT─►
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{Fields, Schema, SchemaRef};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryPool;
use rekap_tables::{Gathered, type_name};

use super::chain::{Chain, FailedRow};
use super::fit::fitted;
use super::grouped::{Accumulators, Aggregate, Grouped, columns_of, selected};
use super::records::{Change, FailedRecord, Records};
use super::retention::Retention;

/// A GROUP BY job, planned.
#[derive(Debug, Clone)]
pub(super) struct AggregateQuery {
    pub(super) branches: Vec<Branch>,
    /// The columns that every branch's chain gives, then the record's place if `needs_place`.
    pub(super) input: SchemaRef,
    pub(super) needs_place: bool,
    /// Which input columns are the key, in key order.
    pub(super) key: Vec<usize>,
    pub(super) aggregates: Vec<Aggregate>,
    /// Key columns, then state columns, as the table keeps them.
    pub(super) state: SchemaRef,
    /// Which key column each group column of `result` is.
    pub(super) groups: Vec<usize>,
    /// The columns of the aggregate in the plan: group columns, then results.
    pub(super) result: SchemaRef,
    /// HAVING and the outer SELECT, from `result` to the output columns.
    pub(super) above: Chain,
    pub(super) retention: Option<Retention>,
}

/// The way from one input to the aggregate's columns.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    /// The number of the input.
    pub(super) input: usize,
    /// Where `_timestamp` stands among the columns read of that input, if it is needed.
    pub(super) timestamp: Option<usize>,
    pub(super) chain: Chain,
}

/// One worker's part of a range.
pub(super) struct Partial<'a> {
    query: &'a AggregateQuery,
    grouped: Grouped<'a>,
    pub(super) newest: Option<i64>,
    pub(super) late: u64,
}

impl AggregateQuery {
    pub(super) fn partial(&self, memory: &Arc<dyn MemoryPool>) -> Result<Partial<'_>> {
        let grouped = Grouped::new(columns_of(&self.input, &self.key), &self.aggregates, memory)?;
        Ok(Partial { query: self, grouped, newest: None, late: 0 })
    }

    /// The parts of a range as one, each key once. The largest takes in the others, one after the other: its keys are not looked up
    /// again, and what was taken in is freed.
    pub(super) fn combine(&self, mut parts: Vec<Grouped<'_>>) -> Result<RecordBatch> {
        let Some(largest) = (0..parts.len()).max_by_key(|part| parts[*part].len()) else {
            return Ok(RecordBatch::new_empty(self.state.clone()));
        };
        let mut whole = parts.swap_remove(largest);
        for part in parts.into_iter().filter(|part| part.len() > 0) {
            let part = part.finish(&self.state)?;
            let (keys, state) = part.columns().split_at(self.key.len());
            whole.merge(keys, state)?;
        }
        whole.finish(&self.state)
    }

    /// What becomes of the touched keys, given what the table holds of them.
    pub(super) fn apply(&self, touched: RecordBatch, stored: &Gathered) -> Result<Change> {
        let state = self.with_stored(touched, stored)?;
        let (result, mut failed) = self.result(&state)?;
        let (kept, no_row) = self.above.run(&result)?;
        let mut has_row = vec![Some(false); state.num_rows()];
        kept.iter().flat_map(|kept| kept.rows.values()).for_each(|row| has_row[*row as usize] = Some(true));
        failed.extend(no_row);
        failed.iter().for_each(|failed| has_row[failed.row] = None);
        let rows = concat_batches(self.above.schema(), kept.iter().map(|kept| &kept.batch))?;
        let rows = match failed.is_empty() {
            true => rows,
            false => {
                let of = kept.iter().flat_map(|kept| kept.rows.values());
                let whole: BooleanArray = of.map(|row| Some(has_row[*row as usize].is_some())).collect();
                filter_record_batch(&rows, &whole)?
            }
        };
        let output_error = failed.first().map(|failed| self.describe(&state, failed)).transpose()?;
        Ok(Change { state, has_row: BooleanArray::from(has_row), rows, output_error })
    }

    /// The key of a row that could not be computed, and why.
    fn describe(&self, state: &RecordBatch, failed: &FailedRow) -> Result<String> {
        let key = state.project(&(0..self.key.len()).collect::<Vec<_>>())?.slice(failed.row, 1);
        let key = rekap_tables::json::values(&key)?.remove(0);
        Ok(format!("the row of the key {key} cannot be computed: {}", failed.detail))
    }

    fn with_stored(&self, touched: RecordBatch, stored: &Gathered) -> Result<RecordBatch> {
        if stored.state.num_rows() == 0 {
            return Ok(touched);
        }
        let n = touched.num_rows();
        let (keys, state) = touched.columns().split_at(self.key.len());
        let mut accumulators = Accumulators::new(&self.aggregates)?;
        accumulators.merge(state, &(0..n).collect::<Vec<_>>(), n)?;
        accumulators.merge(&stored.state.columns()[self.key.len()..], &selected(&stored.found), n)?;
        let columns = keys.iter().cloned().chain(accumulators.state()?).collect();
        Ok(RecordBatch::try_new(self.state.clone(), columns)?)
    }

    /// The aggregate's own columns: group columns and results. Answers the keys of which a result does not fit into its column, too.
    fn result(&self, state: &RecordBatch) -> Result<(RecordBatch, Vec<FailedRow>)> {
        let n = state.num_rows();
        let (keys, state) = state.columns().split_at(self.key.len());
        let mut accumulators = Accumulators::new(&self.aggregates)?;
        accumulators.merge(state, &(0..n).collect::<Vec<_>>(), n)?;
        let results = if n == 0 { self.no_results() } else { accumulators.results()? };
        let columns = self.groups.iter().map(|key| keys[*key].clone()).chain(results);
        let (mut typed, mut failed) = (vec![], vec![]);
        for (column, field) in columns.zip(self.result.fields()) {
            let (column, too_large) = fitted(&column, field.data_type())?;
            let detail = || format!("`{}` does not fit into {}", field.name(), type_name(field.data_type()));
            failed.extend(too_large.into_iter().map(|row| FailedRow { row, detail: detail() }));
            typed.push(column);
        }
        Ok((RecordBatch::try_new(self.result.clone(), typed)?, failed))
    }

    fn no_results(&self) -> Vec<ArrayRef> {
        let fields = &self.result.fields()[self.groups.len()..];
        fields.iter().map(|field| arrow::array::new_empty_array(field.data_type())).collect()
    }
}

impl Partial<'_> {
    /// Takes in records; answers those on which an expression failed. Records below `horizon` are counted and left out.
    pub(super) fn add(&mut self, records: &Records, horizon: Option<i64>) -> Result<Vec<FailedRecord>> {
        let mut failures = vec![];
        for (number, branch) in self.query.branches.iter().enumerate() {
            if branch.input != records.input {
                continue;
            }
            let (kept, failed) = branch.chain.run(&records.rows)?;
            failures.extend(failed.into_iter().map(|row| records.failed(row.row, row.detail)));
            for kept in kept.into_iter().filter(|kept| kept.batch.num_rows() > 0) {
                self.rows(self.query.with_place(kept.batch, &kept.rows, records, branch, number)?, horizon)?;
            }
        }
        Ok(failures)
    }

    fn rows(&mut self, mut rows: RecordBatch, horizon: Option<i64>) -> Result<()> {
        if let Some(retention) = &self.query.retention {
            let time = self.query.key[retention.time];
            if let Some(in_time) = retention.in_time(rows.column(time), horizon)? {
                self.late += in_time.false_count() as u64;
                rows = filter_record_batch(&rows, &in_time)?;
            }
            let timestamps = rows.column(self.query.input.fields().len() - super::records::PLACE_COLUMNS);
            self.newest = self.newest.max(retention.newest(rows.column(time), timestamps)?);
        }
        let keys: Vec<ArrayRef> = self.query.key.iter().map(|column| rows.column(*column).clone()).collect();
        self.grouped.update(&keys, &rows)
    }

    /// How many keys were seen.
    pub(super) fn keys(&self) -> usize {
        self.grouped.len()
    }
}

impl<'a> Partial<'a> {
    /// The keys seen and their state, ready to take in those of others.
    pub(super) fn finish(self) -> Grouped<'a> {
        self.grouped
    }
}

impl AggregateQuery {
    fn with_place(
        &self,
        rows: RecordBatch,
        kept: &UInt32Array,
        records: &Records,
        branch: &Branch,
        number: usize,
    ) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        if self.needs_place {
            let fields = Fields::from(super::records::place_fields().to_vec());
            let places = records.places(branch.timestamp, number).to_vec();
            let places = RecordBatch::try_new(Arc::new(Schema::new(fields)), places)?;
            let all = kept.len() == places.num_rows();
            let places = if all { places } else { take_record_batch(&places, kept)? };
            columns.extend_from_slice(places.columns());
        }
        Ok(RecordBatch::try_new(self.input.clone(), columns)?)
    }
}
