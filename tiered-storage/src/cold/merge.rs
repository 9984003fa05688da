//! Which files of the cold tier are to be joined. Pure: a coverage goes in, adjacent runs of files come out.
//!
//! The mirror writes a file every minute or so, a replay wants few large ones. Files are joined when [`FAN_IN`] of about one size stand
//! next to each other, so a record is written again once per size class: five times on its way from 16 KB to 128 MB. Only *adjacent*
//! ranges of one decoder are joined: a file still holds one range of offsets in order, and a gap stays where it is.

use std::sync::Arc;

use super::coverage::{ColdFile, Coverage, PartitionCoverage};
use crate::Partition;

/// How many neighbours of one size class are joined, which is also how many times larger the next class is. A partition ends up with
/// at most `FAN_IN - 1` files in each class: fewer would be written again more often, more would be slower to read.
const FAN_IN: u64 = 8;

/// All files up to this size are one class.
const SMALLEST: u64 = 16 << 10;

/// A file is large enough to stay as it is from this share of the mirror's file size on.
const FULL_SHARE: u64 = 2;

/// Files that one join reads at most: each is opened, and listed in one log entry.
const MAX_INPUTS: usize = 512;

/// Neighbours to be joined to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) partition: Partition,
    /// Two or more, in the order of their offsets, without a gap between them.
    pub(crate) files: Vec<Arc<ColdFile>>,
}

