use proptest::prelude::*;

use super::*;
use crate::{Decoder, Incarnation, Timestamp, TopicConfig};

fn at(offset: u64) -> Offset {
    Offset::new(offset)
}

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(at(from), at(to))
}

fn file(from: u64, to: u64) -> Arc<ColdFile> {
    Arc::new(ColdFile {
        path: format!("{from}-{to}"),
        range: range(from, to),
        records: to - from,
        bytes: 1,
        fingerprint: Decoder::new(vec![]).unwrap().fingerprint(),
        tombstones: 0,
        undecodable: 0,
        newest: Timestamp::from_micros(0),
        oldest: None,
    })
}

fn cold(files: &[(u64, u64)], gaps: &[(u64, u64)]) -> PartitionCoverage {
    let files = files.iter().map(|(from, to)| file(*from, *to)).collect();
    PartitionCoverage::new(files, gaps.iter().map(|(from, to)| range(*from, *to)).collect()).unwrap()
}

fn hot(earliest: u64, end: u64) -> HotRange {
    HotRange { earliest: at(earliest), end: at(end) }
}

/// A plan as text: `c0-10 h10-20 g20-30`.
fn planned(cold: &PartitionCoverage, hot: HotRange, asked: OffsetRange) -> Option<String> {
    let text = |segment: &Segment| {
        let kind = match segment {
            Segment::Cold { .. } => 'c',
            Segment::Hot { .. } => 'h',
            Segment::Gap { .. } => 'g',
        };
        format!("{kind}{}-{}", segment.range().from, segment.range().to)
    };
    Some(plan(Some(cold), hot, asked)?.iter().map(text).collect::<Vec<_>>().join(" "))
}

fn slice(segments: Vec<Segment>, range: OffsetRange) -> LogSlice {
    let config = TopicConfig { partitions: 1, ..TopicConfig::default() };
    let topic = Topic { name: "ticks".parse().unwrap(), incarnation: Incarnation::random(), config };
    LogSlice { topic, partition: Partition(0), range, segments }
}

#[test]
fn cold_wins_up_to_the_seam_and_hot_follows() {
    let cold = cold(&[(0, 10), (10, 30)], &[]);
    assert_eq!(planned(&cold, hot(5, 50), range(8, 40)).unwrap(), "c8-10 c10-30 h30-40");
}

#[test]
fn a_range_past_the_seam_is_hot_alone() {
    let cold = cold(&[(0, 10)], &[]);
    assert_eq!(planned(&cold, hot(0, 50), range(10, 50)).unwrap(), "h10-50");
    assert_eq!(planned(&PartitionCoverage::default(), hot(0, 5), range(0, 5)).unwrap(), "h0-5");
}

#[test]
fn what_neither_tier_holds_is_a_gap() {
    let recorded = cold(&[(0, 10), (20, 30)], &[(10, 20)]);
    assert_eq!(planned(&recorded, hot(30, 50), range(5, 40)).unwrap(), "c5-10 g10-20 c20-30 h30-40");
    let unrecorded = cold(&[(0, 10)], &[]);
    assert_eq!(planned(&unrecorded, hot(25, 50), range(5, 40)).unwrap(), "c5-10 g10-25 h25-40");
    let before = cold(&[(20, 30)], &[]);
    assert_eq!(planned(&before, hot(25, 50), range(5, 40)).unwrap(), "g5-20 c20-30 h30-40");
}

#[test]
fn an_empty_hot_tier_leaves_what_is_mirrored() {
    let cold = cold(&[(0, 30)], &[]);
    assert_eq!(planned(&cold, hot(30, 30), range(0, 30)).unwrap(), "c0-30");
    assert_eq!(planned(&cold, hot(30, 30), range(30, 30)).unwrap(), "");
}

#[test]
fn a_range_past_both_ends_is_refused() {
    assert_eq!(planned(&cold(&[(0, 30)], &[]), hot(10, 50), range(40, 51)), None);
}

#[test]
fn hot_serves_what_it_held_before_the_first_mirrored_offset() {
    assert_eq!(planned(&cold(&[(20, 30)], &[]), hot(10, 50), range(12, 50)).unwrap(), "h12-20 c20-30 h30-50");
}

