//! A price index over real prices equals what DuckDB computes, wherever the records lie and whichever version computed it.

use rekap_tests::{Candles, Duck, Events, Job, Row, Trades, World, assert_same_rows};
use serde_json::{Value, json};

/// One price index in two versions, and the same sums in DuckDB's words.
struct Index {
    topic: &'static str,
    topic_config: Value,
    input: Value,
    events: Events,
    key: [&'static str; 2],
    plain: &'static str,
    weighted: &'static str,
    plain_judge: &'static str,
    weighted_judge: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daily_index_over_hourly_candles_equals_duckdb_all_its_life() {
    let index = Index {
        topic: "candles",
        topic_config: json!({"partitions": 3, "key": ["currency"], "schema": Candles::schema()}),
        input: json!({"topic": "candles"}),
        events: Candles::events(),
        key: ["currency", "day"],
        plain: "SELECT currency, date_bin(INTERVAL '1 day', ts) AS day, count(*) AS candles, avg(close) AS price, \
                min(low) AS low, max(high) AS high, sum(volume) AS volume \
                FROM candles GROUP BY currency, date_bin(INTERVAL '1 day', ts)",
        weighted: "SELECT currency, date_bin(INTERVAL '1 day', ts) AS day, count(*) AS candles, \
                   sum(close * volume) / nullif(sum(volume), 0) AS price, \
                   min(low) AS low, max(high) AS high, sum(volume) AS volume \
                   FROM candles GROUP BY currency, date_bin(INTERVAL '1 day', ts)",
        plain_judge: "SELECT currency, date_trunc('day', ts)::TIMESTAMP AS day, count(*) AS candles, avg(close) AS price, \
                      min(low) AS low, max(high) AS high, sum(volume) AS volume FROM candles GROUP BY ALL",
        weighted_judge: "SELECT currency, date_trunc('day', ts)::TIMESTAMP AS day, count(*) AS candles, \
                         sum(close * volume) / nullif(sum(volume), 0) AS price, \
                         min(low) AS low, max(high) AS high, sum(volume) AS volume FROM candles GROUP BY ALL",
    };
    index.is_right_all_its_life().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_by_minute_over_single_trades_equals_duckdb_all_its_life() {
    let index = Index {
        topic: "trades",
        topic_config: json!({"partitions": 2}),
        input: json!({"topic": "trades", "columns": Trades::columns()}),
        events: Trades::events(),
        key: ["currency", "minute"],
        plain: "SELECT currency, date_bin(INTERVAL '1 minute', ts) AS minute, count(*) AS trades, avg(price) AS price \
                FROM trades GROUP BY currency, date_bin(INTERVAL '1 minute', ts)",
        weighted: "SELECT currency, date_bin(INTERVAL '1 minute', ts) AS minute, count(*) AS trades, \
                   sum(price * amount) / sum(amount) AS price \
                   FROM trades WHERE amount > 0 GROUP BY currency, date_bin(INTERVAL '1 minute', ts)",
        plain_judge: "SELECT currency, make_timestamp(ts // 60 * 60 * 1000000) AS minute, count(*) AS trades, \
                      avg(price) AS price FROM trades GROUP BY ALL",
        weighted_judge: "SELECT currency, make_timestamp(ts // 60 * 60 * 1000000) AS minute, count(*) AS trades, \
                         sum(price * amount) / sum(amount) AS price FROM trades WHERE amount > 0 GROUP BY ALL",
    };
    index.is_right_all_its_life().await;
}

impl Index {
    async fn is_right_all_its_life(&self) {
        let mut world = World::start().await;
        let (most, half_of_rest) = (self.events.lines.len() * 8 / 10, self.events.lines.len() * 9 / 10);
        let history = self.events.before(most);
        world.topic(self.topic, &self.topic_config).await;
        world.append(self.topic, &history).await;
        let plain = Job::new("bpi", self.plain).input(self.topic, self.input.clone());

        world.deploy_first(&plain).await;
        self.check(&world, "before mirroring", "bpi", self.plain_judge, &history).await;
        world.mirror(self.topic).await;
        self.check(&world, "after mirroring", "bpi", self.plain_judge, &history).await;
        world.drop_hot_copy(self.topic).await;
        self.check(&world, "with the hot copy dropped", "bpi", self.plain_judge, &history).await;

        let second = world.deploy(&plain.but(self.weighted)).await;
        world.until_phase("bpi", second, "Ready").await;
        self.check(&world, "replayed by a second version", "bpi@2", self.weighted_judge, &history).await;
        self.check(&world, "the first version beside the second", "bpi", self.plain_judge, &history).await;
        world.promote("bpi", second).await;
        self.check(&world, "promoted", "bpi", self.weighted_judge, &history).await;

        world.append(self.topic, &self.events.before(half_of_rest).since(most)).await;
        self.check(&world, "after more events", "bpi", self.weighted_judge, &self.events.before(half_of_rest)).await;
        let rest = self.events.since(half_of_rest);
        let (rolled_back, ()) = tokio::join!(world.roll_back("bpi"), world.append(self.topic, &rest));
        assert_eq!(rolled_back["serving"], 1, "{rolled_back}");
        self.check(&world, "rolled back while events came", "bpi", self.plain_judge, &self.events).await;
        self.check(&world, "the version that was rolled back", "bpi@2", self.weighted_judge, &self.events).await;

        world.stop().await;
        world.restart().await;
        self.check(&world, "after a restart", "bpi", self.plain_judge, &self.events).await;
    }

    async fn check(&self, world: &World, moment: &str, alias: &str, judge: &str, events: &Events) {
        let ours: Vec<Row> = world.rows_at_end(alias, self.topic).await;
        let theirs = Duck::new().events(self.topic, events).rows(judge).await;
        assert_same_rows(&format!("{alias} {moment}"), &self.key, &ours, &theirs);
    }
}
