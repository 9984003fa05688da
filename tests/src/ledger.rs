//! A writer that can say of every event whether it must be there, must not be there twice, and in which order.
//!
//! Each key counts from 0 without a hole. A request that got no answer is sent again with its `Idempotency-Key`, so the counter of
//! each key in the log must be dense whatever happened to the server in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::client::{Answer, Client, NDJSON, Unreachable};
use crate::{DEADLINE, Row};

/// How many keys count.
const KEYS: u64 = 7;

/// How many events a steady writer's request holds.
const BATCH: usize = 20;

/// How many events a request holds when many are to go in at once.
const LARGE_BATCH: usize = 5000;

/// How often a request is sent.
const EVERY: Duration = Duration::from_millis(5);

/// What was acknowledged: for each key the next number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    topic: String,
    next: BTreeMap<String, u64>,
    requests: u64,
    events: u64,
}

/// A writer at work.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Ledger>,
}

impl Ledger {
    /// An empty ledger, in a topic that is made for it.
    pub async fn open(client: &Client, topic: &str, partitions: u32) -> Self {
        let schema = json!({
            "type": "object", "required": ["key", "n"],
            "properties": {"key": {"type": "string"}, "n": {"type": "integer"}},
        });
        client.topic(topic, &json!({"partitions": partitions, "key": ["key"], "schema": schema})).await;
        Ledger { topic: topic.to_owned(), next: BTreeMap::new(), requests: 0, events: 0 }
    }

    /// The query of a job whose table tells whether an event was missed or counted twice.
    pub fn query(&self) -> String {
        let topic = &self.topic;
        format!(
            "SELECT key, count(*) AS events, min(n) AS first, max(n) AS last, sum(n) AS total FROM {topic} GROUP BY key"
        )
    }

    /// Appends so many events and a few more, in large requests.
    pub async fn append(&mut self, client: &Client, events: u64) {
        let target = self.events + events;
        while self.events < target {
            self.write_batch(client, LARGE_BATCH).await;
        }
    }

    /// Writes on, through crashes of the server, until it is told to stop.
    pub fn write(mut self, client: Client) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let task = tokio::spawn(async move {
            let mut pace = interval(EVERY);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !told.load(Ordering::Relaxed) {
                pace.tick().await;
                self.write_batch(&client, BATCH).await;
            }
            self
        });
        Writer { stop, task }
    }

    /// The number of events that were acknowledged.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The rows that a table of [`Ledger::query`] must have.
    pub fn rows(&self) -> Vec<Row> {
        let row = |(key, next): (&String, &u64)| {
            let total = next * (next - 1) / 2;
            let row = json!({"key": key, "events": next, "first": 0, "last": next - 1, "total": total});
            row.as_object().expect("an object").clone()
        };
        self.next.iter().map(row).collect()
    }

    /// Fails unless the log holds exactly what was acknowledged, dense and in order by key.
    pub async fn check_log(&self, client: &Client) {
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for record in client.records(&self.topic).await {
            let event: Value =
                serde_json::from_slice(&record.value.expect("no tombstones here")).expect("as it was sent");
            let next = seen.entry(event["key"].as_str().expect("a key").to_owned()).or_default();
            assert_eq!(event["n"], *next, "key {} at {}/{}", event["key"], record.partition, record.offset);
            *next += 1;
        }
        assert_eq!(seen, self.next, "what was acknowledged is what is there");
    }

    async fn write_batch(&mut self, client: &Client, events: usize) {
        let mut next = self.next.clone();
        let lines: Vec<String> = (0..events).map(|_| event(&mut next)).collect();
        let (body, key) = (lines.join("\n"), format!("{}-{}", self.topic, self.requests));
        let path = format!("topics/{}/records", self.topic);
        let send = || {
            client.request(Method::POST, &path).body(NDJSON, body.clone()).header("idempotency-key", &key).try_answer()
        };
        let answer = timeout(DEADLINE, answered(send)).await.expect("an append is answered after the server is back");
        assert_eq!(answer.ok()["appended"], events, "{answer}");
        (self.next, self.requests, self.events) = (next, self.requests + 1, self.events + events as u64);
    }
}

/// Sends the same request until a server is there to answer it.
async fn answered<F: Future<Output = Result<Answer, Unreachable>>>(send: impl Fn() -> F) -> Answer {
    let mut pace = interval(EVERY);
    loop {
        pace.tick().await;
        match send().await {
            Ok(answer) if answer.status != 503 => return answer,
            Ok(_) | Err(_) => continue,
        }
    }
}

fn event(next: &mut BTreeMap<String, u64>) -> String {
    let key = format!("k{}", fastrand::u64(..KEYS));
    let n = next.entry(key.clone()).or_default();
    let line = format!(r#"{{"key":"{key}","n":{n}}}"#);
    *n += 1;
    line
}

impl Writer {
    /// Stops after the request that is under way, and gives what was acknowledged.
    pub async fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the writer does not fail")
    }
}
