//! `retain` in the data's own time.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::TimestampMicrosecondType;
use proptest::prelude::*;
use rekap_tiered_storage::timestamp_type;

use super::*;

const TOML: &str =
    "name = 'test'\ntime = 'm'\nretain = '10m'\n[inputs.t]\ntopic = 't'\n[inputs.t.columns]\nts = 'timestamp_ms'\n";
const QUERY: &str = "SELECT date_bin(INTERVAL '1 minute', ts) AS m, count(*) AS c FROM t GROUP BY 1";
const MINUTE_MS: i64 = 60_000;

fn ticks() -> Topic {
    topic("t", &[], serde_json::json!({"type": "object", "properties": {"ts": {"type": "integer"}}}))
}

/// A record of that minute, written at that minute.
fn record(offset: i64, minute: i64, written: i64) -> Record {
    let value = Some(format!("{{\"ts\":{}}}", minute * MINUTE_MS));
    Record { partition: 0, offset, timestamp: written * MINUTE_MS * 1_000, key: None, value }
}

fn minutes(rows: &RecordBatch) -> BTreeSet<i64> {
    let times = cast(rows.column(0), &timestamp_type()).unwrap();
    times.as_primitive::<TimestampMicrosecondType>().values().iter().map(|at| at / MINUTE_MS / 1_000).collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn rows_below_the_horizon_are_gone_and_late_records_are_counted() {
    let mut bench = block_on(Bench::new(TOML, QUERY, &[ticks()]));
    let table = bench.table();
    bench.range(&table, &[vec![("t", &[record(0, 5, 5), record(1, 100, 100)])]]);
    assert_eq!(minutes(&bench.rows(&table)), BTreeSet::from([100]));
    bench.range(&table, &[vec![("t", &[record(2, 89, 100), record(3, 90, 100)])]]);
    assert_eq!(minutes(&bench.rows(&table)), BTreeSet::from([90, 100]));
    assert_eq!(table.status().late, 1);
}

#[test]
fn a_broken_clock_does_not_move_the_horizon() {
    let mut bench = block_on(Bench::new(TOML, QUERY, &[ticks()]));
    let table = bench.table();
    bench.range(&table, &[vec![("t", &[record(0, 100, 100), record(1, 100_000, 100)])]]);
    bench.range(&table, &[vec![("t", &[record(2, 95, 100)])]]);
    assert_eq!(minutes(&bench.rows(&table)), BTreeSet::from([95, 100, 100_000]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn what_is_retained_does_not_depend_on_the_cut(
        of in prop::collection::vec(0_i64..60, 1..60),
        mut cuts in prop::collection::vec(0_usize..60, 0..6),
    ) {
        cuts.retain(|cut| *cut < of.len());
        cuts.sort_unstable();
        let records: Vec<Record> = of.iter().enumerate().map(|(i, minute)| record(i as i64, *minute, *minute)).collect();
        let mut bench = block_on(Bench::new(TOML, QUERY, &[ticks()]));
        let run = |bench: &mut Bench, cuts: &[usize]| {
            let table = bench.table();
            let mut from = 0;
            for to in cuts.iter().copied().chain([records.len()]) {
                bench.range(&table, &[vec![("t", &records[from..to])]]);
                from = to;
            }
            bench.rows(&table)
        };
        let (cut, whole) = (run(&mut bench, &cuts), run(&mut bench, &[]));
        prop_assert_eq!(pretty(&cut), pretty(&whole));
        let newest = of.iter().max().unwrap();
        let kept: BTreeSet<i64> = of.iter().copied().filter(|minute| *minute >= newest - 10).collect();
        prop_assert_eq!(minutes(&whole), kept);
    }
}
