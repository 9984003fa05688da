//! However a log is cut into ranges, a GROUP BY job gives what one query over all rows gives.

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use proptest::prelude::*;

use super::super::aggregates::{Accuracy, MERGEABLE};
use super::*;

const TOML: &str = "name = 'test'\n[inputs.t]\ntopic = 't'\n[inputs.t.columns]\nts = 'timestamp_ms'\n[inputs.u]\ntopic = 'u'\n[inputs.u.columns]\nts = 'timestamp_ms'";

/// At least one call of every aggregate that a job may use; ORDER BY is completed in the query over all rows.
const CALLS: [&str; 65] = [
    "count(*)",
    "count(v)",
    "count(v) FILTER (WHERE v > 5)",
    "sum(n)",
    "sum(v)",
    "sum(v) FILTER (WHERE b)",
    "sum(CAST(v * 2 AS DECIMAL(20, 4)))",
    "avg(n)",
    "avg(v)",
    "avg(CAST(v * 2 AS DECIMAL(20, 4)))",
    "min(n)",
    "min(v)",
    "min(s)",
    "max(n)",
    "max(v)",
    "max(s)",
    "max(ts)",
    "bool_and(b)",
    "bool_or(b)",
    "bit_and(n)",
    "bit_or(n)",
    "bit_xor(n)",
    "stddev(v)",
    "stddev_pop(v)",
    "var(v)",
    "var_pop(v)",
    "corr(v, n)",
    "covar_samp(v, n)",
    "covar_pop(v, n)",
    "regr_avgx(v, n)",
    "regr_avgy(v, n)",
    "regr_count(v, n)",
    "regr_intercept(v, n)",
    "regr_r2(v, n)",
    "regr_slope(v, n)",
    "regr_sxx(v, n)",
    "regr_sxy(v, n)",
    "regr_syy(v, n)",
    "approx_distinct(s)",
    "approx_median(v)",
    "approx_percentile_cont(v, 0.9)",
    "approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY v)",
    "approx_percentile_cont_with_weight(v, 1, 0.5)",
    "first_value(v ORDER BY n)",
    "first_value(s ORDER BY n DESC)",
    "last_value(v ORDER BY n)",
    "last_value(s ORDER BY ts)",
    "last_value(o['p'] ORDER BY n) FILTER (WHERE b)",
    "last_value(v ORDER BY n) IGNORE NULLS",
    "count(ts)",
    "count(o)",
    "sum(CAST(n + 1 AS DECIMAL(30, 2)))",
    "sum(_offset)",
    "min(ts)",
    "min(CAST(v + 1 AS DECIMAL(20, 4)))",
    "max(CAST(v * 2 AS DECIMAL(20, 4)))",
    "max(o['q'])",
    "min(date_trunc('day', ts))",
    "stddev(n)",
    "approx_distinct(n)",
    "approx_distinct(ts)",
    "approx_percentile_cont(n, 0.5)",
    "first_value(ts ORDER BY s)",
    "last_value(CAST(v + 2 AS DECIMAL(20, 4)) ORDER BY s)",
    "last_value(o ORDER BY ts)",
];

/// What each call is filtered by, in turn.
const FILTERS: [&str; 5] =
    ["b", "n > 0", "v IS NOT NULL AND s <> 'é1'", "false", "ts < to_timestamp_millis(1700000300000)"];

/// Every call, alone and filtered.
fn calls() -> Vec<String> {
    let filtered = CALLS.iter().enumerate().filter(|(_, call)| call.ends_with(')') && !call.contains("FILTER"));
    let filtered = filtered.map(|(i, call)| format!("{call} FILTER (WHERE {})", FILTERS[i % FILTERS.len()]));
    CALLS.iter().map(|call| (*call).to_owned()).chain(filtered).collect()
}

fn schema() -> serde_json::Value {
    serde_json::json!({"type": "object", "properties": {
        "k": {"type": "string"}, "n": {"type": "integer"}, "v": {"type": "number"}, "b": {"type": "boolean"},
        "s": {"type": "string"}, "ts": {"type": "integer"},
        "o": {"type": "object", "properties": {"p": {"type": "integer"}, "q": {"type": "string"}}}
    }})
}

fn topics() -> [Topic; 2] {
    [topic("t", &[], schema()), topic("u", &[], schema())]
}

/// Records of two partitions with few keys, many ties and some NULLs and tombstones.
fn records(seed: u64, n: usize) -> Vec<Record> {
    let (mut chance, mut offsets) = (Chance(seed), [0; 2]);
    let mut one = || {
        let partition = chance.below(2) as usize;
        offsets[partition] += 1 + chance.below(2) as i64;
        let maybe = |value: String, odds: u64| if odds == 0 { "null".to_owned() } else { value };
        let fields = [
            ("k", maybe(format!("\"k{}\"", chance.below(5)), chance.below(9))),
            ("n", maybe(format!("{}", chance.below(7) as i64 - 3), chance.below(6))),
            ("v", maybe(format!("{}.{}", chance.below(10), chance.below(1_000)), chance.below(6))),
            ("b", maybe(format!("{}", chance.below(3) > 0), chance.below(8))),
            ("s", maybe(format!("\"é{}\"", chance.below(6)), chance.below(8))),
            ("ts", format!("{}", 1_700_000_000_000_u64 + chance.below(600_000))),
            ("o", maybe(format!("{{\"p\":{},\"q\":\"x\"}}", chance.below(4)), chance.below(5))),
        ];
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        Record {
            partition: partition as u32,
            offset: offsets[partition],
            timestamp: 1_700_000_000_000_000 + chance.below(5) as i64,
            key: None,
            value: (chance.below(20) > 0).then(|| format!("{{{}}}", fields.join(","))),
        }
    };
    (0..n).map(|_| one()).collect()
}

