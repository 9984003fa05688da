//! A schema registry of the test's own: as much of Confluent's REST API as clients and serializers use, behind a password, and able to be
//! away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::Setup;
use crate::proxy::{asked, read_body, read_head};

/// What `rekap:secret` is in the header of basic authentication.
const ALLOWED: &str = "authorization: basic cmvryxa6c2vjcmv0";

/// A running registry. It ends with the test.
#[derive(Debug)]
pub struct Registry {
    url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Schemas by their ids, which begin at 1: what was posted.
    schemas: Vec<Value>,
    subjects: HashMap<String, Vec<usize>>,
    away: bool,
    asked: u64,
}

impl Registry {
    /// An empty registry.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move { serve(client, &shared).await });
            }
        });
        Registry { url, state, task }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it is and how to be let in, as `wire.py` takes it.
    pub fn access(&self) -> Value {
        json!({"url": self.url, "user": "rekap", "password": "secret"})
    }

    /// What a server is told.
    pub fn setup(&self) -> Setup {
        let toml = format!("[schema_registry]\nurl = \"{}\"\nuser = \"rekap\"\n", self.url);
        Setup { toml, environment: vec![("REKAP__SCHEMA_REGISTRY__PASSWORD", "secret".to_owned())] }
    }

    /// Registers a schema of a kind (`AVRO`, `PROTOBUF`, `JSON`); answers its id.
    pub fn register(&self, subject: &str, kind: &str, schema: &str) -> u32 {
        let posted = json!({"schema": schema, "schemaType": kind});
        self.state.lock().expect("no holder panics").register(subject, &posted) as u32
    }

    /// From now on it answers nothing but 503, or is well again.
    pub fn be_away(&self, away: bool) {
        self.state.lock().expect("no holder panics").away = away;
    }

    /// How many requests came so far.
    pub fn asked(&self) -> u64 {
        self.state.lock().expect("no holder panics").asked
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn register(&mut self, subject: &str, posted: &Value) -> usize {
        let same = |known: &Value| canonical(known) == canonical(posted);
        let id = match self.schemas.iter().position(same) {
            Some(known) => known + 1,
            None => {
                self.schemas.push(posted.clone());
                self.schemas.len()
            }
        };
        let versions = self.subjects.entry(subject.to_owned()).or_default();
        if !versions.contains(&id) {
            versions.push(id);
        }
        id
    }

    fn answer(&mut self, method: &str, path: &[&str], body: &Value) -> (u16, Value) {
        let absent = |code: u32| (404, json!({"error_code": code, "message": "not found"}));
        match (method, path) {
            ("GET", ["schemas", "ids", id]) => {
                let known = id.parse::<usize>().ok().and_then(|id| self.schemas.get(id.wrapping_sub(1)));
                known.map_or_else(|| absent(40403), |schema| (200, schema.clone()))
            }
            ("POST", ["subjects", subject, "versions"]) => (200, json!({"id": self.register(subject, body)})),
            ("POST", ["subjects", subject]) => {
                let versions = self.subjects.get(*subject).cloned().unwrap_or_default();
                let found = versions.iter().position(|id| canonical(&self.schemas[id - 1]) == canonical(body));
                found.map_or_else(|| absent(40403), |at| (200, self.version(subject, at)))
            }
            ("GET", ["subjects", subject, "versions", version]) => {
                let versions = self.subjects.get(*subject).map_or(0, Vec::len);
                let at = if *version == "latest" { versions } else { version.parse().unwrap_or(0) };
                match (versions, at) {
                    (0, _) => absent(40401),
                    (_, at) if (1..=versions).contains(&at) => (200, self.version(subject, at - 1)),
                    _ => absent(40402),
                }
            }
            _ => (404, json!({"error_code": 404, "message": "no such path"})),
        }
    }

    fn version(&self, subject: &str, at: usize) -> Value {
        let id = self.subjects[subject][at];
        let mut version = self.schemas[id - 1].clone();
        version["subject"] = json!(subject);
        version["version"] = json!(at + 1);
        version["id"] = json!(id);
        version
    }
}

/// The schema of a post without what may be written in several ways.
fn canonical(posted: &Value) -> (String, Value) {
    let text = posted["schema"].as_str().unwrap_or_default();
    let kind = posted["schemaType"].as_str().unwrap_or("AVRO");
    (kind.to_owned(), serde_json::from_str(text).unwrap_or_else(|_| json!(text)))
}

async fn serve(mut client: TcpStream, state: &Mutex<State>) {
    let Ok(Some((head, rest))) = read_head(&mut client).await else { return };
    let Ok(body) = read_body(&mut client, &head, rest).await else { return };
    let request = asked(&head);
    let allowed = String::from_utf8_lossy(&head).to_lowercase().contains(ALLOWED);
    let path = request.path.split('?').next().unwrap_or_default().trim_matches('/').to_owned();
    let (status, answer) = {
        let mut state = state.lock().expect("no holder panics");
        state.asked += 1;
        match (state.away, allowed) {
            (true, _) => (503, json!({"error_code": 50003, "message": "on purpose"})),
            (_, false) => (401, json!({"error_code": 401, "message": "Unauthorized"})),
            _ => {
                let body = serde_json::from_slice(&body).unwrap_or_default();
                state.answer(&request.method, &path.split('/').collect::<Vec<_>>(), &body)
            }
        }
    };
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        answer.len()
    );
    let _ = client.write_all(head.as_bytes()).await;
    let _ = client.write_all(answer.as_bytes()).await;
    let _ = client.shutdown().await;
}
