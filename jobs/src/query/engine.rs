//! Running a compiled job over a range, whichever kind it is.
//!
//! One [`Worker`] per core takes in records and ends as a [`Part`]; the parts of a range are combined to what it [`Touched`]; with
//! what the table holds of those keys that becomes the [`Change`] to commit.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryPool;
use rekap_tables::Gathered;

use super::grouped::Grouped;
use super::records::{Change, FailedRecord, Records};
use super::upsert::Candidates;
use super::{CompiledJob, Query, aggregate, upsert};

/// Takes in one core's share of a range.
pub struct Worker<'a>(Kind<'a>);

enum Kind<'a> {
    Aggregate(aggregate::Partial<'a>),
    Upsert(upsert::Partial<'a>),
}

/// What one worker made of its share.
pub struct Part<'a> {
    result: Share<'a>,
    newest: Option<i64>,
    /// How many records were below the horizon.
    pub late: u64,
}

/// The keys that a range touched, each once, with what it says of them.
pub struct Touched {
    result: Keyed,
    newest: Option<i64>,
    /// How many records were below the horizon.
    pub late: u64,
}

enum Share<'a> {
    Groups(Grouped<'a>),
    Candidates(Candidates),
}

enum Keyed {
    State(RecordBatch),
    Candidates(Candidates),
}

impl CompiledJob {
    /// A worker that takes its memory from `memory`.
    pub fn worker(&self, memory: &Arc<dyn MemoryPool>) -> Result<Worker<'_>> {
        Ok(Worker(match &self.query {
            Query::Aggregate(query) => Kind::Aggregate(query.partial(memory)?),
            Query::Upsert(query) => Kind::Upsert(query.partial(memory)?),
        }))
    }

    /// Whether the records of one partition may be shared among workers; otherwise one worker takes them all, in order.
    pub fn splits_partitions(&self) -> bool {
        match &self.query {
            Query::Aggregate(_) => true,
            Query::Upsert(query) => !query.resets,
        }
    }

    /// The parts of one range as one.
    pub fn combine(&self, parts: Vec<Part<'_>>, memory: &Arc<dyn MemoryPool>) -> Result<Touched> {
        let (newest, late) =
            (parts.iter().filter_map(|part| part.newest).max(), parts.iter().map(|part| part.late).sum());
        let (mut groups, mut candidates) = (vec![], vec![]);
        for part in parts {
            match part.result {
                Share::Groups(part) => groups.push(part),
                Share::Candidates(part) => candidates.push(part),
            }
        }
        let result = match &self.query {
            Query::Aggregate(query) => Keyed::State(query.combine(groups)?),
            Query::Upsert(query) => Keyed::Candidates(query.combine(candidates, memory)?),
        };
        Ok(Touched { result, newest, late })
    }

    /// The keys that a range touched, to gather what the table holds of them.
    pub fn keys(&self, touched: &Touched) -> Result<RecordBatch> {
        match (&self.query, &touched.result) {
            (_, Keyed::State(state)) => Ok(state.project(&(0..self.table.key().len()).collect::<Vec<_>>())?),
            (Query::Upsert(query), Keyed::Candidates(candidates)) => query.keys_of(candidates),
            _ => unreachable!("a job's workers make parts of its own kind"),
        }
    }

    /// What becomes of the touched keys, given what the table holds of them.
    pub fn apply(&self, touched: Touched, stored: &Gathered) -> Result<Change> {
        match (&self.query, touched.result) {
            (Query::Aggregate(query), Keyed::State(state)) => query.apply(state, stored),
            (Query::Upsert(query), Keyed::Candidates(candidates)) => query.apply(candidates, stored),
            _ => unreachable!("a job's workers make parts of its own kind"),
        }
    }

    /// Where the horizon stands after a range; `before` is the table's.
    pub fn horizon(&self, before: Option<i64>, touched: &Touched) -> Option<i64> {
        let retention = match &self.query {
            Query::Aggregate(query) => &query.retention,
            Query::Upsert(query) => &query.retention,
        };
        retention.as_ref().and_then(|retention| retention.horizon(before, touched.newest))
    }
}

impl<'a> Worker<'a> {
    /// Takes in records; answers those on which an expression failed, which are left out. Records below `horizon` (the table's when
    /// the range began) are left out too, and counted.
    pub fn add(&mut self, records: &Records, horizon: Option<i64>) -> Result<Vec<FailedRecord>> {
        match &mut self.0 {
            Kind::Aggregate(partial) => partial.add(records, horizon),
            Kind::Upsert(partial) => partial.add(records, horizon),
        }
    }

    /// How many keys were seen.
    pub fn keys(&self) -> usize {
        match &self.0 {
            Kind::Aggregate(partial) => partial.keys(),
            Kind::Upsert(partial) => partial.keys(),
        }
    }

    /// What came of all that was taken in.
    pub fn finish(self) -> Result<Part<'a>> {
        match self.0 {
            Kind::Aggregate(partial) => {
                let (newest, late) = (partial.newest, partial.late);
                Ok(Part { result: Share::Groups(partial.finish()), newest, late })
            }
            Kind::Upsert(partial) => {
                let (newest, late) = (partial.newest, partial.late);
                Ok(Part { result: Share::Candidates(partial.finish()?), newest, late })
            }
        }
    }
}
