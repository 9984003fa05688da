//! The keys of the log's one keyspace. Numbers are big-endian, so that keys sort as what they name.
//!
//! ```text
//! f                                        the format of everything here
//! g                                        how many groups of appends there were
//! t <topic's name>                         the topic, as JSON
//! p <incarnation> <partition>              the earliest offset held, once something was trimmed
//! e <incarnation> <partition> <last>       an entry: the records up to offset `last`
//! o <incarnation> <idempotency key>        what the append of that key answered
//! x <time> <incarnation> <idempotency key> when that answer was given, in order of time
//! ```
//!
//! An entry is found by its *last* offset: the first key at or after an offset is the entry that holds it.

use crate::{Incarnation, Offset, Partition, Timestamp, TopicName};

pub(super) const FORMAT: &[u8] = b"f";
pub(super) const GROUPS: &[u8] = b"g";
pub(super) const TOPICS: &[u8] = b"t";
pub(super) const EXPIRIES: &[u8] = b"x";

/// The kinds of keys that belong to an incarnation.
pub(super) const OWNED: [u8; 3] = [b'e', b'p', b'o'];

pub(super) fn topic(name: &TopicName) -> Vec<u8> {
    [TOPICS, name.as_str().as_bytes()].concat()
}

/// Everything of one kind that an incarnation owns.
pub(super) fn owned(kind: u8, incarnation: &Incarnation) -> Vec<u8> {
    [&[kind][..], incarnation.as_bytes()].concat()
}

/// The incarnation in a key of [`owned`].
pub(super) fn owner(key: &[u8]) -> Option<Incarnation> {
    key.get(1..17).and_then(|bytes| bytes.try_into().ok()).map(Incarnation::from_bytes)
}

pub(super) fn earliest(incarnation: &Incarnation, partition: Partition) -> Vec<u8> {
    [&b"p"[..], incarnation.as_bytes(), &partition.0.to_be_bytes()].concat()
}

pub(super) fn entry(incarnation: &Incarnation, partition: Partition, last: Offset) -> Vec<u8> {
    [&b"e"[..], incarnation.as_bytes(), &partition.0.to_be_bytes(), &last.get().to_be_bytes()].concat()
}

/// The key past every entry of a partition.
pub(super) fn entries_end(incarnation: &Incarnation, partition: Partition) -> Vec<u8> {
    [&b"e"[..], incarnation.as_bytes(), &partition.0.to_be_bytes(), &u64::MAX.to_be_bytes()].concat()
}

/// The last offset in a key of [`entry`].
pub(super) fn last_of(key: &[u8]) -> Option<Offset> {
    let last = key.len().checked_sub(8)?;
    Offset::from_i64(i64::from_be_bytes(key[last..].try_into().ok()?))
}

pub(super) fn once(incarnation: &Incarnation, key: &str) -> Vec<u8> {
    [&b"o"[..], incarnation.as_bytes(), key.as_bytes()].concat()
}

/// All that expires before `time` has a key below this one.
pub(super) fn expiries_before(time: Timestamp) -> Vec<u8> {
    [EXPIRIES, &time.as_micros().max(0).to_be_bytes()].concat()
}

/// The place of a key of [`once`] in the order of time.
pub(super) fn expiry(at: Timestamp, once: &[u8]) -> Vec<u8> {
    [&expiries_before(at)[..], &once[1..]].concat()
}

/// The time and the key of [`once`] in a key of [`expiry`].
pub(super) fn expiring(key: &[u8]) -> Option<(Timestamp, Vec<u8>)> {
    let at = i64::from_be_bytes(key.get(1..9)?.try_into().ok()?);
    Some((Timestamp::from_micros(at), [b"o", key.get(9..)?].concat()))
}
