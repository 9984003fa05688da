//! The service as a client meets it, with every room open behind it.

use std::path::Path;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{Config, Problem, Rekap, Running};

/// A server in a folder of its own.
struct World {
    running: Running,
    http: Client,
    folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        World { running: start(folder.path()).await, http: Client::new(), folder }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.running.url() + path)
    }

    async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.ask(Method::PUT, path).json(&body)).await
    }

    async fn append(&self, body: &str) -> (u16, Value) {
        let request = self.ask(Method::POST, "/v1/topics/ticks/records").header("content-type", "application/x-ndjson");
        answer(request.body(body.to_owned())).await
    }

    async fn stop(self) -> tempfile::TempDir {
        self.running.shutdown().await;
        self.folder
    }
}

async fn start(folder: &Path) -> Running {
    let mut config = Config { data: folder.join("data"), ..Config::default() };
    config.server.listen.set_port(0);
    Rekap::start(config).await.unwrap()
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn refused(request: RequestBuilder) -> Problem {
    serde_json::from_value(answer(request).await.1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_that_is_described_is_there_and_every_other_is_refused() {
    let world = World::start().await;
    let (_, document) = answer(world.ask(Method::GET, "/openapi.json")).await;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 25, "{paths:?}");
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys().filter(|name| *name != "parameters") {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let path = path.replace("{n}", "1").replace("{page}", "gap.md").replace(['{', '}'], "");
            let response = world.ask(method.clone(), &path).send().await.unwrap();
            let problem = response.headers().get("content-type").is_some_and(|kind| kind == crate::PROBLEM_JSON);
            if problem {
                let problem: Problem = response.json().await.unwrap();
                assert!(problem.code != "NO_SUCH_ROUTE" && problem.code != "METHOD_NOT_ALLOWED", "{method} {path}");
            }
        }
    }
    assert_eq!(refused(world.ask(Method::GET, "/v1/other")).await.code, "NO_SUCH_ROUTE");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_kept_as_sent_and_read_back_after_a_restart() {
    let world = World::start().await;
    assert_eq!(world.put("/v1/topics/ticks", json!({"partitions": 1, "key": ["a"]})).await.0, 201);
    assert_eq!(world.append("{\"a\": 1.50}\n{\"a\":2}\n").await.1, json!({"appended": 2, "offsets": {"0": [0, 2]}}));
    let folder = world.stop().await;
    let world = World { running: start(folder.path()).await, http: Client::new(), folder };
    let (_, page) = answer(world.ask(Method::GET, "/v1/topics/ticks/records?from=0")).await;
    assert_eq!(page["next_offset"], 2);
    assert_eq!(page["records"][0]["value"], "{\"a\": 1.50}");
    assert_eq!((&page["records"][1]["key"], &page["records"][1]["tier"]), (&json!("2"), &json!("hot")));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_gets_wrong_is_named() {
    let world = World::start().await;
    world.put("/v1/topics/ticks", json!({"partitions": 1})).await;
    let post = |path: &str, media: &str, body: &'static str| {
        world.ask(Method::POST, path).header("content-type", media).body(body)
    };
    let ndjson = "application/x-ndjson";
    let cases = [
        (post("/v1/topics/ticks/records", "text/plain", "1"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (post("/v1/topics/ticks/records", ndjson, " \n"), 422, "EMPTY_BODY"),
        (post("/v1/topics/ticks/records", ndjson, "1\n{"), 422, "INVALID_RECORD"),
        (post("/v1/topics/none/records", ndjson, "1"), 404, "UNKNOWN_TOPIC"),
        (post("/v1/topics/ticks/records?rwa=true", ndjson, "1"), 400, "BAD_QUERY"),
        (post("/v1/sql", "application/json", "{"), 400, "BAD_JSON"),
        (post("/v1/sql", "application/json", "{\"sql\": 1}"), 422, "INVALID_BODY"),
        (world.ask(Method::GET, "/v1/topics?limit=0"), 422, "INVALID_LIMIT"),
        (world.ask(Method::GET, "/v1/topics/ticks/records?from=noon"), 422, "INVALID_START"),
        (world.ask(Method::PUT, "/v1/topics/ticks").json(&json!({"colour": 1})), 422, "INVALID_BODY"),
        (world.ask(Method::PUT, "/v1/topics/new").json(&json!({})), 422, "INVALID_TOPIC"),
        (world.ask(Method::GET, "/v1/tables/bpi@x/rows"), 404, "UNKNOWN_VERSION"),
    ];
    for (request, status, code) in cases {
        let problem = refused(request).await;
        assert_eq!((problem.status, problem.code.as_str()), (status, code), "{problem}");
        assert!(!problem.remedy.is_empty(), "{problem}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_its_bound_is_refused_and_the_client_sees_the_answer() {
    let world = World::start().await;
    world.put("/v1/topics/ticks", json!({"partitions": 1})).await;
    let large = world.ask(Method::POST, "/v1/topics/ticks/records").header("content-type", "application/x-ndjson");
    let problem = refused(large.body(vec![b' '; (64 << 20) + 1])).await;
    assert_eq!((problem.status, problem.code.as_str()), (413, "BODY_TOO_LARGE"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_ends_its_streams() {
    let world = World::start().await;
    world
        .put(
            "/v1/topics/ticks",
            json!({"partitions": 1, "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}),
        )
        .await;
    let deploy = json!({"spec": {"name": "sums", "inputs": {"ticks": {"topic": "ticks"}}}, "query": "SELECT a, count(*) AS n FROM ticks GROUP BY a"});
    let (status, deployed) = answer(world.ask(Method::POST, "/v1/jobs/sums/versions").json(&deploy)).await;
    assert_eq!(status, 201, "{deployed}");
    let mut stream = world.ask(Method::GET, "/v1/jobs/sums/events").send().await.unwrap();
    assert!(String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()).contains("version.deployed"));
    world.stop().await;
    while let Ok(Some(_)) = stream.chunk().await {}
}
