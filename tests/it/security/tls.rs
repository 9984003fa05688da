//! A server with a certificate, and one that is reachable from elsewhere.

use std::fs;

use rekap_tests::{Cli, Client, World, WorldConfig, until, until_within};
use std::time::Duration;

use super::first_token;

const TLS: &str = "[server.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";

/// Certificates are looked at every few seconds.
const RENEWED: Duration = Duration::from_secs(30);

/// Puts a new certificate where the server looks for it; answers it.
fn certify(world: &World) -> String {
    let made =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("a certificate");
    let cert = made.cert.pem();
    fs::write(world.folder().join("key.pem"), made.signing_key.serialize_pem()).expect("a key");
    fs::write(world.folder().join("cert.pem"), &cert).expect("a certificate");
    cert
}

fn url(world: &World) -> String {
    world.url().replace("http://", "https://")
}

async fn until_ready(client: &Client) {
    until("the server is ready", async || match client.request(reqwest::Method::GET, "/readyz").try_answer().await {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_speaks_tls_and_takes_a_new_certificate_without_a_restart() {
    let mut world = World::new(WorldConfig { server: TLS, ..WorldConfig::default() });
    let first = certify(&world);
    world.launch();
    let client = Client::trusting(&url(&world), &first);
    until_ready(&client).await;
    assert!(world.client().request(reqwest::Method::GET, "/readyz").try_answer().await.is_err(), "no plain HTTP");
    let ca = world.folder().join("cert.pem");
    let ca = ca.to_str().expect("a path").to_owned();
    Cli::new(&url(&world), &["--ca", &ca, "jobs"]).run().await.exits(0);
    let untrusted = Cli::new(&url(&world), &["jobs"]).run().await.exits(4).stderr;
    assert!(untrusted.contains("certificate"), "{untrusted}");

    let second = certify(&world);
    until_within(RENEWED, "the new certificate is in use", async || {
        let fresh = Client::trusting(&url(&world), &second);
        fresh.request(reqwest::Method::GET, "/healthz").try_answer().await.map(drop).map_err(|e| e.to_string())
    })
    .await;
    client.get("/healthz").await.is(200);

    fs::write(world.folder().join("cert.pem"), "torn").expect("a file");
    until_within(RENEWED, "the server says that it cannot use it", async || {
        let log = world.log();
        if log.contains("the former certificate stays in use") { Ok(()) } else { Err(log) }
    })
    .await;
    Client::trusting(&url(&world), &second).get("/healthz").await.is(200);
    let key = fs::read_to_string(world.folder().join("key.pem")).expect("the key");
    let secret = key.lines().nth(1).expect("the key's first line");
    assert!(!world.log().contains(secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_others_can_reach_wants_a_certificate_and_tokens() {
    let mut world = World::new(WorldConfig { server: TLS, ..WorldConfig::default() });
    let cert = certify(&world);
    let config = world.folder().join("rekap.toml");
    let told = fs::read_to_string(&config).expect("the configuration").replace("127.0.0.1:", "0.0.0.0:");
    let open = |config: &str| {
        let name = world.folder().join("open.toml");
        fs::write(&name, config).expect("a file");
        Cli::new(world.url(), &["serve", "--config", name.to_str().expect("a path")])
    };
    let refused = open(&told.replace(TLS, "tokens = true\n")).run().await.exits(2).stderr;
    assert!(refused.contains("[server.tls]") && refused.contains("0.0.0.0:"), "{refused}");
    open(&told.replace(TLS, &format!("tokens = false\n{TLS}"))).run().await.exits(2);
    open(&told.replace(TLS, "")).run().await.exits(2);
    fs::write(&config, told).expect("a file");
    world.launch();
    let client = Client::trusting(&url(&world), &cert);
    until_ready(&client).await;
    client.get("jobs").await.refused(401, "UNAUTHENTICATED");
    let login = client.post("session", &serde_json::json!({"token": first_token(&world).trim()})).await;
    let cookie = login.header("set-cookie").expect("a cookie").to_owned();
    assert!(login.status == 204 && cookie.starts_with("__Host-rekap-") && cookie.contains("Secure"), "{cookie}");
}
