//! The sum of a merge: how many rows are the same, changed, added and removed, how each column changed, and some rows to look at.

use arrow::array::RecordBatch;
use rekap_tables::json;

use super::VerifyError;
use super::columns::Columns;
use super::merge::{Stretch, pick};
use super::report::{Change, ColumnResult, Counts, Sample};

/// At most so many rows are shown, so that a report stays small enough to read and to keep.
const MAX_SAMPLES: usize = 100;

/// What two tables have in common so far.
pub(super) struct Comparison {
    columns: Columns,
    counts: Counts,
    /// Samples of rows changed, added and removed.
    samples: [Vec<Sample>; 3],
}

impl Comparison {
    pub(super) fn new(columns: Columns) -> Self {
        Comparison { columns, counts: Counts::default(), samples: Default::default() }
    }

    /// Counts a stretch of both tables.
    pub(super) fn add(&mut self, stretch: &Stretch) -> Result<(), VerifyError> {
        let changed = stretch.changed(&mut self.columns)?;
        self.counts.changed += changed.0.len() as u64;
        self.counts.same += (stretch.both.0.len() - changed.0.len()) as u64;
        self.counts.added += stretch.added.len() as u64;
        self.counts.removed += stretch.removed.len() as u64;
        self.sample(Change::Changed, Some((&stretch.old, &changed.0)), Some((&stretch.new, &changed.1)))?;
        self.sample(Change::Added, None, Some((&stretch.new, &stretch.added)))?;
        self.sample(Change::Removed, Some((&stretch.old, &stretch.removed)), None)
    }

    fn sample(
        &mut self,
        change: Change,
        old: Option<(&RecordBatch, &Vec<u32>)>,
        new: Option<(&RecordBatch, &Vec<u32>)>,
    ) -> Result<(), VerifyError> {
        let samples = &mut self.samples[change as usize];
        let wanted = MAX_SAMPLES - samples.len();
        let shown = |side: Option<(&RecordBatch, &Vec<u32>)>| {
            let rows = side.map(|(batch, rows)| json::values(&pick(batch, &rows[..rows.len().min(wanted)])?));
            rows.transpose()
        };
        let (old, new) = (shown(old)?, shown(new)?);
        let count = old.as_ref().or(new.as_ref()).map_or(0, Vec::len);
        let (mut old, mut new) = (old.into_iter().flatten(), new.into_iter().flatten());
        samples.extend((0..count).map(|_| Sample { change, old: old.next(), new: new.next() }));
        Ok(())
    }

    /// The counts, the columns, and samples of each kind in turn.
    pub(super) fn finish(self) -> (Counts, Vec<ColumnResult>, Vec<Sample>) {
        let mut kinds = self.samples.map(Vec::into_iter);
        let mut samples = Vec::new();
        while samples.len() < MAX_SAMPLES {
            let before = samples.len();
            samples.extend(kinds.iter_mut().filter_map(Iterator::next).take(MAX_SAMPLES - before));
            if samples.len() == before {
                break;
            }
        }
        samples.sort_by_key(|sample| sample.change as usize);
        (self.counts, self.columns.finish(), samples)
    }
}

impl Stretch {
    /// The rows that both have and that differ: their index on either side.
    pub(super) fn changed(&self, columns: &mut Columns) -> Result<(Vec<u32>, Vec<u32>), VerifyError> {
        let differs = columns.compare(&pick(&self.old, &self.both.0)?, &pick(&self.new, &self.both.1)?)?;
        let rows =
            |side: &[u32]| side.iter().zip(&differs).filter(|(_, differs)| **differs).map(|(row, _)| *row).collect();
        Ok((rows(&self.both.0), rows(&self.both.1)))
    }
}
