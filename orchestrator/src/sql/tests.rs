use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Schema;
use futures::TryStreamExt;
use rekap_tables::{Commit, Table, TableId, TableSchema, Tables, json};
use rekap_tiered_storage::{
    Clock, ColdTier, EmbeddedLog, Log, Mirror, MirrorPolicy, NewRecord, Offset, Partition, Positions, SystemClock,
    Timestamp, TopicConfig, TopicSchema, UTC,
};
use serde_json::{Value, json};

use super::limit::bounded;
use super::{Engine, SqlError, SqlLimits, SqlTables, check_session, select};
use crate::Scope;

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
        outbox: vec![],
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

/// Both tiers, empty but for the topic `odd.topic-1`: 2 partitions, of which the first 60 of 100 records each are in the cold tier only.
async fn log(folder: &Path) -> Arc<Log> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let hot = EmbeddedLog::open(&folder.join("log"), clock.clone()).unwrap();
    let cold = ColdTier::open(&format!("file:{}", folder.join("cold").display()), clock.clone()).unwrap();
    let log = Log::new(hot, Arc::new(cold));
    let schema = TopicSchema::parse(json!({"type": "object", "properties": {"n": {"type": "integer"}}})).unwrap();
    let config = TopicConfig { partitions: 2, schema: Some(schema), ..TopicConfig::default() };
    let topic = log.hot.create_topic(&TOPIC.parse().unwrap(), config).await.unwrap();
    let record = |n: i64, partition: u32| NewRecord {
        partition: Some(Partition(partition)),
        key: None,
        value: match n % 20 {
            7 => None,
            9 => Some("{\"n\": \"nine\"}".into()),
            _ => Some(format!("{{\"n\": {n}}}").into()),
        },
        headers: vec![],
        timestamp: Some(Timestamp::from_micros(n * 1_000_000)),
    };
    let mirror = Mirror::spawn(log.clone(), MirrorPolicy { topics: vec![], ..MirrorPolicy::default() }, clock);
    for (from, to) in [(0, 30), (30, 60), (60, 100)] {
        let records = (0..2).flat_map(|partition| (from..to).map(move |n| record(n, partition))).collect();
        log.hot.append(&topic.name, records, None).await.unwrap();
        if to <= 60 {
            mirror.flush(&topic.name).await.unwrap();
        }
    }
    for partition in 0..2 {
        log.hot.trim(&topic, Partition(partition), Offset::new(60)).await.unwrap();
    }
    Arc::new(log)
}

const TOPIC: &str = "odd.topic-1";

fn catalog(tables: &Tables, log: Arc<Log>) -> SqlTables {
    let old = table(tables, 1, &["currency", "minute"], prices(1.0));
    let new = table(tables, 2, &["currency", "minute"], prices(2.0));
    let versions = BTreeMap::from([("bpi@1".to_owned(), old.clone()), ("bpi@2".to_owned(), new)]);
    SqlTables { live: BTreeMap::from([("bpi".to_owned(), old)]), versions, log, scope: Scope::default() }
}

async fn answer(sql: &str) -> Result<Vec<Value>, SqlError> {
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path()).await;
    let engine = Engine::new(SqlLimits { max_memory: 64 << 20, ..SqlLimits::default() }).unwrap();
    let tables = catalog(&Tables::open(&dir.path().join("tables")).unwrap(), log);
    let batches: Vec<_> = engine.query(tables, sql).await?.try_collect().await?;
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
async fn a_row_whose_key_is_named_in_two_ways_is_found_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path()).await;
    let values = vec![("k", Arc::new(Float64Array::from(vec![0.0, 1.0])) as ArrayRef)];
    let live = table(&Tables::open(&dir.path().join("tables")).unwrap(), 1, &["k"], rows(values));
    let live = BTreeMap::from([("zeros".to_owned(), live)]);
    let tables = || {
        let (live, log) = (live.clone(), log.clone());
        SqlTables { live, versions: BTreeMap::new(), log, scope: Scope::default() }
    };
    let engine = Engine::new(SqlLimits { max_memory: 64 << 20, ..SqlLimits::default() }).unwrap();
    for condition in ["k IN (0.0, -0.0)", "k = 0.0 OR k = -0.0", "k IN (0.0, -0.0, 0.0)"] {
        let sql = format!("SELECT count(*) AS n FROM live.zeros WHERE {condition}");
        let batches: Vec<_> = engine.query(tables(), &sql).await.unwrap().try_collect().await.unwrap();
        let found: Vec<Value> = batches.iter().flat_map(|batch| json::values(batch).unwrap()).collect();
        assert_eq!(found, [json!({"n": 1})], "{condition}");
    }
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
        ("SELECT 1; SELECT 2", "SEVERAL_STATEMENTS"),
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
        ("EXPLAIN INSERT INTO live.bpi VALUES (1)", "NOT_A_SELECT"),
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
        ("SELECT * FROM log.ticks", "INVALID_QUERY"),
        ("SELECT * FROM log.\"no topic\"", "INVALID_QUERY"),
        ("INSERT INTO log.\"odd.topic-1\" VALUES (1)", "NOT_A_SELECT"),
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
    let series = || async { select(&check_session(), "SELECT value FROM generate_series(1, 100000)").await.unwrap() };
    let error = bounded(series().await, 99_999, Duration::from_secs(60)).try_collect::<Vec<_>>().await;
    assert!(matches!(SqlError::from(error.unwrap_err()), SqlError::TooManyRows(99_999)));
    let rows = bounded(series().await, 100_000, Duration::from_secs(60)).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 100_000);
    let error = bounded(Box::pin(never()), 1, Duration::ZERO).try_collect::<Vec<_>>().await;
    assert!(matches!(SqlError::from(error.unwrap_err()), SqlError::TooSlow(Duration::ZERO)));
}

