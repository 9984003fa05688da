//! A receiver of webhooks: takes what is posted to it, answers as it is told, and remembers both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One request as it came, and what it was answered.
#[derive(Debug, Clone)]
pub struct Received {
    /// The status that it was answered with.
    pub answered: u16,
    /// The headers, by their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// A server that listens until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    status: u16,
    header: &'static str,
    received: Vec<Received>,
}

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a webhook's body is JSON")
    }

    /// The id that tells receivers that it is the same message.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// True when the signature is that of this key.
    pub fn is_signed_with(&self, key: &str) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key of any length");
        mac.update(format!("{}.{}.", self.id(), self.headers["webhook-timestamp"]).as_bytes());
        mac.update(&self.body);
        let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        self.headers.get("webhook-signature") == Some(&signature)
    }
}

impl Receiver {
    /// A receiver on a free port, which answers 204.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let state = Arc::new(Mutex::new(State { status: 204, header: "", received: Vec::new() }));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Receiver { port, state, task }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook/t0ken", self.port)
    }

    /// From now on it answers with this status, and with this line among the headers (empty for none).
    pub fn answer(&self, status: u16, header: &'static str) {
        let mut state = self.state();
        (state.status, state.header) = (status, header);
    }

    /// All that came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    /// What was answered with success, in order, each id once, as it came first.
    pub fn accepted(&self) -> Vec<Received> {
        let mut ids = std::collections::BTreeSet::new();
        let accepted = self.received().into_iter().filter(|one| one.answered < 300);
        accepted.filter(|one| ids.insert(one.id().to_owned())).collect()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers the requests of one connection; one that breaks off is forgotten.
async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    while let Some((headers, body)) = request(&mut stream).await {
        let head = {
            let mut state = state.lock().expect("no holder of this lock panics");
            let (answered, header) = (state.status, state.header);
            state.received.push(Received { answered, headers, body });
            let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
            format!("HTTP/1.1 {answered} As told\r\n{header}content-length: 0\r\n\r\n")
        };
        if stream.get_mut().write_all(head.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(stream: &mut BufReader<TcpStream>) -> Option<(BTreeMap<String, String>, Vec<u8>)> {
    let (mut headers, mut line) = (BTreeMap::new(), String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((headers, body))
}
