//! Format 1 is frozen: tables that were written when it was new are read, and what is written now has the same bytes.
//!
//! `tests/fixtures/v1` was made by `writes_the_fixture`; it is never made again.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use rekap_tables::{Commit, DeadLetter, TableId, TableSchema, Tables};
use rekap_tiered_storage::{Offset, Partition, Positions, UTC};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

fn id() -> TableId {
    TableId { job: "every_type".into(), version: 2, attempt: 1 }
}

fn at(text: &str) -> Positions {
    text.parse().unwrap()
}

/// One column of every type that a query can give, in key order.
fn rows() -> RecordBatch {
    let price = Decimal128Array::from(vec![None, Some(-1), Some(12_345)]).with_precision_and_scale(38, 3).unwrap();
    let x: ArrayRef = Arc::new(Float64Array::from(vec![Some(-0.5), None, Some(2.5)]));
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "name",
            Arc::new(StringArray::from(vec![None, Some(""), Some("a name of more than thirty-two bytes, ünïcode")])),
        ),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1_452_000_000_123_456)]).with_timezone(UTC),
            ),
        ),
        ("count", Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None]))),
        ("average", Arc::new(Float64Array::from(vec![Some(-0.0), Some(0.1), None]))),
        ("price", Arc::new(price)),
        ("open", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("raw", Arc::new(BinaryArray::from_opt_vec(vec![Some(&[0xff, 0x00]), Some(&[]), None]))),
        ("point", Arc::new(StructArray::from(vec![(Arc::new(Field::new("x", DataType::Float64, true)), x)]))),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([
                Some(vec![Some(1), None]),
                None,
                Some(vec![]),
            ])),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn schema() -> TableSchema {
    let state = Arc::new(Schema::new(vec![Field::new("sum", DataType::Float64, true)]));
    TableSchema::new(rows().schema(), vec![0, 1], state, Some(1)).unwrap()
}

fn letter() -> DeadLetter {
    DeadLetter {
        input: "ticks".into(),
        topic: "ticks.eu".parse().unwrap(),
        partition: Partition(2),
        offset: Offset::new(7),
        code: "UNDECODABLE".into(),
        detail: "`price` is text".into(),
        value: Some(vec![0xff]),
    }
}

fn fill(tables: &Tables) {
    let table = tables.create(&id(), &schema(), &at("ticks/0=0")).unwrap();
    let epoch = table.claim().unwrap();
    let rows = rows();
    let sum: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(3.0)]));
    let state = vec![rows.column(0).clone(), rows.column(1).clone(), sum];
    let commit = Commit {
        epoch,
        from: at("ticks/0=0"),
        to: at("ticks/0=120,ticks/1=98"),
        state: RecordBatch::try_new(schema().state_schema(), state).unwrap(),
        has_row: BooleanArray::from(vec![true; 3]),
        rows,
        dead_letters: vec![letter()],
        tombstones_skipped: 4,
        late: 5,
        horizon: Some(-10),
        outbox: vec![],
    };
    let first = Commit { to: at("ticks/0=120"), ..commit.clone() };
    let first = Commit { from: at("ticks/0=0"), ..first };
    table.commit(first).unwrap();
    table.commit(Commit { from: at("ticks/0=120"), dead_letters: Vec::new(), ..commit }).unwrap();
    tables.persist().unwrap();
}

fn check(tables: &Tables) {
    let table = tables.open_table(&id()).unwrap().expect("the fixture holds this table");
    assert_eq!(table.schema(), &schema());
    let snapshot = table.snapshot();
    let read: Vec<_> = snapshot.scan(10).map(|batch| batch.unwrap()).collect();
    assert_eq!(read, [rows()]);
    assert_eq!(snapshot.dead_letters(None, 10).unwrap().dead_letters, [letter()]);
    let status = snapshot.status();
    assert_eq!(status.positions, at("ticks/0=120,ticks/1=98"));
    assert_eq!((status.rows, status.keys, status.commit_seq, status.dead_letters), (3, 3, 2, 1));
    assert_eq!((status.tombstones_skipped, status.late, status.horizon), (8, 10, Some(-10)));
    let keys = rows().project(&[0, 1]).unwrap();
    let gathered = table.gather(&keys).unwrap();
    let sum: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(3.0)]));
    assert_eq!((gathered.had_row, gathered.state.column(2)), (BooleanArray::from(vec![true; 3]), &sum));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() { copy(&path, &to) } else { std::fs::copy(path, to).map(drop).unwrap() }
    }
}

#[test]
fn tables_of_format_1_are_read_and_their_keys_are_found() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    check(&Tables::open(dir.path()).unwrap());
}

#[test]
fn tables_written_now_read_the_same() {
    let dir = tempfile::tempdir().unwrap();
    fill(&Tables::open(dir.path()).unwrap());
    check(&Tables::open(dir.path()).unwrap());
}

#[test]
#[ignore = "the fixture is frozen; run this only for a new format, into a new folder"]
fn writes_the_fixture() {
    assert!(!fixture().exists(), "a frozen fixture is never written again");
    fill(&Tables::open(&fixture()).unwrap());
}
