//! The OpenAPI document against a running server: schemathesis asks every route for what it describes, and for what it does not.

use std::process::Command;

use rekap_tests::{NDJSON, World, python, repository};
use serde_json::json;

use super::{first_token, guarded};

/// For how long it asks; what it has found by then is what counts.
const SECONDS: &str = "12";

/// All that it can look at, but for data that it holds for good and that the document's plain words (`a SELECT`) rule out.
const LEFT_OUT: &str = "positive_data_acceptance";

/// Runs schemathesis to its end and fails with what it found.
async fn explore(world: &World, token: Option<&str>) {
    let mut command = Command::new(python().with_file_name("schemathesis"));
    command
        .arg("--config-file")
        .arg(repository().join("tests/py/schemathesis.toml"))
        .arg("run")
        .arg(format!("{}/openapi.json", world.url()))
        .args(["--exclude-checks", LEFT_OUT, "--max-time", SECONDS, "--max-examples", "8", "--request-timeout", "25"])
        // The same requests each time, so that a red run is of the change that made it.
        .args(["--seed", "1"])
        // A stream of events has no end to wait for.
        .args([
            "--exclude-path-regex",
            "events$",
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--continue-on-failure",
        ])
        .args(token.map(|token| format!("--header=Authorization: Bearer {token}")))
        .current_dir(world.folder())
        .env("NO_COLOR", "1");
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic within");
    let output = output.expect("schemathesis starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    world.get("/readyz").await.is(200);
}

/// A topic with a record, under a name that it likes to ask for, so that not every answer is that there is nothing.
async fn fill(world: &World) {
    world.put("topics/0", &json!({"partitions": 2})).await.is(201);
    world.post_bytes("topics/0/records", NDJSON, r#"{"currency":"EUR"}"#).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_loopback_answers_as_its_document_says() {
    let world = World::start().await;
    fill(&world).await;
    explore(&world, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_tokens_answers_as_its_document_says_with_one_and_without() {
    let world = guarded().await;
    explore(&world, None).await;
    explore(&world, Some(first_token(&world).trim())).await;
}
