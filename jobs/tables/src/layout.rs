//! Where things stand in a table's keyspace.
//!
//! One keyspace per table holds everything that must be atomic, told apart by the first byte of the key:
//!
//! ```text
//! d <input> 0 <partition> <offset>   dead letter                     → JSON of a DeadLetter
//! m schema                           columns and key                 → JSON of a TableSchema
//! m status                           positions, counts, epoch        → JSON of a TableStatus: the point of commit
//! o <action> 0 <commit> <n>          message that waits to be sent   → JSON of an Outgoing
//! r <key>                            output row                      → its columns that are not in the key
//! s <key>                            state                           → flags, then the state columns
//! t <time> <key>                     index of keys by `time`         → nothing (only in tables with `time`)
//! ```
//!
//! Readers that do not know the section `o` (it came in 2026-11) see a table without messages.
//!
//! `<key>` is the memcomparable row format of arrow-row, so keys stand in key order, nulls first. Integers are big-endian.
//! Format versions: 1, the first. `tests/fixtures/v1` is frozen and read by a test: a change of arrow-row's bytes would show there.

use crate::{Cursor, DeadLetter};

/// The format that this Rekap writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

pub(crate) const SCHEMA: &[u8] = b"mschema";
pub(crate) const STATUS: &[u8] = b"mstatus";
pub(crate) const DEAD_LETTERS: u8 = b'd';
pub(crate) const OUTBOX: u8 = b'o';
pub(crate) const ROWS: u8 = b'r';
pub(crate) const STATE: u8 = b's';
pub(crate) const TIMES: u8 = b't';

/// The longest key that fjall stores.
pub(crate) const MAX_KEY_BYTES: usize = u16::MAX as usize;

/// What precedes a key in the longest of its places, `t <time> <key>`.
const MAX_KEY_PREFIX: usize = 1 + size_of::<i64>();

/// The longest key of a row, in bytes as it is stored.
pub const MAX_ROW_KEY_BYTES: usize = MAX_KEY_BYTES - MAX_KEY_PREFIX;

/// In the flags of a state: the key has an output row.
pub(crate) const HAS_ROW: u8 = 1;

/// In the flags of a state: the key's output row could not be computed. Readers that do not know it see a key without a row.
pub(crate) const FAILED_ROW: u8 = 2;

/// The place of `key` in the section `prefix`.
pub(crate) fn place(prefix: u8, key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(1 + key.len());
    place.push(prefix);
    place.extend_from_slice(key);
    place
}

/// The place of `key` in the index by time.
pub(crate) fn time_place(time: i64, key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(MAX_KEY_PREFIX + key.len());
    place.push(TIMES);
    place.extend_from_slice(&ordered(time));
    place.extend_from_slice(key);
    place
}

/// The key at a place in the index by time.
pub(crate) fn key_of_time_place(place: &[u8]) -> &[u8] {
    &place[MAX_KEY_PREFIX..]
}

/// The time at a place in the index by time.
pub(crate) fn time_of_time_place(place: &[u8]) -> Option<i64> {
    let bytes: [u8; 8] = place.get(1..MAX_KEY_PREFIX)?.try_into().ok()?;
    Some(i64::from_be_bytes(bytes) ^ i64::MIN)
}

/// Big-endian bytes that sort as the numbers do.
fn ordered(time: i64) -> [u8; 8] {
    (time ^ i64::MIN).to_be_bytes()
}

/// The place of a dead letter.
pub(crate) fn dead_letter_place(letter: &DeadLetter) -> Vec<u8> {
    let mut place = place(DEAD_LETTERS, letter.input.as_bytes());
    place.push(0);
    place.extend_from_slice(&letter.partition.0.to_be_bytes());
    place.extend_from_slice(&letter.offset.get().to_be_bytes());
    place
}

/// The first place that does not start with `prefix`; `None` when there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// The places that start with `prefix` and come after the cursor.
pub(crate) fn range_after(
    prefix: &[u8],
    after: Option<&Cursor>,
) -> (std::ops::Bound<Vec<u8>>, std::ops::Bound<Vec<u8>>) {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let start = after.map_or_else(|| Included(prefix.to_vec()), |cursor| Excluded(cursor.0.clone()));
    (start, after_prefix(prefix).map_or(Unbounded, Excluded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_in_order_across_zero() {
        let places: Vec<_> = [i64::MIN, -5, 0, 7, i64::MAX].map(|time| time_place(time, b"k")).into();
        assert!(places.is_sorted());
        assert_eq!(key_of_time_place(&places[1]), b"k");
    }

    #[test]
    fn a_prefix_ends_before_the_next_one_begins() {
        assert_eq!(after_prefix(b"r"), Some(b"s".to_vec()));
        assert_eq!(after_prefix(&[b'r', 0xff]), Some(b"s".to_vec()));
        assert_eq!(after_prefix(&[0xff]), None);
    }
}
