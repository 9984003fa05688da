//! Actions: what is sent when rows of the served table change. Sent at least once under a stable id, never by a shadow or a replay,
//! and from a promotion on by the version that took over, at the very position of the swap.

use std::collections::BTreeMap;

use rekap_tests::{Job, Ledger, Receiver, Setup, World, WorldConfig, int, list, until};
use serde_json::{Value, json};

/// The key of the signatures.
const KEY: &str = "a key that stands in no file";

/// The variable that holds it.
const VARIABLE: &str = "REKAP_TEST_ACTION_KEY";

/// One event in so many is to be told, so that a receiver keeps up with the writer.
const TOLD_EVERY: u64 = 25;

async fn world() -> World {
    let toml = "[outgoing]\nallow = [\"127.0.0.1\"]\n".to_owned();
    World::with(WorldConfig::default().on(Setup { toml, environment: vec![(VARIABLE, KEY.to_owned())] })).await
}

/// Each event is a row of its own, which says which version made it; some are told to the receiver, and to a topic.
fn job(receiver: &Receiver, version: u64) -> Job {
    let sql = format!("SELECT key, n, new.made_by FROM changes WHERE change = 'added' AND n % {TOLD_EVERY} = 0");
    Job::new("events", &format!("SELECT key, n, {version} AS made_by FROM counters"))
        .reads("counters")
        .with("key", json!(["key", "n"]))
        .with(
            "actions",
            json!([
                {"name": "told", "sql": sql, "webhook": receiver.url(), "secret_env": VARIABLE},
                {"name": "noted", "sql": sql, "topic": "alerts"},
            ]),
        )
}

/// How often each event was told, by its key and number, each message once.
fn told(receiver: &Receiver) -> BTreeMap<(String, u64), u64> {
    let mut told = BTreeMap::new();
    for message in receiver.accepted() {
        assert!(message.is_signed_with(KEY), "{message:?}");
        let body = message.json();
        assert_eq!((&body["id"], &body["row"]["made_by"]), (&json!(message.id()), &body["version"]), "{body}");
        let row = &body["row"];
        *told.entry((row["key"].as_str().expect("a key").to_owned(), int(&row["n"]))).or_default() += 1;
    }
    told
}

/// How often each event stands in the topic of alerts.
async fn noted(world: &World) -> BTreeMap<(String, u64), u64> {
    let mut noted = BTreeMap::new();
    for record in world.records("alerts").await {
        let row: Value = serde_json::from_slice(&record.value.expect("a value")).expect("JSON");
        *noted.entry((row["key"].as_str().expect("a key").to_owned(), int(&row["n"]))).or_default() += 1;
    }
    noted
}

/// The events that are to be told of this ledger, without those that were there before.
fn expected(ledger: &Ledger, before: &Ledger) -> Vec<(String, u64)> {
    let counts = |ledger: &Ledger| -> BTreeMap<String, u64> {
        let of = |row: rekap_tests::Row| (row["key"].as_str().expect("a key").to_owned(), int(&row["events"]));
        ledger.rows().into_iter().map(of).collect()
    };
    let before = counts(before);
    let events = counts(ledger).into_iter().flat_map(|(key, count)| {
        let from = before.get(&key).copied().unwrap_or(0);
        (from..count).map(move |n| (key.clone(), n))
    });
    events.filter(|(_, n)| n % TOLD_EVERY == 0).collect()
}

