//! Postgres clients: psql, SQLAlchemy and pandas, asyncpg and JDBC, and the questions of Grafana and Superset, all of them real.

mod drivers;
mod psql;
mod reflection;
mod tools;

use std::time::Duration;

use rekap_tests::{Client, Job, Ledger, NDJSON, Postgres, World, WorldConfig, until};
use serde_json::{Value, json};

/// How often each version must have been read before the next swap.
const READS_BETWEEN_SWAPS: u64 = 10;

/// A server with a topic of prices and a table of it.
pub(crate) async fn prices() -> (World, Postgres) {
    let postgres = Postgres::new();
    let world = World::with(WorldConfig {
        more: "[sql]\nmax_rows = 5000\nmax_time = \"20s\"\n",
        ..WorldConfig::default().on(postgres.setup())
    })
    .await;
    let schema = json!({"type": "object", "properties": {
        "currency": {"type": "string"}, "at": {"type": "string", "format": "date-time"},
        "price": {"type": "number"}, "n": {"type": "integer"}, "ok": {"type": "boolean"},
        "who": {"type": "object", "properties": {"name": {"type": "string"}}}, "tags": {"type": "array", "items": {"type": "string"}},
    }});
    world.topic("raw.ticks", &json!({"partitions": 2, "key": ["currency"], "schema": schema})).await;
    let events: String = (0..60).map(|n| format!("{}\n", tick(n))).collect();
    world.post_bytes("topics/raw.ticks/records", NDJSON, events).await.ok();
    let query = "SELECT currency, date_bin(INTERVAL '1 minute', at) AS minute, avg(price) AS price, count(*) AS trades, \
                 sum(CAST(price AS DECIMAL(20, 4))) AS money FROM ticks GROUP BY currency, date_bin(INTERVAL '1 minute', at)";
    let job = Job::new("bpi", query).input("ticks", json!({"topic": "raw.ticks"}));
    world.deploy_first(&job).await;
    world.rows_at_end("bpi", "raw.ticks").await;
    (world, postgres)
}

