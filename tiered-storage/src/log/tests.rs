use std::sync::Arc;

use futures::TryStreamExt as _;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::cold::ROW_GROUP_RECORDS;
use crate::memory_log::MemoryLog;
use crate::world::{WHOLE, World, lines, read_lines, schema};
use crate::{Decoder, HotLog, LogError, Offset, Timestamp};

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset::new(from), Offset::new(to))
}

fn decoder(world: &World) -> Decoder {
    Decoder::new(world.topic.config.schema.as_ref().unwrap().columns()).unwrap()
}

/// A plan that reads these columns of the input and keeps tombstones.
fn read(decoder: Decoder, projection: &[usize]) -> ReadPlan {
    ReadPlan { decoder, projection: projection.to_vec(), tombstones: true, undecodable: false, accept_gap: false }
}

/// A world whose partition 0 has 3,000 records, in many small files, some only hot.
async fn both_tiers(hot: Arc<MemoryLog>) -> World {
    let mut world = World::on(hot).await;
    for records in [900, 500, 800] {
        world.append(0, records).await;
        world.flush(8_000).await;
    }
    world.append(0, 800).await;
    world
}

/// The same records, never mirrored.
async fn hot_only(holes: u64) -> World {
    let mut world = World::on(MemoryLog::with_holes(holes)).await;
    world.append(0, 3000).await;
    world
}

#[test]
fn any_range_and_projection_reads_the_same_from_either_tier() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for holes in [0, 3] {
        let (stitched, plain) =
            runtime.block_on(async { (both_tiers(MemoryLog::with_holes(holes)).await, hot_only(holes).await) });
        let end = 3000 * (holes + 1);
        runtime.block_on(stitched.trim(0, end / 2));
        let (log, oracle) = (stitched.log(), plain.log());
        let columns = prop::collection::vec(0usize..9, 0..6);
        let cases = (0..end, 0..end, columns, any::<[bool; 3]>());
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(60));
        runner
            .run(&cases, |(a, b, projection, [tombstones, undecodable, other])| {
                let asked = range(a.min(b), a.max(b));
                let mut columns = decoder(&plain).columns().to_vec();
                if other {
                    // Another decoder than the files': everything is decoded from the values again.
                    columns[0].ty = crate::ColumnType::Double;
                }
                let read = ReadPlan { tombstones, undecodable, ..read(Decoder::new(columns).unwrap(), &projection) };
                let of = |log, world: &World| runtime.block_on(read_lines(log, &world.topic, asked, &read));
                prop_assert_eq!(of(&log, &stitched), of(&oracle, &plain));
                Ok(())
            })
            .unwrap();
    }
}

