//! Pages of others: none of them may change anything through the browser of somebody who can.

use rekap_tests::{World, until};
use reqwest::Method;
use serde_json::json;

use super::stage::{at, serving, with_a_candidate};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_changes_nothing_in_a_real_browser() {
    let world = serving().await;
    with_a_candidate(&world).await;
    world.promote("bpi", 2).await;
    let browser = at(&world, "/").await;
    browser.open(&browser.foreign_page()).await;
    let forged = format!(
        "window.sent = 0; for (const path of ['jobs/bpi/rollback', 'jobs/bpi/versions/2/pause', 'topics/ticks/mirror']) \
         fetch('{}/v1/' + path, {{method: 'POST', mode: 'no-cors'}}).then(() => {{ window.sent += 1; }}, () => {{ window.sent += 1; }})",
        world.url()
    );
    browser.run(&forged).await;
    until("the forged requests are answered", async || {
        let sent = browser.run("return window.sent").await;
        if sent == 3 { Ok(()) } else { Err(sent) }
    })
    .await;
    assert_eq!(world.job("bpi").await["serving"], 2, "it was not rolled back");
    assert_eq!(world.version("bpi", 2).await["run"], "Live", "it was not paused");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_foreign_origins_and_for_foreign_hosts_are_refused_with_a_remedy() {
    let world = World::start().await;
    let body = json!({"partitions": 1});
    let put = |name, value| world.request(Method::PUT, "topics/forged").header(name, value).json(&body).answer();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        put(name, value).await.refused(403, "FOREIGN_ORIGIN");
    }
    world.get("topics/forged").await.refused(404, "UNKNOWN_TOPIC");
    put("sec-fetch-site", "same-origin").await.is(201);
    for path in ["/", "topics", "/metrics"] {
        let rebound = world.request(Method::GET, path).header("host", "evil.example:7480").answer().await;
        rebound.refused(421, "FOREIGN_HOST");
    }
    let page = world.get("/").await;
    assert_eq!(
        (page.header("x-content-type-options"), page.header("x-frame-options")),
        (Some("nosniff"), Some("DENY"))
    );
    assert!(
        page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'self'")),
        "{page}"
    );
}
