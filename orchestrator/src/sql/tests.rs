use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Schema;
use futures::TryStreamExt;
use rekap_tables::{Commit, Table, TableId, TableSchema, Tables, json};
use rekap_tiered_storage::{Positions, UTC};
use serde_json::{Value, json};

use super::limit::bounded;
use super::{SqlError, SqlTables, query, select, session};

/// A table at `ticks/0=7` that holds these rows, keyed by the columns named.
pub(crate) fn table(tables: &Tables, version: u32, key: &[&str], rows: RecordBatch) -> Table {
    let columns = rows.schema();
    let key: Vec<usize> = key.iter().map(|name| columns.index_of(name).unwrap()).collect();
    let schema = TableSchema::new(columns, key.clone(), Arc::new(Schema::empty()), None).unwrap();
    let at = |text: &str| text.parse::<Positions>().unwrap();
    let id = TableId { job: "bpi".into(), version, attempt: 1 };
    let table = tables.create(&id, &schema, &at("ticks/0=0")).unwrap();
    let state = rows.project(&key).unwrap().columns().to_vec();
    let commit = Commit {
        epoch: table.claim().unwrap(),
        from: at("ticks/0=0"),
        to: at("ticks/0=7"),
        state: RecordBatch::try_new(schema.state_schema(), state).unwrap(),
        has_row: BooleanArray::from(vec![true; rows.num_rows()]),
        rows: RecordBatch::try_new(schema.columns().clone(), rows.columns().to_vec()).unwrap(),
        dead_letters: Vec::new(),
        tombstones_skipped: 0,
        late: 0,
        horizon: None,
    };
    table.commit(commit).unwrap();
    table
}

/// Nullable columns as rows.
pub(crate) fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn prices(factor: f64) -> RecordBatch {
    let minutes = TimestampMicrosecondArray::from(vec![0, 60_000_000, 0]).with_timezone(UTC);
    rows(vec![
        ("currency", Arc::new(StringArray::from(vec!["EUR", "EUR", "USD"]))),
        ("minute", Arc::new(minutes)),
        ("price", Arc::new(Float64Array::from(vec![Some(0.1 * factor), Some(2.0 * factor), None]))),
        ("n", Arc::new(Int64Array::from(vec![1, 2, 3]))),
    ])
}

fn catalog(tables: &Tables) -> SqlTables {
    let old = table(tables, 1, &["currency", "minute"], prices(1.0));
    let new = table(tables, 2, &["currency", "minute"], prices(2.0));
    let versions = BTreeMap::from([("bpi@1".to_owned(), old.clone()), ("bpi@2".to_owned(), new)]);
    SqlTables { live: BTreeMap::from([("bpi".to_owned(), old)]), versions }
}

async fn answer(sql: &str) -> Result<Vec<Value>, SqlError> {
    let dir = tempfile::tempdir().unwrap();
    let batches: Vec<_> = query(catalog(&Tables::open(dir.path()).unwrap()), sql).await?.try_collect().await?;
    Ok(batches.iter().flat_map(|batch| json::values(batch).unwrap()).collect())
}

#[tokio::test]
async fn a_select_reads_what_an_alias_serves() {
    let rows = answer("SELECT currency, minute, price, n FROM live.bpi WHERE n < 3 ORDER BY n").await.unwrap();
    let minute = |minute| format!("1970-01-01T00:0{minute}:00Z");
    assert_eq!(
        rows,
        [
            json!({"currency": "EUR", "minute": minute(0), "price": 0.1, "n": 1}),
            json!({"currency": "EUR", "minute": minute(1), "price": 2.0, "n": 2}),
        ]
    );
    assert_eq!(answer("SELECT count(*) AS rows FROM live.bpi").await.unwrap(), [json!({"rows": 3})]);
}

#[tokio::test]
async fn versions_are_joined_by_name_and_number() {
    let sql = r#"SELECT old.currency, sum(new.price) AS price FROM live.bpi old
                 JOIN version."bpi@2" new ON old.currency = new.currency AND old.minute = new.minute
                 GROUP BY old.currency ORDER BY 1"#;
    let rows = answer(sql).await.unwrap();
    assert_eq!(rows, [json!({"currency": "EUR", "price": 4.2}), json!({"currency": "USD", "price": null})]);
}

