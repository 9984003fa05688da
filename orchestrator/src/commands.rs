//! The commands: each decides on the state as it is, records what was decided, and leaves the doing to the steward.
//!
//! Only a swap is carried out here, since its caller waits for it. A command that was answered is durable; one that was not answered
//! may have happened, and sending it again with its idempotency key is safe.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekap_jobs::{CompiledJob, JobSpec};
use rekap_tiered_storage::{Positions, Start, Timestamp, Topic};

use crate::decide::{self, DeployDecision, PromoteDecision};
use crate::event::What;
use crate::state::{Job, State};
use crate::views::{Armed, Deployed, Promoted, Promotion, RolledBack};
use crate::{By, Orchestrator, Rejection};

impl Orchestrator {
    /// Deploys a spec: makes a new version, finds the live one that it already is, or changes the policy of promotion only.
    pub async fn deploy(&self, spec: JobSpec, rebuild: bool, by: By) -> Result<Deployed, Rejection> {
        if let Some(answer) = self.book.answered(&by)? {
            return Ok(answer);
        }
        let topics = self.topics_of(&spec).await?;
        let compiled = CompiledJob::compile(&spec, &topics).await.map_err(refused)?;
        let start = self.start_of(&spec, &topics, None).await?;
        let digest = compiled.digest().to_string();
        let warnings = compiled.warnings().to_vec();
        let job = spec.name.clone();
        self.write(&by.clone(), &job, move |state, _| {
            if let Some(job) = state.ever(&spec.name) {
                decide::admit(job, by.if_match)?;
            }
            let (version, what, created) = match decide::deploy(state, &spec, &digest, &topics, &start, rebuild) {
                DeployDecision::Same(version) => (version, None, false),
                DeployDecision::Policy(version, what) => (version, Some(what), false),
                DeployDecision::New(version, what) => (version, Some(what), true),
            };
            let policy_changed = matches!(what, Some(What::PolicyChanged { .. }));
            Ok((what, Deployed { job: spec.name, version, digest, created, policy_changed, warnings }))
        })
        .await
    }

    /// Promotes a version, says why not, or arms it.
    pub async fn promote(
        self: &Arc<Self>,
        job: &str,
        version: u32,
        asked: decide::Promotion,
        by: By,
    ) -> Result<Promotion, Rejection> {
        if let Some(answer) = self.book.answered(&by)? {
            return Ok(answer);
        }
        let state = self.state();
        let now_job = state.job(job)?;
        let conditions = self.conditions_of(now_job, now_job.version(version)?);
        let who = (by.actor.as_str(), by.if_match);
        match decide::promote(now_job, version, &asked, conditions.clone(), who, self.clock.now())? {
            PromoteDecision::Swap(order) => self.promote_now(order, conditions, by).await.map(Promotion::Promoted),
            PromoteDecision::Serves => self.answer_serving(job, version, by).await.map(Promotion::Promoted),
            PromoteDecision::Arm(_) => self.arm(job, version, by).await.map(Promotion::Armed),
        }
    }

    async fn answer_serving(&self, job: &str, version: u32, by: By) -> Result<Promoted, Rejection> {
        let name = job.to_owned();
        self.write(&by, job, move |state, _| {
            let generation = state.job(&name)?.generation;
            Ok((None, Promoted { job: name, serving: version, generation, swap_ms: 0 }))
        })
        .await
    }

    async fn arm(&self, job: &str, version: u32, by: By) -> Result<Armed, Rejection> {
        let name = job.to_owned();
        self.write(&by, job, move |state, _| {
            let job = state.job(&name)?;
            let armed = job.version(version)?.armed.is_some();
            let answer = Armed { job: name, version, armed: true, generation: job.generation };
            Ok(((!armed).then_some(What::Armed { version }), answer))
        })
        .await
    }

    /// Moves the alias back to the version that served before, or to an earlier one, within 250 ms.
    pub async fn rollback(self: &Arc<Self>, job: &str, to: Option<u32>, by: By) -> Result<RolledBack, Rejection> {
        self.roll_back_now(job.to_owned(), to, by).await
    }

    /// Asks for another verification.
    pub async fn verify(&self, job: &str, version: u32, by: By) -> Result<(), Rejection> {
        self.change(job, by, move |job, _| decide::verify(job, version)).await
    }

    /// Gives up a candidate.
    pub async fn abort(&self, job: &str, version: u32, by: By) -> Result<(), Rejection> {
        self.change(job, by, move |job, _| decide::abort(job, version)).await
    }

