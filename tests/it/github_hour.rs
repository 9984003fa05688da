//! Nested JSON as the world writes it: an hour of GitHub goes in whole, comes back byte for byte, and is counted by nested fields.

use std::collections::BTreeMap;

use rekap_tests::{Duck, GitHubHour, Job, World, assert_same_rows};
use serde_json::{Value, json};

const BY_TYPE: &str = "SELECT type, count(*) AS events, count(org) AS by_organisations, min(created_at) AS first \
                       FROM github GROUP BY type";

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_github_comes_back_byte_for_byte_from_the_cold_tier() {
    let world = World::start().await;
    let hour = GitHubHour::events();
    world.topic("github", &json!({"partitions": 4, "key": ["id"], "schema": GitHubHour::schema()})).await;
    world.append("github", &hour).await;
    world.mirror("github").await;
    world.drop_hot_copy("github").await;

    let records = world.records("github").await;
    assert!(records.iter().all(|record| record.tier == "cold"), "nothing is left in the hot tier");
    let mut back: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for record in records {
        let key = String::from_utf8(record.key.expect("the topic has a key")).expect("ids are text");
        assert!(back.insert(key, record.value.expect("no tombstones here")).is_none(), "no event comes back twice");
    }
    for line in &hour.lines {
        let event: Value = serde_json::from_str(line).expect("real events are JSON");
        let id = event["id"].as_str().expect("an id");
        let same = back.remove(id).is_some_and(|value| value == line.as_bytes());
        assert!(same, "event {id} did not come back as it went in");
    }
    assert!(back.is_empty(), "{} events came back that never went in", back.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_counted_by_type_and_by_repository_from_nested_fields() {
    let world = World::start().await;
    let hour = GitHubHour::events();
    world.topic("github", &json!({"partitions": 3, "key": ["id"], "schema": GitHubHour::schema()})).await;
    world.append("github", &hour).await;
    world.mirror("github").await;
    world.drop_hot_copy("github").await;
    world.deploy_first(&Job::new("by_type", BY_TYPE).reads("github")).await;
    let by_repository = "SELECT repo['name'] AS repository, count(*) AS events, max(actor['login']) AS last_actor \
                         FROM github GROUP BY repo['name']";
    world.deploy_first(&Job::new("by_repository", by_repository).reads("github")).await;

    let duck = Duck::new().events("github", &hour);
    let judged = duck
        .ask(&[
            BY_TYPE,
            "SELECT repo.name AS repository, count(*) AS events, max(actor.login) AS last_actor FROM github GROUP BY ALL",
        ])
        .await;
    assert_same_rows("by type", &["type"], &world.rows_at_end("by_type", "github").await, &judged[0]);
    let repositories = world.rows_at_end("by_repository", "github").await;
    assert_same_rows("by repository", &["repository"], &repositories, &judged[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_reaches_into_events_without_a_schema_by_pointer() {
    let world = World::start().await;
    let hour = GitHubHour::events();
    world.topic("github", &json!({"partitions": 3})).await;
    world.append("github", &hour).await;
    let columns = json!({
        "repository": {"type": "text", "path": "/repo/name"},
        "login": {"type": "text", "path": "/actor/login"},
        "organisation": {"type": "text", "path": "/org/login"},
        "type": "text",
    });
    let query = "SELECT repository, type, count(*) AS events, count(organisation) AS by_organisations, min(login) AS one \
                 FROM github GROUP BY repository, type";
    let job = Job::new("pointers", query).input("github", json!({"topic": "github", "columns": columns}));
    world.deploy_first(&job).await;

    let judge = "SELECT repo.name AS repository, type, count(*) AS events, count(org.login) AS by_organisations, \
                 min(actor.login) AS one FROM github GROUP BY ALL";
    let judged = Duck::new().events("github", &hour).rows(judge).await;
    assert_same_rows("pointers", &["repository", "type"], &world.rows_at_end("pointers", "github").await, &judged);
}
