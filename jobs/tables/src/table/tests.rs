//! A table against a `BTreeMap` that does the same, on both ways to the disk, reopened as after `kill -9`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{Array, AsArray, BooleanArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimestampMicrosecondType};
use proptest::prelude::*;
use rekap_tiered_storage::{Offset, Partition, Positions, Timestamp, UTC, timestamp_type};

use crate::{
    Commit, CommitOutcome, DeadLetter, MAX_OUTBOX_MESSAGES, Outgoing, RowsQuery, Table, TableError, TableId,
    TableSchema, TableSnapshot, Tables, UnusableFilter, WriterEpoch,
};

/// Key columns `name` and `at`, which stand last and first among the columns.
fn schema() -> TableSchema {
    let columns: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("at", timestamp_type(), true),
        Field::new("total", DataType::Float64, false),
        Field::new("name", DataType::Utf8, true),
    ]));
    let state = Arc::new(Schema::new(vec![Field::new("sum", DataType::Float64, true)]));
    TableSchema::new(columns, vec![2, 0], state, Some(0)).unwrap()
}

type Key = (Option<String>, Option<i64>);
type Rows = BTreeMap<Key, f64>;

fn key(name: &str, at: i64) -> Key {
    (Some(name.to_owned()), Some(at))
}

fn at(next: u64) -> Positions {
    [(&"ticks".parse().unwrap(), Partition(0), Offset::new(next))].into_iter().collect()
}

fn id() -> TableId {
    TableId { job: "bpi".into(), version: 1, attempt: 1 }
}

fn names(keys: &[&Key]) -> StringArray {
    keys.iter().map(|(name, _)| name.as_deref()).collect()
}

fn times(keys: &[&Key]) -> TimestampMicrosecondArray {
    keys.iter().map(|(_, at)| *at).collect::<TimestampMicrosecondArray>().with_timezone(UTC)
}

fn keys(keys: &[&Key]) -> RecordBatch {
    RecordBatch::try_new(schema().key_schema(), vec![Arc::new(names(keys)), Arc::new(times(keys))]).unwrap()
}

/// What becomes of some keys: the total of the row, or `None` where the key has state and no row.
fn commit(epoch: WriterEpoch, from: u64, to: u64, changes: &[(Key, Option<f64>)]) -> Commit {
    let all: Vec<&Key> = changes.iter().map(|(key, _)| key).collect();
    let sums: Float64Array = changes.iter().map(|(_, total)| Some(total.unwrap_or(-1.0))).collect();
    let state = vec![Arc::new(names(&all)) as _, Arc::new(times(&all)) as _, Arc::new(sums) as _];
    let with_row: Vec<(&Key, f64)> = changes.iter().filter_map(|(key, total)| Some((key, (*total)?))).collect();
    let row_keys: Vec<&Key> = with_row.iter().map(|(key, _)| *key).collect();
    let totals: Float64Array = with_row.iter().map(|(_, total)| Some(*total)).collect();
    let rows = vec![Arc::new(times(&row_keys)) as _, Arc::new(totals) as _, Arc::new(names(&row_keys)) as _];
    Commit {
        epoch,
        from: at(from),
        to: at(to),
        state: RecordBatch::try_new(schema().state_schema(), state).unwrap(),
        has_row: changes.iter().map(|(_, total)| Some(total.is_some())).collect(),
        rows: RecordBatch::try_new(schema().columns().clone(), rows).unwrap(),
        dead_letters: Vec::new(),
        tombstones_skipped: 0,
        late: 0,
        horizon: None,
        outbox: vec![],
    }
}

fn rows_of(batch: &RecordBatch) -> Vec<(Key, f64)> {
    let at = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    let total = batch.column(1).as_primitive::<Float64Type>();
    let name = batch.column(2).as_string::<i32>();
    let key = |row| (name.is_valid(row).then(|| name.value(row).to_owned()), at.is_valid(row).then(|| at.value(row)));
    (0..batch.num_rows()).map(|row| (key(row), total.value(row))).collect()
}

