//! Every page: it shows what there is, complains about nothing, asks nobody else, and can be used by everybody.

use std::fs;

use rekap_tests::{Browser, World, keys, repository};
use serde_json::{Value, json};

use super::ACCESSIBILITY;
use super::stage::{at, go, serving, with_a_candidate};

/// The variable that asks for pictures of the pages in `docs/images`.
const PICTURES: &str = "REKAP_SCREENSHOTS";

/// How large a picture in the documentation may be.
const MAX_PICTURE_BYTES: usize = 300_000;

/// Each page with something that only it shows, and the name of its picture.
const PAGES: [(&str, &str, &str); 9] = [
    ("/", "bpi@2 is ready to take over", "overview"),
    ("/jobs/bpi", "Rows that differ", "job"),
    ("/topics/ticks", "read through both tiers as one log", "topic"),
    ("/tables/bpi", "price over minute by currency", "table"),
    ("/tables/bpi@2", "Answered by", ""),
    ("/sql", "live.bpi", ""),
    ("/history", "v2 compared with v1", "history"),
    ("/deploy?job=bpi", "Show the plan", ""),
    ("/runbooks/gap", "What it means", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_shows_what_there_is_and_can_be_used_by_everybody() {
    let world = serving().await;
    with_a_candidate(&world).await;
    let browser = at(&world, "/").await;
    for (path, shown, name) in PAGES {
        go(&browser, &world, path).await;
        browser.sees(shown).await;
        for (width, theme) in [(1360, "light"), (1360, "dark"), (390, "light"), (390, "dark")] {
            browser.look(width, 900, theme).await;
            let wrong = browser.run(ACCESSIBILITY).await;
            assert_eq!(wrong, json!([]), "{path}, {theme}, {width} wide");
        }
        browser.look(1360, 900, "light").await;
        if !name.is_empty() {
            picture(&browser, name).await;
        }
        asked_nobody_else(&browser, &world).await;
        assert_eq!(browser.complaints().await, Vec::<String>::new(), "{path}");
    }
    browser.look(390, 844, "dark").await;
    go(&browser, &world, "/jobs/bpi").await;
    picture(&browser, "phone").await;
    browser.look(1360, 900, "dark").await;
    picture(&browser, "job-dark").await;
}

/// Every request that the page made went to the server.
async fn asked_nobody_else(browser: &Browser, world: &World) {
    let asked = browser.run("return performance.getEntries().map((e) => e.name).filter((n) => n.includes('//'))").await;
    let asked = asked.as_array().expect("a list of addresses").clone();
    assert!(asked.len() > 3, "{asked:?}");
    let foreign: Vec<&Value> =
        asked.iter().filter(|name| !name.as_str().unwrap_or("").starts_with(world.url())).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

async fn picture(browser: &Browser, name: &str) {
    if std::env::var_os(PICTURES).is_none() {
        return;
    }
    let picture = browser.picture().await;
    assert!(picture.len() < MAX_PICTURE_BYTES, "{name} has {} bytes", picture.len());
    let folder = repository().join("docs/images");
    fs::create_dir_all(&folder).expect("a folder in the repository");
    fs::write(folder.join(format!("console-{name}.png")), picture).expect("a file in the repository");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_reaches_everything_in_order_and_the_check_itself_finds_faults() {
    let world = serving().await;
    let browser = at(&world, "/").await;
    browser.run("document.activeElement.blur()").await;
    browser.press(keys::TAB).await;
    assert_eq!(browser.run("return document.activeElement.textContent").await, "Skip to the content");
    browser.press(keys::ENTER).await;
    browser.holds("the content has the focus", "return document.activeElement.id === 'main'").await;
    let reached = tabbed(&browser).await;
    assert!(reached.len() > 4, "{reached:?}");
    assert!(reached.windows(2).all(|pair| pair[0]["at"].as_u64() < pair[1]["at"].as_u64()), "{reached:?}");
    assert!(reached.iter().all(|one| one["ring"] == true), "{reached:?}");

    browser.press("?").await;
    browser.sees("This list").await;
    assert_eq!(browser.run(ACCESSIBILITY).await, json!([]), "the list of shortcuts");
    browser.press(keys::ESCAPE).await;
    browser.press("gh").await;
    browser.sees("Every change to a job is an event").await;
    browser.press("t").await;
    browser.holds("the theme is light", "return document.documentElement.dataset.theme === 'light'").await;

    let faults = "const b = document.createElement('button'); b.className = 'button'; document.querySelector('main').append(b); \
         const p = document.createElement('p'); p.textContent = 'pale'; p.style.color = '#ccc'; document.querySelector('main').append(p);";
    browser.run(faults).await;
    let wrong = browser.run(ACCESSIBILITY).await.to_string();
    assert!(wrong.contains("no name") && wrong.contains("contrast") && wrong.contains("pale"), "{wrong}");
}

/// Where the focus goes by Tab within the content: the place of each element in the document, and whether it has a ring.
async fn tabbed(browser: &Browser) -> Vec<Value> {
    let look = "const n = document.activeElement; const c = getComputedStyle(n); if (!n.closest('main')) return null; \
         return {at: [...document.querySelectorAll('*')].indexOf(n), ring: parseFloat(c.outlineWidth) >= 2 && c.outlineStyle !== 'none', what: n.textContent.slice(0, 20)}";
    let mut reached = Vec::new();
    for _ in 0..40 {
        browser.press(keys::TAB).await;
        match browser.run(look).await {
            Value::Null => break,
            one => reached.push(one),
        }
    }
    reached
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_as_rows_and_lines_and_a_wrong_one_with_its_remedy() {
    let world = serving().await;
    let browser = at(&world, "/sql").await;
    let run = |query: &str| format!("{query}{}{}", keys::CONTROL, keys::ENTER);
    browser.fill("#query", &run("SELECT currency, minute, price FROM live.bpi ORDER BY minute LIMIT 300")).await;
    browser.sees("300 rows in").await;
    browser.click("Chart").await;
    browser.sees("price over minute by currency").await;
    browser
        .holds(
            "there is a line for each currency",
            "return document.querySelectorAll('svg.lines path.line').length === 3",
        )
        .await;
    assert_eq!(browser.run(ACCESSIBILITY).await, json!([]), "the chart");
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    browser.fill("#query", &run("SELECT pric FROM live.bpi")).await;
    browser.sees("INVALID_QUERY").await;
    browser.sees("What to do:").await;
    assert_eq!(browser.run(ACCESSIBILITY).await, json!([]), "the rejection");
    browser.click("Runbook: invalid-query").await;
    browser.sees("All runbooks").await;
}
