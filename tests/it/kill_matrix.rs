//! The server ends itself at every step of what it makes durable, one step at a time. After each start: everything acknowledged is
//! there once, tables equal what the log says, aliases are what the history implies, and the deployment can go on. That it was the
//! intended step is told by the server itself, as its last act.

use rekap_tests::{Client, Job, Ledger, NDJSON, World, assert_same_rows, int, list, until};
use reqwest::Method;
use serde_json::{Value, json};

/// Distinct keys of the topic whose replay is large enough to be ingested in bulk.
const WIDE: u64 = 60_000;

/// Ends the server at a step while `provoke` asks for what leads there, and starts it again.
async fn crash(world: &mut World, step: &str, provoke: impl Future<Output = ()> + Send + 'static) {
    world.crash_at(step);
    let provoked = tokio::spawn(provoke);
    world.until_crashed_at(step).await;
    provoked.abort();
    world.restart().await;
}

/// Asks, where the server may die before it answers.
async fn ask(client: Client, method: Method, path: String, body: Value) {
    let _ = client.request(method, &path).json(&body).try_answer().await;
}

fn post(world: &World, path: &str) -> impl Future<Output = ()> + Send + 'static {
    ask(world.client(), Method::POST, path.to_owned(), json!({}))
}

/// The table holds exactly what was acknowledged.
async fn check(world: &World, ledger: &Ledger, alias: &str) {
    let rows = world.rows_at_end(alias, "counters").await;
    assert_same_rows(alias, &["key"], &rows, &ledger.rows());
}