fn scanned(snapshot: &TableSnapshot) -> Vec<(Key, f64)> {
    snapshot.scan(3).flat_map(|batch| rows_of(&batch.unwrap())).collect()
}

fn paged(snapshot: &TableSnapshot, limit: usize) -> Vec<(Key, f64)> {
    let mut query = RowsQuery { limit, ..RowsQuery::default() };
    let mut rows = Vec::new();
    loop {
        let page = snapshot.rows(&query).unwrap();
        rows.extend(rows_of(&page.rows));
        query.after = page.next;
        if query.after.is_none() {
            return rows;
        }
    }
}

fn fresh(path: &Path, bulk_places: usize) -> (Tables, Table, WriterEpoch) {
    let tables = Tables::open_with(path, bulk_places).unwrap();
    let table = tables.create(&id(), &schema(), &at(0)).unwrap();
    let epoch = table.claim().unwrap();
    (tables, table, epoch)
}

/// Every commit in bulk, or none.
const BULK: usize = 0;
const BATCH: usize = usize::MAX;

#[test]
fn a_commit_is_read_back_with_its_positions_on_both_ways_to_the_disk() {
    for way in [BATCH, BULK] {
        let dir = tempfile::tempdir().unwrap();
        let (_tables, table, epoch) = fresh(dir.path(), way);
        let before = table.snapshot();
        let changes = [(key("USD", 60), Some(2.0)), (key("EUR", 60), Some(1.0)), (key("JPY", 0), None)];
        assert_eq!(table.commit(commit(epoch, 0, 7, &changes)).unwrap(), CommitOutcome::Committed);

        let after = table.snapshot();
        assert_eq!(scanned(&after), [(key("EUR", 60), 1.0), (key("USD", 60), 2.0)]);
        assert_eq!(after.positions(), &at(7));
        assert_eq!((after.status().rows, after.status().keys), (2, 3));
        assert_eq!((scanned(&before), before.positions()), (Vec::new(), &at(0)));
    }
}

#[test]
fn gather_answers_in_the_order_asked_for_and_tells_which_keys_have_a_row() {
    for way in [BATCH, BULK] {
        let dir = tempfile::tempdir().unwrap();
        let (_tables, table, epoch) = fresh(dir.path(), way);
        let changes = [(key("USD", 60), Some(2.0)), (key("EUR", 60), Some(1.0)), (key("JPY", 0), None)];
        table.commit(commit(epoch, 0, 7, &changes)).unwrap();

        let wanted = [key("USD", 60), key("GBP", 60), key("JPY", 0), key("EUR", 60)];
        let gathered = table.gather(&keys(&wanted.iter().collect::<Vec<_>>())).unwrap();
        assert_eq!(gathered.found, BooleanArray::from(vec![true, false, true, true]));
        assert_eq!(gathered.had_row, BooleanArray::from(vec![true, false, false, true]));
        assert_eq!(gathered.state.column(0).as_string::<i32>(), &StringArray::from(vec!["USD", "JPY", "EUR"]));
        assert_eq!(gathered.state.column(2).as_primitive::<Float64Type>().values(), &[2.0, -1.0, 1.0]);
    }
}

#[test]
fn a_few_keys_are_found_among_many_as_many_are() {
    let dir = tempfile::tempdir().unwrap();
    let (_tables, table, epoch) = fresh(dir.path(), BULK);
    let all: Vec<_> = (0..500).map(|at| (key("USD", at), Some(at as f64))).collect();
    table.commit(commit(epoch, 0, 500, &all)).unwrap();
    for count in [1, 5, 100, 500] {
        let wanted: Vec<_> = (0..count).map(|i| key("USD", i * 600 / count)).collect();
        let gathered = table.gather(&keys(&wanted.iter().collect::<Vec<_>>())).unwrap();
        let expected: Vec<bool> = wanted.iter().map(|(_, at)| at.unwrap() < 500).collect();
        assert_eq!(gathered.found, BooleanArray::from(expected), "{count} keys");
    }
}

