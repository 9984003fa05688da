//! What a commit changes in the keyspace, in the order of its places: first decided as a whole, then written.

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array};
use arrow::compute::{filter, filter_record_batch};
use arrow::error::ArrowError;
use fjall::Slice;

use crate::codec::{Encoded, Keys};
use crate::gather::{Seen, same_arrays};
use crate::layout::{
    self, FAILED_ROW, HAS_ROW, MAX_ROW_KEY_BYTES, ROWS, STATE, TIMES, dead_letter_place, key_of_time_place,
};
use crate::outbox::{OutboxChanges, Sizes};
use crate::parallel::both;
use crate::table::Inner;
use crate::{Commit, DeadLetter, TableError, TableStatus};

/// One place and what it holds from now on; `None` deletes it.
pub(crate) type Entry = (Slice, Option<Slice>);

/// The flags and the encoded state columns of a key.
type State<'a> = (u8, &'a [u8]);

/// Keys in order, each with something.
type ByKey<'a, V> = Box<dyn Iterator<Item = (&'a [u8], V)> + 'a>;

/// The keys that a commit writes, with their state and rows.
struct Written {
    keys: Keys,
    state: Encoded,
    has_row: BooleanArray,
    times: Option<Int64Array>,
    /// The keys of the rows; `None` where each key has its row, in the same order.
    row_keys: Option<Keys>,
    rows: Encoded,
    /// The flags that each key had before, in key order.
    flags: Vec<Option<u8>>,
}

/// A key that fell below the horizon.
struct Expired {
    key: Vec<u8>,
    time_place: Slice,
    flags: Option<u8>,
}

/// All that a commit changes.
pub(crate) struct Changes {
    pub(crate) status: TableStatus,
    written: Written,
    expired: Vec<Expired>,
    dead_letters: Vec<Entry>,
    outbox: OutboxChanges,
}

impl Changes {
    /// Decides what `commit` changes in a table that has `status`. Reads, but writes nothing.
    pub(crate) fn plan(
        table: &Inner,
        status: &TableStatus,
        commit: Commit,
        seen: Option<Seen>,
    ) -> Result<Self, TableError> {
        let horizon = status.horizon.max(commit.horizon);
        let written = Written::plan(table, status, &commit, horizon, seen)?;
        let expired = table.expired(status, horizon)?;
        let dead_letters = dead_letter_entries(&commit.dead_letters);
        let outbox = OutboxChanges::plan(table, status.commit_seq + 1, &commit.outbox)?;
        let status = TableStatus { horizon, ..status.clone() };
        let mut changes = Changes { status, written, expired, dead_letters, outbox };
        changes.advance(&commit);
        Ok(changes)
    }

    fn advance(&mut self, commit: &Commit) {
        let (new_keys, rows, failed) = self.written.counts();
        let expired = |flag| self.expired.iter().filter(|expired| has(expired.flags, flag)).count() as u64;
        let (expired_rows, expired_failed) = (expired(HAS_ROW), expired(FAILED_ROW));
        let status = &mut self.status;
        for (topic, partition, next) in commit.to.iter() {
            status.positions.set(topic, partition, next);
        }
        status.commit_seq += 1;
        status.keys = status.keys + new_keys - self.expired.len() as u64;
        status.rows = status.rows + rows.new - rows.lost - expired_rows;
        status.failed_rows = status.failed_rows + failed.new - failed.lost - expired_failed;
        status.dead_letters += self.dead_letters.len() as u64;
        status.tombstones_skipped += commit.tombstones_skipped;
        status.late += commit.late;
        status.outbox_dropped += self.outbox.dropped;
    }

    /// How many places change, beside the status.
    pub(crate) fn len(&self) -> usize {
        self.dead_letters.len()
            + self.outbox.entries.len()
            + self.written.row_keys().len()
            + self.written.keys.len()
            + 3 * self.expired.len()
    }

    /// The changes, in the order of their places, without the status: what stands before its place, and what stands after it.
    pub(crate) fn entries(&self) -> (impl Iterator<Item = Entry>, impl Iterator<Item = Entry>) {
        let (mut row_places, mut state_places, mut flagged) = (Place::of(ROWS), Place::of(STATE), Vec::new());
        let rows = self.rows().map(move |(key, value)| (row_places.slice(key), value.map(Slice::from)));
        let state = self.state().map(move |(key, value)| {
            let value = value.map(|(flags, state)| {
                flagged.clear();
                flagged.push(flags);
                flagged.extend_from_slice(state);
                Slice::from(flagged.as_slice())
            });
            (state_places.slice(key), value)
        });
        let outbox = self.outbox.entries.iter().cloned();
        (self.dead_letters.iter().cloned(), outbox.chain(rows).chain(state).chain(self.times()))
    }

    /// How much waits of each action afterwards; `None` when that is as before.
    pub(crate) fn outbox_sizes(&self) -> Option<Sizes> {
        (!self.outbox.entries.is_empty()).then(|| self.outbox.sizes.clone())
    }

