//! Every route of the document, asked by everybody: nobody, somebody with a token that has ended or is of no use here, and each role.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rekap_tests::{Client, World, until};
use rekap_tiered_storage::{Clock, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ROLES, admin, guarded, holder, made};

/// The least role of every route, said a second time: what the server goes by is in `api/src/server/access/rules.rs`, and whoever
/// changes one has to mean it.
const EXPECTED: &str = "
anyone     DELETE /v1/session
anyone     GET    /docs/runbooks/{page}
anyone     GET    /healthz
anyone     GET    /openapi.json
anyone     GET    /readyz
anyone     POST   /v1/session

viewer     GET    /metrics
viewer     GET    /v1/audit
viewer     GET    /v1/audit/verify
viewer     GET    /v1/groups/{group}
viewer     GET    /v1/jobs
viewer     GET    /v1/jobs/{job}
viewer     GET    /v1/jobs/{job}/drill
viewer     GET    /v1/jobs/{job}/events
viewer     GET    /v1/jobs/{job}/actions
viewer     GET    /v1/jobs/{job}/history
viewer     GET    /v1/jobs/{job}/versions
viewer     GET    /v1/jobs/{job}/versions/{n}
viewer     GET    /v1/jobs/{job}/versions/{n}/dead-letters
viewer     GET    /v1/jobs/{job}/versions/{n}/spec
viewer     GET    /v1/jobs/{job}/versions/{n}/verification
viewer     GET    /v1/notifications
viewer     GET    /v1/schedules
viewer     GET    /v1/session
viewer     GET    /v1/tables/{alias}
viewer     GET    /v1/tables/{alias}/rows
viewer     GET    /v1/topics
viewer     GET    /v1/topics/{topic}
viewer     GET    /v1/topics/{topic}/records
viewer     GET    /v1/topics/{topic}/schemas
viewer     POST   /v1/jobs/{job}/plan
viewer     POST   /v1/sql

developer  POST   /v1/jobs/{job}/drill
developer  POST   /v1/jobs/{job}/versions
developer  POST   /v1/jobs/{job}/versions/{n}/pause
developer  POST   /v1/jobs/{job}/versions/{n}/replay
developer  POST   /v1/jobs/{job}/versions/{n}/resume
developer  POST   /v1/jobs/{job}/versions/{n}/verify
developer  POST   /v1/topics/{topic}/mirror
developer  POST   /v1/topics/{topic}/records
developer  PUT    /v1/topics/{topic}

operator   POST   /v1/groups/{group}/promote
operator   POST   /v1/groups/{group}/rollback
operator   POST   /v1/jobs/{job}/freeze
operator   POST   /v1/jobs/{job}/rollback
operator   POST   /v1/jobs/{job}/rollback-window
operator   POST   /v1/jobs/{job}/versions/{n}/abort
operator   POST   /v1/jobs/{job}/versions/{n}/promote
operator   POST   /v1/jobs/{job}/versions/{n}/retire
operator   POST   /v1/schedules/{schedule}/run

admin      DELETE /v1/jobs/{job}
admin      DELETE /v1/tokens/{id}
admin      DELETE /v1/topics/{topic}
admin      GET    /v1/tokens
admin      POST   /v1/tokens
";

/// A method and a path, as the document writes it.
type Route = (Method, String);

fn expected() -> BTreeMap<String, &'static str> {
    let words = |line: &'static str| line.split_whitespace().collect::<Vec<_>>();
    let lines = EXPECTED.lines().map(words).filter(|words| words.len() == 3);
    lines.map(|words| (format!("{} {}", words[1], words[2]), words[0])).collect()
}

async fn routes(world: &World) -> Vec<Route> {
    let document = world.get("/openapi.json").await.ok();
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods").keys().filter(|name| *name != "parameters");
        methods.map(|name| (name.to_uppercase().parse().expect("a method"), path.clone())).collect::<Vec<_>>()
    };
    document["paths"].as_object().expect("paths").iter().flat_map(of_path).collect()
}

/// The status and the problem of an answer to a route, whose parts are things that there are not.
async fn ask(client: &Client, (method, path): &Route) -> (u16, Value) {
    let path = path.replace("{n}", "1").replace("{page}", "gap.md").replace(['{', '}'], "");
    let request = client.request(method.clone(), &path);
    let request = if *method == Method::GET { request } else { request.json(&json!({})) };
    let answer = request.answer().await;
    let problem =
        if answer.header("content-type") == Some("application/problem+json") { answer.json() } else { json!({}) };
    (answer.status, problem)
}

