//! A promotion that takes two people.

use rekap_tests::{Client, NDJSON, World, until};
use serde_json::{Value, json};

use super::{admin, guarded, holder, made};

fn job(query: &str, two_people: bool) -> Value {
    of("bpi", query, json!({"two_people": two_people}))
}

fn of(name: &str, query: &str, mut policy: Value) -> Value {
    policy["ready_for"] = json!("100ms");
    let inputs = json!({"ticks": {"topic": "ticks", "columns": {"currency": "text"}}});
    json!({"spec": {"name": name, "inputs": inputs, "promote": policy}, "query": query})
}

const FIRST: &str = "SELECT currency, count(*) AS n FROM ticks GROUP BY currency";
const SECOND: &str = "SELECT currency, count(*) + 0 AS n FROM ticks GROUP BY currency";

async fn until_phase(client: &Client, version: u32, phase: &str) {
    until_phase_of(client, "bpi", version, phase).await;
}

async fn until_phase_of(client: &Client, job: &str, version: u32, phase: &str) {
    until("the version gets there", async || {
        let view = client.get(&format!("jobs/{job}/versions/{version}")).await.ok();
        if view["phase"] == phase { Ok(()) } else { Err(view) }
    })
    .await;
}

/// Version 1 serves, version 2 is ready.
async fn world(two_people: bool) -> World {
    let world = guarded().await;
    let boss = admin(&world);
    boss.put("topics/ticks", &json!({"partitions": 1})).await.is(201);
    boss.post_bytes("topics/ticks/records", NDJSON, r#"{"currency":"EUR"}"#).await.ok();
    boss.post("jobs/bpi/versions", &job(FIRST, two_people)).await.is(201);
    until_phase(&boss, 1, "Serving").await;
    boss.post("jobs/bpi/versions", &job(SECOND, two_people)).await.is(201);
    until_phase(&boss, 2, "Ready").await;
    world
}

async fn operator(world: &World, name: &str) -> Client {
    let made = made(&admin(world), json!({"name": name, "role": "operator"})).await;
    world.with_token(made["token"].as_str().expect("a token"))
}

const PROMOTE: &str = "jobs/bpi/versions/2/promote";

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_waits_for_another_person_and_a_rollback_does_not() {
    let world = world(true).await;
    let (ann, bob) = (operator(&world, "ann").await, operator(&world, "bob").await);
    let approved = ann.post(PROMOTE, &json!({})).await.is(202);
    assert_eq!((&approved["approved_by"], &approved["version"]), (&json!("ann"), &json!(2)));
    ann.post(PROMOTE, &json!({"force": ["verified"]})).await.is(202);
    let again = operator(&world, "ann").await;
    again.post(PROMOTE, &json!({})).await.is(202);
    assert_eq!(ann.get("jobs/bpi").await.ok()["serving"], 1, "one person is one person, with however many tokens");
    assert_eq!(ann.get("jobs/bpi/versions/2").await.ok()["approved_by"], "ann");
    assert_eq!(bob.post(PROMOTE, &json!({})).await.is(200)["serving"], 2);
    assert_eq!(bob.post("jobs/bpi/rollback", &json!({})).await.is(200)["serving"], 1);
    let history = ann.get("jobs/bpi/history?limit=1000").await.ok();
    let by = |kind: &str| -> Vec<Value> {
        let events = history["events"].as_array().expect("events").iter().filter(|event| event["type"] == kind);
        events.map(|event| event["actor"].clone()).collect()
    };
    assert!(by("version.approved").iter().all(|actor| actor == "ann"), "{history}");
    assert_eq!(by("job.rolled_back"), [json!("bob")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_an_admin_does_away_with_the_second_person() {
    let world = world(true).await;
    let operator = holder(&world, "operator").await;
    let refused = operator.post("jobs/bpi/versions", &job(SECOND, false)).await.refused(403, "FORBIDDEN");
    assert_eq!(refused["needs"], "admin");
    admin(&world).post("jobs/bpi/versions", &job(SECOND, false)).await.is(200);
    operator.post(PROMOTE, &json!({})).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_waits_for_another_person_where_one_of_its_jobs_does() {
    let world = guarded().await;
    let boss = admin(&world);
    boss.put("topics/ticks", &json!({"partitions": 1})).await.is(201);
    boss.post_bytes("topics/ticks/records", NDJSON, r#"{"currency":"EUR"}"#).await.ok();
    // Only one of the two says so.
    for (name, policy) in
        [("left", json!({"group": "prices", "two_people": true})), ("right", json!({"group": "prices"}))]
    {
        boss.post(&format!("jobs/{name}/versions"), &of(name, FIRST, policy.clone())).await.is(201);
        until_phase_of(&boss, name, 1, "Serving").await;
        boss.post(&format!("jobs/{name}/versions"), &of(name, SECOND, policy)).await.is(201);
        until_phase_of(&boss, name, 2, "Ready").await;
    }
    let (ann, bob) = (operator(&world, "ann").await, operator(&world, "bob").await);
    let both = json!({"left": 2, "right": 2});
    let approved = ann.post("groups/prices/promote", &json!({"note": "looks right"})).await.is(202);
    assert_eq!((&approved["approved_by"], &approved["versions"]), (&json!("ann"), &both));
    ann.post("groups/prices/promote", &json!({})).await.is(202);
    let shown = ann.get("groups/prices").await.ok();
    let seen = |name: &str| -> Vec<Value> {
        shown["jobs"].as_array().expect("jobs").iter().map(|job| job[name].clone()).collect()
    };
    assert_eq!((seen("serving"), seen("approved_by")), (vec![json!(1), json!(1)], vec![json!("ann"), json!("ann")]));
    let moved = bob.post("groups/prices/promote", &json!({"versions": both})).await.is(200);
    assert_eq!(moved["jobs"].as_array().map(Vec::len), Some(2), "{moved}");
    for job in ["left", "right"] {
        let history = ann.get(&format!("jobs/{job}/history?limit=1000")).await.ok();
        let events = history["events"].as_array().expect("events");
        let by = |kind: &str| -> Vec<(Value, Value)> {
            let events = events.iter().filter(|event| event["type"] == kind);
            events.map(|event| (event["actor"].clone(), event["note"].clone())).collect()
        };
        assert_eq!(by("group.approved"), [(json!("ann"), json!("looks right"))]);
        assert_eq!(by("group.promoted"), [(json!("bob"), Value::Null)]);
    }
    assert_eq!(bob.post("groups/prices/rollback", &json!({})).await.is(200)["jobs"].as_array().map(Vec::len), Some(2));
}
