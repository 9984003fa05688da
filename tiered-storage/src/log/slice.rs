//! The stitching: which tier hands out which offsets of an asked range. Pure; the facts come in as values.
//!
//! ```text
//! cold      ├── file ──┼── file ──┼╌╌ gap ╌╌┼── file ──┤ seam
//! hot                                    ├──────────────────── records ─────────┤ end
//! slice        [ Cold  ][  Cold  ][   Gap ][  Cold   ][        Hot       ]
//! ```
//! The segments of a slice tile the asked range exactly: no offset twice, none left out. Cold wins wherever it covers, because it is
//! cheaper; what neither tier holds is a [`Segment::Gap`], never a jump. A slice pins nothing: whoever reads it and finds a segment
//! gone plans again from where it stands.

use std::sync::Arc;

use crate::cold::{ColdFile, PartitionCoverage, ROW_GROUP_RECORDS};
use crate::{HotRange, Offset, OffsetRange, Partition, Topic};

/// A part of a slice that one source holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Offsets read from a file of the cold tier.
    Cold {
        /// The file.
        file: Arc<ColdFile>,
        /// The offsets to read of it.
        range: OffsetRange,
    },
    /// Offsets read from the hot tier.
    Hot {
        /// The offsets to read.
        range: OffsetRange,
    },
    /// Offsets that neither tier holds any more.
    Gap {
        /// The offsets lost.
        range: OffsetRange,
    },
}

impl Segment {
    /// The offsets that this part covers.
    pub fn range(&self) -> OffsetRange {
        match self {
            Segment::Cold { range, .. } | Segment::Hot { range } | Segment::Gap { range } => *range,
        }
    }

    pub(super) fn clip(&self, to: &OffsetRange) -> Option<Segment> {
        let range = self.range().intersect(to)?;
        Some(match self {
            Segment::Cold { file, .. } => Segment::Cold { file: file.clone(), range },
            Segment::Hot { .. } => Segment::Hot { range },
            Segment::Gap { .. } => Segment::Gap { range },
        })
    }

    /// The offset nearest to `ideal` at which a reader may be cut off without two readers decoding the same row group.
    fn cut_near(&self, ideal: Offset) -> Offset {
        let Segment::Cold { file, range } = self else { return ideal };
        let stride = (file.range.len() * ROW_GROUP_RECORDS).checked_div(file.records).unwrap_or(0).max(1);
        let groups = (ideal.since(file.range.from) + stride / 2) / stride;
        file.range.from.plus(groups * stride).clamp(range.from, range.to)
    }
}

/// A range of offsets of one topic-partition, and where each part of it is read. Made by [`Log::slice`](crate::Log::slice).
#[derive(Debug, Clone)]
pub struct LogSlice {
    pub(crate) topic: Topic,
    pub(crate) partition: Partition,
    pub(crate) range: OffsetRange,
    pub(crate) segments: Vec<Segment>,
}

impl LogSlice {
    /// The partition that it is of.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The offsets that it covers.
    pub fn range(&self) -> OffsetRange {
        self.range
    }

    /// Its parts, in the order of their offsets; they tile the range.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The first range in it that neither tier holds.
    pub fn first_gap(&self) -> Option<OffsetRange> {
        self.segments.iter().find_map(|segment| match segment {
            Segment::Gap { range } => Some(*range),
            _ => None,
        })
    }

    /// Splits into at most `n` consecutive slices of about equal length, to be read side by side. In cold files the cuts are at row
    /// groups, so that no two readers decode the same one.
    pub fn split(self, n: usize) -> Vec<LogSlice> {
        let n = n.max(1) as u64;
        let mut cuts: Vec<Offset> = (1..n).map(|i| self.cut_near(share(self.range, i, n))).collect();
        cuts.insert(0, self.range.from);
        cuts.push(self.range.to);
        cuts.dedup();
        let parts: Vec<LogSlice> =
            cuts.windows(2).map(|cut| self.clip(OffsetRange { from: cut[0], to: cut[1] })).collect();
        if parts.is_empty() { vec![self] } else { parts }
    }

    fn cut_near(&self, ideal: Offset) -> Offset {
        let holder = self.segments.iter().find(|segment| segment.range().contains(ideal));
        holder.map_or(ideal, |segment| segment.cut_near(ideal))
    }

    fn clip(&self, range: OffsetRange) -> LogSlice {
        let segments = self.segments.iter().filter_map(|segment| segment.clip(&range)).collect();
        LogSlice { topic: self.topic.clone(), partition: self.partition, range, segments }
    }
}

/// The offset at `i / n` of a range.
fn share(range: OffsetRange, i: u64, n: u64) -> Offset {
    range.from.plus((u128::from(range.len()) * u128::from(i) / u128::from(n)) as u64)
}

/// Plans which tier hands out which part of `asked`. `None` when `asked` reaches past the end of both tiers.
pub(crate) fn plan(cold: Option<&PartitionCoverage>, hot: HotRange, asked: OffsetRange) -> Option<Vec<Segment>> {
    let seam = cold.and_then(PartitionCoverage::mirrored).map_or(Offset::ZERO, |mirrored| mirrored.to);
    if asked.to > hot.end.max(seam) {
        return None;
    }
    let mut segments = Vec::new();
    let mut at = asked.from;
    while at < asked.to {
        let segment = segment_at(cold, hot, at).clip(&asked).expect("a segment covers the offset it was looked up for");
        at = segment.range().to;
        segments.push(segment);
    }
    Some(segments)
}

/// The longest segment that covers offset `at`, from `at` on. `at` is below the end of one of the tiers.
fn segment_at(cold: Option<&PartitionCoverage>, hot: HotRange, at: Offset) -> Segment {
    if let Some(file) = cold.and_then(|cold| cold.file_at(at)) {
        return Segment::Cold { file: file.clone(), range: OffsetRange { from: at, to: file.range.to } };
    }
    let next_file = cold.and_then(|cold| cold.next_file_from(at));
    if hot.earliest <= at && at < hot.end {
        return Segment::Hot { range: OffsetRange { from: at, to: next_file.unwrap_or(hot.end).min(hot.end) } };
    }
    // Past the hot tier's end only a gap that the mirror has recorded is left, up to the seam.
    let next_hot = (hot.earliest > at && hot.earliest < hot.end).then_some(hot.earliest);
    let seam = cold.and_then(PartitionCoverage::mirrored).map_or(Offset::ZERO, |mirrored| mirrored.to);
    let to = next_file.into_iter().chain(next_hot).min().unwrap_or(hot.end.max(seam));
    Segment::Gap { range: OffsetRange { from: at, to } }
}

#[cfg(test)]
mod tests;
