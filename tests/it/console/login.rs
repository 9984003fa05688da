//! The console of a server that wants tokens: a login, a session that scripts cannot read, a logout.

use rekap_tests::{Browser, World, WorldConfig};
use serde_json::json;

use super::ACCESSIBILITY;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_with_a_token_sees_the_jobs_and_logs_out() {
    let world = World::with(WorldConfig { server: "tokens = true\n", ..WorldConfig::default() }).await;
    let token = std::fs::read_to_string(world.data().join("admin-token")).expect("the first token");
    let admin = world.with_token(token.trim());
    admin.put("topics/ticks", &json!({"partitions": 1})).await.is(201);
    let browser = Browser::start().await;
    browser.look(1360, 900, "light").await;
    browser.open(world.url()).await;
    browser.sees("This server wants to know who you are").await;
    assert_eq!(browser.run(ACCESSIBILITY).await, json!([]), "the login");
    browser.type_into("dialog input[type=password]", "rekap_000000000000_0").await;
    browser.click("Log in").await;
    browser.sees("what was sent is no token").await;
    browser.fill("dialog input[type=password]", token.trim()).await;
    browser.click("Log in").await;
    browser.sees("admin · log out").await;
    browser.sees("ticks").await;
    let readable =
        browser.run("return document.cookie + JSON.stringify(sessionStorage) + JSON.stringify(localStorage)").await;
    assert!(!readable.to_string().contains("rekap_") && !readable.to_string().contains("rekap-"), "{readable}");
    browser.click("admin · log out").await;
    browser.sees("This server wants to know who you are").await;
    admin.get("session").await.ok();
}
