//! The life of a token: made, shown once, used, listed, revoked; and who did what with it.

use std::os::unix::fs::PermissionsExt;

use rekap_tests::World;
use reqwest::Method;
use serde_json::json;

use super::{admin, first_token, guarded, holder, made};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_token_is_left_where_only_the_server_s_user_reads_it_and_said_nowhere() {
    let mut world = guarded().await;
    let file = world.data().join("admin-token");
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(admin(&world).get("session").await.ok()["role"], "admin");
    let token = first_token(&world);
    let secret = token.trim().rsplit('_').next().expect("a last part").to_owned();
    assert!(world.log().contains("admin-token") && !world.log().contains(&secret));
    world.stop().await;
    world.restart().await;
    assert_eq!(first_token(&world), token, "it is made once");
    assert_eq!(admin(&world).get("session").await.ok()["role"], "admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_and_its_secret_is_found_nowhere_afterwards() {
    let mut world = guarded().await;
    let admin = admin(&world);
    let wanted = json!({"name": "ann", "role": "operator", "note": "for ann"});
    let post = || admin.request(Method::POST, "tokens").header("idempotency-key", "one").json(&wanted);
    let made = post().answer().await.is(201);
    let text = made["token"].as_str().expect("a token").to_owned();
    let again = post().answer().await.is(200);
    assert_eq!(
        (&again["id"], &again["token"]),
        (&made["id"], &json!(null)),
        "it is not made twice, and not shown twice"
    );
    let listed = admin.get("tokens").await.ok();
    let ann = listed["tokens"].as_array().expect("tokens").iter().find(|token| token["name"] == "ann").expect("ann's");
    assert_eq!((&ann["state"], &ann["created_by"]), (&json!("active"), &json!("admin")));
    let holder = world.with_token(&text);
    assert_eq!(holder.get("session").await.ok()["name"], "ann");
    let secret = text.rsplit('_').next().expect("a last part").to_owned();
    let audit = admin.get("audit?limit=1000").await.ok().to_string();
    assert!(audit.contains("token.created") && !audit.contains(&secret) && !audit.contains("hash"), "{audit}");
    world.stop().await;
    for file in files(&world.data()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{} holds the secret", file.display());
    }
    assert!(!world.log().contains(&secret));
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_opens_nothing_from_then_on_and_stays_so_after_a_restart() {
    let mut world = guarded().await;
    let boss = admin(&world);
    let token = made(&boss, json!({"name": "ann", "role": "viewer"})).await;
    let holder = world.with_token(token["token"].as_str().expect("a token"));
    holder.get("jobs").await.ok();
    let id = token["id"].as_str().expect("an id");
    boss.delete(&format!("tokens/{id}")).await.is(204);
    boss.delete(&format!("tokens/{id}")).await.is(204);
    boss.delete("tokens/000000000000").await.refused(404, "UNKNOWN_TOKEN");
    let refused = holder.get("jobs").await;
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"rekap\""));
    assert!(refused.refused(401, "UNAUTHENTICATED")["detail"].as_str().expect("a detail").contains("revoked"));
    world.stop().await;
    world.restart().await;
    holder.get("jobs").await.refused(401, "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_says_who_did_it_and_from_where() {
    let world = guarded().await;
    let developer = holder(&world, "developer").await;
    developer.put("topics/ticks", &json!({"partitions": 1})).await.is(201);
    developer.put("topics/other", &json!({"partitions": 0})).await.refused(422, "INVALID_TOPIC");
    let audit = admin(&world).get("audit?limit=1000").await.ok();
    let of_topics: Vec<_> =
        audit["events"].as_array().expect("events").iter().filter(|event| event["type"] == "topic.created").collect();
    assert_eq!(of_topics.len(), 1, "what was refused changed nothing: {audit}");
    assert_eq!((&of_topics[0]["actor"], &of_topics[0]["address"]), (&json!("the developer"), &json!("127.0.0.1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_lists_and_revokes_tokens_and_is_refused_without_one() {
    let world = guarded().await;
    let token = first_token(&world);
    let as_admin = |arguments: &[&str]| world.cli(arguments).with(&[("REKAP_TOKEN", token.trim().to_owned())]);
    let made = as_admin(&["--json", "token", "create", "ann", "--role", "viewer", "--job", "bpi*", "--expires", "1h"]);
    let made = made.run().await.exits(0).json();
    let ann = made["token"].as_str().expect("a token").to_owned();
    let listed = as_admin(&["token", "list"]).run().await.exits(0).stdout;
    assert!(listed.contains("ann") && listed.contains("jobs bpi*, all topics"), "{listed}");
    let who = world.cli(&["--token", &ann, "token", "whoami"]).run().await.exits(0).stdout;
    assert!(who.contains("ann, viewer: jobs bpi*"), "{who}");
    let refused = world.cli(&["--token", &ann, "token", "list"]).run().await.exits(1).stderr;
    assert!(refused.contains("FORBIDDEN") && refused.contains("admin"), "{refused}");
    let refused = world.cli(&["jobs"]).run().await.exits(1).stderr;
    assert!(refused.contains("UNAUTHENTICATED") && refused.contains("REKAP_TOKEN"), "{refused}");
    as_admin(&["token", "revoke", made["id"].as_str().expect("an id")]).run().await.exits(0);
    world.cli(&["--token", &ann, "jobs"]).run().await.exits(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_loopback_wants_no_token_unless_it_is_told_to() {
    let world = World::start().await;
    let who = world.get("session").await.ok();
    assert_eq!((&who["name"], &who["tokens"]), (&json!("local"), &json!(false)));
    assert!(!world.data().join("admin-token").exists());
}
