//! From a deploy to a rollback by clicks, on a page that is never loaded again.

use rekap_tests::{NDJSON, World};
use serde_json::json;

use super::ACCESSIBILITY;
use super::stage::{at, example, serving, with_a_candidate};

/// Left in the page's memory; gone when the page is loaded again.
const MARK: &str = "window.stayed = true";
const STAYED: &str = "return window.stayed === true";

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_deployed_promoted_and_rolled_back_by_clicks() {
    let world = serving().await;
    let browser = at(&world, "/deploy").await;
    browser.run(MARK).await;
    browser.fill("#toml", &example("v2/job.toml")).await;
    browser.fill("#sql", &example("v2/query.sql")).await;
    browser.click("Show the plan").await;
    browser.sees("What the replay reads").await;
    assert_eq!(browser.run(ACCESSIBILITY).await, json!([]), "the plan");
    browser.click("Deploy v2").await;
    browser.sees("bpi@2 is deployed").await;
    world.until_phase("bpi", 2, "Ready").await;
    browser.sees("v2 is ready").await;
    browser.sees("Rows that differ").await;

    browser.click("Promote v2 …").await;
    browser.sees("Readers of bpi go from v1 to v2.").await;
    browser.sees("v1 goes on reading, so a rollback takes milliseconds").await;
    assert_eq!(browser.run(ACCESSIBILITY).await, json!([]), "the question before a promotion");
    browser.type_into("dialog input[type=text]", "weigh by volume").await;
    browser.click("Promote v2 now").await;
    browser.sees("v2 serves; readers were held").await;
    assert_eq!(world.job("bpi").await["serving"], 2);
    browser.sees("v2 promoted over v1").await;
    browser.sees("weigh by volume").await;

    browser.click("Roll back …").await;
    browser.sees("no reader steps back").await;
    browser.click("Roll back to v1").await;
    browser.sees("v1 serves again").await;
    assert_eq!(world.job("bpi").await["serving"], 1);
    browser.sees("rolled back from v2 to v1").await;

    let more: String = (0..50)
        .map(|n| {
            format!("{{\"currency\":\"CHF\",\"ts\":\"2016-02-01T00:{n:02}:00Z\",\"price\":400.5,\"volume\":1.0}}\n")
                .replace("CHF", "EUR")
        })
        .collect();
    let before = rows(&world).await;
    world.post_bytes("topics/ticks/records", NDJSON, more).await.ok();
    browser.sees(grouped(before + 50)).await;
    assert_eq!(browser.run(STAYED).await, true, "the page was never loaded again");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

async fn rows(world: &World) -> u64 {
    world.version("bpi", 1).await["rows"].as_u64().expect("a count")
}

/// 12,345
fn grouped(n: u64) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", n / 1000, n % 1000) }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_too_late_is_shown_what_changed_and_a_condition_is_waived_by_name() {
    let world = serving().await;
    with_a_candidate(&world).await;
    let browser = at(&world, "/jobs/bpi").await;
    browser.click("Promote v2 …").await;
    browser.sees("Readers of bpi go from v1 to v2.").await;
    let by_somebody_else = json!({"spec": {"name": "bpi", "inputs": {"ticks": {"topic": "ticks"}}, "time": "minute", "promote": {"max_changed": "1%", "ready_for": "200ms"}},
        "query": "SELECT currency, date_bin(INTERVAL '1 minute', ts) AS minute, max(price) AS price, sum(volume) AS volume, count(*) AS trades FROM ticks GROUP BY currency, minute"});
    world.post("jobs/bpi/versions", &by_somebody_else).await.is(201);
    browser.click("Promote v2 now").await;
    browser.sees("The job has changed since you looked; nothing was done").await;
    browser.sees("v3 deployed").await;
    assert_eq!(world.job("bpi").await["serving"], 1);
    assert_eq!(browser.run(ACCESSIBILITY).await, json!([]), "the conflict");
    browser.click("Take this up").await;
    browser.click("Promote v2 now").await;
    browser.sees("v2 serves; readers were held").await;

    browser.click_on("button[aria-pressed=false].pick").await;
    browser.run("[...document.querySelectorAll('.lane .pick')].find((b) => b.textContent === 'v3').click()").await;
    browser.sees("differ (").await;
    browser.click("Promote v3 …").await;
    browser.sees("Not met yet").await;
    browser
        .holds("it cannot be done without a waiver", "return document.querySelector('dialog .primary').disabled")
        .await;
    browser.run("document.querySelectorAll('dialog .unmet input').forEach((box, i, all) => { if (i < all.length - 1) box.click(); })").await;
    browser.click("Promote v3 now").await;
    browser.sees("v3 serves; readers were held").await;
    assert_eq!(world.job("bpi").await["serving"], 3);
    browser.sees("waived: verified").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_is_said_and_the_page_goes_on_when_it_is_back() {
    let mut world = serving().await;
    let browser = at(&world, "/jobs/bpi").await;
    browser.run(MARK).await;
    world.kill();
    browser.sees("The server does not answer.").await;
    browser.sees("bpi").await;
    assert_eq!(browser.run(ACCESSIBILITY).await, json!([]), "the page without its server");
    world.restart().await;
    browser.holds("the page is connected again", "return !document.body.innerText.includes('does not answer')").await;
    browser.sees("connected").await;
    assert_eq!(browser.run(STAYED).await, true);
}