#[test]
fn a_range_that_is_committed_twice_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_tables, table, epoch) = fresh(dir.path(), BATCH);
    let range = commit(epoch, 0, 7, &[(key("EUR", 60), Some(1.0))]);
    assert_eq!(table.commit(range.clone()).unwrap(), CommitOutcome::Committed);
    assert_eq!(table.commit(range).unwrap(), CommitOutcome::AlreadyApplied);
    assert_eq!((table.status().rows, table.status().commit_seq), (1, 1));
}

#[test]
fn a_writer_that_lost_its_claim_is_fenced_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (_tables, table, zombie) = fresh(dir.path(), BATCH);
    let epoch = table.claim().unwrap();
    let outcome = table.commit(commit(zombie, 0, 7, &[(key("EUR", 60), Some(1.0))])).unwrap();
    assert_eq!((outcome, table.status().rows), (CommitOutcome::Fenced, 0));
    assert_eq!(table.commit(commit(epoch, 0, 7, &[])).unwrap(), CommitOutcome::Committed);
}

#[test]
fn a_commit_that_would_leave_a_hole_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_tables, table, epoch) = fresh(dir.path(), BATCH);
    assert!(matches!(table.commit(commit(epoch, 3, 7, &[])), Err(TableError::NotAt { .. })));
    assert_eq!(table.status().positions, at(0));
}

#[test]
fn a_partition_that_appears_later_joins_the_positions() {
    let dir = tempfile::tempdir().unwrap();
    let (_tables, table, epoch) = fresh(dir.path(), BATCH);
    let mut later = commit(epoch, 0, 0, &[]);
    (later.from, later.to) = (Positions::new(), "ticks/1=5".parse().unwrap());
    assert_eq!(table.commit(later.clone()).unwrap(), CommitOutcome::Committed);
    assert_eq!(table.status().positions, "ticks/0=0,ticks/1=5".parse().unwrap());
    assert_eq!(table.commit(later).unwrap(), CommitOutcome::AlreadyApplied);
}

#[test]
fn a_commit_that_contradicts_itself_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (_tables, table, epoch) = fresh(dir.path(), BATCH);
    let twice = commit(epoch, 0, 7, &[(key("EUR", 60), Some(1.0)), (key("EUR", 60), Some(2.0))]);
    let mut silent = commit(epoch, 0, 7, &[(key("EUR", 60), Some(1.0))]);
    silent.has_row = BooleanArray::from(vec![false]);
    let long = commit(epoch, 0, 7, &[(key(&"x".repeat(70_000), 60), Some(1.0))]);
    assert!(matches!(table.commit(twice), Err(TableError::Contradiction { .. })));
    assert!(matches!(table.commit(silent), Err(TableError::Contradiction { .. })));
    assert!(matches!(table.commit(long), Err(TableError::KeyTooLong { .. })));
    assert_eq!((table.status().commit_seq, scanned(&table.snapshot())), (0, Vec::new()));
}

#[test]
fn keys_whose_row_failed_are_counted_until_they_have_one_or_fall_out_of_the_table() {
    for way in [BATCH, BULK] {
        let dir = tempfile::tempdir().unwrap();
        let (tables, table, epoch) = fresh(dir.path(), way);
        let failing = |from, to, changes: &[(Key, Option<f64>)]| {
            let next = commit(epoch, from, to, changes);
            let has_row = next.has_row.iter().map(|has_row| has_row.filter(|has_row| *has_row)).collect();
            Commit { has_row, ..next }
        };
        let counts = |table: &Table| (table.status().rows, table.status().failed_rows, table.status().keys);
        let first = [(key("USD", 10), None), (key("EUR", 60), Some(1.0)), (key("JPY", 60), None)];
        table.commit(failing(0, 1, &first)).unwrap();
        assert_eq!(counts(&table), (1, 2, 3));
        table.commit(failing(1, 2, &[(key("EUR", 60), None), (key("JPY", 60), Some(3.0))])).unwrap();
        assert_eq!(counts(&table), (1, 2, 3));
        table.commit(commit(epoch, 2, 3, &[(key("EUR", 60), None)])).unwrap();
        assert_eq!(counts(&table), (1, 1, 3), "a key without a row is not a failed one");
        let mut moving = failing(3, 4, &[(key("CHF", 70), None)]);
        moving.horizon = Some(20);
        table.commit(moving).unwrap();
        assert_eq!(counts(&table), (1, 1, 3), "the failed key of minute 10 is gone");
        drop(table);
        drop(tables);
        let tables = Tables::open_with(dir.path(), way).unwrap();
        assert_eq!(counts(&tables.open_table(&id()).unwrap().unwrap()), (1, 1, 3));
    }
}

