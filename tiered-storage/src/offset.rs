//! Where a record stands: its partition, its offset, and half-open ranges of offsets.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a topic's partition, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u32);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a record in one topic-partition. Never negative; offsets may have holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(u64);

impl Offset {
    /// The first offset that a partition can have.
    pub const ZERO: Offset = Offset(0);

    /// An offset. Arrow, Parquet and Kafka hold it as `i64`, so it stays below 2^63.
    pub const fn new(value: u64) -> Self {
        assert!(value <= i64::MAX as u64, "an offset fits into i64");
        Offset(value)
    }

    /// An offset read from an Arrow or Parquet column; `None` when it is negative.
    pub fn from_i64(value: i64) -> Option<Self> {
        u64::try_from(value).ok().map(Offset)
    }

    /// The plain number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as Arrow, Parquet and Kafka hold it.
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }

    /// The offset `n` records further on.
    pub const fn plus(self, n: u64) -> Self {
        Offset::new(self.0 + n)
    }

    /// The offset of the following record.
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// How many offsets lie in `[earlier, self)`; 0 when `earlier` is past `self`.
    pub const fn since(self, earlier: Offset) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The offsets `[from, to)` of one partition. It may cover offsets at which no record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OffsetRange {
    /// The first offset covered.
    pub from: Offset,
    /// The first offset no longer covered.
    pub to: Offset,
}

impl OffsetRange {
    /// The range `[from, to)`. Panics when `to` is before `from`, which is always a bug of the caller.
    pub fn new(from: Offset, to: Offset) -> Self {
        assert!(from <= to, "a range of offsets runs forwards: {from}..{to}");
        OffsetRange { from, to }
    }

    /// The number of offsets covered.
    pub fn len(&self) -> u64 {
        self.to.since(self.from)
    }

    /// True when nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// True when `offset` is covered.
    pub fn contains(&self, offset: Offset) -> bool {
        self.from <= offset && offset < self.to
    }

    /// What both ranges cover; `None` when they share no offset.
    pub fn intersect(&self, other: &OffsetRange) -> Option<OffsetRange> {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        (from < to).then_some(OffsetRange { from, to })
    }
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}
