//! `rekap token …`: who may do what.

use rekap_tiered_storage::{Clock, SystemClock};
use serde_json::{Value, json};

use super::Session;
use super::args::TokenVerb;
use super::client::object;
use super::failure::Failure;
use super::out::{Out, Style, cell};

/// `rekap token create|list|revoke|whoami`.
pub(super) async fn token(s: &Session, verb: TokenVerb) -> Result<(), Failure> {
    match verb {
        TokenVerb::Create { name, role, job, topic, expires, note } => {
            let all_or = |patterns: Vec<String>| if patterns.is_empty() { Value::Null } else { json!(patterns) };
            let expires = expires.map(|lasts| SystemClock.now().plus(lasts).to_string());
            let body = object([
                ("name", json!(name)),
                ("role", json!(role)),
                ("jobs", all_or(job)),
                ("topics", all_or(topic)),
                ("expires_at", json!(expires)),
                ("note", json!(note.note)),
            ]);
            let made = s.client.post("/v1/tokens", &body).await?;
            s.out.answer(&made, created)
        }
        TokenVerb::List => {
            let listed = s.client.get("/v1/tokens?limit=10000").await?;
            s.out.answer(&listed, list)
        }
        TokenVerb::Revoke { id } => {
            let done = s.client.delete(&format!("/v1/tokens/{id}")).await?;
            s.out.answer(&done, |out, _| out.line(format!("the token {id} is revoked")))
        }
        TokenVerb::Whoami => {
            let who = s.client.get("/v1/session").await?;
            s.out.answer(&who, |out, who| {
                out.line(format!("{}, {}: {}", cell(&who["name"]), cell(&who["role"]), scope(who)))
            })
        }
    }
}

fn created(out: &Out, made: &Value) -> Result<(), Failure> {
    let head =
        format!("{} is {} ({}), token {}:", cell(&made["name"]), cell(&made["role"]), scope(made), cell(&made["id"]));
    out.line(head)?;
    out.line(out.paint(Style::Name, cell(&made["token"])))?;
    out.line("it is shown this once; whoever has it acts under that name")
}

fn list(out: &Out, listed: &Value) -> Result<(), Failure> {
    let row = |token: &Value| {
        ["id", "name", "role", "state", "expires_at"]
            .map(|field| cell(&token[field]))
            .into_iter()
            .chain([scope(token)])
            .collect()
    };
    let rows: Vec<Vec<String>> = listed["tokens"].as_array().into_iter().flatten().map(row).collect();
    out.table(&["ID", "NAME", "ROLE", "STATE", "EXPIRES", "SCOPE"], &rows, "")
}

/// `all jobs, topics ticks.*`.
fn scope(token: &Value) -> String {
    let part = |kind: &str| {
        let patterns: Vec<&str> = token[kind].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if patterns.contains(&"*") { format!("all {kind}") } else { format!("{kind} {}", patterns.join(" ")) }
    };
    format!("{}, {}", part("jobs"), part("topics"))
}