#[test]
fn a_moved_horizon_takes_all_below_it_in_the_same_step() {
    for way in [BATCH, BULK] {
        let dir = tempfile::tempdir().unwrap();
        let (_tables, table, epoch) = fresh(dir.path(), way);
        let old = [(key("EUR", 10), Some(1.0)), (key("USD", 10), None), (key("EUR", 20), Some(2.0))];
        table.commit(commit(epoch, 0, 3, &old)).unwrap();
        let timeless = ((Some("EUR".into()), None), Some(9.0));
        let mut moving =
            commit(epoch, 3, 5, &[(key("EUR", 15), Some(3.0)), (key("EUR", 30), Some(4.0)), timeless.clone()]);
        moving.horizon = Some(20);
        table.commit(moving).unwrap();

        assert_eq!(scanned(&table.snapshot()), [(timeless.0, 9.0), (key("EUR", 20), 2.0), (key("EUR", 30), 4.0)]);
        assert_eq!((table.status().rows, table.status().keys, table.status().horizon), (3, 3, Some(20)));
        let gathered = table.gather(&keys(&[&key("EUR", 10), &key("USD", 10), &key("EUR", 20)])).unwrap();
        assert_eq!(gathered.found, BooleanArray::from(vec![false, false, true]));

        let mut falling = commit(epoch, 5, 6, &[(key("EUR", 19), Some(5.0))]);
        falling.horizon = Some(0);
        table.commit(falling).unwrap();
        assert_eq!((table.status().rows, table.status().horizon), (3, Some(20)));
    }
}

#[test]
fn filters_name_key_columns_from_the_left() {
    let dir = tempfile::tempdir().unwrap();
    let (_tables, table, epoch) = fresh(dir.path(), BATCH);
    let changes: Vec<_> = ["E", "EUR", "EURO"]
        .iter()
        .flat_map(|name| [(key(name, 0), Some(0.0)), (key(name, 60_000_000), Some(1.0))])
        .collect();
    table.commit(commit(epoch, 0, 7, &changes)).unwrap();
    let filter = |pairs: &[(&str, &str)]| {
        schema().prefix(&pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect::<Vec<_>>())
    };
    let read = |prefix, limit| table.snapshot().rows(&RowsQuery { prefix: Some(prefix), after: None, limit }).unwrap();

    let eur = read(filter(&[("name", "EUR")]).unwrap(), 10);
    assert_eq!(rows_of(&eur.rows), [(key("EUR", 0), 0.0), (key("EUR", 60_000_000), 1.0)]);
    let one = read(filter(&[("at", "1970-01-01T00:01:00Z"), ("name", "EUR")]).unwrap(), 10);
    assert_eq!(rows_of(&one.rows), [(key("EUR", 60_000_000), 1.0)]);
    assert_eq!(rows_of(&read(filter(&[]).unwrap(), 1).rows).len(), 1);
    assert!(rows_of(&read(filter(&[("name", "GBP")]).unwrap(), 10).rows).is_empty());

    assert!(matches!(filter(&[("at", "1970-01-01T00:01:00Z")]), Err(UnusableFilter::NotFromTheLeft { .. })));
    assert!(matches!(filter(&[("total", "1")]), Err(UnusableFilter::NoKeyColumn { .. })));
    assert!(matches!(filter(&[("name", "EUR"), ("at", "noon")]), Err(UnusableFilter::NotOfType { .. })));
}

