//! Events told by webhook: signed, in order, at least once, through failures of the receiver and `kill -9` of the server.

use rekap_tests::{Job, Received, Receiver, Setup, World, WorldConfig, list, until};
use serde_json::{Value, json};

/// The key of the signatures.
const KEY: &str = "a key that stands in no file";

/// The variable that holds it.
const VARIABLE: &str = "REKAP_TEST_WEBHOOK_KEY";

/// A server that tells this receiver of jobs and versions.
fn telling(receiver: &Receiver, allow: &str) -> WorldConfig {
    let toml = format!(
        "[[notify]]\nname = \"ops\"\nurl = \"{}\"\nevents = [\"job.*\", \"version.ready\"]\nsecret_env = \"{VARIABLE}\"\n\
         [outgoing]\nallow = [{allow}]\n",
        receiver.url()
    );
    WorldConfig::default().on(Setup { toml, environment: vec![(VARIABLE, KEY.to_owned())] })
}

fn counts(n: u32) -> Job {
    Job::new("counts", &format!("SELECT k, count(*) + {n} AS n FROM ticks GROUP BY k")).reads("ticks")
}

async fn with_topic(world: &World) {
    let schema = json!({"type": "object", "properties": {"k": {"type": "string"}}});
    world.topic("ticks", &json!({"partitions": 1, "schema": schema})).await;
    world.post("topics/ticks/records", &json!({"k": "a"})).await.ok();
}

/// The events of these types in the audit log, in order.
async fn recorded(world: &World) -> Vec<Value> {
    let all = world.get("audit?limit=1000").await.ok();
    let wanted =
        |event: &&Value| event["type"].as_str().is_some_and(|kind| kind.starts_with("job.") || kind == "version.ready");
    list(&all["events"]).iter().filter(wanted).cloned().collect()
}

async fn notification(world: &World) -> Value {
    world.get("notifications").await.ok()["notifications"][0].clone()
}

/// Waits until all that was recorded has been accepted, and checks that it came in order, unchanged and signed.
async fn all_is_told(world: &World, receiver: &Receiver) {
    let told = until("every event is told", async || {
        let (told, recorded) = (receiver.accepted(), recorded(world).await);
        let same = told.iter().map(Received::json).eq(recorded.iter().cloned());
        if same { Ok(told) } else { Err(format!("{} of {}", told.len(), recorded.len())) }
    })
    .await;
    for one in told {
        assert!(one.is_signed_with(KEY) && !one.is_signed_with("another key"), "{one:?}");
        assert_eq!(one.id(), format!("evt_{}", one.json()["seq"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_told_signed_and_in_order_through_failures_and_a_kill() {
    let receiver = Receiver::start().await;
    let mut world = World::with(telling(&receiver, "\"127.0.0.1\"")).await;
    with_topic(&world).await;
    world.deploy_first(&counts(1)).await;
    all_is_told(&world, &receiver).await;

    receiver.answer(503, "retry-after: 1");
    world.deploy_and_promote(&counts(2)).await;
    let failing = until("the failure is visible", async || {
        let seen = notification(&world).await;
        if seen["last_error"]["detail"].is_string() { Ok(seen) } else { Err(seen) }
    })
    .await;
    assert!(failing["last_error"]["detail"].as_str().is_some_and(|detail| detail.contains("503")), "{failing}");
    assert!(failing["pending"].as_u64() > Some(0) && failing["failed_attempts"].as_u64() > Some(0), "{failing}");
    let shown = failing.to_string() + &world.cli(&["notifications"]).run().await.exits(0).stdout + &world.log();
    assert!(!shown.contains(KEY) && !shown.contains("t0ken"), "{shown}");
    let metrics = String::from_utf8(world.get("/metrics").await.body).expect("text");
    assert!(metrics.contains("rekap_notification_failing{notification=\"ops\"} 1"), "{metrics}");

    world.kill();
    receiver.answer(204, "");
    world.restart().await;
    world.roll_back("counts").await;
    all_is_told(&world, &receiver).await;
    until("nothing waits any more", async || {
        let seen = notification(&world).await;
        if seen["pending"] == 0 && seen["last_error"].is_null() { Ok(()) } else { Err(seen) }
    })
    .await;
    assert!(receiver.received().iter().all(|one| one.headers["content-type"] == "application/json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_not_admitted_or_redirects_is_not_followed() {
    let receiver = Receiver::start().await;
    let world = World::with(telling(&receiver, "")).await;
    with_topic(&world).await;
    world.deploy_first(&counts(1)).await;
    let refused = until("the refusal is visible", async || {
        let seen = notification(&world).await;
        if seen["last_error"]["detail"].is_string() { Ok(seen) } else { Err(seen) }
    })
    .await;
    assert!(refused["last_error"]["detail"].as_str().is_some_and(|d| d.contains("[outgoing] allow")), "{refused}");
    assert!(receiver.received().is_empty(), "nothing was sent");

    let elsewhere = Receiver::start().await;
    let location: &'static str = Box::leak(format!("location: {}", elsewhere.url()).into_boxed_str());
    receiver.answer(307, location);
    let world = World::with(telling(&receiver, "\"127.0.0.0/8\"")).await;
    with_topic(&world).await;
    world.deploy_first(&counts(1)).await;
    until("the redirect was answered", async || if receiver.received().is_empty() { Err("not yet") } else { Ok(()) })
        .await;
    until("and counted as a failure", async || {
        let seen = notification(&world).await;
        if seen["last_error"]["detail"].as_str().is_some_and(|d| d.contains("307")) { Ok(()) } else { Err(seen) }
    })
    .await;
    assert!(elsewhere.received().is_empty(), "a redirect leads nowhere");
}