    /// Lets a version wait.
    pub async fn pause(&self, job: &str, version: u32, by: By) -> Result<(), Rejection> {
        self.change(job, by, move |job, _| decide::pause(job, version)).await
    }

    /// Lets a version that was paused or failed go on.
    pub async fn resume(&self, job: &str, version: u32, by: By) -> Result<(), Rejection> {
        self.change(job, by, move |job, _| decide::resume(job, version)).await
    }

    /// Lets a version that does not serve go.
    pub async fn retire(&self, job: &str, version: u32, by: By) -> Result<(), Rejection> {
        self.change(job, by, move |job, _| decide::retire(job, version)).await
    }

    /// Replays a version into a fresh table, from `start` or from where its spec says.
    pub async fn replay(&self, job: &str, version: u32, start: Option<Start>, by: By) -> Result<(), Rejection> {
        let state = self.state();
        let known = state.job(job)?.version(version)?;
        let positions = self.start_of(&known.spec, &known.topics, start).await?;
        self.change(job, by, move |job, _| decide::replay(job, version, positions).map(Some)).await
    }

    /// Stops automatic promotion, clean-up and others' promotions until then.
    pub async fn freeze(&self, job: &str, until: Timestamp, by: By) -> Result<(), Rejection> {
        let actor = by.actor.clone();
        self.change(job, by, move |job, now| decide::freeze(job, &actor, until, now).map(Some)).await
    }

    /// Sets until when the former versions are kept warm.
    pub async fn rollback_window(&self, job: &str, until: Timestamp, by: By) -> Result<(), Rejection> {
        self.change(job, by, move |_, now| decide::rollback_window(until, now).map(Some)).await
    }

    /// Deletes a job: retires all of its versions and takes its alias away.
    pub async fn delete_job(&self, job: &str, by: By) -> Result<(), Rejection> {
        let actor = by.actor.clone();
        self.change(job, by, move |job, now| decide::refuse_others(job, &actor, now).map(|()| Some(What::Deleted {})))
            .await
    }

    /// A command that answers nothing but that it is done.
    async fn change(
        &self,
        job: &str,
        by: By,
        decide: impl FnOnce(&Job, Timestamp) -> Result<Option<What>, Rejection> + Send + 'static,
    ) -> Result<(), Rejection> {
        let (name, if_match) = (job.to_owned(), by.if_match);
        let decide = move |state: &State, now| {
            let job = state.job(&name)?;
            decide::admit(job, if_match)?;
            Ok((decide(job, now)?, ()))
        };
        self.write(&by, job, decide).await
    }

    /// The topic behind each input, as it is now.
    pub(crate) async fn topics_of(&self, spec: &JobSpec) -> Result<BTreeMap<String, Topic>, Rejection> {
        let mut topics = BTreeMap::new();
        for (name, input) in &spec.inputs {
            let topic = self.log.hot.topic(&input.topic).await.map_err(|error| unknown_input(name, error))?;
            topics.insert(name.clone(), topic);
        }
        Ok(topics)
    }

    /// Where each input starts, resolved: by `start`, else by its spec.
    pub(crate) async fn start_of(
        &self,
        spec: &JobSpec,
        topics: &BTreeMap<String, Topic>,
        start: Option<Start>,
    ) -> Result<Positions, Rejection> {
        let mut positions = Positions::new();
        for (name, input) in &spec.inputs {
            let Some(topic) = topics.get(name) else { continue };
            let start = start.clone().unwrap_or_else(|| input.start.clone());
            let resolved = self.log.resolve_start(topic, start).await;
            positions = positions.max(&resolved.map_err(|error| unknown_input(name, error))?);
        }
        Ok(positions)
    }
}

/// A topic that a spec names and that is not as it says: the spec is at fault, not the address.
fn unknown_input(input: &str, error: rekap_tiered_storage::LogError) -> Rejection {
    use rekap_tiered_storage::LogError;
    let code = match &error {
        LogError::UnknownTopic(_) => "UNKNOWN_TOPIC",
        LogError::UnknownPartition { .. } => "UNKNOWN_PARTITION",
        _ => return Rejection::Log(error),
    };
    let remedy = format!("make the topic first, or correct `inputs.{input}`");
    Rejection::Refused { code: code.into(), place: None, detail: format!("input `{input}`: {error}"), remedy }
}

pub(crate) fn refused(refusal: rekap_jobs::Refusal) -> Rejection {
    let rekap_jobs::Refusal { code, place, detail, remedy } = refusal;
    let place = place.map(|place| (place.line, place.column));
    Rejection::Refused { code: code.to_string(), place, detail, remedy }
}
