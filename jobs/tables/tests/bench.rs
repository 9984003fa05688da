//! Measures the store behind a table. Not run by default:
//! `cargo test --release -p rekap-tables --test bench -- --ignored --nocapture --test-threads 1`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use rekap_tables::{Commit, RowsQuery, Table, TableId, TableSchema, Tables, WriterEpoch};
use rekap_tiered_storage::{Offset, Partition, Positions};
use tokio::time::Instant;

fn schema() -> TableSchema {
    let field = |name: &str, ty: DataType| Field::new(name, ty, true);
    let columns = vec![
        field("auction", DataType::Int64),
        field("window", DataType::Int64),
        field("bids", DataType::Int64),
        field("price", DataType::Float64),
    ];
    let state = vec![field("count", DataType::Int64), field("sum", DataType::Float64), field("n", DataType::Int64)];
    TableSchema::new(Arc::new(Schema::new(columns)), vec![0, 1], Arc::new(Schema::new(state)), None).unwrap()
}

fn at(next: u64) -> Positions {
    [(&"bids".parse().unwrap(), Partition(0), Offset::new(next))].into_iter().collect()
}

fn ints(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

/// Distinct keys in no order.
fn keys(count: usize, of: u64, seed: u64) -> (Vec<i64>, Vec<i64>) {
    let step = of / count as u64;
    let mut all: Vec<u64> = (0..count as u64).map(|i| i * step + (i * 31 + seed) % step.max(1)).collect();
    all.sort_unstable_by_key(|key| key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    all.iter().map(|key| ((key / 12) as i64, (key % 12) as i64 * 10_000)).unzip()
}

fn commit(table: &Table, epoch: WriterEpoch, (auctions, windows): (Vec<i64>, Vec<i64>)) {
    let (a, w, n) = (ints(&auctions), ints(&windows), auctions.len());
    let (count, sum): (ArrayRef, ArrayRef) = (ints(&vec![3; n]), Arc::new(Float64Array::from(vec![1.5; n])));
    let schema = table.schema();
    let seq = table.status().commit_seq;
    let state = vec![a.clone(), w.clone(), count.clone(), sum.clone(), count.clone()];
    table
        .commit(Commit {
            epoch,
            from: at(seq),
            to: at(seq + 1),
            state: RecordBatch::try_new(schema.state_schema(), state).unwrap(),
            has_row: BooleanArray::from(vec![true; n]),
            rows: RecordBatch::try_new(schema.columns().clone(), vec![a, w, count, sum]).unwrap(),
            dead_letters: Vec::new(),
            tombstones_skipped: 0,
            late: 0,
            horizon: None,
            outbox: vec![],
        })
        .unwrap();
}

fn gather(table: &Table, (auctions, windows): &(Vec<i64>, Vec<i64>)) {
    let keys = RecordBatch::try_new(table.schema().key_schema(), vec![ints(auctions), ints(windows)]).unwrap();
    assert_eq!(table.gather(&keys).unwrap().found.len(), auctions.len());
}

fn table(tables: &Tables, attempt: u32) -> (Table, WriterEpoch) {
    let id = TableId { job: "bench".into(), version: 1, attempt };
    let table = tables.create(&id, &schema(), &at(0)).unwrap();
    let epoch = table.claim().unwrap();
    (table, epoch)
}

#[test]
#[ignore = "a measurement"]
fn ranges_of_many_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::open(dir.path()).unwrap();
    for (attempt, size) in [10, 100, 1_000, 5_000, 9_000, 11_000, 20_000, 50_000, 200_000].into_iter().enumerate() {
        let (table, epoch) = table(&tables, attempt as u32);
        for fill in 0..8 {
            commit(&table, epoch, keys(150_000, 1_200_000, fill));
        }
        let rounds = (200_000 / size).clamp(4, 200) as u64;
        let (mut gathering, mut committing) = (0.0, 0.0);
        for round in 0..rounds {
            let keys = keys(size, 1_200_000, round);
            let start = Instant::now();
            gather(&table, &keys);
            gathering += start.elapsed().as_secs_f64();
            let start = Instant::now();
            commit(&table, epoch, keys);
            committing += start.elapsed().as_secs_f64();
        }
        let per_key = |seconds: f64| seconds * 1e6 / (rounds as f64 * size as f64);
        println!(
            "{size:>7} keys of {}: gather {:.2} µs/key, commit {:.2} µs/key, {:.3} ms a commit",
            table.status().keys,
            per_key(gathering),
            per_key(committing),
            committing * 1e3 / rounds as f64
        );
        let start = Instant::now();
        let rows: usize = table.snapshot().scan(8192).map(|batch| batch.unwrap().num_rows()).sum();
        println!(
            "        scan of {rows} rows: {:.2} µs/row, {} MB on disk",
            start.elapsed().as_secs_f64() * 1e6 / rows as f64,
            table.bytes() / 1_000_000
        );
    }
}

#[test]
#[ignore = "a measurement"]
fn point_reads() {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::open(dir.path()).unwrap();
    let (table, epoch) = table(&tables, 0);
    let all = keys(1_000_000, 1_000_000, 0);
    commit(&table, epoch, all.clone());
    const READS: usize = 100_000;
    let start = Instant::now();
    for i in 0..READS {
        let filter =
            [("auction".to_owned(), all.0[i * 7].to_string()), ("window".to_owned(), all.1[i * 7].to_string())];
        let query = RowsQuery { prefix: Some(table.schema().prefix(&filter).unwrap()), after: None, limit: 100 };
        assert_eq!(table.snapshot().rows(&query).unwrap().rows.num_rows(), 1);
    }
    println!("{:.0} point reads a second", READS as f64 / start.elapsed().as_secs_f64());
}

#[test]
#[ignore = "a measurement"]
fn one_large_range() {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::open(dir.path()).unwrap();
    let (table, epoch) = table(&tables, 0);
    let all = keys(1_440_000, 1_440_000, 0);
    let start = Instant::now();
    gather(&table, &all);
    println!("gather from an empty table: {:?}", start.elapsed());
    let start = Instant::now();
    commit(&table, epoch, all.clone());
    println!("1.44 M new keys: {:?}", start.elapsed());
    let start = Instant::now();
    gather(&table, &all);
    println!("gather of all: {:?}", start.elapsed());
    let start = Instant::now();
    commit(&table, epoch, all);
    println!("1.44 M keys again: {:?}", start.elapsed());
}

#[test]
#[ignore = "a measurement"]
fn a_long_replay() {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::open(dir.path()).unwrap();
    let (table, epoch) = table(&tables, 0);
    for round in 0..120 {
        let keys = keys(60_000, 1_200_000, round);
        let start = Instant::now();
        gather(&table, &keys);
        let gathered = start.elapsed();
        let start = Instant::now();
        commit(&table, epoch, keys);
        if round % 10 == 9 {
            println!("range {round}: gather {gathered:?}, commit {:?}, {} keys", start.elapsed(), table.status().keys);
        }
    }
}
