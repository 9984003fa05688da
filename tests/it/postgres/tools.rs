//! The questions that Grafana's and Superset's Postgres sources ask, as they send them.

use super::prices;

/// The part of Grafana's questions that says which schemas are found without their names.
const SEARCHED: &str = r#"(
  SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
  FROM generate_series(
      array_lower(string_to_array(current_setting('search_path'),','),1),
      array_upper(string_to_array(current_setting('search_path'),','),1)) as i,
    string_to_array(current_setting('search_path'),',') s)"#;

#[tokio::test(flavor = "multi_thread")]
async fn grafanas_questions_are_answered() {
    let (_world, postgres) = prices().await;
    assert_eq!(postgres.rows("SELECT current_setting('server_version_num')::int/100 as version").await, ["1600"]);
    let tables = format!(
        "SELECT CASE WHEN quote_ident(table_schema) IN {SEARCHED} THEN quote_ident(table_name) \
         ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS \"table\" \
         FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', \
         '_timescaledb_cache', '_timescaledb_catalog', '_timescaledb_internal', '_timescaledb_config', \
         'timescaledb_information', 'timescaledb_experimental') \
         ORDER BY CASE WHEN quote_ident(table_schema) IN {SEARCHED} THEN 0 ELSE 1 END, 1"
    );
    let tables = postgres.rows(&tables).await;
    assert!(tables.iter().any(|table| table == "live.bpi" || table == "bpi"), "{tables:?}");
    assert!(tables.iter().any(|table| table == "version.\"bpi@1\""), "{tables:?}");
    let columns = |table: &str| {
        format!(
            "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns \
             WHERE CASE WHEN array_length(parse_ident('{table}'),1) = 2 \
             THEN quote_ident(table_schema) = (parse_ident('{table}'))[1] AND quote_ident(table_name) = (parse_ident('{table}'))[2] \
             ELSE quote_ident(table_name) = '{table}' AND quote_ident(table_schema) IN {SEARCHED} END"
        )
    };
    let found = postgres.rows(&columns("live.bpi")).await;
    assert!(found.contains(&"currency|text".to_owned()) && found.contains(&"trades|bigint".to_owned()), "{found:?}");
    assert!(found.iter().any(|column| column.starts_with("minute|timestamp")), "{found:?}");
    // What its macros $__timeGroup, $__timeFilter and $__timeEpoch come to.
    let series = "SELECT floor(extract(epoch from minute)/60)*60 AS \"time\", currency AS metric, avg(price) AS value FROM bpi \
                  WHERE minute BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-01T01:00:00Z' GROUP BY 1, 2 ORDER BY 1, 2";
    assert_eq!(postgres.rows(series).await.len(), 6);
    let epoch = "SELECT extract(epoch from minute) AS \"time\", price FROM live.bpi WHERE currency IN ('EUR') ORDER BY 1 LIMIT 2";
    assert_eq!(postgres.rows(epoch).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn supersets_questions_are_answered() {
    let (_world, postgres) = prices().await;
    let schemas = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg\\_%' ORDER BY nspname";
    assert_eq!(postgres.rows(schemas).await, ["information_schema", "live", "log", "version"]);
    assert!(
        postgres.rows("SELECT datname FROM pg_database WHERE NOT datistemplate").await.contains(&"rekap".to_owned())
    );
    assert_eq!(postgres.rows("SELECT pg_catalog.version()").await.len(), 1);
    assert_eq!(postgres.rows("select current_schema()").await, ["live"]);
    assert_eq!(postgres.rows("show standard_conforming_strings").await, ["on"]);
    assert_eq!(postgres.rows("SHOW search_path").await, ["live"]);
    let preview = "SELECT currency AS currency, minute AS minute, price AS price FROM live.bpi LIMIT 100 OFFSET 0";
    assert_eq!(postgres.rows(preview).await.len(), 6);
    let chart = "SELECT DATE_TRUNC('minute', minute) AS __timestamp, currency AS currency, SUM(trades) AS \"SUM(trades)\" FROM live.bpi \
                 WHERE minute >= '2026-01-01 00:00:00.000000' AND minute < TO_TIMESTAMP('2026-01-02 00:00:00', '%Y-%m-%d %H:%M:%S') \
                 GROUP BY DATE_TRUNC('minute', minute), currency ORDER BY \"SUM(trades)\" DESC LIMIT 50000";
    assert_eq!(postgres.rows(chart).await.len(), 6);
    let virtual_table = "SELECT currency, COUNT(*) AS count FROM (SELECT * FROM bpi WHERE trades > 1) AS virtual_table \
                         GROUP BY currency ORDER BY count DESC LIMIT 1000";
    assert_eq!(postgres.rows(virtual_table).await.len(), 2);
}