fn tick(n: u64) -> Value {
    json!({"currency": if n.is_multiple_of(3) { "EUR" } else { "USD" }, "at": format!("2026-01-01T00:{:02}:30Z", n / 20),
        "price": n as f64 + 0.5, "n": n, "ok": n.is_multiple_of(2), "who": {"name": format!("w{n}")}, "tags": ["a", "b,c"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy_and_pandas_find_tables_and_read_them_with_parameters() {
    let (_world, postgres) = prices().await;
    let read = "SELECT currency, minute, price, trades FROM bpi WHERE currency = :currency AND trades >= :n AND minute >= :at \
                ORDER BY minute";
    let answers = postgres
        .python(&json!([
            ["inspect", ["live"]],
            ["inspect", ["log"]],
            ["inspect", ["version"]],
            ["frame", [read, {"currency": "EUR", "n": 1, "at": "2026-01-01T00:01:00"}]],
            ["frame", ["SELECT sum(money) AS money, max(minute) AS newest FROM live.bpi", {}]],
            ["failure", ["DELETE FROM bpi"]],
            ["failure", ["SELECT * FROM nothing"]],
            ["failure", ["SELECT nothing FROM bpi"]],
            ["failure", ["SELECT value FROM generate_series(1, 6000)"]],
        ]))
        .await;
    let live = &answers[0];
    assert_eq!(live["default_schema"], "live");
    assert_eq!(live["schemas"], json!(["information_schema", "live", "log", "version"]));
    assert_eq!((&live["tables"], &live["found_without_schema"]), (&json!(["bpi"]), &json!(["bpi"])));
    assert_eq!(live["has"], json!({"bpi": true, "nothing": false}));
    assert_eq!(answers[1]["tables"], json!(["raw.ticks"]));
    assert_eq!(answers[2]["tables"], json!(["bpi@1"]));
    let frame = &answers[3];
    assert_eq!(frame["kinds"]["trades"], "int64", "{frame}");
    assert!(frame["kinds"]["minute"].as_str().expect("text").starts_with("datetime64"), "{frame}");
    let trades: Vec<&Value> = frame["rows"].as_array().expect("rows").iter().map(|row| &row["trades"]).collect();
    assert_eq!(trades, [7, 6], "{frame}");
    assert_eq!(answers[4]["rows"][0]["money"].to_string().trim_matches('"'), "1800.0", "{}", answers[4]);
    let states: Vec<&Value> = answers[5..].iter().map(|failed| &failed["state"]).collect();
    assert_eq!(states, ["25006", "42P01", "42703", "54000"]);
    assert!(answers[5..].iter().all(|failed| failed["goes_on"] == true), "{:?}", &answers[5..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reads_an_alias_through_promotions_and_rollbacks_without_an_error() {
    let postgres = Postgres::new();
    let world = World::with(WorldConfig::default().on(postgres.setup())).await;
    let ledger = Ledger::open(&world, "counters", 2).await;
    world.deploy_first(&Job::new("counts", &made_by(1)).reads("counters")).await;
    let writer = ledger.write(world.client());
    until_filled(&world).await;
    let follower = tokio::task::spawn_blocking(move || postgres.follow("counts")).await.expect("no panic within");
    let second = world.deploy(&Job::new("counts", &made_by(2)).reads("counters")).await;
    world.until_phase("counts", second, "Ready").await;
    let until_read = async |version: usize| {
        let before = follower.read(version);
        until(&format!("version {version} is read"), async || match follower.read(version) - before {
            READS_BETWEEN_SWAPS.. => Ok(()),
            reads => Err(format!("{reads} times")),
        })
        .await;
    };
    for _ in 0..3 {
        until_read(1).await;
        world.promote("counts", 2).await;
        until_read(2).await;
        world.roll_back("counts").await;
    }
    until_read(1).await;
    let readers = world.post("jobs/counts/plan", &Job::new("counts", &made_by(3)).reads("counters").body()).await.ok();
    assert!(readers.to_string().contains("(Postgres)"), "the plan knows who reads: {readers}");
    tokio::task::spawn_blocking(move || follower.stop()).await.expect("no read failed");
    writer.stop().await;
}

/// Each row says which version made it.
fn made_by(version: u64) -> String {
    format!("SELECT key, count(*) AS events, {version} AS made_by FROM counters GROUP BY key")
}

async fn until_filled(client: &Client) {
    until("the table has rows", async || {
        let rows = client.get("tables/counts/rows").await.ok();
        if rows["rows"].as_array().is_some_and(|rows| !rows.is_empty()) { Ok(()) } else { Err(rows) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_with_its_client_when_cancelled_and_when_the_server_stops() {
    let (mut world, postgres) = prices().await;
    let endless = "SELECT count(*) FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b";
    let refused = postgres.psql(&["SET statement_timeout = 300", endless]).await;
    assert!(refused.stderr.contains("statement timeout"), "{}", refused.stderr);
    until_running(&world, 0).await;

    let mut gone = postgres.start(endless);
    until_running(&world, 1).await;
    gone.kill().expect("a child can be killed");
    gone.wait().expect("a killed child ends");
    tokio::time::timeout(Duration::from_secs(15), until_running(&world, 0)).await.expect("before its time is up");

    let cancelled = postgres.start(endless);
    until_running(&world, 1).await;
    std::process::Command::new("kill").args(["-INT", &cancelled.id().to_string()]).status().expect("`kill` is there");
    let said =
        tokio::task::spawn_blocking(move || cancelled.wait_with_output()).await.expect("no panic").expect("it ends");
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("canceling statement due to user request"), "{said}");
    until_running(&world, 0).await;

    let stopped = postgres.start(endless);
    until_running(&world, 1).await;
    world.stop().await;
    let said =
        tokio::task::spawn_blocking(move || stopped.wait_with_output()).await.expect("no panic").expect("it ends");
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("the server is stopping"), "the query did not hold up the stop until it was cut off: {said}");
}

async fn until_running(world: &World, wanted: u64) {
    until(&format!("{wanted} queries run"), async || {
        let text = String::from_utf8(world.get("/metrics").await.body).expect("text");
        let line = text.lines().find(|line| line.starts_with("rekap_sql_queries_running")).expect("the metric");
        if line.ends_with(&format!(" {wanted}")) { Ok(()) } else { Err(line.to_owned()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_one_more_is_told() {
    let (world, postgres) = prices().await;
    let endless = "SELECT count(*) FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b";
    let mut clients: Vec<_> = (0..8).map(|_| postgres.start(endless)).collect();
    until_running(&world, 8).await;
    until("there are too many", async || {
        let called = postgres.psql(&["SELECT 1"]).await;
        if called.stderr.contains("too many clients already") { Ok(()) } else { Err(called.stdout) }
    })
    .await;
    for client in &mut clients {
        client.kill().expect("a child can be killed");
        client.wait().expect("a killed child ends");
    }
    until("there is room again", async || match postgres.psql(&["SELECT 1"]).await {
        called if called.code == 0 => Ok(()),
        called => Err(called.stderr),
    })
    .await;
}
