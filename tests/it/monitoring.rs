//! What an operator watches: metrics, the alert rules and the dashboard that are made of them, logs with request ids, readiness.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use rekap_tests::{Job, NDJSON, World, rekap, repository};
use reqwest::Method;
use serde_json::{Value, json};

/// A world in which every metric has something to say: both tiers, two versions, a swap and a rollback.
async fn busy() -> World {
    let world = World::start().await;
    let schema = json!({"type": "object", "properties": {"k": {"type": "string"}, "t": {"type": "string", "format": "date-time"}}});
    world.topic("ticks", &json!({"partitions": 2, "schema": schema, "retention_ms": 3_600_000})).await;
    let event = |n: u32| format!("{{\"k\":\"k{n}\",\"t\":\"2016-01-05T13:{n:02}:00Z\"}}\n");
    world.post_bytes("topics/ticks/records", NDJSON, (0..20).map(event).collect::<String>()).await.ok();
    world.mirror("ticks").await;
    world.post_bytes("topics/ticks/records", NDJSON, (20..30).map(event).collect::<String>()).await.ok();
    let job =
        Job::new("counts", "SELECT t, count(*) AS n FROM ticks GROUP BY t").reads("ticks").with("time", json!("t"));
    world.deploy_first(&job).await;
    world.deploy_and_promote(&job.but("SELECT t, count(k) AS n FROM ticks GROUP BY t")).await;
    world.roll_back("counts").await;
    world.rows_at_end("counts", "ticks").await;
    world
}

/// The names in a text, as `rekap_…`.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let names = text.split(word).filter(|word| word.starts_with("rekap_"));
    let base = |name: &str| {
        ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    names.map(base).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_the_rules_and_the_dashboard_name_is_there() {
    let world = busy().await;
    let metrics = String::from_utf8(world.get("/metrics").await.body).expect("text");
    let samples: BTreeSet<String> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| names(line.split(['{', ' ']).next().unwrap_or("")))
        .collect();
    for file in ["alerts.yml", "dashboard.json"] {
        let text = std::fs::read_to_string(repository().join("docs/monitoring").join(file)).expect(file);
        let named = names(&text);
        assert!(named.len() > 5, "{file} names {named:?}");
        // These have samples only when something is wrong, a mirror is behind, a job was drilled, there is a schedule, or somebody
        // is to be told.
        let silent = [
            "rekap_mirror_failing",
            "rekap_mirror_headroom_seconds",
            "rekap_drill_differs",
            "rekap_schedule_failed",
            "rekap_action_dropped_total",
            "rekap_action_failing",
            "rekap_action_pending",
            "rekap_action_unasked_total",
            "rekap_notification_failing",
            "rekap_notification_pending",
            "rekap_notification_dropped_total",
        ];
        for name in named.iter().filter(|name| !silent.contains(&name.as_str())) {
            assert!(samples.contains(name), "{file} names {name}, which /metrics does not have:\n{metrics}");
        }
        for name in silent {
            assert!(metrics.contains(&format!("# TYPE {name} ")), "{name}");
        }
    }
    let dashboard = std::fs::read_to_string(repository().join("docs/monitoring/dashboard.json")).expect("it is there");
    serde_json::from_str::<Value>(&dashboard).expect("the dashboard is JSON");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_well_formed_and_say_what_happened() {
    let world = busy().await;
    let metrics = String::from_utf8(world.get("/metrics").await.body).expect("text");
    let mut family = "";
    for line in metrics.lines() {
        if let Some(begun) = line.strip_prefix("# TYPE ") {
            family = begun.split(' ').next().expect("a name");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(family), "{line} stands under {family}");
            let value = line.rsplit(' ').next().expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    let has = |start: &str| assert!(metrics.lines().any(|line| line.starts_with(start)), "no {start} in\n{metrics}");
    has("rekap_swap_duration_seconds_count{job=\"counts\",kind=\"rollback\"} 1");
    has("rekap_freshness_timestamp_seconds{job=\"counts\",version=\"1\"} 1452000540");
    has("rekap_range_records_sum{job=\"counts\",version=\"1\"} 30");
    has("rekap_version_phase{job=\"counts\",version=\"1\",phase=\"Serving\"} 1");
    has(
        "rekap_http_request_duration_seconds_count{method=\"POST\",route=\"/v1/topics/{topic}/records\",status=\"200\"} 2",
    );
    let cold: f64 = metrics.lines().filter(|line| line.starts_with("rekap_cold_records{")).map(last).sum();
    let hot: f64 = metrics.lines().filter(|line| line.starts_with("rekap_hot_bytes{")).map(last).sum();
    assert!(cold == 20.0 && hot > 600.0, "{cold} {hot}");
    assert_eq!(world.version("counts", 1).await["freshness"], "2016-01-05T13:29:00Z");
}

fn last(line: &str) -> f64 {
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a value")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_keeps_its_id_in_the_answer_and_in_the_log() {
    let world = World::start().await;
    let id = |answer: &rekap_tests::Answer| answer.header("x-request-id").expect("an id").to_owned();
    let own = world.request(Method::GET, "topics").header("x-request-id", "order-7").answer().await;
    assert_eq!(id(&own), "order-7");
    let traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let parent = world.request(Method::GET, "nothing").header("traceparent", traced).answer().await;
    assert_eq!(id(&parent), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_ne!(id(&world.get("topics").await), id(&world.get("topics").await));
}

#[test]
fn json_logs_are_one_object_a_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Command::new(rekap())
        .args(["serve", "--log-format", "json"])
        .current_dir(folder.path())
        .env("REKAP__SERVER__LISTEN", "127.0.0.1:0")
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(server.stderr.take().expect("a pipe")));
    let first = lines.next().expect("a line").expect("text");
    let line: Value = serde_json::from_str(&first).unwrap_or_else(|e| panic!("{e}: {first}"));
    assert!(line["level"] == "INFO" && line["timestamp"].is_string() && line["message"].is_string(), "{line}");
    server.kill().expect("it runs");
    server.wait().expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_means_that_the_data_folder_can_be_written() {
    let world = World::start().await;
    world.get("/readyz").await.ok();
    // A folder in the place of the file that is written to see whether writing works: root ignores permissions.
    let probe = world.folder().join("data/probe");
    std::fs::remove_file(&probe).expect("it was written");
    std::fs::create_dir(&probe).expect("a folder");
    world.get("/readyz").await.refused(503, "STORE_FAILED");
    std::fs::remove_dir(&probe).expect("it is there");
    world.get("/readyz").await.ok();
}