/// The same query with the record's place appended to every order.
fn total(query: &str) -> String {
    let place = ", _timestamp, _partition, _offset)";
    ["n)", "n DESC)", "ts)", "s)"].iter().fold(query.to_owned(), |query, end| {
        query.replace(&format!("ORDER BY {end}"), &format!("ORDER BY {}{place}", end.trim_end_matches(')')))
    })
}

/// Runs records of one input in ranges cut at `cuts`, each with two workers.
fn run(bench: &mut Bench, records: &[Record], cuts: &[usize]) -> RecordBatch {
    let table = bench.table();
    let mut from = 0;
    for to in cuts.iter().copied().chain([records.len()]) {
        let middle = from + (to - from) / 3;
        let shares = [vec![("t", &records[from..middle])], vec![("t", &records[middle..to])]];
        assert_eq!(bench.range(&table, &shares), []);
        from = to;
    }
    bench.rows(&table)
}

pub(super) fn assert_same(ours: &RecordBatch, whole: &RecordBatch, accuracy: impl Fn(usize) -> Accuracy) {
    assert_eq!(ours.num_rows(), whole.num_rows(), "{}\n{}", pretty(ours), pretty(whole));
    for (i, column) in ours.columns().iter().enumerate() {
        let other = cast(whole.column(i), column.data_type()).unwrap();
        let name = ours.schema().field(i).name().clone();
        let approximate = accuracy(i) == Accuracy::Approximate && column.data_type().is_numeric();
        if column.data_type() != &DataType::Float64 && !approximate {
            assert_eq!(format!("{column:?}"), format!("{other:?}"), "{name}");
            continue;
        }
        let (column, other) = (cast(column, &DataType::Float64).unwrap(), cast(&other, &DataType::Float64).unwrap());
        let tolerance = if accuracy(i) == Accuracy::Approximate { 0.25 } else { 1e-9 };
        for (a, b) in column.as_primitive::<Float64Type>().iter().zip(other.as_primitive::<Float64Type>()) {
            let close = match (a, b) {
                (Some(a), Some(b)) => a == b || (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0),
                _ => a == b,
            };
            assert!(close, "{name}: {a:?} and {b:?}\n{}\n{}", pretty(ours), pretty(whole));
        }
    }
}

#[test]
fn every_aggregate_that_a_job_may_use_is_tried() {
    for entry in MERGEABLE {
        assert!(CALLS.iter().any(|call| call.starts_with(&format!("{}(", entry.name))), "{}", entry.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn a_log_cut_into_any_ranges_gives_what_one_query_gives(
        seed in any::<u64>(),
        n in 1_usize..300,
        mut cuts in prop::collection::vec(0_usize..300, 0..9),
    ) {
        cuts.retain(|cut| *cut < n);
        cuts.sort_unstable();
        let calls = calls();
        let columns: Vec<String> = calls.iter().enumerate().map(|(i, call)| format!("{call} AS x{i}")).collect();
        let query = format!("SELECT k, date_bin(INTERVAL '1 minute', ts) AS m, {} FROM t GROUP BY 1, 2", columns.join(", "));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut bench = Bench::new(TOML, &query, &topics()).await;
            let records = records(seed, n);
            let ours = run(&mut bench, &records, &cuts);
            let whole = whole(&total(&query), &[(&bench.job.inputs()[0], &records)], 2).await;
            let approximate = |column: usize| match calls[column - 2].starts_with("approx_") {
                true => Accuracy::Approximate,
                false => Accuracy::Float,
            };
            assert_same(&ours, &whole, |column| if column < 2 { Accuracy::Exact } else { approximate(column) });
        });
    }
}

/// Queries of every shape that a job may have.
const SHAPES: [&str; 10] = [
    "SELECT k, sum(v) / nullif(count(*), 0) AS mean, max(n) - min(n) AS spread FROM t GROUP BY k",
    "SELECT k, count(*) AS c FROM t WHERE v > 2 AND b IS NOT FALSE GROUP BY k HAVING count(*) > 3",
    "SELECT upper(s) AS u, n % 2 AS odd, count(*) FROM t GROUP BY upper(s), n % 2",
    "WITH big AS (SELECT k AS kk, v * 2 AS w FROM t WHERE v > 1) SELECT kk, sum(w) FROM big GROUP BY kk",
    "WITH c AS (SELECT k, count(*) AS n FROM t GROUP BY k) SELECT k, n * 10 AS tens FROM c WHERE n > 2",
    "SELECT 'all' AS scope, count(*) AS c FROM t GROUP BY 1",
    "SELECT o['q'] AS q, t.o.p AS p, count(*) FROM t GROUP BY 1, 2",
    "SELECT k, CASE WHEN v > 5 THEN 'high' ELSE 'low' END AS level, count(*) FROM t GROUP BY 1, 2",
    "SELECT k, count(*) FROM (SELECT k, v FROM t UNION ALL SELECT s AS k, CAST(n AS DOUBLE) FROM t WHERE n > 0) GROUP BY k",
    "SELECT _partition AS p, min(_offset) AS first, max(_timestamp) AS latest FROM t GROUP BY _partition",
];

