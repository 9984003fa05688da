//! What is no job is refused, with its place and what to write instead.

use super::*;

const TOML: &str = "name = 'test'\n[inputs.t]\ntopic = 't'\n[inputs.u]\ntopic = 'u'\n";

fn events(name: &str) -> Topic {
    let schema = serde_json::json!({"type": "object", "properties": {
        "k": {"type": "string"}, "n": {"type": "integer"}, "v": {"type": "number"},
        "at": {"type": "string", "format": "date-time"}, "l": {"type": "array", "items": {"type": "integer"}}
    }});
    topic(name, &["k"], schema)
}

async fn refusal(toml: &str, query: &str) -> Refusal {
    compile(toml, query, &[events("t"), events("u")]).await.map(|_| ()).expect_err(query)
}

/// Query, code, place.
type Refused = (&'static str, &'static str, Option<(u64, u64)>);

const REFUSED: [Refused; 66] = [
    ("SELECT k FROM t; SELECT k FROM t", "SEVERAL_STATEMENTS", Some((1, 18))),
    ("-- nothing", "NOT_A_SELECT", None),
    ("DROP TABLE t", "NOT_A_SELECT", Some((1, 1))),
    ("INSERT INTO t VALUES (1)", "NOT_A_SELECT", Some((1, 1))),
    ("VALUES (1)", "NOT_A_SELECT", None),
    (" EXPLAIN SELECT k FROM t", "NOT_A_SELECT", Some((1, 2))),
    ("SELECT k FROM", "INVALID_SQL", None),
    ("SELECT k,\n  count(* FROM t", "INVALID_SQL", Some((2, 11))),
    ("SELECT nope, count(*)\nFROM t GROUP BY 1", "INVALID_SQL", Some((1, 8))),
    ("SELECT k, frobnicate(n) FROM t GROUP BY k", "INVALID_SQL", None),
    ("SELECT k, count(*)\nFROM x GROUP BY k", "UNKNOWN_INPUT", Some((2, 6))),
    ("SELECT k, max(now()) FROM t GROUP BY k", "NOT_DETERMINISTIC", Some((1, 15))),
    ("SELECT current_date() AS d, count(*) FROM t GROUP BY 1", "NOT_DETERMINISTIC", Some((1, 8))),
    ("SELECT k, count(*) FROM t WHERE random() > 0.5 GROUP BY k", "NOT_DETERMINISTIC", Some((1, 33))),
    ("SELECT k, uuid() AS u, count(*) FROM t GROUP BY k", "NOT_DETERMINISTIC", Some((1, 11))),
    ("SELECT t.k, count(*) FROM t\nJOIN u ON t.k = u.k GROUP BY t.k", "JOIN", Some((2, 1))),
    ("SELECT t.k, count(*) FROM t LEFT\n JOIN u ON t.k = u.k GROUP BY t.k", "JOIN", Some((2, 2))),
    ("SELECT t.k, count(*) FROM t, u GROUP BY t.k", "JOIN", Some((1, 30))),
    ("SELECT k, row_number() OVER (ORDER BY n) FROM t", "WINDOW_FUNCTION", Some((1, 11))),
    ("SELECT DISTINCT k FROM t", "DISTINCT", Some((1, 8))),
    ("SELECT k, count(DISTINCT n) FROM t GROUP BY k", "DISTINCT", Some((1, 11))),
    ("SELECT k, median(n) FROM t GROUP BY k", "AGGREGATE_NOT_MERGEABLE", Some((1, 11))),
    ("SELECT k, array_agg(n) FROM t GROUP BY k", "AGGREGATE_NOT_MERGEABLE", Some((1, 11))),
    ("SELECT k, string_agg(k, ',') FROM t GROUP BY k", "AGGREGATE_NOT_MERGEABLE", Some((1, 11))),
    ("SELECT k, nth_value(n, 2 ORDER BY n) FROM t GROUP BY k", "AGGREGATE_NOT_MERGEABLE", Some((1, 11))),
    ("SELECT k, last_value(n) FROM t GROUP BY k", "ORDER_NEEDED", Some((1, 11))),
    ("SELECT k, count(*) FROM t GROUP BY k ORDER BY k", "ORDER_BY", Some((1, 38))),
    ("SELECT k, count(*) FROM t GROUP BY k LIMIT 5", "LIMIT", Some((1, 38))),
    ("SELECT k, last_value(n ORDER BY at) AS l FROM t GROUP BY k\nOFFSET 5", "LIMIT", Some((2, 1))),
    ("SELECT k, count(*) FROM t WHERE n IN (SELECT n FROM u) GROUP BY k", "SUBQUERY", None),
    ("SELECT k, count(*) FROM t WHERE n > (SELECT max(n) FROM u) GROUP BY k", "SUBQUERY", None),
    ("SELECT k, count(*) FROM t WHERE EXISTS (SELECT 1 FROM u) GROUP BY k", "SUBQUERY", None),
    ("SELECT k FROM t UNION SELECT k FROM u", "SET_OPERATION", Some((1, 17))),
    ("SELECT k FROM t EXCEPT SELECT k FROM u", "SET_OPERATION", Some((1, 17))),
    ("SELECT k FROM t UNION ALL SELECT k FROM u\nUNION SELECT k FROM t", "SET_OPERATION", Some((2, 1))),
    ("SELECT k, n, count(*) FROM t GROUP BY GROUPING SETS ((k), (n))", "NOT_INCREMENTAL", None),
    ("SELECT k, n, count(*) FROM t GROUP BY ROLLUP (k, n)", "NOT_INCREMENTAL", None),
    ("SELECT count(*) AS c FROM t", "NO_KEY", Some((1, 8))),
    ("SELECT 1 AS one", "NO_INPUT", Some((1, 1))),
    ("SELECT c, count(*) FROM (SELECT k, count(*) AS c FROM t GROUP BY k) GROUP BY c", "NESTED_AGGREGATE", None),
    (
        "SELECT k, count(*) AS c FROM t GROUP BY k UNION ALL SELECT k, count(*) FROM u GROUP BY k",
        "NESTED_AGGREGATE",
        None,
    ),
    ("WITH RECURSIVE r AS (SELECT k FROM t UNION ALL SELECT k FROM r) SELECT k FROM r", "RECURSIVE", Some((1, 6))),
    ("SELECT unnest(l) AS x, count(*) FROM t GROUP BY 1", "NOT_INCREMENTAL", Some((1, 8))),
    ("SELECT k, max(current_timestamp) FROM t GROUP BY k", "NOT_DETERMINISTIC", Some((1, 15))),
    ("SELECT k, max(version()) FROM t GROUP BY k", "NOT_DETERMINISTIC", Some((1, 15))),
    ("SELECT k, grouping(k) AS g FROM t GROUP BY k", "AGGREGATE_NOT_MERGEABLE", Some((1, 11))),
    ("SELECT k, n INTO x FROM t", "UNSUPPORTED_SQL", Some((1, 13))),
    ("SELECT k FROM t FOR UPDATE", "UNSUPPORTED_SQL", Some((1, 17))),
    ("SELECT k FROM t FETCH FIRST 5 ROWS ONLY", "LIMIT", Some((1, 17))),
    ("SELECT k, arrow_typeof(n) AS ty, count(*) FROM t GROUP BY k, 2", "NOT_DETERMINISTIC", Some((1, 11))),
    ("SELECT k, sum(n ORDER BY v) FROM t GROUP BY k", "ORDER_BY", Some((1, 11))),
    ("SELECT k, max($1) FROM t GROUP BY k", "NOT_INCREMENTAL", None),
    ("SELECT k, n, v AS n, count(*) FROM t GROUP BY k, n, v", "DUPLICATE_COLUMN", None),
    ("SELECT v, CAST(v AS BIGINT) FROM t", "DUPLICATE_COLUMN", None),
    ("SELECT k, sum(k) FROM t GROUP BY k", "INVALID_SQL", None),
    ("SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY n) FROM t GROUP BY k", "AGGREGATE_NOT_MERGEABLE", None),
    ("SELECT k FROM generate_series(1, 5)", "UNSUPPORTED_FROM", Some((1, 15))),
    ("SELECT k FROM t TABLESAMPLE (10 ROWS)", "UNSUPPORTED_FROM", None),
    ("SELECT k, sum(count(*)) OVER () FROM t GROUP BY k", "WINDOW_FUNCTION", Some((1, 11))),
    ("SELECT k, 9223372036854775807 + 1 AS x FROM t", "INVALID_SQL", None),
    ("SELECT k, sum(n * (86400000000 * 365 * 1000000)) AS x FROM t GROUP BY k", "INVALID_SQL", None),
    ("SELECT k, approx_distinct(v) AS d FROM t GROUP BY k", "INVALID_SQL", Some((1, 11))),
    ("SELECT k, count(*) AS c,\n approx_distinct(CAST(v AS REAL)) FROM t GROUP BY k", "INVALID_SQL", Some((2, 2))),
    ("SELECT k, avg(NULL) AS a FROM t GROUP BY k", "INVALID_SQL", Some((1, 11))),
    ("SELECT k, bit_and(NULL) AS a FROM t GROUP BY k", "INVALID_SQL", Some((1, 11))),
    ("SELECT k, approx_percentile_cont(v, 2) AS a FROM t GROUP BY k", "INVALID_SQL", Some((1, 11))),
];

