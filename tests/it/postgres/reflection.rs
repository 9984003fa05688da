//! What SQLAlchemy reflects of tables, by both of its drivers, and what pandas makes of it.

use serde_json::json;

use super::prices;

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy_reflects_columns_and_keys_and_pandas_reads_whole_tables() {
    let (_world, postgres) = prices().await;
    let answers = postgres
        .python(&json!([
            ["reflect", ["live", "bpi"]],
            ["reflect", ["version", "bpi@1"]],
            ["reflect", ["log", "raw.ticks"]],
            ["reflect", [null, "bpi"]],
            ["whole", ["live", "bpi"]],
            ["whole", [null, "bpi"]],
        ]))
        .await;
    let columns = json!([
        ["currency", "TEXT", true],
        ["minute", "TIMESTAMP", true],
        ["price", "DOUBLE PRECISION", true],
        ["trades", "BIGINT", true],
        ["money", "NUMERIC(30, 4)", true],
    ]);
    for reflected in [&answers[0], &answers[1], &answers[3]] {
        assert_eq!(reflected["columns"], columns);
        assert_eq!(reflected["key"], json!(["currency", "minute"]));
        let keys = json!([["currency", true], ["minute", true], ["price", false], ["trades", false], ["money", false]]);
        assert_eq!(reflected["autoload"], keys);
        for none in ["indexes", "unique", "checks", "foreign_keys", "views", "enums"] {
            assert_eq!(reflected[none], json!([]), "{none}");
        }
        assert_eq!(reflected["comment"], json!(null));
    }
    assert_eq!(answers[0]["everything"], json!(["live.bpi"]));
    assert_eq!(answers[3]["everything"], json!(["bpi"]));
    let topic = &answers[2];
    assert_eq!(topic["key"], json!(["_partition", "_offset"]));
    let column = |name: &str| {
        let columns = topic["columns"].as_array().expect("columns");
        columns.iter().find(|column| column[0] == name).unwrap_or_else(|| panic!("no {name} in {topic}")).clone()
    };
    assert_eq!(column("n"), json!(["n", "BIGINT", true]));
    assert_eq!(column("tags"), json!(["tags", "ARRAY", true]));
    assert_eq!(column("_offset"), json!(["_offset", "BIGINT", false]));
    for whole in &answers[4..] {
        assert_eq!((&whole["rows"], &whole["kinds"]["trades"]), (&json!(6), &json!("int64")), "{whole}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_client_may_join_the_catalog_as_it_likes() {
    let (_world, postgres) = prices().await;
    let key = "SELECT kcu.column_name FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage kcu \
               ON kcu.constraint_name = tc.constraint_name AND kcu.table_schema = tc.table_schema \
               WHERE tc.constraint_type = 'PRIMARY KEY' AND tc.table_schema = 'live' AND tc.table_name = 'bpi' \
               ORDER BY kcu.ordinal_position";
    assert_eq!(postgres.rows(key).await, ["currency", "minute"]);
    let attributes = "SELECT a.attname, (SELECT t.typname FROM pg_type t WHERE t.oid = a.atttypid), \
                      EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary), \
                      ARRAY(SELECT n.nspname FROM pg_namespace n WHERE n.nspname IN ('live', 'log') ORDER BY 1) \
                      FROM pg_attribute a WHERE a.attrelid = 'live.bpi'::regclass AND a.attnum <= 2 ORDER BY a.attnum";
    assert_eq!(postgres.rows(attributes).await, ["currency|text|t|{live,log}", "minute|timestamptz|t|{live,log}"]);
    let places = "SELECT (information_schema._pg_expandarray(i.indkey)).x, generate_subscripts(i.indkey, 1) FROM pg_index i \
                  JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname = 'bpi' ORDER BY 1";
    assert_eq!(postgres.rows(places).await, ["1|0", "2|1"]);
    let none = "SELECT (SELECT count(*) FROM pg_trigger), EXISTS (SELECT 1 FROM pg_policy), \
                (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d LIMIT 1) IS NULL FROM pg_namespace WHERE nspname = 'live'";
    assert_eq!(postgres.rows(none).await, ["0|f|t"]);
}
