use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;

use super::*;

fn generic(sql: &str) -> Result<(), Refusal> {
    check_size(sql, &GenericDialect {})
}

#[test]
fn sql_that_would_nest_too_deep_is_refused_wherever_the_chain_stands() {
    let chain = |link: &str, n: usize| format!("SELECT {}1", format!("1{link}").repeat(n));
    for link in [" + ", " AND ", "::int || ", " = ", " UNION ALL SELECT ", " XOR ", " SIMILAR TO ", " |> WHERE "] {
        let refusal = generic(&chain(link, 2_000)).unwrap_err();
        assert_eq!(refusal.code, "QUERY_TOO_LONG", "{link}");
        assert!(refusal.place.is_some());
    }
    assert_eq!(generic(&" ".repeat(100_000)).unwrap_err().code, "QUERY_TOO_LONG");
    for prefix in ["- ", "INTERVAL ", "NOT "] {
        assert_eq!(generic(&format!("SELECT {}1", prefix.repeat(5_000))).unwrap_err().code, "QUERY_TOO_LONG");
    }
    assert_eq!(generic(&format!("SELECT {}'1 day'", "INTERVAL ".repeat(100))).unwrap_err().code, "QUERY_TOO_LONG");
    assert_eq!(generic(&format!("{}SELECT 1", "EXPLAIN ".repeat(300))).unwrap_err().code, "QUERY_TOO_LONG");
}

#[test]
fn what_people_write_is_not_too_long() {
    let columns: Vec<String> = (0..300).map(|i| format!("sum(a + {i}) AS c{i}")).collect();
    assert_eq!(generic(&format!("SELECT k, {} FROM t GROUP BY k", columns.join(", "))), Ok(()));
    let tests: Vec<String> = (0..200).map(|i| format!("k = 'x{i}'")).collect();
    assert_eq!(generic(&format!("SELECT k FROM t WHERE {}", tests.join(" OR "))), Ok(()));
    let days: Vec<String> = (0..100).map(|i| format!("t < now() - INTERVAL '{i} days'")).collect();
    assert_eq!(generic(&format!("SELECT k FROM t WHERE {}", days.join(" OR "))), Ok(()));
    let numbers: Vec<String> = (0..3_000).map(|i| format!("-{i}")).collect();
    assert_eq!(generic(&format!("SELECT k FROM t WHERE n IN ({})", numbers.join(", "))), Ok(()));
    let whens: Vec<String> = (0..400).map(|i| format!("WHEN t.k = {i} THEN -{i}")).collect();
    assert_eq!(generic(&format!("SELECT CASE {} ELSE 0 END FROM t", whens.join(" "))), Ok(()));
}

#[test]
fn chains_that_nest_in_each_other_are_one_long_chain() {
    let deep = |open: &str, close: &str| {
        (0..5).fold("1".to_owned(), |inner, _| format!("{open}{inner}{}{close}", " + 1".repeat(300)))
    };
    assert_eq!(generic(&format!("SELECT {}", deep("(", ")"))).unwrap_err().code, "QUERY_TOO_LONG");
    let deep = deep("CASE WHEN true THEN ", " END");
    assert_eq!(generic(&format!("SELECT {deep}")).unwrap_err().code, "QUERY_TOO_LONG");
}

/// Refused, each as too long.
fn assert_too_long(sql: &str, dialect: &dyn Dialect) {
    let refusal = check_size(sql, dialect).expect_err(&sql[..sql.len().min(60)]);
    assert_eq!(refusal.code, "QUERY_TOO_LONG", "{}", &sql[..sql.len().min(60)]);
}

#[test]
fn sql_is_measured_in_the_dialect_that_reads_it() {
    let sql = format!("SELECT 1{}", "#1".repeat(5_000));
    assert_eq!(generic(&sql), Ok(()), "one name");
    assert_too_long(&sql, &PostgreSqlDialect {});
    let sql = format!("SELECT 1 -` 1{} -` 1", "+1".repeat(5_000));
    assert_too_long(&sql, &PostgreSqlDialect {});
}

