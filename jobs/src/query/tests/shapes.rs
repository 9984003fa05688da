//! Queries of every shape that people write: cut into ranges they give what one query over all rows gives.

use super::merge::assert_same;
use super::*;
use crate::query::aggregates::Accuracy;

const TOML: &str = "name = 'test'\n[inputs.g]\ntopic = 'g'\n[inputs.g.columns]\nraw = { type = 'json', path = '/payload' }\n\
                    ms = 'timestamp_ms'\nlogin = { type = 'text', path = '/actor/login' }\n[inputs.e]\ntopic = 'e'\n";

/// Events as GitHub, an NGINX server and a shop tell of them, all in one.
fn schema() -> serde_json::Value {
    let actor =
        serde_json::json!({"type": "object", "properties": {"id": {"type": "integer"}, "login": {"type": "string"}}});
    serde_json::json!({"type": "object", "properties": {
        "type": {"type": "string"}, "id": {"type": "string"}, "public": {"type": "boolean"}, "actor": actor,
        "payload": {"type": "object", "properties": {
            "size": {"type": "integer"}, "commit": {"type": "object", "properties": {"sha": {"type": "string"}}},
            "commits": {"type": "array", "items": {"type": "object", "properties": {"sha": {"type": "string"}, "n": {"type": "integer"}}}}
        }},
        "zones": {"type": "object", "properties": {"hg.nginx.org": {"type": "object", "properties": {
            "requests": {"type": "integer"}, "responses": {"type": "object", "properties": {"2xx": {"type": "integer"}}}
        }}}},
        "tags": {"type": "array", "items": {"type": "string"}}, "sizes": {"type": "array", "items": {"type": "integer"}},
        "price": {"type": "number"}, "createdAt": {"type": "string", "format": "date-time"}, "ms": {"type": "integer"},
        "Volume BTC": {"type": "number"}, "$schema": {"type": "string"}, "when": {"type": "string", "format": "date-time"}
    }})
}

fn topics() -> [Topic; 2] {
    [
        topic("g", &["id"], schema()),
        topic(
            "e",
            &[],
            serde_json::json!({"type": "object", "properties": {
        "kind": {"type": "string"}, "amount": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}}),
        ),
    ]
}

fn record(chance: &mut Chance, offset: i64) -> Record {
    let n = |chance: &mut Chance, bound| chance.below(bound) as i64;
    let time =
        format!("2015-01-01T{:02}:{:02}:{:02}.{:03}Z", n(chance, 24), n(chance, 60), n(chance, 60), n(chance, 1000));
    let tags: Vec<String> = (0..chance.below(4)).map(|i| format!("tag{}", i + chance.below(2))).collect();
    let mut event = serde_json::json!({
        "type": (["PushEvent", "WatchEvent", "IssueEvent"][chance.below(3) as usize]), "id": format!("{}", chance.below(40)),
        "public": chance.below(4) > 0, "actor": {"id": n(chance, 9), "login": format!("Eve{}", chance.below(5))},
        "payload": {"size": n(chance, 5) - 1, "commit": {"sha": format!("{:06x}", chance.below(999_999))},
            "commits": [{"sha": "a", "n": n(chance, 5)}, {"sha": "b", "n": 2}]},
        "zones": {"hg.nginx.org": {"requests": n(chance, 100), "responses": {"2xx": n(chance, 50)}}},
        "tags": tags, "sizes": [n(chance, 9), 3], "price": n(chance, 4000) as f64 / 4.0, "createdAt": time,
        "ms": 1_420_070_400_000_i64 + n(chance, 86_400_000), "Volume BTC": n(chance, 100) as f64 / 8.0,
        "$schema": "x", "when": "9999-12-31T00:00:00Z"
    });
    let fields: Vec<String> = event.as_object().unwrap().keys().cloned().collect();
    for field in fields {
        if field != "id" && chance.below(9) == 0 {
            event[field] = serde_json::Value::Null;
        }
    }
    Record {
        partition: chance.below(2) as u32,
        offset,
        timestamp: 1_420_070_400_000_000 + chance.below(1_000) as i64,
        key: event["id"].as_str().map(str::to_owned),
        value: Some(event.to_string()),
    }
}

