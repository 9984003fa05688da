//! Keys of floating point: all NaN are one key and both zeros are one, in ranges, in tables and in filters.

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use rekap_tables::RowsQuery;

use super::*;

const TOML: &str = "name = 'test'\nkey = ['g']\n[inputs.t]\ntopic = 't'\n";
/// The literal NaN and that of a division have other signs; so have the zeros.
const KEY: &str =
    "CASE WHEN k = 'a' THEN CAST('NaN' AS DOUBLE) WHEN k = 'b' THEN v / v WHEN k = 'c' THEN -v ELSE v END";

fn records(keys: &[&str]) -> Vec<Record> {
    let one = |(offset, k): (usize, &&str)| Record {
        partition: 0,
        offset: offset as i64,
        timestamp: offset as i64,
        key: None,
        value: Some(format!("{{\"k\":\"{k}\",\"v\":0.0}}")),
    };
    keys.iter().enumerate().map(one).collect()
}

/// How many rows a filter finds.
fn found(table: &Table, text: &str) -> usize {
    let snapshot = table.snapshot();
    let prefix = snapshot.schema().prefix(&[("g".to_owned(), text.to_owned())]).unwrap();
    snapshot.rows(&RowsQuery { prefix: Some(prefix), limit: 10, ..RowsQuery::default() }).unwrap().rows.num_rows()
}

#[tokio::test]
async fn all_nan_are_one_key_and_both_zeros_are_one_however_records_are_cut() {
    let schema = serde_json::json!({"type": "object",
        "properties": {"k": {"type": "string"}, "v": {"type": "number"}}});
    let topics = [topic("t", &[], schema)];
    let all = records(&["a", "b", "c", "d", "b", "a", "d", "c"]);
    let queries =
        [format!("SELECT {KEY} AS g, count(*) AS c FROM t GROUP BY 1"), format!("SELECT {KEY} AS g, 4 AS c FROM t")];
    for query in queries {
        let mut bench = Bench::new(TOML, &query, &topics).await;
        for step in [1, 2, 8] {
            let table = bench.table();
            for range in all.chunks(step) {
                let (left, right) = range.split_at(range.len() / 2);
                assert_eq!(bench.range(&table, &[vec![("t", left)], vec![("t", right)]]), []);
            }
            let rows = bench.rows(&table);
            let keys: Vec<u64> =
                rows.column(0).as_primitive::<Float64Type>().iter().map(|g| g.unwrap().to_bits()).collect();
            assert_eq!(keys, [0, f64::NAN.to_bits()], "{query} by {step}");
            let counts = rows.column(1).as_any().downcast_ref::<Int64Array>().unwrap();
            assert_eq!(counts.values(), &[4, 4], "{query} by {step}");
            for filter in ["NaN", "-NaN", "0", "-0", "-0.0", "0e7"] {
                assert_eq!(found(&table, filter), 1, "{filter}");
            }
            assert_eq!(found(&table, "1"), 0);
        }
    }
}
