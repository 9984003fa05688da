//! Senders who stand still, who flood, and who try to get around the routes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rekap_tests::{World, WorldConfig, until};
use serde_json::json;

use super::{first_token, guarded, holder};

/// How long a test waits for an answer that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

async fn limited(server: &'static str) -> World {
    World::with(WorldConfig { server, ..WorldConfig::default() }).await
}

fn connect(world: &World) -> TcpStream {
    let stream = TcpStream::connect(world.url().trim_start_matches("http://")).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("TCP can be told");
    stream
}

/// All that comes until the server ends the connection; a connection that is reset has ended too.
fn read_to_end(stream: &mut TcpStream) -> String {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(n) => all.extend_from_slice(&part[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => break,
            Err(e) => panic!("the server keeps a connection that it should have ended: {e}"),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Sends this and answers the status.
fn status_of(world: &World, request: &str) -> u16 {
    let mut stream = connect(world);
    stream.write_all(request.as_bytes()).expect("the server reads");
    let answer = read_to_end(&mut stream);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_finish_the_head_of_a_request_is_let_go() {
    let world = limited("[server.limits]\nhead_time = \"1s\"\n").await;
    let mut slow = connect(&world);
    slow.write_all(b"GET /v1/jobs HTTP/1.1\r\nhost: localhost\r\nx-slow: ").expect("the server reads");
    let told = read_to_end(&mut slow);
    assert!(told.is_empty() || told.contains(" 408 "), "{told}");
    assert_eq!(read_to_end(&mut connect(&world)), "", "nor is who says nothing");
    world.get("jobs").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_headers_is_refused_and_the_server_goes_on() {
    let world = World::start().await;
    let many: String = (0..1_000).map(|i| format!("x-{i}: y\r\n")).collect();
    assert_eq!(status_of(&world, &format!("GET /v1/jobs HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")), 431);
    let mut stream = connect(&world);
    // The server may end the connection while it is being sent.
    let _ = stream.write_all(format!("GET /v1/jobs HTTP/1.1\r\nx-long: {}\r\n\r\n", "y".repeat(4 << 20)).as_bytes());
    let told = read_to_end(&mut stream);
    assert!(told.is_empty() || told.contains(" 431 "), "{told}");
    world.get("jobs").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_again_and_others_are_not() {
    let world = limited("tokens = true\n[server.limits]\nrequests_per_second = 20\n").await;
    let (greedy, other) = (holder(&world, "viewer").await, holder(&world, "operator").await);
    let mut refused = 0;
    for _ in 0..200 {
        let answer = greedy.get("jobs").await;
        if answer.status == 429 {
            answer.refused(429, "RATE_LIMITED");
            assert_eq!(answer.header("retry-after"), Some("1"));
            refused += 1;
        }
    }
    assert!(refused > 0, "200 requests in a row are more than 20 a second");
    other.get("jobs").await.ok();
    until("the greedy one may ask again", async || match greedy.get("jobs").await.status {
        200 => Ok(()),
        status => Err(status),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_as_many_as_may_are_answered_is_told_to_come_again() {
    let world = limited("[server.limits]\nrequests = 1\n").await;
    let mut slow = connect(&world);
    let head =
        "POST /v1/sql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n";
    slow.write_all(head.as_bytes()).expect("the server reads");
    until("the slow request is being answered", async || match world.get("jobs").await {
        answer if answer.status == 503 => Ok(answer.refused(503, "OVERLOADED")),
        answer => Err(answer.status),
    })
    .await;
    world.get("/healthz").await.is(200);
    drop(slow);
    until("there is room again", async || match world.get("jobs").await.status {
        200 => Ok(()),
        status => Err(status),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_wait_for_one_to_end() {
    let world = limited("[server.limits]\nconnections = 8\nhead_time = \"2s\"\n").await;
    let silent: Vec<TcpStream> = (0..16).map(|_| connect(&world)).collect();
    // Those that say nothing are let go, so whoever asks is answered.
    world.get("jobs").await.ok();
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_path_leads_around_its_rule() {
    let world = guarded().await;
    for path in [
        "/v1/tokens/",
        "//v1/tokens",
        "/v1//tokens",
        "/V1/tokens",
        "/v1/./tokens",
        "/v1/jobs/../tokens",
        "/v1/jobs/%2e%2e/tokens",
        "/v1/jobs%2f..%2ftokens",
        "/v1/%74okens",
        "/v1/tokens%00",
        "/v1/tokens;a=b",
        "/healthz/../v1/tokens",
        "/docs/runbooks/..%2f..%2fadmin-token",
        "/docs/runbooks/../../data/admin-token",
        "/console/x/../../v1/tokens",
        "http://localhost/v1/tokens",
        "/v1/tokens?x=/healthz",
        "/v1/tokens#/healthz",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let status = status_of(&world, &request);
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    let secret = first_token(&world);
    for more in [
        "authorization: Basic YWRtaW46YWRtaW4=",
        "authorization: Bearer",
        "authorization: Bearer \u{e9}",
        "cookie: rekap=1",
        "x-forwarded-user: admin",
        "x-original-url: /healthz",
        "x-http-method-override: GET",
    ] {
        let request = format!("GET /v1/jobs HTTP/1.1\r\nhost: localhost\r\n{more}\r\nconnection: close\r\n\r\n");
        assert_eq!(status_of(&world, &request), 401, "{more}");
    }
    // The scheme's name is written in any case; the token is not.
    let request = |said: &str| {
        format!("GET /v1/jobs HTTP/1.1\r\nhost: localhost\r\nauthorization: {said}\r\nconnection: close\r\n\r\n")
    };
    assert_eq!(status_of(&world, &request(&format!("bearer {}", secret.trim()))), 200);
    assert_eq!(status_of(&world, &request(&format!("Bearer {}", secret.trim().to_uppercase()))), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_s_cookie_opens_nothing_for_a_foreign_page_and_nothing_after_the_logout() {
    let world = guarded().await;
    let login = world.post("session", &json!({"token": first_token(&world).trim()})).await;
    assert_eq!(login.status, 204, "{login}");
    let cookie = login.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
    let ask = |method: reqwest::Method, path: &str| world.request(method, path).header("cookie", &cookie);
    let (get, put) = (reqwest::Method::GET, reqwest::Method::PUT);
    assert_eq!(ask(get.clone(), "session").answer().await.ok()["name"], "admin");
    let topic = json!({"partitions": 1});
    let here = || ask(put.clone(), "topics/ticks").json(&topic);
    here().answer().await.refused(403, "FOREIGN_ORIGIN");
    here().header("sec-fetch-site", "cross-site").answer().await.refused(403, "FOREIGN_ORIGIN");
    here().header("origin", "https://example.org").answer().await.refused(403, "FOREIGN_ORIGIN");
    here().header("sec-fetch-site", "same-origin").answer().await.is(201);
    ask(reqwest::Method::DELETE, "session").answer().await.is(204);
    ask(get, "session").answer().await.refused(401, "UNAUTHENTICATED");
    world.post("session", &json!({"token": "rekap_0_0"})).await.refused(401, "UNAUTHENTICATED");
}