/// What is wrong with an answer to somebody of that rank; `None` is nobody.
fn wrong(least: &str, rank: Option<&str>, status: u16, problem: &Value) -> Option<String> {
    let of = |role: &str| ROLES.iter().position(|name| *name == role);
    let passes = least == "anyone" || rank.is_some_and(|rank| of(rank) >= of(least));
    let refused = matches!(problem["code"].as_str(), Some("UNAUTHENTICATED" | "FORBIDDEN"));
    let as_it_should = match (passes, rank) {
        // A login without a token is refused as such.
        (true, _) => !refused || least == "anyone" && status != 403,
        (false, None) => status == 401 && problem["code"] == "UNAUTHENTICATED",
        (false, Some(_)) => status == 403 && problem["code"] == "FORBIDDEN" && problem["needs"] == least,
    };
    (!as_it_should || status >= 500).then(|| format!("{status} {problem}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_open_to_the_roles_that_are_expected_and_closed_to_all_others() {
    let world = guarded().await;
    let (expected, routes) = (expected(), routes(&world).await);
    let there: BTreeSet<String> = routes.iter().map(|(method, path)| format!("{method} {path}")).collect();
    let known: BTreeSet<String> = expected.keys().cloned().collect();
    let (new, gone): (Vec<_>, Vec<_>) = (there.difference(&known).collect(), known.difference(&there).collect());
    assert!(
        new.is_empty() && gone.is_empty(),
        "routes without an expectation: {new:#?}\nexpectations without a route: {gone:#?}\n\
         Say in EXPECTED (tests/it/security/matrix.rs) who may use a new route, and in api/src/server/access/rules.rs."
    );
    let mut callers: Vec<(String, Option<&str>, Client)> = vec![("nobody".into(), None, world.client())];
    for (what, token) in useless(&world).await {
        callers.push((what.into(), None, world.with_token(&token)));
    }
    for role in ROLES {
        callers.push((role.into(), Some(role), holder(&world, role).await));
    }
    let mut failures = Vec::new();
    for route in &routes {
        let name = format!("{} {}", route.0, route.1);
        for (who, rank, client) in &callers {
            let (status, problem) = ask(client, route).await;
            if let Some(reason) = wrong(expected[&name], *rank, status, &problem) {
                failures.push(format!("{name} by {who}: {reason}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} answers are wrong:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_says_the_role_of_every_route() {
    let world = guarded().await;
    let document = world.get("/openapi.json").await.ok();
    for (route, least) in expected() {
        let (method, path) = route.split_once(' ').expect("a method and a path");
        let said = &document["paths"][path][method.to_lowercase()]["x-rekap-role"];
        assert_eq!(said, least, "{route}");
    }
}

/// Tokens that open nothing: revoked, expired, of another server, cut short, and no token at all.
async fn useless(world: &World) -> Vec<(&'static str, String)> {
    let admin = admin(world);
    let text = |made: &Value| made["token"].as_str().expect("a token is shown once").to_owned();
    let revoked = made(&admin, json!({"name": "ann", "role": "admin"})).await;
    admin.delete(&format!("tokens/{}", revoked["id"].as_str().expect("an id"))).await.is(204);
    let soon = SystemClock.now().plus(Duration::from_millis(500)).to_string();
    let expired = made(&admin, json!({"name": "bob", "role": "admin", "expires_at": soon})).await;
    let holder = world.with_token(&text(&expired));
    until("the token expires", async || match holder.get("session").await.status {
        401 => Ok(()),
        status => Err(status),
    })
    .await;
    let good = text(&made(&admin, json!({"name": "cat", "role": "admin"})).await);
    let (head, secret) = good.rsplit_once('_').expect("a token has three parts");
    let foreign = format!("{head}_{}", secret.chars().rev().collect::<String>());
    vec![
        ("a revoked token", text(&revoked)),
        ("an expired token", text(&expired)),
        ("a token with another secret", foreign),
        ("a token that is cut short", good[..good.len() - 1].to_owned()),
        ("no token of Rekap", "secret".into()),
    ]
}