/// GROUP BY queries over `g`.
const SHAPES: &[&str] = &[
    "SELECT type, coalesce(sum(payload.size), 0) AS size, count(*) FILTER (WHERE public) AS open FROM g GROUP BY type",
    "SELECT payload['commit']['sha'] AS sha, count(*) AS n FROM g GROUP BY payload['commit']['sha']",
    "SELECT g.payload.commit.sha AS sha, max(actor.id) AS n FROM g GROUP BY 1",
    "SELECT zones['hg.nginx.org']['responses']['2xx'] AS ok, sum(zones['hg.nginx.org']['requests']) AS r FROM g GROUP BY 1",
    "SELECT array_length(tags) AS n, count(*) AS c, max(tags[1]) AS first, sum(sizes[2]) AS s FROM g GROUP BY array_length(tags)",
    "SELECT coalesce(array_length(tags), 0) AS n, bool_or(array_has(tags, 'tag1')) AS has FROM g GROUP BY 1",
    "SELECT array_to_string(tags, ',') AS t, count(*) AS c, min(cardinality(sizes)) AS m FROM g GROUP BY array_to_string(tags, ',')",
    "SELECT payload.commits[1]['sha'] AS sha, sum(payload.commits[1]['n']) AS n FROM g GROUP BY 1",
    "SELECT date_bin(INTERVAL '15 minutes', \"createdAt\") AS at, count(*) AS n FROM g GROUP BY 1",
    "SELECT date_bin(INTERVAL '1 hour', \"createdAt\", TIMESTAMP '2015-01-01T00:30:00Z') AS at, count(*) AS n FROM g GROUP BY 1",
    "SELECT date_trunc('hour', \"createdAt\") AS at, min(ms) AS a, max(ms) AS b FROM g GROUP BY 1",
    "SELECT date_trunc('day', ms) AS day, extract(hour FROM ms) AS hour, count(*) AS n FROM g GROUP BY 1, 2",
    "SELECT date_part('dow', \"createdAt\") AS dow, avg(extract(epoch FROM \"createdAt\")) AS e FROM g GROUP BY 1",
    "SELECT to_timestamp_seconds(1420070400 + payload.size) AS at, count(*) AS n FROM g GROUP BY 1",
    "SELECT to_timestamp_millis(1420070400000 + payload.size) AS at, max(to_timestamp(1420070400)) AS m FROM g GROUP BY 1",
    "SELECT to_timestamp_micros(payload.size) AS at, min(to_timestamp_nanos(1)) AS n FROM g GROUP BY 1",
    "SELECT CAST(\"createdAt\" AS DATE) AS day, count(*) AS n FROM g GROUP BY 1",
    "SELECT to_char(\"createdAt\", '%Y-%m-%d %H') AS hour, count(*) AS n FROM g GROUP BY 1",
    "SELECT type, max(\"createdAt\" - INTERVAL '1 day') AS before, min(\"createdAt\" + INTERVAL '1 month') AS after FROM g GROUP BY type",
    "SELECT type, max(ms) - min(ms) AS span FROM g GROUP BY type",
    "SELECT type, count(*) AS n FROM g WHERE \"createdAt\" >= TIMESTAMP '2015-01-01T06:00:00Z' AND \"when\" > '2020-01-01T00:00:00Z' GROUP BY type",
    "SELECT \"when\", count(*) AS n FROM g WHERE \"when\" > TIMESTAMP '2016-01-01 00:00:00' GROUP BY \"when\"",
    "SELECT CAST(price AS DECIMAL(12, 2)) AS p, sum(CAST(price AS DECIMAL(12, 2))) AS s, avg(CAST(price AS DECIMAL(12, 2))) AS a FROM g GROUP BY 1",
    "SELECT type, sum(CAST(price AS DECIMAL(12, 4)) * CAST(\"Volume BTC\" AS DECIMAL(12, 4))) AS turnover FROM g GROUP BY type",
    "SELECT type, sum(price * \"Volume BTC\") / nullif(sum(\"Volume BTC\"), 0) AS vwap FROM g GROUP BY type",
    "SELECT type, sum(price) AS s, max(TRY_CAST(id AS BIGINT)) AS m FROM g GROUP BY type",
    "SELECT CASE WHEN price > 500 THEN CASE WHEN public THEN 'a' ELSE 'b' END WHEN price IS NULL THEN NULL ELSE 'c' END AS c, count(*) AS n FROM g GROUP BY 1",
    "SELECT CASE type WHEN 'PushEvent' THEN 1 WHEN 'WatchEvent' THEN 2 ELSE 0 END AS c, sum(CASE WHEN public THEN 1 ELSE 0 END) AS n FROM g GROUP BY 1",
    "SELECT lower(login) AS l, count(*) AS n FROM g WHERE login LIKE 'Eve%' AND login NOT ILIKE '%4' GROUP BY lower(login)",
    "SELECT regexp_replace(login, '[0-9]+', '#') AS l, bool_or(regexp_like(login, '^Eve[12]$')) AS m, count(*) AS n FROM g GROUP BY 1",
    "SELECT split_part(type, 'E', 1) AS t, max(length(login)) AS l, min(concat(login, '-', id)) AS c, max(substr(login, 2, 2)) AS s FROM g GROUP BY 1",
    "SELECT trim(type) || '/' || coalesce(login, '?') AS t, min(reverse(login)) AS r, max(lpad(id, 5, '0')) AS p FROM g GROUP BY 1",
    "SELECT left(login, 3) AS l, count(*) AS n FROM g WHERE position('v' IN login) = 2 OR starts_with(type, 'Push') GROUP BY 1",
    "SELECT login, md5(login) AS h, encode(sha256(login), 'hex') AS s, count(*) AS n FROM g GROUP BY login",
    "SELECT type, raw IS NULL AS none, count(*) AS n, max(length(raw)) AS l FROM g GROUP BY 1, 2",
    "SELECT actor, count(*) AS n FROM g GROUP BY actor",
    "SELECT tags, count(*) AS n FROM g GROUP BY tags",
    "SELECT public, NOT public AS closed, count(*) AS n FROM g WHERE public IS NOT NULL GROUP BY public",
    "SELECT type, round(avg(price), 2) AS p, ceil(max(price)) AS c, floor(min(price)) AS f, sqrt(sum(price)) AS q, power(count(*), 2) AS w FROM g GROUP BY type",
    "SELECT greatest(payload.size, actor.id) AS m, least(payload.size, 2) AS l, count(*) AS n FROM g GROUP BY 1, 2",
    "SELECT payload.size % 3 AS m, abs(payload.size) AS a, sum(payload.size & 1) AS b, count(*) AS n FROM g GROUP BY 1, 2",
    "SELECT type, count(*) AS n FROM g WHERE payload.size IN (-1, 0, 1) AND id NOT IN ('1', '2') AND price BETWEEN 10 AND 900 GROUP BY type",
    "SELECT type, count(*) AS n FROM g WHERE (payload.size IS DISTINCT FROM 2) AND (public IS NOT TRUE OR price IS NULL) GROUP BY type",
    "SELECT type, count(*) AS n FROM g GROUP BY type HAVING count(*) > 3 AND max(price) > 100 AND type <> 'IssueEvent'",
    "SELECT type, count(*) AS n, last_value(login ORDER BY \"createdAt\" DESC, id) AS l FROM g GROUP BY type HAVING last_value(login ORDER BY \"createdAt\" DESC, id) IS NOT NULL",
    "WITH a AS (SELECT type AS t, price AS p, public FROM g WHERE price > 1), b AS (SELECT t, p * 2 AS pp FROM a WHERE public), c AS (SELECT t, sum(pp) AS s, count(*) AS n FROM b GROUP BY t) SELECT t, s / n AS mean FROM c WHERE n > 2",
    "WITH a AS (SELECT id, price FROM g), b AS (SELECT a.id, a.price FROM a) SELECT b.id, max(b.price) AS p FROM b GROUP BY b.id",
    "SELECT x.type, x.n FROM (SELECT type, count(*) AS n FROM g GROUP BY type) AS x WHERE x.n > 1",
    "SELECT type AS t, count(1) AS c, count(price) AS p, sum(1) AS o, avg(payload.size) AS a FROM g GROUP BY t",
    "SELECT type, public, count(*) AS n FROM g GROUP BY ALL",
    "SELECT type, date_trunc('day', ms) AS a, date_trunc('day', ms) AS b, count(*) AS n FROM g GROUP BY 1, 2, 3",
    "SELECT type, count(*) AS n FROM g GROUP BY type, type",
    "SELECT 'all' AS scope, 1 AS one, count(*) AS n FROM g GROUP BY 1, 2",
    "SELECT _partition, max(_offset) AS o, max(_timestamp) AS t, count(_key) AS k, max(_value) AS b FROM g GROUP BY _partition",
    "SELECT CAST(_key AS TEXT) AS k, count(_headers) AS h, count(*) AS n FROM g GROUP BY CAST(_key AS TEXT)",
    "SELECT _key, count(*) AS n FROM g GROUP BY _key",
    "SELECT named_struct('t', type, 'p', public) AS s, count(*) AS n FROM g GROUP BY 1",
    "SELECT type, nvl(max(price), -1) AS a, nvl2(min(price), 1, 0) AS b, ifnull(sum(payload.size), 0) AS c FROM g GROUP BY type",
    "SELECT type, CAST(NULL AS BIGINT) AS nothing, NULL AS none, count(*) AS n FROM g GROUP BY type",
    "SELECT type, sum(payload.size) FILTER (WHERE public) AS a, sum(payload.size) FILTER (WHERE NOT public) AS b, sum(payload.size) AS c FROM g GROUP BY type",
    "SELECT type, approx_distinct(login) AS d, approx_distinct(payload.size) AS e FROM g GROUP BY type",
    "SELECT extract(epoch FROM \"createdAt\")::bigint / 3600 AS h, count(*) AS n FROM g GROUP BY 1",
    "SELECT \"$schema\" AS s, max(\"Volume BTC\") AS \"Max Volume\" FROM g GROUP BY \"$schema\"",
    "SELECT \"createdAt\" AT TIME ZONE 'Europe/Berlin' AS local, count(*) AS n FROM g GROUP BY 1",
    "SELECT date_trunc('day', \"createdAt\" AT TIME ZONE 'Europe/Berlin') AS local, count(*) AS n FROM g GROUP BY 1",
    "SELECT arrow_cast(payload.size, 'Int32') AS i, count(*) AS n FROM g GROUP BY 1",
    "SELECT make_date(2015, 1, 1 + abs(payload.size)) AS d, count(*) AS n FROM g GROUP BY 1",
    "SELECT type, stddev(price) AS s, var_pop(price) AS v, corr(price, \"Volume BTC\") AS c FROM g GROUP BY type",
];

