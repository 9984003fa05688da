//! The front door: health, the API's own description, streams of events, requests that are sent twice.

use rekap_tests::{Answer, Job, NDJSON, World, list, until};
use reqwest::Method;
use serde_json::{Value, json};

/// Every route that the contract names, with names for its placeholders that do not exist.
const ROUTES: [(&str, &str); 40] = [
    ("PUT", "topics/{topic}"),
    ("GET", "topics"),
    ("GET", "topics/{topic}"),
    ("DELETE", "topics/{topic}"),
    ("POST", "topics/{topic}/records"),
    ("GET", "topics/{topic}/records"),
    ("POST", "topics/{topic}/mirror"),
    ("POST", "jobs/{job}/plan"),
    ("POST", "jobs/{job}/versions"),
    ("GET", "jobs"),
    ("GET", "jobs/{job}"),
    ("DELETE", "jobs/{job}"),
    ("GET", "jobs/{job}/versions/{n}"),
    ("POST", "jobs/{job}/versions/{n}/replay"),
    ("POST", "jobs/{job}/versions/{n}/verify"),
    ("GET", "jobs/{job}/versions/{n}/verification"),
    ("POST", "jobs/{job}/versions/{n}/promote"),
    ("POST", "jobs/{job}/versions/{n}/abort"),
    ("POST", "jobs/{job}/versions/{n}/pause"),
    ("POST", "jobs/{job}/versions/{n}/resume"),
    ("POST", "jobs/{job}/versions/{n}/retire"),
    ("GET", "jobs/{job}/versions/{n}/dead-letters"),
    ("POST", "jobs/{job}/rollback"),
    ("POST", "jobs/{job}/freeze"),
    ("POST", "jobs/{job}/rollback-window"),
    ("GET", "jobs/{job}/history"),
    ("GET", "jobs/{job}/events"),
    ("GET", "tables/{alias}"),
    ("GET", "tables/{alias}/rows"),
    ("POST", "sql"),
    ("GET", "audit"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("PATCH", "topics"),
    ("PUT", "jobs/{job}"),
    ("DELETE", "tables/{alias}"),
    ("GET", "nothing/at/all"),
    ("GET", "/v2/topics"),
];

/// A server with a topic and a job over it that serves.
async fn sums() -> (World, Job) {
    let world = World::start().await;
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    world.topic("ticks", &json!({"partitions": 1, "schema": schema})).await;
    let job = Job::new("sums", "SELECT a, count(*) AS n FROM ticks GROUP BY a").reads("ticks");
    world.deploy_first(&job).await;
    (world, job)
}

/// How many of [`ROUTES`] the contract names; the rest must be refused as unknown.
const NAMED: usize = 35;

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_contract_answers_or_says_that_it_is_not_built() {
    let world = World::start().await;
    for (method, route) in &ROUTES[..NAMED] {
        let answer = ask(&world, method, route).await;
        if answer.status >= 400 {
            let code = answer.problem(answer.status)["code"].clone();
            assert!(answer.status < 500 || code == "NOT_BUILT", "{answer}");
            assert!(answer.status != 405 && code != "NO_SUCH_ROUTE", "{answer}");
        }
    }
    for (method, route) in &ROUTES[NAMED..] {
        let answer = ask(&world, method, route).await;
        assert!([404, 405].contains(&answer.status), "{answer}");
        answer.problem(answer.status);
    }
}

async fn ask(world: &World, method: &str, route: &str) -> Answer {
    let path = route.replace("{topic}", "none").replace("{job}", "none").replace("{n}", "1").replace("{alias}", "none");
    let request = world.request(Method::from_bytes(method.as_bytes()).expect("a method"), &path);
    if method == "POST" || method == "PUT" {
        request.json(&json!({"partitions": 0})).answer().await
    } else {
        request.answer().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_describes_itself() {
    let world = World::start().await;
    let description = world.get("/openapi.json").await.ok();
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{description}");
    let paths = description["paths"].as_object().expect("paths");
    for (method, route) in ROUTES[..NAMED].iter().filter(|(_, route)| !route.starts_with('/')) {
        let described = paths.iter().any(|(path, methods)| {
            shape(path) == shape(&format!("/v1/{route}")) && methods.get(method.to_lowercase()).is_some()
        });
        assert!(described, "{method} {route} is not described");
    }
}

/// A path with all its placeholders called the same.
fn shape(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sent_twice_with_its_key_is_done_once_even_across_a_restart() {
    let mut world = World::start().await;
    world.topic("ticks", &json!({"partitions": 1})).await;
    let first = append_with_key(&world, "a", "1\n2\n").await.ok();
    assert_eq!(append_with_key(&world, "a", "1\n2\n").await.ok(), first);
    world.kill();
    world.restart().await;
    assert_eq!(append_with_key(&world, "a", "1\n2\n").await.ok(), first);
    append_with_key(&world, "a", "3\n").await.problem(422);
    assert_eq!(append_with_key(&world, "b", "1\n2\n").await.ok()["offsets"], json!({"0": [2, 4]}));
    assert_eq!(world.topic_status("ticks").await["partitions"][0]["end"], 4);
}

async fn append_with_key(world: &World, key: &str, body: &str) -> Answer {
    let request = world.request(Method::POST, "topics/ticks/records").header("idempotency-key", key);
    request.body(NDJSON, body).answer().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_against_an_older_state_of_the_job_is_refused() {
    let (world, job) = sums().await;
    let old = world.get("jobs/sums").await.header("etag").expect("a job has an ETag").to_owned();
    let second = world.deploy_and_promote(&job.but("SELECT a, count(a) AS n FROM ticks GROUP BY a")).await;
    let rollback =
        |tag: &str| world.request(Method::POST, "jobs/sums/rollback").header("if-match", tag).json(&json!({})).answer();
    rollback(&old).await.problem(412);
    assert_eq!(world.job("sums").await["serving"], second);
    let now = world.get("jobs/sums").await.header("etag").expect("a job has an ETag").to_owned();
    assert_eq!(rollback(&now).await.ok()["serving"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deploying_the_same_again_makes_no_version_and_a_new_policy_makes_none_either() {
    let (world, job) = sums().await;
    let again = world.post("jobs/sums/versions", &job.body()).await.is(200);
    assert_eq!(again["version"], 1, "{again}");
    let policy = world.post("jobs/sums/versions", &job.clone().promote("max_lag", json!("7s")).body()).await.is(200);
    assert_eq!(policy["policy_changed"], true, "{policy}");
    assert_eq!(world.job("sums").await["versions"], json!([1]));
    assert_eq!(world.deploy_again(&job).await, 2, "unless asked to rebuild");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_to_a_job_is_told_in_order_as_a_list_and_as_a_stream() {
    let (world, job) = sums().await;
    world.deploy_and_promote(&job.but("SELECT a, count(a) AS n FROM ticks GROUP BY a")).await;
    world.roll_back("sums").await;

    let history = world.get("jobs/sums/history").await.ok();
    let events = list(&history["events"]);
    let position = |kind: &str| {
        events.iter().position(|event| event["type"] == kind).unwrap_or_else(|| panic!("{kind}: {history}"))
    };
    assert!(position("version.deployed") < position("job.promoted"), "{history}");
    assert!(position("job.promoted") < position("job.rolled_back"), "{history}");
    let seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().expect("a number")).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
    assert!(events.iter().all(|event| event["at"].is_string() && event["actor"].is_string()), "{history}");

    let streamed = stream(&world, None, seqs.len()).await;
    assert_eq!(streamed, seqs, "the stream tells the same");
    assert_eq!(
        stream(&world, Some(seqs[1]), seqs.len() - 2).await,
        seqs[2..],
        "and goes on after the last that was seen"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_that_a_jobs_stream_tells_is_that_the_job_was_deleted() {
    let (world, _) = sums().await;
    let ask = |after: Option<u64>| {
        let request = reqwest::Client::new().get(format!("{}/v1/jobs/sums/events", world.url()));
        after.into_iter().fold(request, |request, seq| request.header("last-event-id", seq.to_string())).send()
    };
    let follower = ask(None).await.expect("an answer");
    let seen = stream(&world, None, 1).await;
    world.delete("jobs/sums").await.is(204);
    let told = follower.text().await.expect("the stream ends by itself");
    assert!(told.contains("event: job.deleted"), "{told}");
    let again = ask(Some(seen[0])).await.expect("an answer");
    assert!(
        again.text().await.expect("the rest").contains("event: job.deleted"),
        "whoever was cut off hears of it too"
    );
    let last = *event_ids(&told).last().expect("an event");
    assert_eq!(ask(Some(last)).await.expect("an answer").status(), 404, "there is nothing more");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_read_from_its_newest_end_and_a_version_tells_what_it_is_made_of() {
    let (world, job) = sums().await;
    let seqs = |page: &Value| list(&page["events"]).iter().map(|event| event["seq"].clone()).collect::<Vec<_>>();
    let mut forth = seqs(&world.get("jobs/sums/history").await.ok());
    let (mut back, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("jobs/sums/history?first=newest&limit=2{cursor}")).await.ok();
        back.extend(seqs(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    forth.reverse();
    assert_eq!(back, forth);
    world.get("audit?first=somewhere").await.problem(400);
    let made_of = world.get("jobs/sums/versions/1/spec").await.ok();
    assert_eq!((&made_of["query"], &made_of["spec"]["name"]), (&job.body()["query"], &json!("sums")));
    assert_eq!(world.post("jobs/sums/versions", &made_of).await.is(200)["version"], 1, "a deploy takes it as it is");
}

/// The sequence numbers of the first `count` events that the job's stream sends.
async fn stream(world: &World, after: Option<u64>, count: usize) -> Vec<u64> {
    let request = reqwest::Client::new().get(format!("{}/v1/jobs/sums/events", world.url()));
    let request = after.into_iter().fold(request, |request, seq| request.header("last-event-id", seq.to_string()));
    let mut response = request.send().await.expect("an answer");
    let mut text = String::new();
    until("the stream has sent its events", async || {
        let chunk = response.chunk().await.expect("the stream goes on").expect("the stream does not end");
        text.push_str(&String::from_utf8_lossy(&chunk));
        let complete = text.rfind("\n\n").map_or("", |end| &text[..end]);
        let seqs = event_ids(complete);
        if seqs.len() >= count { Ok(seqs) } else { Err(text.clone()) }
    })
    .await
}

fn event_ids(stream: &str) -> Vec<u64> {
    stream.lines().filter_map(|line| line.strip_prefix("id:")?.trim().parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_stops_when_asked_and_everything_is_there_afterwards() {
    let mut world = World::start().await;
    world.topic("ticks", &json!({"partitions": 2, "key": ["a"], "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}})).await;
    world.post_bytes("topics/ticks/records", NDJSON, "{\"a\":1}\n{\"a\":2}\n{\"a\":1}\n").await.ok();
    world.deploy_first(&Job::new("sums", "SELECT a, count(*) AS n FROM ticks GROUP BY a").reads("ticks")).await;
    let before = world.rows_at_end("sums", "ticks").await;
    assert_eq!(json!(before), json!([{"a": 1, "n": 2}, {"a": 2, "n": 1}]));
    world.stop().await;
    world.restart().await;
    assert_eq!(world.rows_at_end("sums", "ticks").await, before);
    let metrics = world.get("/metrics").await;
    assert!(metrics.status == 501 || String::from_utf8_lossy(&metrics.body).contains("rekap_"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_read_page_by_page() {
    let world = World::start().await;
    for n in 0..5 {
        world.topic(&format!("t{n}"), &json!({"partitions": 1})).await;
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("topics?limit=2{cursor}")).await.ok();
        names.extend(list(&page["topics"]).iter().map(|topic| topic["topic"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(Value::from(names), json!(["t0", "t1", "t2", "t3", "t4"]));
}