#[tokio::test]
async fn every_shape_of_query_gives_what_one_query_gives() {
    for query in SHAPES {
        let mut bench = Bench::new(TOML, query, &topics()).await;
        let records = records(7, 400);
        let ours = run(&mut bench, &records, &[1, 2, 50, 333]);
        let keys = bench.job.table_schema().key().len();
        let whole = whole(query, &[(&bench.job.inputs()[0], &records)], keys).await;
        assert_same(&ours, &whole, |_| Accuracy::Float);
        assert!(ours.num_rows() > 0, "{query}");
    }
}

#[tokio::test]
async fn inputs_of_one_union_are_ordered_by_their_place_in_the_query() {
    let query = "SELECT k, last_value(v ORDER BY n) AS x FROM (SELECT k, n, v FROM t UNION ALL SELECT k, n, -v FROM u) GROUP BY k";
    let mut bench = Bench::new(TOML, query, &topics()).await;
    let record = |v: i64| Record {
        partition: 0,
        offset: 5,
        timestamp: 9,
        key: None,
        value: Some(format!("{{\"k\":\"a\",\"n\":1,\"v\":{v},\"ts\":0}}")),
    };
    let (first, second) = ([record(1)], [record(2)]);
    for order in [["t", "u"], ["u", "t"]] {
        let table = bench.table();
        for input in order {
            bench.range(&table, &[vec![(input, if input == "t" { &first[..] } else { &second[..] })]]);
        }
        assert_eq!(bench.rows(&table).column(1).as_primitive::<Float64Type>().value(0), -2.0);
    }
}

#[tokio::test]
async fn having_takes_a_row_out_and_lets_it_come_back() {
    let mut bench = Bench::new(TOML, "SELECT k, sum(n) AS x FROM t GROUP BY k HAVING sum(n) > 0", &topics()).await;
    let record = |offset: i64, n: i64| Record {
        partition: 0,
        offset,
        timestamp: 0,
        key: None,
        value: Some(format!("{{\"k\":\"a\",\"n\":{n},\"ts\":0}}")),
    };
    let table = bench.table();
    let mut seen = vec![];
    for (offset, n) in [5, -7, 1, 4].into_iter().enumerate() {
        bench.range(&table, &[vec![("t", &[record(offset as i64, n)])]]);
        seen.push(bench.rows(&table).num_rows());
    }
    assert_eq!(seen, [1, 0, 0, 1]);
}

#[tokio::test]
async fn a_record_on_which_an_expression_fails_is_found_and_the_others_count() {
    let query = "SELECT k, sum(10 / n) AS x FROM t WHERE n IS NOT NULL GROUP BY k";
    let mut bench = Bench::new(TOML, query, &topics()).await;
    let records: Vec<Record> = (0..1_000)
        .map(|i| Record {
            partition: 0,
            offset: i,
            timestamp: 0,
            key: None,
            value: Some(format!("{{\"k\":\"a\",\"n\":{},\"ts\":0}}", if i % 333 == 7 { 0 } else { 1 })),
        })
        .collect();
    let table = bench.table();
    let failed = bench.range(&table, &[vec![("t", &records)]]);
    assert_eq!(failed.iter().map(|failed| failed.offset.get()).collect::<Vec<_>>(), [7, 340, 673]);
    assert!(failed[0].detail.contains("zero"), "{}", failed[0].detail);
    assert_eq!(pretty(&bench.rows(&table)).lines().nth(3).unwrap(), "| a | 9970 |");
}

#[tokio::test]
async fn a_record_fails_or_not_whatever_batch_it_travels_in() {
    let query = "SELECT k, count(*) AS x FROM t WHERE n <> 0 AND 10 / n > 1 GROUP BY k";
    let mut bench = Bench::new(TOML, query, &topics()).await;
    let records = records(3, 200);
    let table = bench.table();
    assert_eq!(bench.range(&table, &[vec![("t", &records)]]), []);
    assert!(bench.rows(&table).num_rows() > 0);
}

#[tokio::test]
async fn only_the_columns_that_a_query_names_are_read() {
    let job = compile(TOML, "SELECT k, sum(v) AS x FROM t WHERE b GROUP BY k", &topics()).await.unwrap();
    let schema = job.inputs()[0].schema();
    let mut names: Vec<&str> = job.inputs()[0].columns.iter().map(|i| schema.field(*i).name().as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["b", "k", "v"]);
    assert_eq!(job.warnings(), ["input `u` is declared and not read by the query"]);
}
