//! What the server does by itself, as it is seen: schedules on the overview, the drill on the page of its job.

use rekap_tests::{World, WorldConfig, until};
use serde_json::json;

use super::ACCESSIBILITY;
use super::stage::{at, go, serving_on};

/// One that is due each second, one that fails each second, and one that is not due for long.
const SCHEDULES: &str = "\
[[schedules]]
name = \"compaction\"
cron = \"* * * * * *\"
task = \"compaction\"
[[schedules]]
name = \"nightly-drill\"
cron = \"* * * * * *\"
task = \"drill\"
job = \"nobody*\"
[[schedules]]
name = \"yearly\"
cron = \"0 3 1 1 *\"
timezone = \"Europe/Vienna\"
task = \"compaction\"
";

#[tokio::test(flavor = "multi_thread")]
async fn schedules_and_drills_are_seen_where_an_operator_looks() {
    let world = serving_on(World::with(WorldConfig { more: SCHEDULES, ..WorldConfig::default() }).await).await;
    let browser = at(&world, "/").await;
    for shown in ["Europe/Vienna", "0 3 1 1 *", "not yet", "no job is named", "nightly-drill failed"] {
        browser.sees(shown).await;
    }
    for (width, theme) in [(1360, "light"), (390, "dark")] {
        browser.look(width, 900, theme).await;
        assert_eq!(browser.run(ACCESSIBILITY).await, json!([]), "the overview, {theme}, {width} wide");
    }
    browser.look(1360, 900, "light").await;
    browser.click("See what happened").await;
    browser.sees("schedule nightly-drill failed").await;

    go(&browser, &world, "/jobs/bpi").await;
    browser.sees("Not drilled yet").await;
    browser.click("Drill now …").await;
    browser.sees("What serves is not touched").await;
    assert_eq!(browser.run(ACCESSIBILITY).await, json!([]), "the question before a drill");
    browser.click("Drill now").await;
    until("the drill passes", async || {
        let seen = world.job("bpi").await;
        if seen["drill"]["verdict"] == "pass" { Ok(()) } else { Err(seen) }
    })
    .await;
    browser.sees("Records read").await;
    let drilled = "return document.querySelector('[data-key=panel-drill]').innerText.includes('pass')";
    browser.holds("the drill's verdict is there", drilled).await;
    for (width, theme) in [(1360, "dark"), (390, "light")] {
        browser.look(width, 900, theme).await;
        assert_eq!(browser.run(ACCESSIBILITY).await, json!([]), "the job, {theme}, {width} wide");
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
