//! What a token with a scope sees: its own jobs and topics, and nothing of others.

use rekap_tests::{Client, NDJSON, World, until};
use serde_json::{Value, json};

use super::{admin, guarded, made};

const QUERY: &str = "SELECT currency, count(*) AS n FROM ticks GROUP BY currency";

fn job(name: &str, topic: &str) -> Value {
    json!({"spec": {"name": name, "inputs": {"ticks": {"topic": topic, "columns": {"currency": "text"}}}}, "query": QUERY})
}

/// Two topics with a record each, and a job over each that serves.
async fn world() -> World {
    let world = guarded().await;
    let boss = admin(&world);
    for (name, topic) in [("bpi", "ticks"), ("secret", "orders")] {
        boss.put(&format!("topics/{topic}"), &json!({"partitions": 1})).await.is(201);
        boss.post_bytes(&format!("topics/{topic}/records"), NDJSON, r#"{"currency":"EUR"}"#).await.ok();
        boss.post(&format!("jobs/{name}/versions"), &job(name, topic)).await.is(201);
        until("it serves", async || match boss.get(&format!("tables/{name}/rows")).await {
            answer if answer.status == 200 => Ok(()),
            answer => Err(answer.to_string()),
        })
        .await;
    }
    world
}

/// An admin, but of `bpi*` and `ticks*` only.
async fn narrow(world: &World) -> Client {
    let token = json!({"name": "ann", "role": "admin", "jobs": ["bpi*"], "topics": ["ticks*"]});
    world.with_token(made(&admin(world), token).await["token"].as_str().expect("a token"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_a_scope_reads_and_changes_only_what_lies_in_it() {
    let world = world().await;
    let ann = narrow(&world).await;
    for path in
        ["jobs/bpi", "jobs/bpi/history", "tables/bpi/rows", "tables/bpi@1/rows", "topics/ticks", "topics/ticks/records"]
    {
        ann.get(path).await.ok();
    }
    for path in [
        "jobs/secret",
        "jobs/secret/history",
        "jobs/secret/versions/1/spec",
        "tables/secret/rows",
        "tables/secret@1/rows",
        "tables/%73ecret/rows",
        "topics/orders",
        "topics/orders/records",
        "audit",
        "audit/verify",
        "tokens",
        "/metrics",
    ] {
        let refused = ann.get(path).await.refused(403, "FORBIDDEN");
        assert_eq!(refused["jobs"], json!(["bpi*"]), "{path}");
    }
    ann.delete("jobs/secret").await.refused(403, "FORBIDDEN");
    ann.post("tokens", &json!({"name": "eve", "role": "admin"})).await.refused(403, "FORBIDDEN");
    ann.put("topics/orders", &json!({"partitions": 2})).await.refused(403, "FORBIDDEN");
    ann.put("topics/ticks.more", &json!({"partitions": 2})).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_queries_leave_out_what_lies_beyond_the_scope() {
    let world = world().await;
    let ann = narrow(&world).await;
    let names = |list: &Value, of: &str, name: &str| -> Vec<Value> {
        list[of].as_array().expect("a list").iter().map(|item| item[name].clone()).collect()
    };
    assert_eq!(names(&ann.get("jobs").await.ok(), "jobs", "job"), [json!("bpi")]);
    assert_eq!(names(&ann.get("topics").await.ok(), "topics", "topic"), [json!("ticks")]);
    let ask = async |query: &str| ann.post("sql", &json!({"query": query})).await;
    ask("SELECT * FROM live.bpi").await.ok();
    ask("SELECT * FROM version.\"bpi@1\"").await.ok();
    ask("SELECT * FROM log.ticks").await.ok();
    for beyond in [
        "SELECT * FROM live.secret",
        "SELECT * FROM version.\"secret@1\"",
        "SELECT * FROM log.orders",
        "SELECT * FROM live.bpi UNION ALL SELECT * FROM live.secret",
        "SELECT (SELECT count(*) FROM log.orders) AS n",
    ] {
        let refused = ask(beyond).await.refused(422, "INVALID_QUERY");
        let unknown = ask(&beyond.replace("secret", "nothing").replace("orders", "nothing")).await;
        let unknown = unknown.refused(422, "INVALID_QUERY")["detail"].as_str().expect("a detail").to_owned();
        let told =
            refused["detail"].as_str().expect("a detail").replace("secret", "nothing").replace("orders", "nothing");
        assert_eq!(told, unknown, "it is told as what there is not");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_deploys_a_job_over_a_topic_that_they_may_not_read() {
    let world = world().await;
    let ann = narrow(&world).await;
    for verb in ["plan", "versions"] {
        let refused =
            ann.post(&format!("jobs/bpi_leak/{verb}"), &job("bpi_leak", "orders")).await.refused(403, "FORBIDDEN");
        assert!(refused["detail"].as_str().expect("a detail").contains("`orders`"), "{refused}");
    }
    ann.post("jobs/bpi_more/versions", &job("bpi_more", "ticks")).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_deploys_nothing_that_promotes_itself() {
    let world = world().await;
    let developer = super::holder(&world, "developer").await;
    let mut auto = job("bpi", "ticks");
    auto["spec"]["promote"] = json!({"auto": true});
    assert_eq!(developer.post("jobs/bpi/versions", &auto).await.refused(403, "FORBIDDEN")["needs"], "operator");
    super::holder(&world, "operator").await.post("jobs/bpi/versions", &auto).await.ok();
}