/// The alias serves what the last swap in the history says.
async fn check_alias(world: &World) -> u64 {
    let history = world.get("jobs/counts/history?limit=10000").await.ok();
    let mut swaps =
        list(&history["events"]).iter().filter(|event| event["from"].is_u64() || event["generation"].is_u64());
    let last = swaps.rfind(|event| event["to"].is_u64()).expect("a version was promoted");
    let serving = world.job("counts").await["serving"].clone();
    assert_eq!(serving, last["to"], "the alias is what the history implies: {history}");
    int(&serving)
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_any_step_of_an_append_or_a_small_range_loses_nothing_and_doubles_nothing() {
    let mut world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 3).await;
    let job = Job::new("counts", &ledger.query()).reads("counters");
    world.deploy_first(&job).await;
    let steps = [
        "append.gathered",
        "append.synced",
        "append.published",
        "range.computed counts@1",
        "range.written counts@1",
        "tables.persisting",
    ];
    for step in steps {
        let writer = ledger.write(world.client());
        crash(&mut world, step, async {}).await;
        ledger = writer.stop().await;
        check(&world, &ledger, "counts").await;
        ledger.check_log(&world).await;
    }
    let fresh = world.deploy_again(&job).await;
    world.until_phase("counts", fresh, "Ready").await;
    check(&world, &ledger, &format!("counts@{fresh}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_any_step_of_the_mirror_the_cold_tier_holds_every_offset_once() {
    let mut world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    for step in ["mirror.stored", "mirror.planned", "mirror.written", "mirror.committed"] {
        ledger.append(&world, 5_000).await;
        let provoke = post(&world, "topics/counters/mirror");
        crash(&mut world, step, provoke).await;
        world.mirror("counters").await;
    }
    ledger.append(&world, 5_000).await;
    world.mirror("counters").await;
    world.drop_hot_copy("counters").await;
    ledger.check_log(&world).await;
    let job = Job::new("counts", &ledger.query()).reads("counters");
    world.deploy_first(&job).await;
    check(&world, &ledger, "counts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_any_step_of_a_large_range_leaves_all_of_it_or_nothing() {
    let mut world = World::start().await;
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    world.topic("wide", &json!({"partitions": 2, "schema": schema})).await;
    let lines: String = (0..WIDE).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    world.post_bytes("topics/wide/records", NDJSON, lines).await.ok();
    let job = Job::new("wide", "SELECT n, count(*) AS events FROM wide GROUP BY n").reads("wide");
    let first = world.deploy_first(&job).await;
    let rows = world.rows_at_end("wide", "wide").await;
    assert_eq!(rows.len() as u64, WIDE);
    assert!(rows.iter().all(|row| row["events"] == 1), "each event is counted once");
    let steps = ["table.half_made", "table.made", "bulk.begun", "bulk.filled", "bulk.finished"];
    for (step, version) in steps.into_iter().zip(first + 1..) {
        let deploy = ask(world.client(), Method::POST, "jobs/wide/versions".into(), again(&job));
        crash(&mut world, &format!("{step} wide@{version}"), deploy).await;
        world.until_phase("wide", version, "Ready").await;
        assert_same_rows(step, &["n"], &world.rows_at_end(&format!("wide@{version}"), "wide").await, &rows);
        world.post(&format!("jobs/wide/versions/{version}/abort"), &json!({})).await.ok();
    }
}

fn again(job: &Job) -> Value {
    let mut body = job.body();
    body["rebuild"] = json!(true);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_any_step_of_a_swap_the_alias_is_what_the_history_says() {
    let mut world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    let job = Job::new("counts", &ledger.query()).reads("counters");
    let mut serving = world.deploy_first(&job).await;
    // Where the event is durable the swap has happened, before that it has not; what is written and not synced survives a process.
    let steps = [
        ("swap.held counts", false),
        ("catalog.decided job.promoted", false),
        ("catalog.flushed job.promoted", true),
        ("catalog.synced job.promoted", true),
        ("catalog.published job.promoted", true),
    ];
    for (step, happened) in steps {
        let writer = ledger.write(world.client());
        let version = world.deploy_again(&job).await;
        world.until_phase("counts", version, "Ready").await;
        let asked = post(&world, &format!("jobs/counts/versions/{version}/promote"));
        crash(&mut world, step, asked).await;
        assert_eq!(check_alias(&world).await, if happened { version } else { serving }, "{step}");
        if !happened {
            promote(&world, version).await;
        }
        ledger = writer.stop().await;
        check(&world, &ledger, "counts").await;
        let back = post(&world, "jobs/counts/rollback");
        let step =
            step.replace("job.promoted", "job.rolled_back").replace("swap.held", "catalog.decided job.rolled_back");
        crash(&mut world, step.trim_end_matches(" counts"), back).await;
        assert_eq!(check_alias(&world).await, if happened { serving } else { version }, "{step}");
        check(&world, &ledger, "counts").await;
        if happened {
            promote(&world, version).await;
        }
        serving = version;
    }
}

/// Promotes as soon as its conditions are met, which are measured anew after a start.
async fn promote(world: &World, version: u64) {
    until(&format!("{version} is promoted"), async || {
        let answer = world.post(&format!("jobs/counts/versions/{version}/promote"), &json!({})).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_any_step_of_a_clean_up_takes_what_was_to_go_and_nothing_else() {
    let mut world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    let job = Job::new("counts", &ledger.query()).reads("counters");
    world.deploy_first(&job).await;
    ledger.append(&world, 1_000).await;
    for step in ["catalog.synced version.aborted", "table.dropping counts@", "table.dropped counts@"] {
        let version = world.deploy_again(&job).await;
        world.until_phase("counts", version, "Ready").await;
        let abort = post(&world, &format!("jobs/counts/versions/{version}/abort"));
        crash(&mut world, step, abort).await;
        assert_eq!(world.version("counts", version).await["phase"], "Aborted", "{step}");
        world.get(&format!("tables/counts@{version}/rows")).await.refused(409, "NO_TABLE");
        until_tables(&world, 1).await;
        check(&world, &ledger, "counts").await;
    }
}

/// Waits until so many tables are on disk (and the keyspace of the format).
async fn until_tables(world: &World, tables: usize) {
    let folder = world.data().join("tables/keyspaces");
    until("the tables that nothing needs are gone from the disk", async || {
        // The first two belong to the database itself.
        let there = std::fs::read_dir(&folder).expect("a folder").count();
        if there == tables + 2 { Ok(()) } else { Err(format!("{there} keyspaces")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_any_step_of_a_topics_life_leaves_it_whole_or_gone_and_told() {
    let mut world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    ledger.append(&world, 2_000).await;
    for step in ["topic.saved passing", "catalog.synced topic.created"] {
        let put = ask(world.client(), Method::PUT, "topics/passing".into(), json!({"partitions": 2}));
        crash(&mut world, step, put).await;
        assert_eq!(world.topic_status("passing").await["partitions"].as_array().map(Vec::len), Some(2));
        assert_eq!(told(&world, "passing").await, ["topic.created"], "{step}");
        world.delete("topics/passing").await.is(204);
        world = fresh(world, &mut ledger).await;
    }
    for step in ["catalog.synced topic.deleted", "topic.unlinked passing", "records.swept", "topic.swept"] {
        world.topic("passing", &json!({"partitions": 2})).await;
        world.post_bytes("topics/passing/records", NDJSON, "1\n2\n3\n").await.ok();
        let delete = ask(world.client(), Method::DELETE, "topics/passing".into(), json!({}));
        crash(&mut world, step, delete).await;
        world.get("topics/passing").await.problem(404);
        assert_eq!(told(&world, "passing").await, ["topic.created", "topic.deleted"], "{step}");
        world = fresh(world, &mut ledger).await;
    }
    world.mirror("counters").await;
    let drop = ask(world.client(), Method::PUT, "topics/counters".into(), json!({"retention_ms": 1}));
    crash(&mut world, "trim.unlinked counters", drop).await;
    world.drop_hot_copy("counters").await;
    ledger.check_log(&world).await;
}

/// What the audit trail tells of the newest topic of that name, in order.
async fn told(world: &World, topic: &str) -> Vec<String> {
    let audit = world.get("audit?limit=10000").await.ok();
    let of_topic = list(&audit["events"]).iter().filter(|event| event["topic"] == topic);
    let kinds: Vec<String> = of_topic.map(|event| event["type"].as_str().expect("a type").to_owned()).collect();
    let begun = kinds.iter().rposition(|kind| kind == "topic.created").unwrap_or(0);
    kinds[begun..].to_vec()
}

/// The other topic is whole, and takes more.
async fn fresh(world: World, ledger: &mut Ledger) -> World {
    ledger.append(&world, 100).await;
    ledger.check_log(&world).await;
    world
}