#[test]
fn nothing_that_nests_goes_uncounted() {
    let many = |first: &str, more: &str| format!("{first}{}", more.repeat(1_500));
    for sql in [
        many("SELECT [1,1]", "||[1,1]"),
        many("SELECT ARRAY[1,1]", "||ARRAY[1,1]"),
        many("SELECT {a:1,b:2}", "={a:1,b:2}"),
        many("SELECT a", "[1]"),
        many("SELECT a::int", "[]"),
        many("SELECT CAST(1 AS ", "Nullable("),
        many("VALUES (1)", " UNION VALUES (1)"),
        many("VALUES (1)", " EXCEPT VALUES (1)"),
        many("VALUES (1)", " INTERSECT ALL VALUES (1)"),
        many("SELECT 1 FROM (VALUES (1)) a", " CROSS JOIN (VALUES (1)) b"),
        many("SELECT 1 FROM (VALUES (1)) a", ", (VALUES (1)) b"),
        many("SELECT 1 FROM a", ", b"),
        many("SELECT 1", " IS DISTINCT FROM 1"),
        many("SELECT 1", " IS NOT DISTINCT FROM 1"),
        // The words of clauses are columns' names where an operand is due.
        many("SELECT 1", " + where"),
        many("SELECT 1", " + when + then"),
        many("SELECT 1", " NOT LIKE having"),
        many("SELECT 1", " SIMILAR TO group"),
        many("SELECT 1", " + from"),
        many("SELECT 1", " + case + 1 + end"),
        many("SELECT 1", " + CASE WHEN 1 = end THEN where + 1 ELSE 0 END"),
        many("SELECT 1 FROM t, where", ", t"),
    ] {
        assert_too_long(&sql, &GenericDialect {});
    }
    // Each below the bound, but all within each other.
    let deep = (0..40)
        .fold("1".to_owned(), |inner, _| format!("CASE WHEN x = end THEN {inner}{} ELSE 0 END", " + 1".repeat(400)));
    assert_too_long(&format!("SELECT {deep}"), &GenericDialect {});
}

#[test]
fn what_tools_send_is_not_too_long() {
    let list =
        |n: usize, item: &dyn Fn(usize) -> String, between: &str| (0..n).map(item).collect::<Vec<_>>().join(between);
    let value = |i: usize| format!("'value {i}'");
    let union = |i: usize| {
        format!(
            "SELECT t.k AS \"key\", sum(t.v) AS v, count(*) FROM live.trades t WHERE t.day = {i} AND t.v IS NOT NULL GROUP BY t.k"
        )
    };
    let joins = |i: usize| format!("LEFT JOIN live.t{i} AS t{i} ON t.k = t{i}.k");
    let case = |i: usize| format!("CASE WHEN \"t\".\"a{i}\" IS NULL THEN 0 ELSE 1 END AS \"flag {i}\"");
    let row = |i: usize| format!("({i}, 'a', NULL, 1.5, TIMESTAMP '2026-01-01')");
    let changed = |i: usize| format!("a.c{i} IS DISTINCT FROM b.c{i} AS \"c{i} changed\"");
    for sql in [
        format!("SELECT * FROM live.t WHERE k IN ({}) ORDER BY k LIMIT 10", list(4_000, &value, ", ")),
        format!("SELECT k FROM live.t WHERE {}", list(150, &|i| format!("name = 'x{i}'"), " OR ")),
        list(100, &union, " UNION ALL "),
        list(150, &|_| "SELECT * FROM live.data".to_owned(), " UNION ALL "),
        format!("SELECT {} FROM live.t AS \"t\" WHERE 1 = 1", list(500, &case, ", ")),
        format!("SELECT t.k FROM live.t {}", list(40, &joins, " ")),
        format!("SELECT * FROM (VALUES {}) AS v(a, b, c, d, e)", list(1_300, &row, ", ")),
        format!("SELECT {} FROM live.a a JOIN live.b b ON a.k = b.k", list(600, &changed, ", ")),
        format!("SELECT {}", list(60, &|i| format!("CASE WHEN a{i} > 1 THEN 1 ELSE 0 END"), " + ")),
        format!("SELECT [{}]", list(3_000, &|i| i.to_string(), ", ")),
        "SELECT t.end, t.case, t.where FROM t WHERE t.end > 1 AND t.\"when\" = 2".to_owned(),
        "WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT DISTINCT x, y FROM a, b WHERE a.x = b.x".to_owned(),
    ] {
        assert_eq!(generic(&sql), Ok(()), "{}", &sql[..sql.len().min(80)]);
    }
}

#[test]
fn calls_within_calls_are_refused_before_the_parser_tries_them_for_hours() {
    let within = |call: &str, n: usize| format!("SELECT {}1", call.repeat(n));
    let (generic, postgres) = (GenericDialect {}, PostgreSqlDialect {});
    for call in ["CAST(", "POSITION(", "SUBSTRING(", "CEIL(", "CASE (", "case + ", "ARRAY["] {
        assert_too_long(&within(call, 30), &generic);
        assert_too_long(&within(call, 15), &postgres);
    }
    assert_too_long(&within("f(", 19), &postgres);
    for few in ["f(", "CASE WHEN ", "(", "a AND (", "a IN (", "(SELECT "] {
        assert_eq!(check_size(&within(few, 60), &generic), Ok(()), "{few}");
    }
    for few in ["CASE WHEN ", "(", "a AND (", "a IN (", "(SELECT "] {
        assert_eq!(check_size(&within(few, 60), &postgres), Ok(()), "{few}");
    }
    let beside: Vec<String> = (0..200).map(|i| format!("CAST(coalesce(lower(c{i}), 'x') AS TEXT)")).collect();
    assert_eq!(check_size(&format!("SELECT {} FROM t", beside.join(", ")), &postgres), Ok(()));
}
