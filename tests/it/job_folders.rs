//! `rekap new` and `rekap test`: a job folder is started, and proves itself, without a server.

use std::fs;
use std::path::Path;

use rekap_tests::{Called, Cli, World, repository};
use serde_json::json;

/// Runs a verb with no server to be found.
async fn alone(arguments: &[&str]) -> Called {
    Cli::new("http://127.0.0.1:1", arguments).run().await
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_folder_passes_its_own_test_and_fails_it_when_the_query_is_wrong() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("climate");
    let dir = utf8(&folder);
    alone(&["new", dir]).await.exits(0);
    alone(&["test", dir]).await.exits(0);
    fs::remove_file(folder.join("tests/first/expected.ndjson")).expect("it came with the folder");
    let first = alone(&["test", dir]).await.exits(2);
    assert!(first.stderr.contains("expected.ndjson") && first.stderr.contains("--accept"), "{}", first.stderr);
    alone(&["test", dir, "--accept"]).await.exits(0);
    let rows = fs::read_to_string(folder.join("tests/first/expected.ndjson")).expect("it was written");
    assert!(
        rows.contains(r#"{"sensor":"roof","minute":"2026-01-01T12:00:00Z","records":2,"mean_celsius":21.875}"#),
        "{rows}"
    );
    alone(&["test", dir]).await.exits(0);

    let query = folder.join("query.sql");
    let wrong = fs::read_to_string(&query).expect("a query").replace("avg(celsius)", "max(celsius)");
    fs::write(&query, wrong).expect("a file");
    let failed = alone(&["test", dir]).await.exits(1);
    assert!(failed.stdout.contains("mean_celsius is 22.25, expected 21.875"), "{}", failed.stdout);
    let report = alone(&["test", dir, "--json"]).await.exits(1).json();
    assert_eq!((&report["failed"], &report["cases"][0]["passed"]), (&json!(1), &json!(false)), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_made_from_a_topic_takes_its_schema_key_and_records() {
    let world = World::start().await;
    let schema = json!({"type": "object", "properties": {
        "user id": {"type": "string"}, "amount": {"type": "number"}, "at": {"type": "string", "format": "date-time"},
    }});
    world.put("/v1/topics/orders", &json!({"partitions": 2, "key": ["user id"], "schema": schema})).await.is(201);
    for n in 0..10 {
        let event = json!({"user id": format!("u{n}"), "amount": n, "at": "2026-01-01T00:00:00Z"});
        world.post("/v1/topics/orders/records", &event).await.ok();
    }
    let folder = world.folder().join("spending");
    world.cli(&["new", utf8(&folder), "--topic", "orders"]).run().await.exits(0);
    alone(&["test", utf8(&folder)]).await.exits(0);
    let rows = fs::read_to_string(folder.join("tests/first/expected.ndjson")).expect("it was written");
    assert_eq!(rows.lines().count(), 5, "{rows}");
    world.cli(&["deploy", utf8(&folder)]).run().await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_case_is_said_with_its_file() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("climate");
    let dir = utf8(&folder);
    let nowhere = alone(&["test", utf8(&repository().join("docs"))]).await;
    assert_eq!(nowhere.code, 2, "a folder without job.toml: {}", nowhere.stderr);
    assert!(nowhere.stderr.contains("job.toml is not there"), "{}", nowhere.stderr);
    alone(&["new", dir]).await.exits(0);
    let twice = alone(&["new", dir]).await.exits(2);
    assert!(twice.stderr.contains("job.toml already"), "{}", twice.stderr);

    let case = folder.join("tests/second");
    fs::create_dir_all(&case).expect("a folder");
    fs::write(case.join("weather.ndjson"), "{}\n").expect("a file");
    let unknown = alone(&["test", dir, "--accept"]).await.exits(2);
    assert!(unknown.stderr.contains("weather.ndjson") && unknown.stderr.contains("readings"), "{}", unknown.stderr);
    fs::remove_file(case.join("weather.ndjson")).expect("the file is there");
    fs::write(
        case.join("readings.ndjson"),
        "{\"sensor\":\"roof\",\"celsius\":\"warm\",\"at\":\"2026-01-01T12:00:00Z\"}\n",
    )
    .expect("a file");
    let refused = alone(&["test", dir, "--accept"]).await.exits(3);
    assert!(refused.stderr.contains("celsius"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_prove_themselves() {
    for job in ["v1", "v2"] {
        let dir = repository().join("docs/examples/bitcoin-price-index").join(job);
        let passed = alone(&["test", utf8(&dir)]).await.exits(0);
        assert!(passed.stdout.contains("1 of 1 passed"), "{}", passed.stdout);
    }
}