/// Waits until the receiver has taken so many messages of a version.
async fn until_told_by(receiver: &Receiver, version: u64, more: usize) {
    let count = || receiver.accepted().iter().filter(|message| message.json()["version"] == version).count();
    let target = count() + more;
    until(&format!("version {version} tells on"), async || if count() >= target { Ok(()) } else { Err(count()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_once_through_a_promotion_kills_and_failures_and_never_by_a_shadow() {
    let receiver = Receiver::start().await;
    let mut world = world().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    world.topic("alerts", &json!({"partitions": 1})).await;
    ledger.append(&world, 2000).await;
    let history = ledger.clone();
    world.deploy_first(&job(&receiver, 1)).await;
    let writer = ledger.write(world.client());
    until_told_by(&receiver, 1, 20).await;

    let second = world.deploy(&job(&receiver, 2)).await;
    world.until_phase("events", second, "Ready").await;
    until_told_by(&receiver, 1, 20).await;
    assert!(receiver.accepted().iter().all(|message| message.json()["version"] == 1), "a shadow tells nothing");

    receiver.answer(500, "");
    world.promote("events", second).await;
    world.kill();
    receiver.answer(204, "");
    world.restart().await;
    until_told_by(&receiver, 2, 20).await;
    world.kill();
    world.restart().await;
    until_told_by(&receiver, 2, 20).await;

    let ledger = writer.stop().await;
    let expected = expected(&ledger, &history);
    until("every event is told and noted", async || {
        let (told, noted) = (told(&receiver), noted(&world).await);
        let missing = expected.iter().filter(|event| !told.contains_key(*event) || !noted.contains_key(*event)).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} of {} are missing", expected.len())) }
    })
    .await;
    for counts in [told(&receiver), noted(&world).await] {
        let twice: Vec<_> = counts.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "told by both versions: {twice:?}");
        assert_eq!(counts.len(), expected.len(), "nothing of the history is told");
    }
    let shown = until("nothing waits", async || {
        let shown = world.get("jobs/events/actions").await.ok();
        let serving = list(&shown["actions"]).iter().filter(|action| action["serving"] == true);
        if serving.clone().all(|action| action["pending"] == 0) { Ok(shown) } else { Err(shown) }
    })
    .await;
    let printed = world.cli(&["actions", "events"]).run().await.exits(0).stdout;
    assert!(printed.contains("told") && printed.contains("topic alerts"), "{printed}");
    let all = format!("{shown}{printed}{}", world.log());
    assert!(!all.contains(KEY) && !all.contains("t0ken"), "neither the key nor the URL's token is shown: {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_hands_the_telling_back_and_misses_nothing() {
    let receiver = Receiver::start().await;
    let world = world().await;
    let ledger = Ledger::open(&world, "counters", 2).await;
    let nothing = ledger.clone();
    world.topic("alerts", &json!({"partitions": 1})).await;
    world.deploy_first(&job(&receiver, 1)).await;
    let writer = ledger.write(world.client());
    world.deploy_and_promote(&job(&receiver, 2)).await;
    until_told_by(&receiver, 2, 20).await;
    // A version that stands still cannot be brought to the other's position: what it missed is told by the one that takes over.
    world.post("jobs/events/versions/2/pause", &json!({})).await.ok();
    until("version 1 is ahead", async || {
        let (one, two) = (world.version("events", 1).await, world.version("events", 2).await);
        let at = |version: &Value| int(&version["positions"]["counters"]["0"]);
        if two["run"] == "Paused" && at(&one) > at(&two) + 500 { Ok(()) } else { Err(format!("{one} {two}")) }
    })
    .await;
    world.roll_back("events").await;
    until_told_by(&receiver, 1, 20).await;
    let ledger = writer.stop().await;
    let expected = expected(&ledger, &nothing);
    until("every event is told", async || {
        let told = told(&receiver);
        let missing: Vec<_> = expected.iter().filter(|event| !told.contains_key(*event)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {} are missing", expected.len())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_actions_make_no_version_and_wrong_ones_are_refused() {
    let receiver = Receiver::start().await;
    let world = world().await;
    let mut ledger = Ledger::open(&world, "counters", 1).await;
    world.topic("alerts", &json!({"partitions": 1})).await;
    let silent = job(&receiver, 1).with("actions", json!([]));
    world.deploy_first(&silent).await;
    ledger.append(&world, 100).await;
    world.deploy_policy(&job(&receiver, 1)).await;
    assert_eq!(world.get("jobs/events/actions").await.ok()["actions"][0]["version"], 1);
    let before = ledger.clone();
    ledger.append(&world, 100).await;
    let expected = expected(&ledger, &before);
    until("what came after is told", async || {
        let told = told(&receiver);
        if told.keys().eq(expected.iter()) { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
    let history = world.get("jobs/events/history").await.ok().to_string();
    assert!(history.contains("job.policy_changed") && !history.contains("t0ken"), "{history}");

    let refused = async |action: Value, status, code: &str| {
        let answer = world.post("jobs/events/versions", &silent.clone().with("actions", json!([action])).body()).await;
        answer.refused(status, code)
    };
    let sql = "SELECT key FROM changes";
    let unknown = "SELECT prize FROM changes";
    refused(json!({"name": "a", "sql": unknown, "topic": "alerts"}), 422, "INVALID_ACTION").await;
    refused(json!({"name": "a", "sql": "DROP TABLE changes", "topic": "alerts"}), 422, "INVALID_ACTION").await;
    refused(json!({"name": "a", "sql": sql, "topic": "nowhere"}), 422, "INVALID_ACTION").await;
    refused(json!({"name": "a", "sql": sql, "webhook": "ftp://example.com"}), 422, "INVALID_ACTION").await;
    let absent = json!({"name": "a", "sql": sql, "webhook": receiver.url(), "secret_env": "REKAP_NOT_SET"});
    refused(absent, 422, "INVALID_ACTION").await;
    refused(json!({"name": "a", "sql": sql, "topic": "counters"}), 422, "INVALID_SPEC").await;
    refused(json!({"name": "a", "sql": sql}), 422, "INVALID_SPEC").await;
}
