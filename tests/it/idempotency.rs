//! `Idempotency-Key`: a request that is sent again is done once, whatever happened to the server in between, and a key names one
//! request on every route.

use rekap_tests::{Job, Ledger, World};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_append_is_idempotent_across_kills_and_a_key_names_one_request_on_every_route() {
    let mut world = World::start().await;
    Ledger::open(&world, "counters", 2).await;
    let append = |world: &World, key: &str, body: &str| {
        let request = world.request(Method::POST, "topics/counters/records").header("idempotency-key", key);
        request.body("application/json", body.to_owned()).answer()
    };
    let first = append(&world, "k", r#"{"key":"z","n":0}"#).await.ok();
    for step in ["append.synced", "append.published"] {
        let key = format!("dies at {step}");
        let body = json!({"key": step, "n": 0}).to_string();
        world.crash_at(step);
        let request = world.request(Method::POST, "topics/counters/records").header("idempotency-key", &key);
        assert!(request.body("application/json", body.clone()).try_answer().await.is_err(), "no answer comes");
        world.until_crashed_at(step).await;
        world.restart().await;
        let ends = world.ends("counters").await;
        assert_eq!(append(&world, &key, &body).await.ok()["appended"], 1);
        assert_eq!(world.ends("counters").await, ends, "it was there already");
    }
    assert_eq!(append(&world, "k", r#"{"key":"z","n":0}"#).await.ok(), first);
    append(&world, "k", r#"{"key":"z","n":1}"#).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_with_another_body_is_refused_on_every_post_also_after_a_restart() {
    let mut world = World::start().await;
    let ledger = Ledger::open(&world, "counters", 2).await;
    let job = Job::new("counts", &ledger.query()).reads("counters");
    world.deploy_first(&job).await;
    let (sql, other_sql) = (json!({"query": "SELECT 1 AS one"}), json!({"query": "SELECT 2 AS two"}));
    let noted = json!({"note": "another"});
    let posts = [
        ("topics/counters/records", json!({"key": "a", "n": 0}), json!({"key": "a", "n": 1})),
        ("topics/counters/mirror", json!({}), noted.clone()),
        ("jobs/counts/plan", job.body(), again(&job)),
        ("jobs/counts/versions", again(&job), job.body()),
        ("jobs/counts/versions/1/verify", json!({}), noted.clone()),
        ("jobs/counts/drill", json!({}), noted.clone()),
        ("jobs/counts/versions/1/pause", json!({}), noted.clone()),
        ("jobs/counts/versions/1/resume", json!({}), noted.clone()),
        (
            "jobs/counts/rollback-window",
            json!({"until": "2100-01-01T00:00:00Z"}),
            json!({"until": "2101-01-01T00:00:00Z"}),
        ),
        ("jobs/counts/freeze", json!({"until": "2100-01-01T00:00:00Z"}), json!({"until": "2101-01-01T00:00:00Z"})),
        ("sql", sql, other_sql),
    ];
    let send = |world: &World, key: &str, path: &str, body: &Value| {
        world.request(Method::POST, path).header("idempotency-key", key).json(body).answer()
    };
    let mut done = Vec::new();
    for (n, (path, body, other)) in posts.iter().enumerate() {
        let key = format!("key {n}");
        let first = send(&world, &key, path, body).await;
        if first.status >= 300 {
            // What was refused has done nothing, and its key is free.
            first.problem(first.status);
            continue;
        }
        assert_eq!(send(&world, &key, path, body).await.status, first.status, "{path}: the same again");
        send(&world, &key, path, other).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
        done.push((key, *path, body, other));
    }
    assert!(done.len() >= 8, "most of them are done: {done:?}");
    world.kill();
    world.restart().await;
    for (key, path, body, other) in &done {
        send(&world, key, path, other).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
        let elsewhere = if *path == "sql" { "topics/counters/mirror" } else { "sql" };
        send(&world, key, elsewhere, body).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
    }
}

fn again(job: &Job) -> Value {
    let mut body = job.body();
    body["rebuild"] = json!(true);
    body
}