fn never() -> datafusion::physical_plan::stream::RecordBatchStreamAdapter<
    futures::stream::Pending<Result<RecordBatch, datafusion::common::DataFusionError>>,
> {
    datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(
        Arc::new(Schema::empty()),
        futures::stream::pending(),
    )
}

/// The line of the plan that tells what is read.
async fn explained(sql: &str) -> String {
    let rows = answer(&format!("EXPLAIN {sql}")).await.unwrap();
    let plan =
        rows.iter().find(|row| row["plan_type"] == "physical_plan").unwrap()["plan"].as_str().unwrap().to_owned();
    let scans = plan.lines().map(str::trim).filter(|line| line.contains("Scan: "));
    scans.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_one_table_over_both_tiers() {
    let all = r#"SELECT count(*) AS records, count(n) AS decoded, count(_value) AS raw, min(_offset) AS low, max(_offset) AS high
                 FROM log."odd.topic-1""#;
    let expected = json!({"records": 200, "decoded": 180, "raw": 190, "low": 0, "high": 99});
    assert_eq!(answer(all).await.unwrap(), [expected]);
    assert_eq!(answer(r#"SELECT count(*) AS n FROM log."odd.topic-1""#).await.unwrap(), [json!({"n": 200})]);
    let sql = r#"SELECT * FROM log."odd.topic-1" WHERE _partition = 1 AND _offset IN (9, 7, 88) ORDER BY _offset"#;
    let row = |offset: i64, n: Value, value: Value| {
        let time = Timestamp::from_micros(offset * 1_000_000);
        json!({"n": n, "_partition": 1, "_offset": offset, "_timestamp": time, "_key": null, "_value": value, "_headers": []})
    };
    let undecodable = row(9, Value::Null, json!("eyJuIjogIm5pbmUifQ=="));
    let expected = [row(7, Value::Null, Value::Null), undecodable, row(88, json!(88), json!("eyJuIjogODh9"))];
    let found = answer(sql).await.unwrap();
    let without_headers = |mut row: Value| {
        if row["_headers"].is_null() {
            row["_headers"] = json!([]);
        }
        row
    };
    assert_eq!(found.into_iter().map(without_headers).collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_on_place_and_time_decide_what_is_read_at_all() {
    let about =
        |place: &str, columns: &str| format!("LogScan: log.odd.topic-1, {place}, lost_offsets=0, columns=[{columns}]");
    let scans = [
        ("SELECT n FROM log.\"odd.topic-1\"", "partitions=2 of 2, cold_files=4, cold_offsets=120, hot_offsets=80", "n"),
        (
            "SELECT n FROM log.\"odd.topic-1\" WHERE _partition = 1 AND _offset >= 20 AND _offset < 70",
            "partitions=1 of 2, cold_files=2, cold_offsets=40, hot_offsets=10",
            "n, _partition, _offset",
        ),
        (
            "SELECT _value FROM log.\"odd.topic-1\" WHERE _timestamp >= '1970-01-01T00:00:40Z'",
            "partitions=2 of 2, cold_files=2, cold_offsets=60, hot_offsets=80",
            "_timestamp, _value",
        ),
        (
            "SELECT 1 AS one FROM log.\"odd.topic-1\" WHERE _timestamp >= TIMESTAMP '1970-01-01 00:01:20'",
            "partitions=2 of 2, cold_files=0, cold_offsets=0, hot_offsets=40",
            "_timestamp",
        ),
        (
            "SELECT 1 AS one FROM log.\"odd.topic-1\" WHERE _timestamp < '1970-01-01T00:00:10Z' AND _partition IN (0, 7)",
            "partitions=1 of 2, cold_files=1, cold_offsets=30, hot_offsets=40",
            "_partition, _timestamp",
        ),
    ];
    for (sql, place, columns) in scans {
        assert_eq!(explained(sql).await, about(place, columns), "{sql}");
    }
    let counted = r#"SELECT count(*) AS n FROM log."odd.topic-1" WHERE _timestamp >= '1970-01-01T00:00:40Z'"#;
    assert_eq!(answer(counted).await.unwrap(), [json!({"n": 120})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_query_is_a_lookup() {
    let scans = [
        ("SELECT * FROM live.bpi", "bpi@1, all of 3 rows"),
        ("SELECT * FROM live.bpi WHERE currency = 'EUR'", "bpi@1, 1 ranges by 1 of 2 key columns"),
        (
            "SELECT * FROM live.bpi WHERE currency IN ('EUR', 'USD', 'JPY', 'GBP')",
            "bpi@1, 4 ranges by 1 of 2 key columns",
        ),
        (
            "SELECT * FROM version.\"bpi@2\" WHERE minute = '1970-01-01T00:01:00Z' AND currency = 'EUR' AND price > 1",
            "bpi@2, lookup of 1 keys",
        ),
        ("SELECT * FROM live.bpi WHERE minute = '1970-01-01T00:01:00Z'", "bpi@1, all of 3 rows"),
        ("SELECT * FROM live.bpi WHERE currency = 'EUR' OR n = 3", "bpi@1, all of 3 rows"),
    ];
    for (sql, about) in scans {
        assert_eq!(explained(sql).await, format!("TableScan: {about}"), "{sql}");
    }
    let sql = "SELECT n FROM live.bpi WHERE currency IN ('EUR', 'EUR', 'JPY', 'nothing') AND n > 1";
    assert_eq!(answer(sql).await.unwrap(), [json!({"n": 2})]);
    let joined =
        r#"SELECT count(*) AS n FROM live.bpi b JOIN log."odd.topic-1" l ON b.n = l.n WHERE b.currency = 'EUR'"#;
    assert_eq!(answer(joined).await.unwrap(), [json!({"n": 4})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_reader_has_gone_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (log, engine) = (log(dir.path()).await, Engine::new(SqlLimits::default()).unwrap());
    let tables = catalog(&Tables::open(&dir.path().join("tables")).unwrap(), log);
    let sql = "SELECT count(*) FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b";
    let mut rows = engine.query(tables, sql).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), rows.try_next()).await.is_err(), "it takes for ever");
    assert_eq!(engine.running(), 1);
    drop(rows);
    let ended = async {
        while engine.running() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the query ends");
}

/// What is just short enough to be looked at is read, planned and dropped on a stack as each thread of the engine has it.
#[test]
fn the_deepest_sql_that_is_taken_fits_on_a_threads_stack() {
    let many = |first: &str, n: usize, more: &dyn Fn(usize) -> String| {
        format!("{first}{}", (0..n).map(more).collect::<String>())
    };
    let deepest = [
        many("SELECT 1", 499, &|_| " + 1".into()),
        many("SELECT 1 WHERE true", 495, &|_| " AND true".into()),
        many("SELECT 1", 245, &|_| " IS NULL".into()),
        many("SELECT [1,1]", 100, &|_| "||[1,1]".into()),
        many("SELECT [1]", 490, &|_| "[1]".into()),
        many("SELECT 1 FROM (VALUES (1)) a", 490, &|i| format!(", (VALUES (1)) b{i}")),
        many("SELECT 1 FROM (VALUES (1)) a", 245, &|i| format!(" CROSS JOIN (VALUES (1)) b{i}")),
        many("SELECT 1 FROM (VALUES (1)) a", 160, &|i| format!(" JOIN (VALUES (1)) b{i} ON true")),
        many("SELECT 1", 199, &|_| " UNION ALL SELECT 1".into()),
        many("VALUES (1)", 199, &|_| " UNION VALUES (1)".into()),
        many("VALUES (1)", 199, &|_| " EXCEPT VALUES (1)".into()),
        format!("SELECT {}", "INTERVAL ".repeat(9)),
        format!("SELECT CAST(1 AS {}", "Nullable(".repeat(240)),
        format!("SELECT * FROM a {}", "JOIN b ".repeat(490)),
        format!("{}SELECT 1", "EXPLAIN ".repeat(190)),
    ];
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for sql in deepest {
            let planned = runtime.block_on(super::plan(&check_session(), &sql));
            let told = planned.map(drop).map_err(|error| error.to_string());
            assert!(!told.is_err_and(|told| told.contains("nests more than")), "{}", &sql[..60]);
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}