#[test]
fn a_cold_file_is_split_at_its_row_groups() {
    let whole = range(0, 5 * ROW_GROUP_RECORDS);
    let cold = Segment::Cold { file: file(0, 5 * ROW_GROUP_RECORDS), range: whole };
    let parts = slice(vec![cold], whole).split(2);
    let ends: Vec<u64> = parts.iter().map(|part| part.range.to.get() / ROW_GROUP_RECORDS).collect();
    assert_eq!(ends, [3, 5]);
}

/// A tier layout: where mirroring began, tiles (true is a file), how far past the seam the log goes, where hot begins.
#[derive(Debug, Clone)]
struct Tiers {
    cold: PartitionCoverage,
    hot: HotRange,
}

fn tiers() -> impl Strategy<Value = Tiers> {
    let tiles = prop::collection::vec((any::<bool>(), 1u64..20), 0..8);
    (0u64..20, tiles, 0u64..30, 0u64..150).prop_map(|(first, tiles, tail, earliest)| {
        let (mut files, mut gaps, mut to) = (vec![], vec![], first);
        for (is_file, len) in tiles {
            if is_file {
                files.push((to, to + len))
            } else {
                gaps.push((to, to + len))
            }
            to += len;
        }
        let end = to + tail;
        Tiers { cold: cold(&files, &gaps), hot: hot(earliest.min(end), end) }
    })
}

/// The source of one offset, looked up the slow and obvious way.
fn source(tiers: &Tiers, offset: Offset) -> char {
    match () {
        () if tiers.cold.files().iter().any(|file| file.range.contains(offset)) => 'c',
        () if tiers.hot.earliest <= offset && offset < tiers.hot.end => 'h',
        () => 'g',
    }
}

fn kind(segment: &Segment) -> char {
    match segment {
        Segment::Cold { .. } => 'c',
        Segment::Hot { .. } => 'h',
        Segment::Gap { .. } => 'g',
    }
}

fn check_tiling(segments: &[Segment], asked: OffsetRange) -> Result<(), TestCaseError> {
    let mut next = asked.from;
    for segment in segments {
        prop_assert_eq!(segment.range().from, next, "no offset twice, none left out");
        prop_assert!(!segment.range().is_empty());
        if let Segment::Cold { file, range } = segment {
            prop_assert_eq!(file.range.intersect(range), Some(*range), "a file is asked only for what it covers");
        }
        next = segment.range().to;
    }
    prop_assert_eq!(next, asked.to);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_plan_tiles_the_range_from_the_right_source(tiers in tiers(), from in 0u64..160, len in 0u64..160) {
        let asked = range(from, from + len);
        let end = tiers.hot.end.max(tiers.cold.mirrored().map_or(Offset::ZERO, |m| m.to));
        let Some(segments) = plan(Some(&tiers.cold), tiers.hot, asked) else {
            prop_assert!(asked.to > end);
            return Ok(());
        };
        prop_assert!(asked.to <= end);
        check_tiling(&segments, asked)?;
        for segment in &segments {
            for offset in segment.range().from.get()..segment.range().to.get() {
                prop_assert_eq!(kind(segment), source(&tiers, at(offset)), "offset {}", offset);
            }
        }
        let kinds: String = segments.iter().map(kind).collect();
        prop_assert!(!kinds.contains("hh") && !kinds.contains("gg"), "one read where one will do: {}", kinds);
    }

    #[test]
    fn the_parts_of_a_slice_are_the_slice(tiers in tiers(), from in 0u64..160, len in 0u64..160, n in 0usize..9) {
        let asked = range(from, from + len);
        let Some(segments) = plan(Some(&tiers.cold), tiers.hot, asked) else { return Ok(()) };
        let parts = slice(segments.clone(), asked).split(n);
        prop_assert!(!parts.is_empty() && parts.len() <= n.max(1));
        let mut next = asked.from;
        for part in &parts {
            prop_assert_eq!(part.range.from, next);
            check_tiling(&part.segments, part.range)?;
            next = part.range.to;
        }
        prop_assert_eq!(next, asked.to);
        let sources = |segments: &[Segment]| -> Vec<(char, u64)> {
            let offsets = |s: &Segment| (s.range().from.get()..s.range().to.get()).map(|o| (kind(s), o)).collect::<Vec<_>>();
            segments.iter().flat_map(offsets).collect()
        };
        let split: Vec<_> = parts.iter().flat_map(|part| sources(&part.segments)).collect();
        prop_assert_eq!(split, sources(&segments));
    }
}
