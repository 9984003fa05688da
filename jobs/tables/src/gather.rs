//! The stored state of the keys that a range touched.
//!
//! Few keys are looked up one by one in key order, which keeps neighbours in the block cache. Once they are a good part of the table,
//! reading the state from the first to the last of them is cheaper. A table without keys is not read at all.

use std::ops::Range;

use arrow::array::{Array as _, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use fjall::Slice;

use crate::codec::Keys;
use crate::layout::{HAS_ROW, STATE, place};
use crate::parallel::threads_for;
use crate::table::Inner;
use crate::{TableError, TableStatus};

/// One lookup costs about as much as reading so many neighbouring keys (measured by `tests/bench.rs`).
const KEYS_READ_PER_LOOKUP: u64 = 8;

/// What [`crate::Table::gather`] found.
#[derive(Debug)]
pub struct Gathered {
    /// For each key asked for: whether it has state.
    pub found: BooleanArray,
    /// For each key asked for: whether it has an output row. Never without state.
    pub had_row: BooleanArray,
    /// The key and state columns of the keys found, in the order asked for.
    pub state: RecordBatch,
}

/// What a gather learned of its keys, so that the commit that follows need not look again.
pub(crate) struct Seen {
    commit_seq: u64,
    /// The keys as they were asked for.
    columns: Vec<ArrayRef>,
    keys: Keys,
    /// The flags of each key in key order; `None` where the key has no state.
    flags: Vec<Option<u8>>,
}

impl Seen {
    /// True when these are the very keys that were asked for, and nothing was committed since.
    fn is_of(&self, columns: &[ArrayRef], status: &TableStatus) -> bool {
        self.commit_seq == status.commit_seq && same_arrays(&self.columns, columns)
    }
}

/// True when these are the very same arrays, so that what they hold need not be compared.
pub(crate) fn same_arrays(left: &[ArrayRef], right: &[ArrayRef]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.to_data().ptr_eq(&b.to_data()))
}

impl Inner {
    pub(crate) fn gather(&self, keys: &RecordBatch) -> Result<(Gathered, Option<Seen>), TableError> {
        let status = self.status();
        if status.keys == 0 || keys.num_rows() == 0 {
            return Ok((self.nothing(keys.num_rows()), None));
        }
        let sorted = self.keys(keys.columns(), None)?;
        let values = self.stored(STATE, &sorted, status.keys)?;
        let flags: Vec<_> = values.iter().map(|value| value.as_ref().map(|value| value[0])).collect();
        let gathered = self.gathered(keys, &sorted, &values).map_err(|source| self.damaged(source))?;
        let columns = keys.columns().to_vec();
        Ok((gathered, Some(Seen { commit_seq: status.commit_seq, columns, keys: sorted, flags })))
    }

    fn nothing(&self, keys: usize) -> Gathered {
        let none = BooleanArray::from(vec![false; keys]);
        let state = RecordBatch::new_empty(self.codec.schema().state_schema());
        Gathered { found: none.clone(), had_row: none, state }
    }

    fn gathered(
        &self,
        keys: &RecordBatch,
        sorted: &Keys,
        values: &[Option<Slice>],
    ) -> Result<Gathered, arrow::error::ArrowError> {
        let mut stored = vec![None; sorted.len()];
        for (place, value) in values.iter().enumerate() {
            stored[sorted.index(place)] = value.as_deref();
        }
        let found: BooleanArray = stored.iter().map(|value| Some(value.is_some())).collect();
        let had_row = stored.iter().map(|value| Some(value.is_some_and(|value| value[0] & HAS_ROW != 0))).collect();
        let mut columns: Vec<ArrayRef> = filter_record_batch(keys, &found)?.columns().to_vec();
        columns.extend(self.codec.state.decode(stored.iter().flatten().map(|value| &value[1..]))?);
        let state = RecordBatch::try_new(self.codec.schema().state_schema(), columns)?;
        Ok(Gathered { found, had_row, state })
    }

    /// What a section that holds so many keys has of each of these, in key order. Many keys are shared among threads, each with a run of
    /// neighbours.
    pub(crate) fn stored(&self, section: u8, keys: &Keys, held: u64) -> Result<Vec<Option<Slice>>, TableError> {
        let lookup = keys.len() as u64 * KEYS_READ_PER_LOOKUP < held;
        let read = |run: Range<usize>| match lookup {
            true => run.map(|at| self.keyspace.get(place(section, keys.key(at)))).collect(),
            false => self.read_along(section, keys, run),
        };
        let threads = threads_for(keys.len());
        if threads == 1 {
            return read(keys.places()).map_err(|source| self.failed("reading the keys of", source));
        }
        let share = |i: usize| keys.len() * i / threads..keys.len() * (i + 1) / threads;
        let runs: Vec<Result<Vec<_>, _>> = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..threads).map(|i| scope.spawn(move || read(share(i)))).collect();
            readers.into_iter().map(|reader| reader.join().expect("a reader does not panic")).collect()
        });
        let runs: Result<Vec<Vec<_>>, _> = runs.into_iter().collect();
        Ok(runs.map_err(|source| self.failed("reading the keys of", source))?.into_iter().flatten().collect())
    }

    /// Reads all of a section from the first key of a run to its last.
    fn read_along(&self, section: u8, keys: &Keys, run: Range<usize>) -> Result<Vec<Option<Slice>>, fjall::Error> {
        let mut values = vec![None; run.len()];
        let mut at = run.start;
        let range = place(section, keys.key(run.start))..=place(section, keys.key(run.end - 1));
        for entry in self.keyspace.range(range) {
            let (place, value) = entry.into_inner()?;
            while keys.key(at) < &place[1..] {
                at += 1;
            }
            if keys.key(at) == &place[1..] {
                values[at - run.start] = Some(value);
            }
        }
        Ok(values)
    }

    /// Keys in key order, each with its flags: as the last gather saw them, or looked up where it did not ask.
    pub(crate) fn keys_with_flags(
        &self,
        columns: &[ArrayRef],
        seen: Option<Seen>,
        status: &TableStatus,
    ) -> Result<(Keys, Vec<Option<u8>>), TableError> {
        let seen = match seen {
            Some(seen) if seen.is_of(columns, status) => return Ok((seen.keys, seen.flags)),
            other => other.filter(|seen| seen.commit_seq == status.commit_seq),
        };
        let keys = self.keys(columns, None)?;
        let mut at = 0;
        let flags = keys.places().map(|place| {
            let key = keys.key(place);
            let Some(seen) = &seen else { return self.flags_of(key, status) };
            while at < seen.keys.len() && seen.keys.key(at) < key {
                at += 1;
            }
            match at < seen.keys.len() && seen.keys.key(at) == key {
                true => Ok(seen.flags[at]),
                false => self.flags_of(key, status),
            }
        });
        let flags = flags.collect::<Result<_, _>>()?;
        Ok((keys, flags))
    }

    /// The flags of one key; `None` when it has no state.
    pub(crate) fn flags_of(&self, key: &[u8], status: &TableStatus) -> Result<Option<u8>, TableError> {
        if status.keys == 0 {
            return Ok(None);
        }
        let value = self.keyspace.get(place(STATE, key));
        Ok(value.map_err(|source| self.failed("reading the state of", source))?.map(|value| value[0]))
    }
}
