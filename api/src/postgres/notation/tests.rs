use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::rewrite;

fn rewritten(sql: &str) -> String {
    let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
    rewrite(&mut statement);
    statement.to_string()
}

#[test]
fn a_select_from_nothing_keeps_its_columns_and_reads_no_table() {
    for (sql, same) in [
        (
            "SELECT polname, pg_get_expr(polqual, polrelid), CASE polcmd WHEN 'r' THEN 'SELECT' END AS cmd FROM pg_catalog.pg_policy \
             WHERE polrelid = '5' ORDER BY 1",
            "SELECT NULL AS \"polname\", NULL AS \"pg_get_expr\", NULL AS cmd WHERE false",
        ),
        (
            "SELECT a, a FROM pg_catalog.pg_class c JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid",
            "SELECT NULL AS \"a\", NULL AS \"a_\" WHERE false",
        ),
        ("SELECT conname FROM pg_catalog.pg_constraint WHERE contype = 'f'", "SELECT NULL AS \"conname\" WHERE false"),
    ] {
        assert_eq!(rewritten(sql), same, "{sql}");
    }
}

#[test]
fn what_has_rows_all_the_same_stays_as_it_is() {
    for sql in [
        "SELECT c.oid, d.adbin FROM pg_catalog.pg_class AS c LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid",
        "SELECT count(*) FROM pg_catalog.pg_trigger",
        "SELECT * FROM pg_catalog.pg_trigger",
        "SELECT conname FROM pg_catalog.pg_constraint WHERE contype = 'p'",
    ] {
        assert_eq!(rewritten(sql), sql);
    }
}

#[test]
fn a_subquery_over_nothing_is_null_or_false_or_an_empty_array() {
    let from = "FROM pg_catalog.pg_class AS c";
    for (column, same) in [
        ("(SELECT pg_get_expr(adbin, adrelid) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = c.oid)", "NULL"),
        ("EXISTS (SELECT 1 FROM pg_catalog.pg_inherits)", "false"),
        ("c.oid NOT IN (SELECT inhrelid FROM pg_catalog.pg_inherits)", "true"),
        ("ARRAY(SELECT enumlabel FROM pg_catalog.pg_enum)", "make_array()"),
        ("ARRAY(SELECT 'toast.' || x FROM unnest(c.reloptions) x)", "make_array()"),
    ] {
        assert_eq!(rewritten(&format!("SELECT {column} {from}")), format!("SELECT {same} {from}"));
    }
}

#[test]
fn a_subquery_that_stands_for_a_value_is_aggregated() {
    let from = "FROM pg_catalog.pg_attribute AS a";
    for (column, same) in [
        (
            "(SELECT t.typname FROM pg_catalog.pg_type AS t WHERE t.oid = a.atttypid)",
            "(SELECT first_value(t.typname) FROM pg_catalog.pg_type AS t WHERE t.oid = a.atttypid)",
        ),
        (
            "(SELECT c.collname FROM pg_catalog.pg_collation AS c, pg_catalog.pg_type AS t WHERE c.oid = a.attcollation AND \
             t.oid = a.atttypid AND a.attcollation <> t.typcollation)",
            "(SELECT first_value(c.collname) FROM pg_catalog.pg_collation AS c, pg_catalog.pg_type AS t WHERE c.oid = a.attcollation \
             AND t.oid = a.atttypid AND c.oid <> t.typcollation)",
        ),
        (
            "ARRAY(SELECT typname FROM pg_catalog.pg_type ORDER BY 1)",
            "coalesce((SELECT array_agg(typname ORDER BY typname) FROM pg_catalog.pg_type), make_array())",
        ),
        (
            "a.attname IN (SELECT typname FROM pg_catalog.pg_type)",
            "coalesce(array_contains(coalesce((SELECT array_agg(typname) FROM pg_catalog.pg_type), make_array()), a.attname), false)",
        ),
        ("(SELECT max(oid) FROM pg_catalog.pg_type)", "(SELECT max(oid) FROM pg_catalog.pg_type)"),
    ] {
        assert_eq!(rewritten(&format!("SELECT {column} {from}")), format!("SELECT {same} {from}"));
    }
}

#[test]
fn functions_that_give_sets_are_unnested() {
    for (sql, same) in [
        (
            "SELECT generate_subscripts(i.indkey, 1) AS n FROM pg_catalog.pg_index AS i",
            "SELECT unnest(generate_series(CAST(0 AS BIGINT), CAST(array_length(i.indkey, 1) AS BIGINT) + -1)) AS n \
             FROM pg_catalog.pg_index AS i",
        ),
        (
            "SELECT (_pg_expandarray(i.indkey)).n FROM pg_catalog.pg_index AS i",
            "SELECT get_field(unnest(pg_expandarray(i.indkey)), 'n') FROM pg_catalog.pg_index AS i",
        ),
        (
            "SELECT s[i] FROM generate_series(1, array_upper(x, 1)) AS i, string_to_array('a,b', ',') s",
            "SELECT s[i] FROM (SELECT unnest(generate_series(CAST(1 AS BIGINT), CAST(array_upper(x, 1) AS BIGINT))) AS i) AS i, \
             (SELECT string_to_array('a,b', ',') AS s) AS s",
        ),
        ("SELECT NULL, NULL FROM pg_catalog.pg_class", "SELECT NULL, NULL AS \"?column?_1\" FROM pg_catalog.pg_class"),
    ] {
        assert_eq!(rewritten(sql), same, "{sql}");
    }
}