#[tokio::test]
async fn tombstones_and_refused_records_are_set_apart() {
    let mut world = World::new().await;
    world.append(0, 12).await;
    world.flush(WHOLE).await;
    world.trim(0, 12).await;
    let log = world.log();
    let plan = ReadPlan { tombstones: false, ..read(decoder(&world), &[0, 4]) };
    let slice = log.slice(&world.topic, Partition(0), range(0, 12)).await.unwrap();
    let batches: Vec<InputBatch> = log.read(slice.clone(), Arc::new(plan.clone())).try_collect().await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!((batches[0].tombstones, batches[0].rows.num_rows()), (2, 9));
    assert_eq!(batches[0].failures.len(), 1);
    assert_eq!(batches[0].failures[0].offset, Offset::new(5));
    assert_eq!(batches[0].failures[0].value, br#"{"id": "not 5"}"#);
    assert!(batches[0].tombstone_mask.is_none());
    let keep = Arc::new(ReadPlan { tombstones: true, ..plan });
    let kept: Vec<InputBatch> = log.read(slice, keep).try_collect().await.unwrap();
    let mask = kept[0].tombstone_mask.as_ref().unwrap();
    assert_eq!((kept[0].tombstones, kept[0].rows.num_rows()), (2, 11));
    let offsets = kept[0].offsets.values().iter().zip(mask).filter(|(_, is)| *is == Some(true));
    assert_eq!(offsets.map(|(o, _)| *o).collect::<Vec<_>>(), [3, 10]);
}

#[test]
fn what_was_written_in_a_span_of_time_is_found_and_little_else() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for holes in [0, 3] {
        let world = runtime.block_on(both_tiers(MemoryLog::with_holes(holes)));
        let (log, end) = (world.log(), 3000 * (holes + 1));
        runtime.block_on(world.trim(0, end / 2));
        let plan = read(decoder(&world), &[5]);
        let all = runtime.block_on(read_lines(&log, &world.topic, range(0, end), &plan));
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(30));
        let cases = (0..3100_i64, 0..3100_i64, any::<[bool; 2]>());
        runner
            .run(&cases, |(a, b, [from_ever, to_ever])| {
                // Record number n was written at n ms.
                let at = |n: i64| Timestamp::from_micros(n * 1000);
                let from = if from_ever { Written::ALWAYS.from } else { at(a.min(b)) };
                let to = if to_ever { Written::ALWAYS.to } else { at(a.max(b)) };
                let parts = runtime.block_on(async {
                    let slice = log.slice(&world.topic, Partition(0), range(0, end)).await.unwrap();
                    log.within(slice, Written { from, to }).await.unwrap()
                });
                let mut found = Vec::new();
                for part in &parts {
                    found.extend(runtime.block_on(lines(&log, part.clone(), &plan)).unwrap());
                }
                let wanted = |(n, _): &(usize, &String)| from <= at(*n as i64) && at(*n as i64) <= to;
                let expected: Vec<&String> = all.iter().enumerate().filter(wanted).map(|(_, line)| line).collect();
                prop_assert!(expected.iter().all(|line| found.contains(line)), "nothing is missed");
                prop_assert!(parts.windows(2).all(|pair| pair[0].range().to < pair[1].range().from), "parts rise");
                prop_assert!(!expected.is_empty() || found.len() < 900, "{}", found.len());
                Ok(())
            })
            .unwrap();
    }
}

#[tokio::test]
async fn counting_needs_no_column() {
    let mut world = World::new().await;
    world.append(0, 100).await;
    world.flush(WHOLE).await;
    let plan = read(decoder(&world), &[]);
    assert_eq!(read_lines(&world.log(), &world.topic, range(7, 93), &plan).await.len(), 86);
}