#[test]
fn a_cursor_goes_on_where_the_page_ended_and_is_refused_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (_tables, table, epoch) = fresh(dir.path(), BATCH);
    let changes: Vec<_> = (0..10).map(|at| (key("EUR", at), Some(at as f64))).collect();
    table.commit(commit(epoch, 0, 7, &changes)).unwrap();
    let snapshot = table.snapshot();
    for limit in 1..12 {
        assert_eq!(paged(&snapshot, limit), scanned(&snapshot), "{limit} rows a page");
    }
    let cursor = snapshot.rows(&RowsQuery { limit: 2, ..RowsQuery::default() }).unwrap().next.unwrap();
    assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
    assert!(matches!(snapshot.dead_letters(Some(&cursor), 1), Err(TableError::ForeignCursor(_))));
    let other = schema().prefix(&[("name".into(), "USD".into())]).unwrap();
    let query = RowsQuery { prefix: Some(other), after: Some(cursor), limit: 1 };
    assert!(matches!(snapshot.rows(&query), Err(TableError::ForeignCursor(_))));
}

#[test]
fn dead_letters_are_kept_once_and_in_order() {
    for way in [BATCH, BULK] {
        let dir = tempfile::tempdir().unwrap();
        let (_tables, table, epoch) = fresh(dir.path(), way);
        let letter = |offset| DeadLetter {
            input: "ticks".into(),
            topic: "ticks.eu".parse().unwrap(),
            partition: Partition(0),
            offset: Offset::new(offset),
            code: "UNDECODABLE".into(),
            detail: "`price` is text".into(),
            value: Some(b"{".to_vec()),
        };
        let mut failing = commit(epoch, 0, 300, &[]);
        failing.dead_letters = vec![letter(256), letter(3), letter(256), letter(70)];
        table.commit(failing).unwrap();

        let snapshot = table.snapshot();
        let first = snapshot.dead_letters(None, 2).unwrap();
        let rest = snapshot.dead_letters(first.next.as_ref(), 2).unwrap();
        assert_eq!((first.dead_letters, rest.dead_letters), (vec![letter(3), letter(70)], vec![letter(256)]));
        assert_eq!((rest.next, table.status().dead_letters), (None, 3));
    }
}

#[test]
fn a_table_is_there_after_a_restart_and_gone_after_a_drop() {
    let dir = tempfile::tempdir().unwrap();
    let (tables, table, epoch) = fresh(dir.path(), BATCH);
    table.commit(commit(epoch, 0, 7, &[(key("EUR", 60), Some(1.0))])).unwrap();
    tables.persist().unwrap();
    drop((tables, table));

    let tables = Tables::open(dir.path()).unwrap();
    assert_eq!(tables.list(), [id()]);
    let table = tables.open_table(&id()).unwrap().unwrap();
    assert_eq!((table.schema(), &table.status().positions), (&schema(), &at(7)));
    assert_eq!(tables.create(&id(), &schema(), &at(0)).unwrap().status().rows, 1);
    let snapshot = table.snapshot();
    tables.drop_table(&id()).unwrap();
    assert_eq!(scanned(&snapshot), [(key("EUR", 60), 1.0)]);
    assert!(tables.open_table(&id()).unwrap().is_none());
    assert!(tables.list().is_empty());
    assert_eq!(tables.create(&id(), &schema(), &at(0)).unwrap().status().rows, 0);
}

#[test]
fn tables_of_a_newer_rekap_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Tables::open(dir.path()).unwrap());
    let db = fjall::Database::builder(dir.path()).open().unwrap();
    let format = db.keyspace("_format", fjall::KeyspaceCreateOptions::default).unwrap();
    format.insert("version", 2u32.to_be_bytes()).unwrap();
    drop((db, format));
    assert!(matches!(Tables::open(dir.path()), Err(TableError::NewerFormat { found: 2, supported: 1 })));
}