#[tokio::test]
async fn sql_that_cannot_be_run_range_by_range_is_refused_with_its_place() {
    for (query, code, place) in REFUSED {
        let refusal = refusal(TOML, query).await;
        assert_eq!(refusal.code, code, "{query}: {refusal}");
        if let Some((line, column)) = place {
            assert_eq!(refusal.place, Some(Place { line, column }), "{query}: {refusal}");
        }
        assert!(!refusal.remedy.is_empty() && !refusal.detail.is_empty(), "{query}");
    }
}

#[tokio::test]
async fn a_key_that_does_not_fit_the_query_is_refused() {
    let keyed = |key: &str| format!("name = 'test'\n{key}\n[inputs.t]\ntopic = 't'\n");
    let cases = [
        ("", "SELECT k, n FROM t", "NO_KEY"),
        ("key = ['id']", "SELECT k, n FROM t", "KEY_NOT_IN_OUTPUT"),
        ("key = ['k']\norder = ['later']", "SELECT k, n FROM t", "KEY_NOT_IN_OUTPUT"),
        ("key = ['id']", "SELECT k, count(*) AS c FROM t GROUP BY k", "KEY_NOT_IN_OUTPUT"),
        ("key = ['k']", "SELECT k, n, count(*) AS c FROM t GROUP BY k, n", "KEY_NOT_IN_OUTPUT"),
        ("", "SELECT k, count(*) AS c FROM t GROUP BY k, n", "KEY_NOT_IN_OUTPUT"),
        ("key = ['c']", "SELECT k, count(*) AS c FROM t GROUP BY k", "KEY_NOT_GROUPED"),
        ("key = ['k', 'u']", "SELECT k, upper(k) AS u, count(*) AS c FROM t GROUP BY k", "KEY_NOT_GROUPED"),
        ("key = ['k', 'j']", "SELECT k, k AS j, count(*) AS c FROM t GROUP BY k", "KEY_NOT_GROUPED"),
        ("order = ['c']", "SELECT k, count(*) AS c FROM t GROUP BY k", "ORDER_IN_GROUP_BY"),
        ("time = 'c'", "SELECT k, count(*) AS c FROM t GROUP BY k", "TIME_NOT_IN_KEY"),
        ("time = 'n'", "SELECT n, count(*) AS c FROM t GROUP BY n", "TIME_NOT_A_TIMESTAMP"),
    ];
    for (key, query, code) in cases {
        let refusal = refusal(&keyed(key), query).await;
        assert_eq!(refusal.code, code, "{key} {query}: {refusal}");
    }
}

