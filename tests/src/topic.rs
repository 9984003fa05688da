//! Topics and their records, as a client handles them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::client::{Client, NDJSON};
use crate::{Events, until};

/// How many events go into one request.
const EVENTS_A_REQUEST: usize = 5_000;

/// The most records that one page may hold.
const PAGE: usize = 10_000;

/// A record as the records API gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub partition: u64,
    /// Its offset.
    pub offset: u64,
    /// Its key, if any.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The tier it was read from: `hot` or `cold`.
    pub tier: String,
}

impl Client {
    /// Makes or changes a topic.
    pub async fn topic(&self, topic: &str, config: &Value) -> Value {
        self.put(&format!("topics/{topic}"), config).await.ok()
    }

    /// What there is to know of a topic.
    pub async fn topic_status(&self, topic: &str) -> Value {
        self.get(&format!("topics/{topic}")).await.ok()
    }

    /// Appends all events, in order, in requests of a few thousand.
    pub async fn append(&self, topic: &str, events: &Events) {
        for chunk in events.lines.chunks(EVENTS_A_REQUEST) {
            let answer = self.post_bytes(&format!("topics/{topic}/records"), NDJSON, chunk.join("\n")).await;
            assert_eq!(answer.ok()["appended"], chunk.len(), "{answer}");
        }
    }

    /// The readable end of each partition, as `min_positions` takes it.
    pub async fn ends(&self, topic: &str) -> String {
        let status = self.topic_status(topic).await;
        let end = |p: &Value| format!("{topic}/{}={}", p["partition"], p["end"]);
        partitions(&status).iter().map(end).collect::<Vec<_>>().join(",")
    }

    /// Mirrors up to the present end, and checks that the topic says so.
    pub async fn mirror(&self, topic: &str) {
        self.post(&format!("topics/{topic}/mirror"), &json!({})).await.ok();
        let status = self.topic_status(topic).await;
        for partition in partitions(&status) {
            let mirrored_to = partition["mirrored_to"].as_u64().unwrap_or(0);
            assert_eq!(mirrored_to, int(&partition["end"]), "a flushed mirror is at the end: {partition}");
            assert_eq!(partition["gaps"], json!([]), "{partition}");
        }
    }

    /// Lets retention drop the hot copy, down to the last record, and turns retention off again.
    pub async fn drop_hot_copy(&self, topic: &str) {
        self.topic(topic, &json!({"retention_ms": 1})).await;
        until("retention has dropped the hot copy", async || {
            let status = self.topic_status(topic).await;
            let empty = partitions(&status).iter().all(|p| p["earliest"] == p["end"]);
            empty.then_some(()).ok_or(status)
        })
        .await;
        self.topic(topic, &json!({"retention_ms": 86_400_000})).await;
    }

    /// All records of a topic, read through both tiers, partition by partition in the order of their offsets.
    pub async fn records(&self, topic: &str) -> Vec<Record> {
        let status = self.topic_status(topic).await;
        let mut records = Vec::new();
        for partition in partitions(&status) {
            let (number, end) = (int(&partition["partition"]), int(&partition["end"]));
            let mut from = 0;
            while from < end {
                let path = format!("topics/{topic}/records?partition={number}&from={from}&limit={PAGE}");
                let page = self.get(&path).await.ok();
                records.extend(list(&page["records"]).iter().map(Record::from_json));
                let next = int(&page["next_offset"]);
                assert!(next > from, "a page before the end goes on: {from}, then {next}");
                from = next;
            }
        }
        records
    }

    /// Where the cold table of a topic lies.
    pub async fn cold_url(&self, topic: &str) -> String {
        let status = self.topic_status(topic).await;
        assert_eq!(status["cold"]["format"], "delta", "{status}");
        status["cold"]["url"].as_str().unwrap_or_else(|| panic!("no cold url in {status}")).to_owned()
    }
}

/// The partitions in a topic's status.
pub fn partitions(status: &Value) -> &Vec<Value> {
    list(&status["partitions"])
}

/// A JSON list.
pub fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

/// A JSON number that counts.
pub fn int(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no count: {value}"))
}

impl Record {
    fn from_json(record: &Value) -> Self {
        let base64 = record["encoding"] == "base64";
        let bytes = |value: &Value| {
            value.as_str().map(|text| match base64 {
                true => BASE64_STANDARD.decode(text).expect("base64, as `encoding` says"),
                false => text.as_bytes().to_vec(),
            })
        };
        Record {
            partition: int(&record["partition"]),
            offset: int(&record["offset"]),
            key: bytes(&record["key"]),
            value: bytes(&record["value"]),
            tier: record["tier"].as_str().expect("a record says its tier").to_owned(),
        }
    }
}