impl Merge {
    /// The bytes to be read.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// What to join now: at most one run of each partition. A joined file is not larger than `max_bytes`.
pub(crate) fn plan(coverage: &Coverage, max_bytes: u64) -> Vec<Merge> {
    let merge = |(partition, covered): (&Partition, &PartitionCoverage)| {
        let files = next_run(covered.files(), max_bytes)?.to_vec();
        Some(Merge { partition: *partition, files })
    };
    coverage.partitions.iter().filter_map(merge).collect()
}

/// The first run worth joining, of the smallest size class that has one.
fn next_run(files: &[Arc<ColdFile>], max_bytes: u64) -> Option<&[Arc<ColdFile>]> {
    let full = max_bytes / FULL_SHARE;
    (0..=class(full)).find_map(|wanted| {
        let is_small = |file: &ColdFile| class(file.bytes) <= wanted && file.bytes < full;
        let mut runs = files.chunk_by(|a, b| is_small(a) && is_small(b) && may_join(a, b));
        runs.find_map(|run| {
            let of_class = run.iter().filter(|file| class(file.bytes) == wanted && file.bytes < full).count();
            if (of_class as u64) < FAN_IN {
                return None;
            }
            Some(fitting(run, max_bytes)).filter(|run| run.len() > 1)
        })
    })
}

/// The first files of a run that fit into one.
fn fitting(run: &[Arc<ColdFile>], max_bytes: u64) -> &[Arc<ColdFile>] {
    let mut total = 0;
    let fits = |file: &&Arc<ColdFile>| {
        total += file.bytes;
        total <= max_bytes
    };
    let count = run.iter().take(MAX_INPUTS).take_while(fits).count();
    &run[..count]
}

fn may_join(a: &ColdFile, b: &ColdFile) -> bool {
    a.range.to == b.range.from && a.fingerprint == b.fingerprint
}

/// The size class: 0 up to [`SMALLEST`], each further one [`FAN_IN`] times larger.
fn class(bytes: u64) -> u32 {
    (bytes.saturating_sub(1) / SMALLEST).checked_ilog(FAN_IN).map_or(0, |log| log + 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Decoder, Fingerprint, Offset, OffsetRange, Timestamp};

    const MAX: u64 = 128_000_000;

    fn fingerprint() -> Fingerprint {
        Decoder::new(vec![]).unwrap().fingerprint()
    }

    /// Adjacent files of these sizes, ten offsets each.
    fn files(sizes: &[u64]) -> Vec<Arc<ColdFile>> {
        let file = |(i, bytes): (usize, &u64)| {
            let from = Offset::new(i as u64 * 10);
            Arc::new(ColdFile {
                path: i.to_string(),
                range: OffsetRange::new(from, from.plus(10)),
                records: 10,
                bytes: *bytes,
                fingerprint: fingerprint(),
                tombstones: 0,
                undecodable: 0,
                newest: Timestamp::from_micros(0),
                oldest: None,
            })
        };
        sizes.iter().enumerate().map(file).collect()
    }

    fn joined(files: Vec<Arc<ColdFile>>) -> Vec<String> {
        let gaps = files.windows(2).filter(|pair| pair[0].range.to != pair[1].range.from);
        let gaps = gaps.map(|pair| OffsetRange::new(pair[0].range.to, pair[1].range.from)).collect();
        let covered = PartitionCoverage::new(files, gaps).unwrap();
        let coverage = Coverage { version: Some(1), partitions: BTreeMap::from([(Partition(0), covered)]) };
        let merges = plan(&coverage, MAX);
        merges.into_iter().flat_map(|merge| merge.files).map(|file| file.path.clone()).collect()
    }

    #[test]
    fn eight_small_neighbours_are_joined_and_seven_wait() {
        assert_eq!(joined(files(&[1000; 7])).len(), 0);
        assert_eq!(joined(files(&[1000; 8])), ["0", "1", "2", "3", "4", "5", "6", "7"]);
    }

    #[test]
    fn a_large_file_is_not_written_again_for_a_few_small_ones() {
        let sizes = [vec![50_000_000], vec![1000; 7]].concat();
        assert_eq!(joined(files(&sizes)).len(), 0);
        let sizes = [vec![50_000_000], vec![1000; 8]].concat();
        assert_eq!(joined(files(&sizes)), ["1", "2", "3", "4", "5", "6", "7", "8"]);
    }

    #[test]
    fn what_stands_between_files_of_a_class_goes_with_them() {
        let sizes: Vec<u64> = (0..8).flat_map(|_| [500_000, 1000]).collect();
        assert_eq!(joined(files(&sizes)).len(), 16);
    }

    #[test]
    fn full_files_stay_and_no_joined_file_is_larger_than_a_full_one() {
        assert_eq!(joined(files(&[MAX / 2; 20])).len(), 0);
        let of_40_mb = joined(files(&[40_000_000; 8]));
        assert_eq!(of_40_mb, ["0", "1", "2"]);
    }

    #[test]
    fn neither_a_gap_nor_another_decoder_is_joined_over() {
        let mut apart = files(&[1000; 14]);
        apart.remove(7);
        assert_eq!(joined(apart).len(), 0);
        let mut other = files(&[1000; 14]);
        for file in &mut other[7..] {
            *file = Arc::new(ColdFile { fingerprint: OTHER.parse().unwrap(), ..(**file).clone() });
        }
        assert_eq!(joined(other).len(), 0);
    }

    const OTHER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

    #[test]
    fn a_day_of_files_comes_to_a_few_in_each_class() {
        let mut live = files(&[2000; 1440]);
        let mut written = 0;
        loop {
            let covered = PartitionCoverage::new(live.clone(), vec![]).unwrap();
            let coverage = Coverage { version: Some(1), partitions: BTreeMap::from([(Partition(0), covered)]) };
            let Some(merge) = plan(&coverage, MAX).pop() else { break };
            let (first, last) = (merge.files[0].range, merge.files[merge.files.len() - 1].range);
            written += merge.bytes();
            live.retain(|file| file.range.from < first.from || file.range.to > last.to);
            let merged = ColdFile {
                path: format!("{first}"),
                range: OffsetRange::new(first.from, last.to),
                bytes: merge.bytes(),
                ..(*merge.files[0]).clone()
            };
            live.push(Arc::new(merged));
            live.sort_by_key(|file| file.range);
        }
        assert!(live.len() < 20, "{}", live.len());
        assert!(written < 6 * 2000 * 1440, "{written}");
    }
}