#[tokio::test]
async fn a_topic_or_a_column_that_there_is_not_is_refused() {
    let missing = TOML.replace("topic = 'u'", "topic = 'v'");
    assert_eq!(refusal(&missing, "SELECT k, count(*) FROM t GROUP BY k").await.code, "UNKNOWN_TOPIC");
    let clashing = format!("{TOML}[inputs.u.columns]\n_x = 'text'\n");
    assert_eq!(refusal(&clashing, "SELECT k, count(*) FROM t GROUP BY k").await.code, "INVALID_COLUMNS");
}

#[tokio::test]
async fn a_missing_group_column_is_named_as_it_is_written() {
    let query = "SELECT k, count(*) AS c\nFROM t GROUP BY k, date_bin(INTERVAL '1 minute', at)";
    let refusal = refusal(TOML, query).await;
    assert_eq!(refusal.place, Some(Place { line: 2, column: 20 }));
    assert!(refusal.detail.contains("`date_bin(INTERVAL '1 minute', at)`"), "{refusal}");
}

#[tokio::test]
async fn a_key_left_out_has_the_digest_of_what_it_comes_to() {
    let query = "SELECT k, n, count(*) AS c FROM t GROUP BY k, n";
    let keyed = |key: &str| format!("name = 'test'\n{key}\n[inputs.t]\ntopic = 't'\n");
    let mut digests = vec![];
    for key in ["", "key = ['k', 'n']", "key = ['n', 'k']"] {
        digests.push(compile(&keyed(key), query, &[events("t")]).await.unwrap().digest());
    }
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
}