#[test]
fn who_waits_for_a_position_is_woken() {
    let dir = tempfile::tempdir().unwrap();
    let (_tables, table, epoch) = fresh(dir.path(), BATCH);
    let mut changed = table.changed();
    changed.mark_unchanged();
    table.commit(commit(epoch, 0, 7, &[])).unwrap();
    assert!(changed.has_changed().unwrap());
    assert_eq!(changed.borrow_and_update().positions, at(7));
}

/// Rows that all hold the offset of the last commit, while other tables are flushed: no reader sees two commits at once.
#[test]
fn no_reader_sees_half_a_commit() {
    const KEYS: i64 = 200;
    const COMMITS: u64 = 300;
    let dir = tempfile::tempdir().unwrap();
    let (tables, table, epoch) = fresh(dir.path(), 2 * KEYS as usize + 1);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let other = TableId { attempt: 2, ..id() };
            let other = tables.create(&other, &schema(), &at(0)).unwrap();
            let epoch = other.claim().unwrap();
            for next in (0..).take_while(|_| !ended.load(Ordering::Relaxed)) {
                other.commit(commit(epoch, next, next + 1, &[(key("x", next as i64), Some(0.0))])).unwrap();
                other.0.keyspace.rotate_memtable().unwrap();
            }
        });
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while !ended.load(Ordering::Relaxed) {
                        let snapshot = table.snapshot();
                        let next = snapshot.positions().iter().next().unwrap().2.get();
                        let rows = scanned(&snapshot);
                        assert!(rows.iter().all(|(_, total)| *total == next as f64), "at {next}: {rows:?}");
                        assert!(next >= seen && rows.len() as u64 == snapshot.status().rows);
                        seen = next;
                    }
                })
            })
            .collect();
        for next in 0..COMMITS {
            // Every third commit has dead weight that makes it an ingestion.
            let extra = if next % 3 == 0 { 2 } else { 0 };
            let changes: Vec<_> =
                (0..KEYS + extra).map(|at| (key("EUR", at), (at < KEYS).then_some((next + 1) as f64))).collect();
            table.commit(commit(epoch, next, next + 1, &changes)).unwrap();
        }
        ended.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

/// One step of a random life of a table.
#[derive(Debug, Clone)]
struct Step {
    changes: BTreeMap<(u8, u8), Option<i32>>,
    gather_first: bool,
    horizon: Option<u8>,
    crash: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let changes = proptest::collection::btree_map((0..4u8, 0..20u8), proptest::option::of(any::<i32>()), 0..30);
    let step = (changes, any::<bool>(), proptest::option::weighted(0.2, 0..20u8), proptest::bool::weighted(0.2));
    let step = step.prop_map(|(changes, gather_first, horizon, crash)| Step { changes, gather_first, horizon, crash });
    proptest::collection::vec(step, 1..12)
}

/// A name, an empty text or NULL.
fn model_key((name, at): (u8, u8)) -> Key {
    let name = [None, Some(""), Some("EUR"), Some("a name that is longer than one block of 32 bytes")][name as usize];
    (name.map(str::to_owned), (at > 0).then_some(i64::from(at)))
}

/// Copies a folder as a crash would leave it: what the engine does in the background must not change it while it is copied.
fn copy(from: &Path, to: &Path) {
    for _ in 0..100 {
        let before = listing(from);
        if copy_files(from, to).is_ok() && listing(from) == before {
            return;
        }
        std::fs::remove_dir_all(to).unwrap();
    }
    panic!("the engine never rests");
}

fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_files(&entry.path(), &to)?
        } else {
            std::fs::copy(entry.path(), to).map(drop)?
        }
    }
    Ok(())
}