#[tokio::test]
async fn a_reader_follows_the_seam_when_hot_records_go_cold_under_it() {
    let mut world = World::new().await;
    world.append(0, 1000).await;
    let log = world.log();
    let slice = log.slice(&world.topic, Partition(0), range(0, 1000)).await.unwrap();
    assert!(matches!(slice.segments(), [Segment::Hot { .. }]));
    world.flush(WHOLE).await;
    world.trim(0, 1000).await;
    let read = read(decoder(&world), &[0]);
    assert_eq!(lines(&log, slice, &read).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn a_reader_in_the_middle_of_a_slice_goes_on_where_it_stands() {
    let mut world = World::new().await;
    world.append(0, 3000).await;
    let log = world.log();
    let slice = log.slice(&world.topic, Partition(0), range(0, 3000)).await.unwrap();
    let mut batches = log.read(slice, Arc::new(read(decoder(&world), &[4])));
    let first = batches.try_next().await.unwrap().unwrap();
    assert!(first.range.to < Offset::new(3000));
    world.flush(WHOLE).await;
    world.trim(0, 3000).await;
    let (mut next, mut offsets) = (first.range.to, first.offsets.values().to_vec());
    while let Some(batch) = batches.try_next().await.unwrap() {
        assert_eq!(batch.range.from, next);
        next = batch.range.to;
        offsets.extend(batch.offsets.values());
    }
    assert_eq!(next, Offset::new(3000));
    assert!(offsets.is_sorted() && offsets.windows(2).all(|pair| pair[0] < pair[1]));
}

#[tokio::test]
async fn a_gap_stops_a_reader_unless_it_is_told_to_go_on() {
    let mut world = World::new().await;
    world.append(0, 100).await;
    world.flush(WHOLE).await;
    world.append(0, 100).await;
    world.trim(0, 150).await;
    let log = world.log();
    let refused = log.slice(&world.topic, Partition(0), range(50, 200)).await;
    assert!(matches!(refused, Err(LogError::Gap { missing, .. }) if missing == range(100, 150)));
    let across = log.slice_across_gaps(&world.topic, Partition(0), range(50, 200)).await.unwrap();
    assert_eq!(across.first_gap(), Some(range(100, 150)));
    let plan = read(decoder(&world), &[4]);
    let stopped = lines(&log, across.clone(), &plan).await;
    assert!(matches!(stopped, Err(LogError::Gap { .. })));
    let accepted = ReadPlan { accept_gap: true, ..plan };
    let rows = lines(&log, across, &accepted).await.unwrap();
    let refused_records = (0..200).filter(|n| n % 11 == 5 && n % 7 != 3).filter(|n| (50..100).contains(n) || *n >= 150);
    assert_eq!(rows.iter().filter(|line| line.contains("refused")).count(), refused_records.count());
    assert_eq!(rows.len(), 100);
}

#[tokio::test]
async fn a_topic_whose_schema_grew_is_read_across_the_change() {
    let mut world = World::new().await;
    world.append(0, 50).await;
    world.flush(WHOLE).await;
    let mut config = world.topic.config.clone();
    config.schema = Some(schema(json!({
        "id": {"type": "integer"}, "price": {"type": "number"}, "name": {"type": "string"}, "venue": {"type": "string"},
    })));
    world.topic = world.hot.alter_topic(&world.topic.name, config).await.unwrap();
    world.append(0, 50).await;
    world.flush(WHOLE).await;
    world.trim(0, 100).await;
    let all = read(decoder(&world), &[0, 1, 2, 3]);
    let rows = read_lines(&world.log(), &world.topic, range(0, 100), &all).await;
    assert_eq!(rows.len(), 100);
    let fingerprints: Vec<_> =
        world.coverage().await.partitions[&Partition(0)].files().iter().map(|file| file.fingerprint).collect();
    assert_ne!(fingerprints[0], fingerprints[1]);
    assert_eq!(fingerprints[1], all.decoder.fingerprint());
}

#[tokio::test]
async fn the_parts_of_a_split_slice_give_the_whole() {
    let mut world = World::on(MemoryLog::with_holes(ROW_GROUP_RECORDS / 1000)).await;
    world.append(0, 2000).await;
    world.flush(WHOLE).await;
    let (log, end) = (world.log(), world.hot_ends().await[0]);
    let plan = read(decoder(&world), &[0, 4]);
    let slice = log.slice(&world.topic, Partition(0), range(0, end)).await.unwrap();
    let whole = lines(&log, slice.clone(), &plan).await.unwrap();
    let mut parts = vec![];
    for part in slice.split(3) {
        parts.extend(lines(&log, part, &plan).await.unwrap());
    }
    assert_eq!(parts, whole);
}

#[tokio::test]
async fn pages_of_raw_records_join_up_over_both_tiers() {
    let world = both_tiers(MemoryLog::new()).await;
    world.trim(0, 2000).await;
    for page in [7, 5000] {
        let raw = world.raw(&world.log(), page).await;
        assert_eq!(raw.len(), 3000);
    }
    world.check_complete().await;
}

#[tokio::test]
async fn nested_fields_and_lists_read_the_same_from_either_tier() {
    let mut world = World::new().await;
    let mut config = world.topic.config.clone();
    config.schema = Some(schema(json!({
        "actor": {"type": "object", "properties": {"id": {"type": "integer"}, "login": {"type": "string"}}},
        "commits": {"type": "array", "items": {
            "type": "object", "properties": {"sha": {"type": "string"}, "files": {"type": "array", "items": {"type": "integer"}}},
        }},
        "payload": {"type": "object"},
        "at": {"type": "string", "format": "date-time"},
        "two words": {"type": "string"},
    })));
    world.topic = world.hot.alter_topic(&world.topic.name, config).await.unwrap();
    for value in [
        json!({"actor": {"id": 1, "login": "ünï"}, "commits": [{"sha": "a", "files": [1, 2]}, {"sha": null}], "payload": {"x": [1]}}),
        json!({"actor": null, "commits": [], "at": "2015-01-01T00:00:00.123456Z", "two words": "left in the value"}),
        json!({"actor": {"login": null}, "commits": [null, {"files": []}], "payload": null}),
        json!({}),
        json!({"actor": 5}),
    ] {
        world.append_value(0, Some(value.to_string())).await;
    }
    world.append_value(0, None).await;
    let plan = read(decoder(&world), &[0, 1, 2, 3, 4, 6]);
    let hot = read_lines(&world.log(), &world.topic, range(0, 6), &plan).await;
    world.flush(WHOLE).await;
    world.trim(0, 6).await;
    let cold = read_lines(&world.log(), &world.topic, range(0, 6), &plan).await;
    assert_eq!(cold, hot);
    assert_eq!(cold.len(), 6);
    let stored = read(decoder(&world), &[0, 1, 2, 3]);
    assert_eq!(read_lines(&world.log(), &world.topic, range(0, 6), &stored).await.len(), 6);
    world.check_complete().await;
}

/// The batches of partition 0 as one reads a column of them from the cold tier alone.
async fn cold_batches(world: &World, column: &str) -> Vec<InputBatch> {
    let decoder = decoder(world);
    let at = decoder.columns().iter().position(|known| known.name == column).unwrap();
    let read = read(decoder, &[at]);
    let end = world.hot_ends().await[0];
    world.trim(0, end).await;
    let log = world.log();
    let slice = log.slice(&world.topic, Partition(0), range(0, end)).await.unwrap();
    log.read(slice, Arc::new(read)).try_collect().await.unwrap()
}

#[tokio::test]
async fn a_batch_is_bounded_by_what_a_dictionary_decodes_to() {
    const RECORDS: usize = 2000;
    let mut world = World::new().await;
    for n in 0..RECORDS {
        let name = ["a", "b", "c"][n % 3].repeat(20_000);
        world.append_value(0, Some(json!({ "name": name }).to_string())).await;
    }
    world.flush(WHOLE).await;
    let batches = cold_batches(&world, "name").await;
    assert_eq!(batches.iter().map(|batch| batch.rows.num_rows()).sum::<usize>(), RECORDS);
    let largest = batches.iter().map(|batch| batch.rows.num_rows()).max().unwrap();
    assert!(largest * 20_000 < 17 << 20, "{largest} records in a batch");
}

#[tokio::test]
async fn a_batch_is_bounded_by_the_values_of_the_records_that_were_refused() {
    const RECORDS: usize = 500;
    let mut world = World::new().await;
    for _ in 0..RECORDS {
        world.append_value(0, Some(json!({ "id": "x".repeat(100_000) }).to_string())).await;
    }
    world.flush(WHOLE).await;
    let batches = cold_batches(&world, "id").await;
    let refused = |batch: &InputBatch| batch.failures.iter().map(|failure| failure.value.len()).sum::<usize>();
    assert_eq!(batches.iter().map(|batch| batch.failures.len()).sum::<usize>(), RECORDS);
    let largest = batches.iter().map(refused).max().unwrap();
    assert!(largest < 18 << 20, "{largest} bytes in a batch");
}

#[tokio::test]
async fn a_log_that_ends_just_where_one_reads_on_is_no_endless_read() {
    let mut world = World::new().await;
    world.append(0, 200).await;
    let log = world.log();
    let slice = log.slice(&world.topic, Partition(0), range(100, 200)).await.unwrap();
    world.hot.truncate(&world.topic.name, Partition(0), 100);
    let plan = Arc::new(read(decoder(&world), &[0]));
    let failed = log.read(slice, plan).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(!failed.to_string().is_empty(), "it ends, whatever it says");
}
