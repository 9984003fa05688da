//! One case in a server of its own: topics made, job deployed, records appended, table read.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::case::{Case, Input};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::folder::JobFolder;
use crate::{Config, Rekap};

/// How long a case may take: a case is a handful of records, so what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the version is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Rows asked for at once.
const PAGE: usize = 10_000;

/// What came out of a case.
#[derive(Debug)]
pub(super) struct Got {
    /// The table's key columns.
    pub(super) key: Vec<String>,
    /// All rows, in key order.
    pub(super) rows: Vec<Value>,
    /// All dead letters.
    pub(super) dead_letters: Vec<Value>,
    /// How many records came in.
    pub(super) records: u64,
}

/// Runs `case` against the job, with the topics that `topics.toml` gives.
pub(super) async fn run(job: &JobFolder, topics: &[(String, Value)], case: &Case) -> Result<Got, Failure> {
    let home = tempfile::Builder::new().prefix("rekap-test-").tempdir()?;
    let mut config = Config { data: home.path().join("data"), ..Config::default() };
    config.server.listen.set_port(0);
    let running = Rekap::start(config).await.map_err(|e| Failure::Failed(e.to_string()))?;
    let world = World { client: Client::new(&running.url(), None), job };
    let got = world.run(topics, case).await;
    running.shutdown().await;
    got
}

/// The server of one case.
struct World<'a> {
    client: Client,
    job: &'a JobFolder,
}

impl World<'_> {
    async fn run(&self, topics: &[(String, Value)], case: &Case) -> Result<Got, Failure> {
        let inputs = self.inputs()?;
        for topic in inputs.values() {
            self.create(topic, topics).await?;
        }
        let body = json!({"spec": self.job.spec, "query": self.job.query});
        let deployed = self.client.post(&format!("/v1/jobs/{}/versions", self.job.name), &body).await?;
        let version = format!("/v1/jobs/{}/versions/{}", self.job.name, deployed["version"]);
        let (mut records, mut ends) = (0, BTreeMap::new());
        for input in &case.inputs {
            let topic = inputs.get(&input.name).ok_or_else(|| {
                let known: Vec<_> = inputs.keys().map(String::as_str).collect();
                Failure::Usage(format!(
                    "{}: the job has no input `{}`; it has {}",
                    input.file.display(),
                    input.name,
                    known.join(", ")
                ))
            })?;
            let appended = self.append(topic, input).await?;
            records += appended["appended"].as_u64().unwrap_or(0);
            ends.insert(topic.clone(), appended["offsets"]["0"][1].as_u64().unwrap_or(0));
        }
        self.caught_up(&version, &ends).await?;
        let table = format!("/v1/tables/{}@{}", self.job.name, deployed["version"]);
        let key = self.client.get(&table).await?["key"].clone();
        Ok(Got {
            key: serde_json::from_value(key).unwrap_or_default(),
            rows: self.all(&format!("{table}/rows"), "rows").await?,
            dead_letters: self.all(&format!("{version}/dead-letters"), "dead_letters").await?,
            records,
        })
    }

    /// The topic of each input, by the name used in FROM.
    fn inputs(&self) -> Result<BTreeMap<String, String>, Failure> {
        let inputs = self.job.spec["inputs"].as_object().into_iter().flatten();
        let topics: BTreeMap<_, _> =
            inputs.filter_map(|(name, input)| Some((name.clone(), input["topic"].as_str()?.to_owned()))).collect();
        if topics.is_empty() {
            return Err(Failure::Usage("job.toml names no [inputs.<name>] with a `topic`".to_owned()));
        }
        Ok(topics)
    }

    /// Makes a topic as `topics.toml` says, but with one partition, so that the order of the file is the order of the log.
    async fn create(&self, topic: &str, topics: &[(String, Value)]) -> Result<(), Failure> {
        let mut config = topics.iter().find(|(name, _)| name == topic).map_or(json!({}), |(_, config)| config.clone());
        config["partitions"] = json!(1);
        self.client.put(&format!("/v1/topics/{topic}"), &config).await.map(drop)
    }

    async fn append(&self, topic: &str, input: &Input) -> Result<Value, Failure> {
        let path = format!("/v1/topics/{topic}/records{}", if input.raw { "?raw=true" } else { "" });
        let request = self.client.request(Method::POST, &path).header("Content-Type", "application/x-ndjson");
        self.client.json(request.body(Body::from(input.body.clone()))).await
    }

    /// Waits until the version has read up to `ends`.
    async fn caught_up(&self, version: &str, ends: &BTreeMap<String, u64>) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let view = self.client.get(version).await?;
            let there = |(topic, end): (&String, &u64)| view["positions"][topic]["0"].as_u64().unwrap_or(0) >= *end;
            if ends.iter().all(there) {
                return Ok(());
            }
            if view["phase"] == "Failed" {
                return Err(Failure::Failed(format!("the version failed: {}", view["reason"])));
            }
            if began.elapsed() > PATIENCE {
                return Err(Failure::TimedOut(format!("the records were not read within {PATIENCE:?}: {view}")));
            }
            sleep(LOOK).await;
        }
    }

    /// A whole list, page by page.
    async fn all(&self, path: &str, list: &str) -> Result<Vec<Value>, Failure> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let mut query = vec![("limit", PAGE.to_string())];
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page = self.client.json(self.client.request(Method::GET, path).query(&query)).await?;
            all.extend(page[list].as_array().into_iter().flatten().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(all),
            }
        }
    }
}