    fn rows(&self) -> ByKey<'_, Option<&[u8]>> {
        let written = &self.written;
        let keys = written.row_keys();
        let rows = keys.places().map(|at| (keys.key(at), Some(written.rows.row(keys.index(at)))));
        let expired = || {
            self.expired.iter().filter(|expired| has(expired.flags, HAS_ROW)).map(|expired| (&expired.key[..], None))
        };
        if self.expired.is_empty() && written.lost_rows().next().is_none() {
            return Box::new(rows);
        }
        in_order(rows.chain(written.lost_rows().map(|key| (key, None))).chain(expired()).collect())
    }

    fn state(&self) -> ByKey<'_, Option<State<'_>>> {
        let written = &self.written;
        let state = written.keys.places().map(|at| {
            let index = written.keys.index(at);
            (written.keys.key(at), Some((written.flags_now(index), written.state.row(index))))
        });
        if self.expired.is_empty() {
            return Box::new(state);
        }
        in_order(state.chain(self.expired.iter().map(|expired| (&expired.key[..], None))).collect())
    }

    fn times(&self) -> impl Iterator<Item = Entry> {
        let written = &self.written;
        let new = |times: &Int64Array, at: usize| -> Option<Entry> {
            let index = written.keys.index(at);
            let is_new = written.flags[at].is_none() && times.is_valid(index);
            let place = || layout::time_place(times.value(index), written.keys.key(at));
            is_new.then(|| (place().into(), Some(Slice::from(&[]))))
        };
        let mut times: Vec<Entry> = self.expired.iter().map(|expired| (expired.time_place.clone(), None)).collect();
        if let Some(by_key) = &written.times {
            times.extend(written.keys.places().filter_map(|at| new(by_key, at)));
        }
        times.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        times.into_iter()
    }
}

impl Written {
    fn plan(
        table: &Inner,
        status: &TableStatus,
        commit: &Commit,
        horizon: Option<i64>,
        seen: Option<Seen>,
    ) -> Result<Self, TableError> {
        let contradiction = |source: ArrowError| table.contradiction(source);
        let codec = &table.codec;
        let width = codec.schema().key().len();
        if commit.state.num_columns() < width || commit.rows.num_columns() != codec.schema().columns().fields().len() {
            return Err(table.contradiction("the columns are not those of the table"));
        }
        if commit.state.num_rows() != commit.has_row.len() {
            return Err(table.contradiction("`has_row` does not tell of each key"));
        }
        let kept = |keys: &[ArrayRef]| -> Result<Option<BooleanArray>, ArrowError> {
            Ok(codec.times(keys)?.zip(horizon).and_then(|(times, horizon)| above(&times, horizon)))
        };
        let (mut state, mut has_row) = (commit.state.clone(), commit.has_row.clone());
        if let Some(kept) = kept(&state.columns()[..width]).map_err(contradiction)? {
            state = filter_record_batch(&state, &kept).map_err(contradiction)?;
            has_row = BooleanArray::from(filter(&has_row, &kept).map_err(contradiction)?.to_data());
        }
        let mut rows = commit.rows.clone();
        if let Some(kept) = kept(&codec.keys_of_rows(&rows)).map_err(contradiction)? {
            rows = filter_record_batch(&rows, &kept).map_err(contradiction)?;
        }
        let key_columns = &state.columns()[..width];
        let encode = || {
            let state = codec.state.encode(&state.columns()[width..])?;
            Ok::<_, ArrowError>((state, codec.rest.encode(&codec.rest_of_rows(&rows))?))
        };
        let find = || {
            let (keys, flags) = table.keys_with_flags(key_columns, seen, status)?;
            let row_columns = codec.keys_of_rows(&rows);
            let same = has_row.true_count() == has_row.len() && same_arrays(key_columns, &row_columns);
            let row_keys = if same { None } else { Some(table.keys(&row_columns, Some(&keys))?) };
            Ok::<_, TableError>((keys, flags, row_keys))
        };
        let (found, encoded) = both(has_row.len(), find, encode);
        let (keys, flags, row_keys) = found?;
        let (encoded_state, rows) = encoded.map_err(contradiction)?;
        let times = codec.times(key_columns).map_err(contradiction)?;
        let written = Written { keys, state: encoded_state, has_row, times, row_keys, rows, flags };
        written.check(table)
    }

    fn row_keys(&self) -> &Keys {
        self.row_keys.as_ref().unwrap_or(&self.keys)
    }

    /// Each key that says that it has a row has one, and no other row is there: the exact row count rests on this.
    fn check(self, table: &Inner) -> Result<Self, TableError> {
        let Some(row_keys) = &self.row_keys else { return Ok(self) };
        let with_row = self.keys.places().filter(|at| self.flags_now(self.keys.index(*at)) == HAS_ROW);
        let matches = with_row.map(|at| self.keys.key(at)).eq(row_keys.places().map(|at| row_keys.key(at)));
        if matches { Ok(self) } else { Err(table.contradiction("the rows are not those of the keys that have one")) }
    }

