//! How the cold tier names things: folders, data files, tags, table properties, progress. Nothing else formats such a name.
//!
//! Format 1, below the cold tier's URL:
//! ```text
//! <topic>/<incarnation>/_delta_log/…                                     one Delta table per life of a topic
//! <topic>/<incarnation>/_partition=<P>/<from:020>-<to:020>-<uuid>.parquet one partition, one range of offsets, in order
//! ```
//! What a name says never changes once written; a newer layout is a new [`FORMAT`]. `tests/fixtures/cold-v1` is a frozen table of format 1
//! that a test reads.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{Incarnation, Offset, OffsetRange, Partition, Topic};

/// The layout written here. Format 1: as above, with the tags and properties below.
pub(crate) const FORMAT: u32 = 1;

/// The table property that holds the layout's number.
pub(crate) const FORMAT_PROPERTY: &str = "rekap.format";

/// The table property that holds the gaps, as JSON: `{"0": [[120, 480]]}`. Any Delta reader ignores it, and it survives checkpoints.
pub(crate) const GAPS_PROPERTY: &str = "rekap.gaps";

/// The tag with the range of offsets that a file covers: `120-480`.
pub(crate) const RANGE_TAG: &str = "rekap.range";

/// The tag with the fingerprint of the decoder that filled `data`.
pub(crate) const DECODER_TAG: &str = "rekap.decoder";

/// The tag with the number of tombstones in a file.
pub(crate) const TOMBSTONES_TAG: &str = "rekap.tombstones";

/// The tag with the number of records that the decoder refused.
pub(crate) const UNDECODABLE_TAG: &str = "rekap.undecodable";

/// The tag with the greatest record timestamp in a file, in microseconds since 1970.
pub(crate) const NEWEST_TAG: &str = "rekap.newest";

/// The folder of a topic's table, below the cold tier's URL.
pub(crate) fn table_folder(topic: &Topic) -> String {
    format!("{}/{}", topic.name, topic.incarnation)
}

/// The name of a new data file, relative to its table. The id makes it unique, so that a failed commit's file is never in the way.
pub(crate) fn data_file(partition: Partition, range: OffsetRange, id: Uuid) -> String {
    format!("_partition={partition}/{:020}-{:020}-{id}.parquet", range.from.get(), range.to.get())
}

/// The partition and the range that a data file's name says; `None` when it is not a name of ours.
pub(crate) fn parse_data_file(path: &str) -> Option<(Partition, OffsetRange)> {
    let (folder, name) = path.split_once('/')?;
    let partition = Partition(folder.strip_prefix("_partition=")?.parse().ok()?);
    let mut parts = name.strip_suffix(".parquet")?.splitn(3, '-');
    let range = parse_range(parts.next()?, parts.next()?)?;
    parts.next()?.parse::<Uuid>().ok()?;
    Some((partition, range))
}

/// The application id under which Delta keeps the mirror's progress in a partition: its version is the next offset to mirror.
pub(crate) fn progress_id(incarnation: Incarnation, partition: Partition) -> String {
    format!("rekap/{incarnation}/{partition}")
}

/// The name of a version's entry in the Delta log, relative to its table.
pub(crate) fn log_entry(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}

/// The name of the hint at the last checkpoint, relative to its table.
pub(crate) const LAST_CHECKPOINT: &str = "_delta_log/_last_checkpoint";

/// The names of what a version's checkpoint consists of.
pub(crate) fn checkpoint(version: u64) -> Vec<String> {
    vec![format!("_delta_log/{version:020}.checkpoint.parquet"), LAST_CHECKPOINT.into()]
}

/// The value of [`GAPS_PROPERTY`].
pub(crate) fn format_gaps(gaps: &BTreeMap<Partition, Vec<OffsetRange>>) -> String {
    let pairs: BTreeMap<Partition, Vec<(u64, u64)>> = gaps
        .iter()
        .map(|(partition, ranges)| (*partition, ranges.iter().map(|gap| (gap.from.get(), gap.to.get())).collect()))
        .collect();
    serde_json::to_string(&pairs).expect("numbers and lists are JSON")
}

/// Reads the value of [`GAPS_PROPERTY`].
pub(crate) fn parse_gaps(text: &str) -> Option<BTreeMap<Partition, Vec<OffsetRange>>> {
    let pairs: BTreeMap<Partition, Vec<(i64, i64)>> = serde_json::from_str(text).ok()?;
    let range = |(from, to)| ordered(Offset::from_i64(from)?, Offset::from_i64(to)?);
    pairs
        .into_iter()
        .map(|(partition, gaps)| Some((partition, gaps.into_iter().map(range).collect::<Option<_>>()?)))
        .collect()
}

fn parse_range(from: &str, to: &str) -> Option<OffsetRange> {
    ordered(Offset::from_i64(from.parse().ok()?)?, Offset::from_i64(to.parse().ok()?)?)
}

fn ordered(from: Offset, to: Offset) -> Option<OffsetRange> {
    (from <= to).then_some(OffsetRange { from, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: u64, to: u64) -> OffsetRange {
        OffsetRange::new(Offset::new(from), Offset::new(to))
    }

    #[test]
    fn a_data_file_says_what_it_covers() {
        let name = data_file(Partition(7), range(120, 480), Uuid::nil());
        assert_eq!(
            name,
            "_partition=7/00000000000000000120-00000000000000000480-00000000-0000-0000-0000-000000000000.parquet"
        );
        assert_eq!(parse_data_file(&name), Some((Partition(7), range(120, 480))));
    }

    #[test]
    fn a_file_of_someone_else_is_not_taken_for_ours() {
        for name in ["_partition=7/part-00000-x.parquet", "part.parquet", "_partition=x/1-2-y.parquet", ""] {
            assert_eq!(parse_data_file(name), None, "{name}");
        }
        let backwards =
            "_partition=7/00000000000000000480-00000000000000000120-00000000-0000-0000-0000-000000000000.parquet";
        assert_eq!(parse_data_file(backwards), None);
    }

    #[test]
    fn gaps_read_back_as_they_were_written() {
        let gaps = BTreeMap::from([(Partition(0), vec![range(1, 2), range(5, 9)]), (Partition(3), vec![range(0, 4)])]);
        let text = format_gaps(&gaps);
        assert_eq!(text, r#"{"0":[[1,2],[5,9]],"3":[[0,4]]}"#);
        assert_eq!(parse_gaps(&text), Some(gaps));
        assert_eq!(parse_gaps(r#"{"0":[[2,1]]}"#), None);
    }
}
