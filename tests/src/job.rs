//! Jobs and their versions, as a client deploys, watches, promotes and rolls them back.

use serde_json::{Map, Value, json};

use crate::{Client, until};

/// A job that is put together: its spec and its query.
#[derive(Debug, Clone)]
pub struct Job {
    name: String,
    spec: Map<String, Value>,
    query: String,
}

impl Job {
    /// A job with this query and no input yet. Its versions are promoted by hand and need to be ready for a moment only.
    pub fn new(name: &str, query: &str) -> Self {
        let promote = json!({"auto": false, "max_lag": "2s", "ready_for": "200ms"});
        let spec = json!({"name": name, "inputs": {}, "promote": promote});
        let Value::Object(spec) = spec else { unreachable!("it is written as an object") };
        Job { name: name.to_owned(), spec, query: query.to_owned() }
    }

    /// Reads `topic` from its beginning under the topic's own name.
    pub fn reads(self, topic: &str) -> Self {
        self.input(topic, json!({"topic": topic, "start": "beginning"}))
    }

    /// An input with its settings.
    pub fn input(mut self, name: &str, input: Value) -> Self {
        self.spec["inputs"][name] = input;
        self
    }

    /// Any other part of the spec.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.spec.insert(field.to_owned(), value);
        self
    }

    /// A part of the promotion policy.
    pub fn promote(mut self, field: &str, value: Value) -> Self {
        self.spec["promote"][field] = value;
        self
    }

    /// The same job with another query.
    pub fn but(&self, query: &str) -> Self {
        Job { query: query.to_owned(), ..self.clone() }
    }

    /// The body of a deploy or a plan.
    pub fn body(&self) -> Value {
        json!({"spec": self.spec, "query": self.query})
    }

    /// The job's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Client {
    /// Deploys a job and gives the number of the version that this made.
    pub async fn deploy(&self, job: &Job) -> u64 {
        self.deploy_body(job, job.body()).await
    }

    /// Deploys a job of which only the policy of promotion changed.
    pub async fn deploy_policy(&self, job: &Job) {
        let answer = self.post(&format!("jobs/{}/versions", job.name), &job.body()).await;
        assert_eq!(answer.is(200)["policy_changed"], true, "{answer}");
    }

    /// Deploys the same job once more, as a version that computes everything anew.
    pub async fn deploy_again(&self, job: &Job) -> u64 {
        let mut body = job.body();
        body["rebuild"] = json!(true);
        self.deploy_body(job, body).await
    }

    async fn deploy_body(&self, job: &Job, body: Value) -> u64 {
        let answer = self.post(&format!("jobs/{}/versions", job.name), &body).await;
        let deployed = answer.is(201);
        assert_eq!(deployed["job"], job.name, "{answer}");
        deployed["version"].as_u64().unwrap_or_else(|| panic!("no version in {answer}"))
    }

    /// Deploys a job and waits until that version serves, as a first version does by itself.
    pub async fn deploy_first(&self, job: &Job) -> u64 {
        let version = self.deploy(job).await;
        self.until_serving(&job.name, version).await;
        version
    }

    /// Deploys a job, waits until that version is ready and promotes it.
    pub async fn deploy_and_promote(&self, job: &Job) -> u64 {
        let version = self.deploy(job).await;
        self.until_phase(&job.name, version, "Ready").await;
        self.promote(&job.name, version).await;
        version
    }

    /// A job as its readers see it.
    pub async fn job(&self, job: &str) -> Value {
        self.get(&format!("jobs/{job}")).await.ok()
    }

    /// One version of a job.
    pub async fn version(&self, job: &str, version: u64) -> Value {
        self.get(&format!("jobs/{job}/versions/{version}")).await.ok()
    }

    /// Waits until a version is in this phase, and gives it; fails at once when it failed instead.
    pub async fn until_phase(&self, job: &str, version: u64, phase: &str) -> Value {
        until(&format!("{job}@{version} is {phase}"), async || {
            let seen = self.version(job, version).await;
            assert!(phase == "Failed" || seen["phase"] != "Failed", "{job}@{version} failed: {seen}");
            if seen["phase"] == phase { Ok(seen) } else { Err(seen) }
        })
        .await
    }

    /// Waits until a version serves.
    pub async fn until_serving(&self, job: &str, version: u64) {
        until(&format!("{job}@{version} serves"), async || {
            let (alias, seen) = (self.job(job).await, self.version(job, version).await);
            assert_ne!(seen["phase"], "Failed", "{job}@{version} failed: {seen}");
            if alias["serving"] == version { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    /// Promotes a version, and checks the answer.
    pub async fn promote(&self, job: &str, version: u64) -> Value {
        let promoted = self.post(&format!("jobs/{job}/versions/{version}/promote"), &json!({})).await.is(200);
        assert_eq!(promoted["serving"], version, "{promoted}");
        promoted
    }

    /// Rolls back to the version before, and gives the answer.
    pub async fn roll_back(&self, job: &str) -> Value {
        self.post(&format!("jobs/{job}/rollback"), &json!({})).await.is(200)
    }
}