    /// The flags of the key of that index in the commit.
    fn flags_now(&self, index: usize) -> u8 {
        match (self.has_row.is_null(index), self.has_row.value(index)) {
            (true, _) => FAILED_ROW,
            (false, has_row) => u8::from(has_row) * HAS_ROW,
        }
    }

    /// The number of keys that are new, and how the numbers of rows and of failed rows change.
    fn counts(&self) -> (u64, Change, Change) {
        let (mut new_keys, mut rows, mut failed) = (0, Change::default(), Change::default());
        for at in self.keys.places() {
            let (before, now) = (self.flags[at], Some(self.flags_now(self.keys.index(at))));
            new_keys += u64::from(before.is_none());
            rows.count(before, now, HAS_ROW);
            failed.count(before, now, FAILED_ROW);
        }
        (new_keys, rows, failed)
    }

    /// The keys that had a row and have none now.
    fn lost_rows(&self) -> impl Iterator<Item = &[u8]> {
        let lost = |at: &usize| has(self.flags[*at], HAS_ROW) && self.flags_now(self.keys.index(*at)) & HAS_ROW == 0;
        self.keys.places().filter(lost).map(|at| self.keys.key(at))
    }
}

impl Inner {
    /// Keys in key order, checked: each once, none too long.
    pub(crate) fn keys(&self, columns: &[ArrayRef], like: Option<&Keys>) -> Result<Keys, TableError> {
        let keys = Keys::encode(&self.codec, columns, like).map_err(|source| self.contradiction(source))?;
        if let Some(bytes) = keys.places().map(|at| keys.key(at).len()).find(|bytes| *bytes > MAX_ROW_KEY_BYTES) {
            return Err(TableError::KeyTooLong { table: self.id.clone(), bytes, max: MAX_ROW_KEY_BYTES });
        }
        match keys.duplicate() {
            Some(index) => Err(self.contradiction(format!("a key stands there twice, at {index}"))),
            None => Ok(keys),
        }
    }

    /// The keys that fall out of the table when the horizon moves to `horizon`.
    fn expired(&self, status: &TableStatus, horizon: Option<i64>) -> Result<Vec<Expired>, TableError> {
        let Some(horizon) = horizon.filter(|_| horizon > status.horizon) else { return Ok(Vec::new()) };
        let below = vec![TIMES]..layout::time_place(horizon, &[]);
        let expire = |entry: fjall::Guard| {
            let time_place = entry.key().map_err(|source| self.failed("reading the times of", source))?;
            let key = key_of_time_place(&time_place).to_vec();
            let flags = self.flags_of(&key, status)?;
            Ok(Expired { key, time_place, flags })
        };
        self.keyspace.range(below).map(expire).collect()
    }
}

fn has(flags: Option<u8>, flag: u8) -> bool {
    flags.is_some_and(|flags| flags & flag != 0)
}

/// How many keys got a flag, and how many lost it.
#[derive(Default)]
struct Change {
    new: u64,
    lost: u64,
}

impl Change {
    fn count(&mut self, before: Option<u8>, now: Option<u8>, flag: u8) {
        self.new += u64::from(has(now, flag) && !has(before, flag));
        self.lost += u64::from(has(before, flag) && !has(now, flag));
    }
}

/// Which times are not below the horizon; `None` when that is all of them. A key without a time stays.
fn above(times: &Int64Array, horizon: i64) -> Option<BooleanArray> {
    let kept: BooleanArray = times.iter().map(|time| Some(time.is_none_or(|time| time >= horizon))).collect();
    (kept.true_count() < kept.len()).then_some(kept)
}

/// Entries in the order of their keys.
fn in_order<'a, V: 'a>(mut entries: Vec<(&'a [u8], V)>) -> ByKey<'a, V> {
    entries.sort_unstable_by_key(|(key, _)| *key);
    Box::new(entries.into_iter())
}

/// Makes the places of keys in one section, one after the other.
struct Place(Vec<u8>);

impl Place {
    fn of(section: u8) -> Self {
        Place(vec![section])
    }

    fn slice(&mut self, key: &[u8]) -> Slice {
        self.0.truncate(1);
        self.0.extend_from_slice(key);
        Slice::from(self.0.as_slice())
    }
}

/// Dead letters in the order of their places. A range that fails twice on one record tells of it once.
fn dead_letter_entries(letters: &[DeadLetter]) -> Vec<Entry> {
    let json = |letter| serde_json::to_vec(letter).expect("a dead letter is plain data");
    let mut entries: Vec<Entry> =
        letters.iter().map(|letter| (dead_letter_place(letter).into(), Some(json(letter).into()))).collect();
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    entries.dedup_by(|(a, _), (b, _)| a == b);
    entries
}
