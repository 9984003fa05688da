//! Keys whose row cannot be computed: they have none until it can be, and are counted, however the log is cut.

use super::*;

const TOML: &str = "name = 'test'\n[inputs.t]\ntopic = 't'\n";
const QUERY: &str = "SELECT k, 100 / sum(n) AS share FROM t GROUP BY k";

fn numbers() -> Topic {
    topic(
        "t",
        &[],
        serde_json::json!({"type": "object", "properties": {"k": {"type": "string"}, "n": {"type": "integer"}}}),
    )
}

fn record(offset: i64, k: &str, n: i64) -> Record {
    let value = Some(format!("{{\"k\":\"{k}\",\"n\":{n}}}"));
    Record { partition: 0, offset, timestamp: 0, key: None, value }
}

/// Rows and failed rows.
fn counts(table: &Table) -> (u64, u64) {
    (table.status().rows, table.status().failed_rows)
}

#[tokio::test]
async fn a_key_whose_row_fails_has_none_and_is_counted_until_it_can_be_computed() {
    let mut bench = Bench::new(TOML, QUERY, &[numbers()]).await;
    let table = bench.table();
    let steps: [(&str, i64, (u64, u64)); 6] =
        [("a", 5, (1, 0)), ("b", 0, (1, 1)), ("a", -5, (0, 2)), ("b", 0, (0, 2)), ("b", 4, (1, 1)), ("a", 1, (2, 0))];
    for (offset, (k, n, wanted)) in steps.into_iter().enumerate() {
        assert_eq!(bench.range(&table, &[vec![("t", &[record(offset as i64, k, n)])]]), []);
        assert_eq!(counts(&table), wanted, "after {offset}");
    }
    let whole = bench.table();
    let records: Vec<Record> = steps.iter().enumerate().map(|(i, (k, n, _))| record(i as i64, k, *n)).collect();
    bench.range(&whole, &[vec![("t", &records[..4])]]);
    assert_eq!(counts(&whole), (0, 2));
}

#[tokio::test]
async fn a_sum_that_does_not_fit_is_an_error_of_its_row_and_only_in_the_end() {
    let mut bench = Bench::new(TOML, "SELECT k, sum(n) AS total FROM t GROUP BY k", &[numbers()]).await;
    let table = bench.table();
    let max = i64::MAX;
    bench.range(&table, &[vec![("t", &[record(0, "a", max), record(1, "a", max), record(2, "b", 1)])]]);
    assert_eq!(counts(&table), (1, 1));
    bench.range(&table, &[vec![("t", &[record(3, "a", -max)])]]);
    assert_eq!(counts(&table), (2, 0));
    let rows = bench.rows(&table);
    assert_eq!(rows.column(1).as_any().downcast_ref::<Int64Array>().unwrap().values(), &[max, 1]);
}

#[tokio::test]
async fn a_number_that_does_not_fit_fails_its_record_alone_and_wraps_nowhere() {
    for (expr, ok, lost) in [
        ("n + 1", 5, i64::MAX),
        ("n - 1", 5, i64::MIN),
        ("n * n", 3_000_000_000, 4_000_000_000),
        ("-n", 5, i64::MIN),
        ("abs(n)", 5, i64::MIN),
        ("CASE WHEN n > 0 THEN n * 3 END", i64::MIN, i64::MAX),
        ("coalesce(n + n, 0)", 5, i64::MAX),
    ] {
        let query = format!("SELECT k, {expr} AS x FROM t");
        let keyed = format!("key = ['k']\n{TOML}");
        for (toml, query) in [(keyed.as_str(), query), (TOML, format!("SELECT k, max({expr}) AS x FROM t GROUP BY k"))]
        {
            let mut bench = Bench::new(toml, &query, &[numbers()]).await;
            let table = bench.table();
            let records: Vec<Record> =
                (0..100).map(|i| record(i, &format!("k{i}"), if i == 37 { lost } else { ok })).collect();
            let failed = bench.range(&table, &[vec![("t", &records)]]);
            assert_eq!(failed.iter().map(|failed| failed.offset.get()).collect::<Vec<_>>(), [37], "{query}");
            assert!(failed[0].detail.to_lowercase().contains("overflow"), "{query}: {}", failed[0].detail);
            assert_eq!(table.status().rows, 99, "{query}");
        }
    }
}

#[tokio::test]
async fn a_text_that_is_padded_without_end_fails_its_record_alone_and_one_padded_to_less_than_nothing_is_empty() {
    for function in ["lpad", "rpad"] {
        let query = format!("SELECT {function}(k, n) AS p, count(*) AS c FROM t GROUP BY 1");
        let mut bench = Bench::new(TOML, &query, &[numbers()]).await;
        let table = bench.table();
        let lengths = [3, i64::MAX, -1, i64::MAX / 4, i64::MIN, 5_000_000_000, 3];
        let records: Vec<Record> = lengths.iter().enumerate().map(|(i, n)| record(i as i64, "a", *n)).collect();
        let failed = bench.range(&table, &[vec![("t", &records)]]);
        let failed: Vec<u64> = failed.iter().map(|failed| failed.offset.get()).collect();
        assert_eq!(failed, [1, 3, 5], "{function}");
        assert_eq!(counts(&table), (2, 0), "the text of three characters, and that of none");
    }
}

#[tokio::test]
async fn arithmetic_over_aggregates_fails_the_row_instead_of_wrapping_around() {
    let mut bench = Bench::new(TOML, "SELECT k, max(n) + 1 AS x FROM t GROUP BY k", &[numbers()]).await;
    let table = bench.table();
    bench.range(&table, &[vec![("t", &[record(0, "a", i64::MAX), record(1, "b", 1)])]]);
    assert_eq!(counts(&table), (1, 1));
}

#[tokio::test]
async fn an_argument_is_not_computed_for_records_that_the_filter_leaves_out() {
    let query = "SELECT k, count(*) AS all_of_them, sum(100 / n) FILTER (WHERE n <> 0) AS shares, \
                 first_value(100 / n ORDER BY 1000 / n) FILTER (WHERE n <> 0) AS greatest FROM t GROUP BY k";
    let mut bench = Bench::new(TOML, query, &[numbers()]).await;
    let table = bench.table();
    let records = [record(0, "a", 0), record(1, "a", 5), record(2, "a", 0), record(3, "a", 4)];
    assert_eq!(bench.range(&table, &[vec![("t", &records)]]), []);
    let rows = bench.rows(&table);
    let of = |column: usize| rows.column(column).as_any().downcast_ref::<Int64Array>().unwrap().value(0);
    assert_eq!([of(1), of(2), of(3)], [4, 45, 20]);
}

#[tokio::test]
async fn the_first_failure_names_the_key_and_why() {
    let mut bench = Bench::new(TOML, QUERY, &[numbers()]).await;
    let table = bench.table();
    let mut worker = bench.job.worker(&memory()).unwrap();
    for records in bench.records("t", &[record(0, "x", 7), record(1, "y", 0)]) {
        worker.add(&records, None).unwrap();
    }
    let touched = bench.job.combine(vec![worker.finish().unwrap()], &memory()).unwrap();
    let stored = table.gather(&bench.job.keys(&touched).unwrap()).unwrap();
    let change = bench.job.apply(touched, &stored).unwrap();
    let error = change.output_error.unwrap();
    assert!(
        error.starts_with("the row of the key {\"k\":\"y\"} cannot be computed: Arrow error: Divide by zero"),
        "{error}"
    );
    assert_eq!(change.has_row, BooleanArray::from(vec![Some(true), None]));
}