#[tokio::test]
async fn everything_but_one_select_over_what_there_is_is_refused() {
    let refused = [
        ("", "INVALID_QUERY"),
        ("SELEKT 1", "INVALID_QUERY"),
        ("SELECT 1; SELECT 2", "INVALID_QUERY"),
        ("INSERT INTO live.bpi VALUES ('USD', 1)", "NOT_A_SELECT"),
        ("DELETE FROM live.bpi", "NOT_A_SELECT"),
        ("DROP TABLE live.bpi", "NOT_A_SELECT"),
        ("CREATE TABLE t AS SELECT 1", "NOT_A_SELECT"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "NOT_A_SELECT"),
        ("COPY (SELECT 1) TO '/tmp/rekap-copy.csv'", "NOT_A_SELECT"),
        ("COPY live.bpi TO '/tmp/rekap-copy.csv'", "NOT_A_SELECT"),
        ("SET datafusion.execution.batch_size = 1", "NOT_A_SELECT"),
        ("RESET datafusion.execution.batch_size", "NOT_A_SELECT"),
        ("SHOW TABLES", "NOT_A_SELECT"),
        ("EXPLAIN SELECT 1", "NOT_A_SELECT"),
        ("EXPLAIN ANALYZE SELECT 1", "NOT_A_SELECT"),
        ("PREPARE p AS SELECT 1", "NOT_A_SELECT"),
        ("SELECT * INTO t FROM live.bpi", "INVALID_QUERY"),
        ("WITH x AS (INSERT INTO live.bpi VALUES (1)) SELECT * FROM x", "INVALID_QUERY"),
        ("SELECT * FROM live.nothing", "INVALID_QUERY"),
        ("SELECT * FROM live.bpi WHERE nothing = 1", "INVALID_QUERY"),
        ("SELECT * FROM '/etc/passwd'", "INVALID_QUERY"),
        ("SELECT * FROM 'http://127.0.0.1/x.csv'", "INVALID_QUERY"),
        ("SELECT * FROM read_csv('/etc/passwd')", "INVALID_QUERY"),
        ("SELECT * FROM information_schema.tables", "INVALID_QUERY"),
        ("SELECT * FROM log.ticks", "NOT_BUILT"),
        ("SELECT n FROM live.bpi UNION ALL SELECT _offset FROM log.ticks", "NOT_BUILT"),
        ("SELECT 1 / 0", "QUERY_FAILED"),
    ];
    for (sql, code) in refused {
        let error = answer(sql).await.expect_err(sql);
        assert_eq!(error.code(), code, "{sql}: {error}");
        assert!(!error.remedy().is_empty());
    }
    assert!(!std::path::Path::new("/tmp/rekap-copy.csv").exists());
}

#[tokio::test]
async fn a_query_that_needs_too_much_memory_is_refused_not_spilled() {
    let sql = "SELECT value, repeat('x', 1000) || value FROM generate_series(1, 10000000) ORDER BY 2";
    let error = answer(sql).await.expect_err("ten gigabytes do not fit");
    assert_eq!(error.code(), "QUERY_TOO_LARGE", "{error}");
}

#[tokio::test]
async fn an_answer_ends_at_its_bounds() {
    let series = || async { select(&session(), "SELECT value FROM generate_series(1, 100000)").await.unwrap() };
    let error = bounded(series().await, 99_999, Duration::from_secs(60)).try_collect::<Vec<_>>().await;
    assert!(matches!(SqlError::from(error.unwrap_err()), SqlError::TooManyRows(99_999)));
    let rows = bounded(series().await, 100_000, Duration::from_secs(60)).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 100_000);
    let error = bounded(Box::pin(never()), 1, Duration::ZERO).try_collect::<Vec<_>>().await;
    assert!(matches!(SqlError::from(error.unwrap_err()), SqlError::TooSlow(0)));
}

fn never() -> datafusion::physical_plan::stream::RecordBatchStreamAdapter<
    futures::stream::Pending<Result<RecordBatch, datafusion::common::DataFusionError>>,
> {
    datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(
        Arc::new(Schema::empty()),
        futures::stream::pending(),
    )
}