#[tokio::test]
async fn queries_of_every_shape_give_what_one_query_gives() {
    let mut wrong = vec![];
    let mut chance = Chance(11);
    let mut records: Vec<Record> = (0..400).map(|i| record(&mut chance, i)).collect();
    records.sort_by_key(|record| record.offset);
    for query in SHAPES {
        if let Err(panic) = tokio::spawn(one(query, records.clone())).await {
            let panic = panic.into_panic();
            let why = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            wrong.push(format!("{query}\n    {}", why.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), SHAPES.len(), wrong.join("\n"));
}

async fn one(query: &'static str, records: Vec<Record>) {
    let mut bench = Bench::new(TOML, query, &topics()).await;
    let table = bench.table();
    let mut from = 0;
    for to in [1, 2, 50, 333, records.len()] {
        let middle = from + (to - from) / 3;
        let shares = [vec![("g", &records[from..middle])], vec![("g", &records[middle..to])]];
        assert_eq!(bench.range(&table, &shares), []);
        from = to;
    }
    let ours = bench.rows(&table);
    let keys = bench.job.table_schema().key().len();
    let whole = whole(query, &[(&bench.job.inputs()[1], &records)], keys).await;
    assert_same(&ours, &whole, |_| Accuracy::Float);
    let mut json = vec![];
    rekap_tables::json::JsonRows::new(&ours).unwrap().write_all(&mut json);
    assert!(ours.num_rows() > 0);
}

/// The same rows asked for in a way that the engine does not plan, and in one that it does.
const ALIKE: [(&str, &str); 4] = [
    (
        "SELECT type, sum(price) AS a, sum(CAST(price AS DECIMAL(20, 2))) AS d, sum(price::bigint) AS i, max(TRY_CAST(id AS BIGINT)) AS m, max(id) AS t FROM g GROUP BY type",
        "SELECT type, sum(price) AS a, sum(d) AS d, sum(i) AS i, max(m) AS m, max(id) AS t FROM (SELECT type, price, id, CAST(price AS DECIMAL(20, 2)) AS d, price::bigint AS i, TRY_CAST(id AS BIGINT) AS m FROM g) GROUP BY type",
    ),
    (
        "SELECT price, CAST(price AS BIGINT) AS whole, count(*) AS n FROM g GROUP BY price, CAST(price AS BIGINT)",
        "SELECT price, whole, count(*) AS n FROM (SELECT price, CAST(price AS BIGINT) AS whole FROM g) GROUP BY price, whole",
    ),
    (
        "SELECT zones['hg.nginx.org'].responses['2xx'] AS ok, sum(zones['hg.nginx.org'].requests) AS r FROM g GROUP BY 1",
        "SELECT zones['hg.nginx.org']['responses']['2xx'] AS ok, sum(zones['hg.nginx.org']['requests']) AS r FROM g GROUP BY 1",
    ),
    (
        "SELECT payload.commits[1].sha AS sha, count(*) AS n FROM g GROUP BY 1",
        "SELECT payload['commits'][1]['sha'] AS sha, count(*) AS n FROM g GROUP BY 1",
    ),
];

#[tokio::test]
async fn what_the_planner_would_refuse_over_names_is_planned() {
    let mut chance = Chance(5);
    let records: Vec<Record> = (0..200).map(|i| record(&mut chance, i)).collect();
    for (query, like) in ALIKE {
        let mut bench = Bench::new(TOML, query, &topics()).await;
        let table = bench.table();
        bench.range(&table, &[vec![("g", &records[..90])], vec![("g", &records[90..])]]);
        let keys = bench.job.table_schema().key().len();
        let whole = whole(like, &[(&bench.job.inputs()[1], &records)], keys).await;
        assert_same(&bench.rows(&table), &whole, |_| Accuracy::Float);
    }
}

#[tokio::test]
async fn every_timestamp_that_comes_out_has_microseconds_and_utc() {
    let query = "SELECT to_timestamp_nanos(1420070400123456789 + payload.size) AS at, max(CAST('2015-01-01T00:00:00' AS TIMESTAMP)) AS a, \
                 min(\"createdAt\" AT TIME ZONE 'Europe/Berlin') AS b FROM g GROUP BY 1";
    let job = compile(TOML, query, &topics()).await.unwrap();
    for field in job.table_schema().columns().fields() {
        assert_eq!(field.data_type(), &rekap_tiered_storage::timestamp_type(), "{}", field.name());
    }
}

#[tokio::test]
async fn columns_come_in_the_order_of_the_schema() {
    let toml = format!("{}\n", TOML.replacen("name = 'test'\n", "name = 'test'\nkey = ['id']\n", 1));
    let job = compile(&toml, "SELECT * FROM g", &topics()).await.unwrap();
    let names: Vec<String> = job.table_schema().columns().fields().iter().map(|field| field.name().clone()).collect();
    let wanted = [
        "type",
        "id",
        "public",
        "actor",
        "payload",
        "zones",
        "tags",
        "sizes",
        "price",
        "createdAt",
        "ms",
        "Volume BTC",
    ];
    assert_eq!(names[..wanted.len()], wanted);
}