#[tokio::test]
async fn the_message_says_what_to_write_instead() {
    let refusal = refusal(TOML, "SELECT k,\n       median(n)\nFROM t GROUP BY k").await;
    assert_eq!(
        refusal.to_string(),
        "2:8: the aggregate `median` has no state of bounded size that can be merged; \
         use approx_percentile_cont(x, 0.5), whose state is bounded"
    );
}

#[tokio::test]
async fn an_aggregate_that_cannot_be_computed_over_a_type_says_what_to_cast_to() {
    let text = refusal(TOML, "SELECT k, approx_distinct(v) AS d FROM t GROUP BY k").await.to_string();
    assert_eq!(
        text,
        "1:11: `approx_distinct` cannot be computed over double; \
         cast what it takes to another type, as in approx_distinct(CAST(x AS TEXT))"
    );
    let cast = "SELECT k, approx_distinct(CAST(v AS TEXT)) AS d FROM t GROUP BY k";
    assert!(compile(TOML, cast, &[events("t"), events("u")]).await.is_ok());
}

#[tokio::test]
async fn an_order_that_an_input_does_not_have_or_has_otherwise_is_refused() {
    let other = topic(
        "u",
        &["k"],
        serde_json::json!({"type": "object", "properties": {
        "k": {"type": "string"}, "n": {"type": "string"}, "w": {"type": "integer"}}}),
    );
    let both = "SELECT k FROM t UNION ALL SELECT k FROM u";
    for (order, code, says) in [
        ("at", "KEY_NOT_IN_OUTPUT", "nor a column of input `u`"),
        ("w", "KEY_NOT_IN_OUTPUT", "nor a column of input `t`"),
        ("n", "UNUSABLE_COLUMNS", "is bigint in input `t` and text in `u`"),
    ] {
        let toml = format!(
            "name = 'test'\nkey = ['k']\norder = ['{order}']\n[inputs.t]\ntopic = 't'\n[inputs.u]\ntopic = 'u'\n"
        );
        let refusal = compile(&toml, both, &[events("t"), other.clone()]).await.map(|_| ()).unwrap_err();
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.detail.contains(says), "{refusal}");
    }
}

#[tokio::test]
async fn long_lists_are_no_long_chains() {
    let numbers: Vec<String> = (1..2_000).map(|n| format!("-{n}")).collect();
    let query = format!("SELECT k, count(*) AS c FROM t WHERE n IN ({}) GROUP BY k", numbers.join(", "));
    compile(TOML, &query, &[events("t"), events("u")]).await.unwrap();
    let cases: Vec<String> = (0..400).map(|n| format!("WHEN n = {n} AND v > 0 THEN 'c{n}'")).collect();
    let query = format!("SELECT CASE {} END AS c, count(*) AS n FROM t GROUP BY 1", cases.join(" "));
    compile(TOML, &query, &[events("t"), events("u")]).await.unwrap();
}
