//! Who may do what on a server that wants tokens.

mod document;
mod limits;
mod matrix;
mod schema;
mod scopes;
mod tls;
mod tokens;
mod two_people;

use rekap_tests::{Client, World, WorldConfig};
use serde_json::{Value, json};

/// The roles, the least one first.
const ROLES: [&str; 4] = ["viewer", "developer", "operator", "admin"];

/// A server that wants tokens.
async fn guarded() -> World {
    World::with(WorldConfig { server: "tokens = true\n", ..WorldConfig::default() }).await
}

/// The one who has the first token, which the server has left in its data folder.
fn admin(world: &World) -> Client {
    world.with_token(first_token(world).trim())
}

fn first_token(world: &World) -> String {
    std::fs::read_to_string(world.data().join("admin-token")).expect("the server leaves the first token there")
}

/// A token as it is made: its text under `token`.
async fn made(admin: &Client, token: Value) -> Value {
    admin.post("tokens", &token).await.is(201)
}

/// Somebody with a new token of that role.
async fn holder(world: &World, role: &str) -> Client {
    let made = made(&admin(world), json!({"name": format!("the {role}"), "role": role})).await;
    world.with_token(made["token"].as_str().expect("a token is shown once"))
}