/// The files of a folder, with how long each is and when it was written.
fn listing(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(found) if found.is_dir() => files.extend(listing(&entry.path())),
            Ok(found) => _ = files.insert(entry.path(), (found.len(), found.modified().unwrap())),
            // It is gone since: another look finds another list.
            Err(_) => {}
        }
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_table_is_its_commits_however_they_were_written(steps in steps(), bulk_places in prop_oneof![Just(BATCH), Just(BULK), Just(25usize)]) {
        let root = tempfile::tempdir().unwrap();
        let mut path = root.path().join("0");
        let (mut tables, mut table, mut epoch) = fresh(&path, bulk_places);
        let mut model: BTreeMap<Key, Option<f64>> = BTreeMap::new();
        let mut horizon = None;
        for (seq, step) in steps.into_iter().enumerate() {
            let (before, rows_before) = (table.snapshot(), scanned(&table.snapshot()));
            let changes: Vec<_> = step.changes.iter().rev().map(|(key, total)| (model_key(*key), total.map(f64::from))).collect();
            if step.gather_first {
                let wanted: Vec<&Key> = changes.iter().map(|(key, _)| key).collect();
                let gathered = table.gather(&keys(&wanted)).unwrap();
                let found: Vec<bool> = wanted.iter().map(|key| model.contains_key(key)).collect();
                let had_row: Vec<bool> = wanted.iter().map(|key| model.get(key).is_some_and(Option::is_some)).collect();
                prop_assert_eq!((gathered.found, gathered.had_row), (found.into(), had_row.into()));
            }
            let mut next = commit(epoch, seq as u64, seq as u64 + 1, &changes);
            next.horizon = step.horizon.map(i64::from);
            horizon = horizon.max(next.horizon);
            prop_assert_eq!(table.commit(next).unwrap(), CommitOutcome::Committed);
            model.extend(changes);
            model.retain(|(_, at), _| at.is_none_or(|at| horizon.is_none_or(|horizon| at >= horizon)));
            prop_assert_eq!(scanned(&before), rows_before);
            drop(before);

            if step.crash {
                let copied = root.path().join((seq + 1).to_string());
                copy(&path, &copied);
                drop((table, tables));
                path = copied;
                tables = Tables::open_with(&path, bulk_places).unwrap();
                table = tables.open_table(&id()).unwrap().unwrap();
                epoch = table.claim().unwrap();
            }
            let rows: Rows = model.iter().filter_map(|(key, total)| Some((key.clone(), (*total)?))).collect();
            let snapshot = table.snapshot();
            prop_assert_eq!(scanned(&snapshot), rows.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(paged(&snapshot, 4), rows.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(snapshot.status().rows as usize, model.values().flatten().count());
            prop_assert_eq!(snapshot.status().keys as usize, model.len());
            prop_assert_eq!(snapshot.positions(), &at(seq as u64 + 1));
            prop_assert_eq!(snapshot.status(), &table.0.stored_status().unwrap());
        }
    }
}

fn message(action: &str, n: u64, to: u64) -> Outgoing {
    let row = serde_json::json!({ "n": n });
    Outgoing { id: format!("{action}-{n}"), action: action.into(), at: Timestamp::from_micros(0), to: at(to), row }
}

fn ids(table: &Table, action: &str) -> Vec<String> {
    table.outbox(action, None, 1_000_000).unwrap().into_iter().map(|waiting| waiting.message.id).collect()
}

#[test]
fn messages_come_and_go_with_their_commit_and_survive_a_restart() {
    for bulk_places in [usize::MAX, 1] {
        let dir = tempfile::tempdir().unwrap();
        let (tables, table, epoch) = fresh(dir.path(), bulk_places);
        let changes = [(key("EUR", 1), Some(1.0))];
        let outbox = vec![message("b", 1, 5), message("a", 2, 5), message("a", 3, 5)];
        let first = Commit { outbox, ..commit(epoch, 0, 5, &changes) };
        assert_eq!(table.commit(first.clone()).unwrap(), CommitOutcome::Committed);
        assert_eq!(table.commit(first).unwrap(), CommitOutcome::AlreadyApplied);
        table.commit(Commit { outbox: vec![message("a", 4, 9)], ..commit(epoch, 5, 9, &changes) }).unwrap();
        assert_eq!(ids(&table, "a"), ["a-2", "a-3", "a-4"], "in the order of the commits");
        let waiting = table.outbox("a", None, 2).unwrap();
        let after = table.outbox("a", Some(&waiting[1].place), 9).unwrap();
        assert_eq!(after[0].message, message("a", 4, 9));
        table.outbox_sent(&[waiting[0].place.clone()]).unwrap();
        table.outbox_sent(&[waiting[0].place.clone()]).unwrap();
        assert_eq!(table.outbox_drop(&[waiting[1].place.clone()]).unwrap(), 1);
        let sizes = table.outbox_sizes();
        assert_eq!((sizes["a"].messages, sizes["b"].messages), (1, 1));
        drop((tables, table));
        let tables = Tables::open_with(dir.path(), bulk_places).unwrap();
        let table = tables.open_table(&id()).unwrap().unwrap();
        assert_eq!((ids(&table, "a"), table.outbox_sizes()), (vec!["a-4".to_owned()], sizes));
        assert_eq!((table.status().outbox_dropped, table.status().rows), (1, 1));
    }
}

#[test]
fn a_full_outbox_drops_its_oldest_messages_and_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let (_tables, table, epoch) = fresh(dir.path(), usize::MAX);
    let changes = [(key("EUR", 1), Some(1.0))];
    let many = |from: u64, count: u64| (from..from + count).map(|n| message("a", n, 5)).collect::<Vec<_>>();
    let outbox = many(0, MAX_OUTBOX_MESSAGES - 1);
    table.commit(Commit { outbox, ..commit(epoch, 0, 5, &changes) }).unwrap();
    table.commit(Commit { outbox: many(900_000, 3), ..commit(epoch, 5, 6, &changes) }).unwrap();
    let left = ids(&table, "a");
    assert_eq!((left.len() as u64, left[0].as_str()), (MAX_OUTBOX_MESSAGES, "a-2"));
    assert_eq!((table.status().outbox_dropped, table.outbox_sizes()["a"].messages), (2, MAX_OUTBOX_MESSAGES));
    let outbox = many(1_000_000, MAX_OUTBOX_MESSAGES + 7);
    table.commit(Commit { outbox, ..commit(epoch, 6, 7, &changes) }).unwrap();
    let left = ids(&table, "a");
    assert_eq!((left.len() as u64, left[0].as_str()), (MAX_OUTBOX_MESSAGES, "a-1000007"));
    assert_eq!(table.status().outbox_dropped, 2 + MAX_OUTBOX_MESSAGES + 7);
}

