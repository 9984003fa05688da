//! What the cold tier holds: for each partition the files and the gaps that tile its mirrored offsets.
//!
//! ```text
//! mirrored.from            gap                          mirrored.to (the seam)
//!      ├── file ──┼── file ──┼╌╌╌╌╌╌╌╌┼── file ──┼── file ──┤
//! ```
//! A coverage is a value: one version of the table, seen once. Slices are planned on it without any I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Fingerprint, Offset, OffsetRange, Partition, Timestamp};

/// A data file of the cold tier: one partition, one range of offsets, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColdFile {
    /// Where it is, relative to its table.
    pub path: String,
    /// The offsets that it covers; there may be fewer records.
    pub range: OffsetRange,
    /// The number of records.
    pub records: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// The decoder that filled its typed columns.
    pub fingerprint: Fingerprint,
    /// How many of its records are tombstones.
    pub tombstones: u64,
    /// How many of its records the decoder refused.
    pub undecodable: u64,
    /// The greatest timestamp of its records.
    pub newest: Timestamp,
    /// No record was written before this, to the millisecond; `None` when that is not known.
    pub oldest: Option<Timestamp>,
}

impl ColdFile {
    /// True when every offset covered holds a record, so that the record at offset `o` is row `o - range.from`.
    pub fn is_dense(&self) -> bool {
        self.records == self.range.len()
    }
}

/// What the cold tier holds of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionCoverage {
    files: Vec<Arc<ColdFile>>,
    gaps: Vec<OffsetRange>,
}

impl PartitionCoverage {
    /// Files and gaps, checked to tile one range of offsets. Otherwise: the offset at which they overlap or break off.
    pub fn new(mut files: Vec<Arc<ColdFile>>, mut gaps: Vec<OffsetRange>) -> Result<Self, Offset> {
        files.sort_by_key(|file| file.range);
        gaps.sort();
        let mut tiles: Vec<OffsetRange> = files.iter().map(|file| file.range).chain(gaps.iter().copied()).collect();
        tiles.sort();
        match tiles.windows(2).find(|pair| pair[0].to != pair[1].from) {
            Some(pair) => Err(pair[0].to.min(pair[1].from)),
            None => Ok(PartitionCoverage { files, gaps }),
        }
    }

    /// The files, in the order of their offsets.
    pub fn files(&self) -> &[Arc<ColdFile>] {
        &self.files
    }

    /// The ranges that were deleted from the hot tier before they were mirrored.
    pub fn gaps(&self) -> &[OffsetRange] {
        &self.gaps
    }

    /// From the first offset mirrored to the next one to mirror (the seam), gaps included; `None` before the first round.
    pub fn mirrored(&self) -> Option<OffsetRange> {
        let ends = [self.files.first().map(|f| f.range.from), self.gaps.first().map(|gap| gap.from)];
        let from = ends.into_iter().flatten().min()?;
        let ends = [self.files.last().map(|f| f.range.to), self.gaps.last().map(|gap| gap.to)];
        Some(OffsetRange { from, to: ends.into_iter().flatten().max()? })
    }

    /// The file that covers `offset`.
    pub fn file_at(&self, offset: Offset) -> Option<&Arc<ColdFile>> {
        let next = self.files.partition_point(|file| file.range.to <= offset);
        self.files.get(next).filter(|file| file.range.contains(offset))
    }

    /// Where the first file that begins at or after `offset` begins.
    pub fn next_file_from(&self, offset: Offset) -> Option<Offset> {
        let next = self.files.partition_point(|file| file.range.from < offset);
        self.files.get(next).map(|file| file.range.from)
    }

    /// The mean size of a record, as it lies in the files; 0 when there is none.
    pub fn bytes_per_record(&self) -> u64 {
        let (records, bytes) = self.files.iter().fold((0, 0), |(r, b), file| (r + file.records, b + file.bytes));
        bytes.checked_div(records).unwrap_or(0)
    }
}

/// What the cold tier holds of one topic, at one version of its table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// The table's version; `None` before the first mirror round has made it.
    pub version: Option<u64>,
    /// What is held of each partition; a partition that was never mirrored is absent.
    pub partitions: BTreeMap<Partition, PartitionCoverage>,
}

impl Coverage {
    /// What is held of a partition; `None` when it was never mirrored.
    pub fn partition(&self, partition: Partition) -> Option<&PartitionCoverage> {
        self.partitions.get(&partition)
    }

    /// The next offset to mirror of a partition; `None` when it was never mirrored.
    pub fn mirrored_to(&self, partition: Partition) -> Option<Offset> {
        Some(self.partition(partition)?.mirrored()?.to)
    }
}
