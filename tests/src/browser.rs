//! A real Chromium without a window, driven by `chromedriver` over WebDriver, which is plain HTTP and JSON.
//!
//! Clicks and keys are real ones: an element that is covered, or out of sight, cannot be clicked here either.

use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::until;
use crate::world::free_port;

/// How long the end of a session may take: the browser writes its profile away, which is then deleted.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a window is told: no sandbox, since CI runs as root; colours the same everywhere.
const ARGUMENTS: [&str; 6] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
];

/// The key in a JSON object that refers to an element, as the WebDriver standard fixes it.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that have no letter, as WebDriver writes them.
pub mod keys {
    /// Ctrl, held until the end of what is typed.
    pub const CONTROL: &str = "\u{e009}";
    /// Enter.
    pub const ENTER: &str = "\u{e007}";
    /// Tab.
    pub const TAB: &str = "\u{e004}";
    /// Escape.
    pub const ESCAPE: &str = "\u{e00c}";
}

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    client: Client,
    port: u16,
    session: String,
}

impl Browser {
    /// Starts one.
    pub async fn start() -> Self {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (Debian: apt-get install chromium chromium-driver)");
        let client = Client::new(&format!("http://127.0.0.1:{port}"));
        until("chromedriver answers", async || client.request(Method::GET, "/status").try_answer().await).await;
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": {"args": ARGUMENTS}, "goog:loggingPrefs": {"browser": "ALL"}});
        let made = client.post("/session", &json!({"capabilities": {"alwaysMatch": wanted}})).await.ok();
        let session = made["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {made}")).to_owned();
        Browser { driver, client, port, session }
    }

    /// The address of a page that is not the server's: chromedriver's own.
    pub fn foreign_page(&self) -> String {
        format!("http://127.0.0.1:{}/status", self.port)
    }

    async fn ask(&self, command: &str, body: &Value) -> Answer {
        self.client.post(&format!("/session/{}{command}", self.session), body).await
    }

    async fn done(&self, command: &str, body: &Value) -> Value {
        self.ask(command, body).await.ok()["value"].take()
    }

    /// Goes to an address.
    pub async fn open(&self, url: &str) {
        self.done("/url", &json!({"url": url})).await;
    }

    /// Runs the body of a function in the page and gives what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.done("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Clicks the last button, link or summary with just this text, once there is one that can be clicked.
    pub async fn click(&self, text: &str) {
        let path = format!("(//*[self::button or self::a or self::summary][normalize-space(.)='{text}'])[last()]");
        self.on(&format!("`{text}` is clicked"), "xpath", &path, "/click", json!({})).await;
    }

    /// Clicks what the selector finds.
    pub async fn click_on(&self, selector: &str) {
        self.on(&format!("{selector} is clicked"), "css selector", selector, "/click", json!({})).await;
    }

    /// Types into what the selector finds, at the end of what is there.
    pub async fn type_into(&self, selector: &str, text: &str) {
        self.on(&format!("{selector} is typed into"), "css selector", selector, "/value", json!({"text": text})).await;
    }

    /// Types into what the selector finds, instead of what is there.
    pub async fn fill(&self, selector: &str, text: &str) {
        let clear = format!("const f = document.querySelector('{selector}'); f.focus(); f.select();");
        self.run(&clear).await;
        self.type_into(selector, text).await;
    }

    /// Types to whatever has the focus.
    pub async fn press(&self, keys: &str) {
        let press = |key: char| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        self.done("/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})).await;
    }

    /// Does something to an element, trying again until it is there and can be reached.
    async fn on(&self, what: &str, using: &str, value: &str, command: &str, body: Value) {
        until(what, async || {
            let found = self.ask("/element", &json!({"using": using, "value": value})).await;
            let element = found.json()["value"][ELEMENT].as_str().map(str::to_owned).ok_or(found.to_string())?;
            let answer = self.ask(&format!("/element/{element}{command}"), &body).await;
            if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
    }

    /// All text that can be seen.
    pub async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap_or("").to_owned()
    }

    /// Waits until the page shows this text.
    pub async fn sees(&self, text: impl Display) {
        let text = text.to_string();
        until(&format!("the page shows `{text}`"), async || {
            let shown = self.text().await;
            if shown.contains(&text) { Ok(()) } else { Err(shown) }
        })
        .await;
    }

    /// Waits until a script returns true.
    pub async fn holds(&self, what: &str, script: &str) {
        until(what, async || match self.run(script).await {
            Value::Bool(true) => Ok(()),
            other => Err(format!("{other}: {}", self.text().await)),
        })
        .await;
    }

    /// Makes the window so large, and prefer this theme (`light` or `dark`).
    pub async fn look(&self, width: u32, height: u32, theme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let preferred = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        self.devtools("Emulation.setEmulatedMedia", preferred).await;
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        self.done("/goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await;
    }

    /// The window as a PNG.
    pub async fn picture(&self) -> Vec<u8> {
        let answer = self.client.get(&format!("/session/{}/screenshot", self.session)).await.ok();
        BASE64_STANDARD.decode(answer["value"].as_str().expect("a picture")).expect("a picture is base64")
    }

    /// What the browser complained about since it was last asked: errors of scripts, of requests, of the page's policy.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.done("/se/log", &json!({"type": "browser"})).await;
        let text = |entry: &Value| entry["message"].as_str().unwrap_or("").to_owned();
        entries.as_array().expect("a list of entries").iter().map(text).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium outlives a killed driver, so the session is ended in order, without a runtime to wait in.
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        if let Ok(mut stream) = TcpStream::connect_timeout(&address, FAREWELL) {
            let host = format!("Host: 127.0.0.1:{}\r\nConnection: close\r\n", self.port);
            let _ = stream.set_read_timeout(Some(FAREWELL));
            let _ = write!(stream, "DELETE /session/{} HTTP/1.1\r\n{host}\r\n", self.session);
            let _ = stream.read(&mut [0; 64]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