#[test]
fn what_a_commit_would_change_is_told_before_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (_tables, table, epoch) = fresh(dir.path(), usize::MAX);
    let rows = [(key("CHF", 1), Some(1.0)), (key("EUR", 1), Some(2.0)), (key("GBP", 1), Some(3.0))];
    table.commit(commit(epoch, 0, 5, &rows)).unwrap();
    let next = [
        (key("USD", 9), Some(7.0)),
        (key("GBP", 1), None),
        (key("EUR", 1), Some(2.5)),
        (key("CHF", 1), Some(1.0)),
        (key("JPY", 0), Some(4.0)),
    ];
    let all: Vec<&Key> = next.iter().map(|(key, _)| key).collect();
    let rows = commit(epoch, 5, 6, &next).rows;
    let changes = table.row_changes(&keys(&all), &rows, Some(1)).unwrap();
    assert_eq!(rows_of(&changes.added), [(key("USD", 9), 7.0)], "what is below the horizon is no row");
    assert_eq!(rows_of(&changes.removed), [(key("GBP", 1), 3.0)]);
    assert_eq!(rows_of(&changes.changed_from), [(key("EUR", 1), 2.0)]);
    assert_eq!(rows_of(&changes.changed_to), [(key("EUR", 1), 2.5)]);
    assert_eq!(changes.len(), 3);
}
