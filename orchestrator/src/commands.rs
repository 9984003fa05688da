//! The commands: each decides on the state as it is, records what was decided, and leaves the doing to the steward.
//!
//! Only a swap is carried out here, since its caller waits for it. A command that was answered is durable; one that was not answered
//! may have happened, and sending it again with its idempotency key is safe.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekap_jobs::{Check, CompiledJob, JobSpec};
use rekap_tables::TableSchema;
use rekap_tiered_storage::{LogError, Positions, Timestamp, Topic, TopicName};
use serde::Serialize;
use serde_json::Value;

use crate::decide::{self, DeployDecision, PromoteDecision};
use crate::event::{Cause, Event, What};
use crate::state::{Approval, Job, State};
use crate::verify::{plan_checks, plan_live_checks};
use crate::views::{Approved, Armed, Deployed, PlanBase, Promoted, Promotion, RolledBack};
use crate::{By, CatalogError, Orchestrator, Rejection, ReplayStart};

/// What a promotion waits for that takes two people.
pub(crate) const WAITS_FOR: &str = "a promotion by somebody else, whose token has another name";

impl Orchestrator {
    /// Deploys a spec: makes a new version, finds the live one that it already is, or changes the policy of promotion only.
    pub async fn deploy(&self, spec: JobSpec, rebuild: bool, by: By) -> Result<Deployed, Rejection> {
        self.deploy_planned(spec, rebuild, None, by).await
    }

    /// The same, but only while what a plan rested on has not moved.
    pub async fn deploy_planned(
        &self,
        spec: JobSpec,
        rebuild: bool,
        plan: Option<PlanBase>,
        by: By,
    ) -> Result<Deployed, Rejection> {
        if let Some(answer) = self.book.answered(&by)? {
            return Ok(answer);
        }
        let topics = self.topics_of(&spec).await?;
        let compiled = CompiledJob::compile(&spec, &topics).await.map_err(refused)?;
        self.admit_checks(&spec, compiled.table_schema()).await?;
        self.admit_actions(&spec, compiled.table_schema()).await?;
        let start = self.start_of(&spec, &topics, None).await?;
        let digests = digests(&compiled);
        let mut warnings = compiled.warnings().to_vec();
        let gone = self.history_gone(&self.state(), &spec, &topics).await?;
        let job = spec.name.clone();
        let asked = by.clone();
        let deployed = self.write(&asked, &job, move |state, _| {
            if let Some(job) = state.ever(&spec.name) {
                decide::admit(job, &by.if_match)?;
            }
            let deleted = topics.iter().find(|(_, topic)| state.was_deleted(topic.incarnation));
            if let Some((input, topic)) = deleted {
                return Err(unknown_input(input, LogError::UnknownTopic(topic.name.clone())));
            }
            let known = decide::known_digest(state, &spec.name, &digests);
            decide::still_as_planned(state, &spec.name, known, plan.as_ref())?;
            let (version, what, digest) = match decide::deploy(state, &spec, &digests, &topics, &start, rebuild) {
                DeployDecision::Same(version) => (version, None, known),
                DeployDecision::Policy(version, what) => (version, Some(what), known),
                DeployDecision::New(version, what) => (version, Some(what), digests[0].as_str()),
            };
            let created = matches!(what, Some(What::Deployed(_)));
            let digest = digest.to_owned();
            warnings.extend(gone.into_iter().filter(|_| created));
            let policy_changed = matches!(what, Some(What::PolicyChanged { .. }));
            Ok((what, Deployed { job: spec.name, version, digest, created, policy_changed, warnings }))
        });
        let deployed = deployed.await?;
        if deployed.policy_changed {
            self.change_actions(&deployed.job, deployed.version).await;
        }
        Ok(deployed)
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
        let who = (by.actor.as_str(), by.if_match.as_slice());
        match decide::promote(now_job, version, &asked, conditions.clone(), who, self.clock.now())? {
            PromoteDecision::Swap(order) => self.promote_now(order, conditions, by).await.map(Promotion::Promoted),
            PromoteDecision::Serves => self.answer_serving(job, version, by).await.map(Promotion::Promoted),
            PromoteDecision::Arm(_) => self.arm(job, version, asked.force, by).await.map(Promotion::Armed),
            PromoteDecision::Approve(_) => self.approve(job, version, asked.force, by).await.map(Promotion::Approved),
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

    async fn arm(&self, job: &str, version: u32, force: Vec<String>, by: By) -> Result<Armed, Rejection> {
        let name = job.to_owned();
        self.write(&by, job, move |state, _| {
            let job = state.job(&name)?;
            let armed = job.version(version)?.armed.as_ref().is_some_and(|armed| armed.force == force);
            let answer = Armed { job: name, version, armed: true, generation: job.generation };
            Ok(((!armed).then_some(What::Armed { version, force }), answer))
        })
        .await
    }

    async fn approve(&self, job: &str, version: u32, force: Vec<String>, by: By) -> Result<Approved, Rejection> {
        let (name, actor) = (job.to_owned(), by.actor.clone());
        self.write(&by, job, move |state, _| {
            let job = state.job(&name)?;
            let found = job.version(version)?;
            let approval = Approval { by: actor.clone(), force: force.clone() };
            let what = What::Approved { version, attempt: found.attempt, force };
            let answer = Approved {
                job: name,
                version,
                approved_by: actor,
                waits_for: WAITS_FOR.into(),
                generation: job.generation,
            };
            Ok(((found.approved != Some(approval)).then_some(what), answer))
        })
        .await
    }

    /// True when promotions of the job take two people.
    pub fn takes_two_people(&self, job: &str) -> bool {
        self.state().job(job).is_ok_and(|job| job.policy.two_people)
    }

    /// Moves the alias back to the version that served before, or to an earlier one, within 250 ms.
    pub async fn rollback(self: &Arc<Self>, job: &str, to: Option<u32>, by: By) -> Result<RolledBack, Rejection> {
        self.roll_back_now(job.to_owned(), to, Cause::Asked, by).await
    }

    /// Asks for another verification.
    pub async fn verify(self: &Arc<Self>, job: &str, version: u32, by: By) -> Result<Value, Rejection> {
        self.change_version(job, version, by, decide::verify).await
    }

    /// Gives up a candidate.
    pub async fn abort(self: &Arc<Self>, job: &str, version: u32, by: By) -> Result<Value, Rejection> {
        self.change_version(job, version, by, decide::abort).await
    }

    /// Lets a version wait.
    pub async fn pause(self: &Arc<Self>, job: &str, version: u32, by: By) -> Result<Value, Rejection> {
        self.change_version(job, version, by, decide::pause).await
    }

    /// Pauses a version before anything reads, so that what it does to the process does not happen again. One that would not run stays
    /// as it is.
    pub(crate) async fn pause_at_start(&self, job: String, version: u32) -> Result<(), Rejection> {
        let by = By { note: Some("paused at the start of the server".into()), ..By::rekap() };
        let name = job.clone();
        let decide = move |state: &State, _| {
            let job = state.job(&name)?;
            let runs = job.version(version)?.wants_runner();
            Ok((if runs { decide::pause(job, version)? } else { None }, ()))
        };
        let paused = self.write(&by, &job, decide).await;
        paused.inspect_err(|rejection| tracing::error!(job, version, %rejection, "cannot be paused at the start"))
    }

    /// Lets a version that was paused or failed go on.
    pub async fn resume(self: &Arc<Self>, job: &str, version: u32, by: By) -> Result<Value, Rejection> {
        self.change_version(job, version, by, decide::resume).await
    }

    /// Lets a version go that no rollback needs.
    pub async fn retire(self: &Arc<Self>, job: &str, version: u32, by: By) -> Result<Value, Rejection> {
        self.change_version(job, version, by, decide::retire).await
    }

    /// Replays a version into a fresh table, from `start` or from where its spec says. With `accept_gap` it does without the ranges that
    /// are lost now; one that is lost later fails it. With `max_records_per_s` it reads no faster than that.
    pub async fn replay(
        self: &Arc<Self>,
        job: &str,
        version: u32,
        start: Option<ReplayStart>,
        accept_gap: bool,
        max_records_per_s: Option<u64>,
        by: By,
    ) -> Result<Value, Rejection> {
        if let Some(answer) = self.book.answered(&by)? {
            return Ok(answer);
        }
        let state = self.state();
        let known = state.job(job)?.version(version)?;
        let positions = self.start_of(&known.spec, &known.topics, start).await?;
        let left_out = if accept_gap { self.lost_from(&known.topics, &positions).await? } else { vec![] };
        let replay =
            move |job: &Job, version| decide::replay(job, version, positions, left_out, max_records_per_s).map(Some);
        self.change_version(job, version, by, replay).await
    }

    /// Stops automatic promotion, clean-up and others' promotions until then.
    pub async fn freeze(self: &Arc<Self>, job: &str, until: Timestamp, by: By) -> Result<Value, Rejection> {
        let actor = by.actor.clone();
        self.change_job(job, by, move |job, now| decide::freeze(job, &actor, until, now)).await
    }

    /// Sets until when the former versions are kept warm.
    pub async fn rollback_window(self: &Arc<Self>, job: &str, until: Timestamp, by: By) -> Result<Value, Rejection> {
        self.change_job(job, by, move |_, now| decide::rollback_window(until, now)).await
    }

    /// Deletes a job: retires all of its versions and takes its alias away.
    pub async fn delete_job(&self, job: &str, by: By) -> Result<(), Rejection> {
        let (name, actor, if_match) = (job.to_owned(), by.actor.clone(), by.if_match.clone());
        let decide = move |state: &State, now| {
            let job = state.job(&name)?;
            decide::admit(job, &if_match)?;
            decide::refuse_others(job, &actor, now)?;
            Ok((Some(What::Deleted {}), ()))
        };
        self.write(&by, job, decide).await
    }

    /// A command about one version. It answers the version as it is after it.
    async fn change_version(
        self: &Arc<Self>,
        job: &str,
        version: u32,
        by: By,
        decide: impl FnOnce(&Job, u32) -> Result<Option<What>, Rejection> + Send + 'static,
    ) -> Result<Value, Rejection> {
        let show = move |this: &Self, job: &Job| to_json(&this.version_view(job, job.version(version)?));
        self.change(job, by, move |job, _| decide(job, version), show).await
    }

    /// A command about a job. It answers the job as it is after it.
    async fn change_job(
        self: &Arc<Self>,
        job: &str,
        by: By,
        decide: impl FnOnce(&Job, Timestamp) -> Result<What, Rejection> + Send + 'static,
    ) -> Result<Value, Rejection> {
        let show = |this: &Self, job: &Job| to_json(&this.job_view(job));
        self.change(job, by, move |job, now| decide(job, now).map(Some), show).await
    }

    /// A command whose answer is a view of the state after it; the same request gets the same answer for a day.
    async fn change(
        self: &Arc<Self>,
        job: &str,
        by: By,
        decide: impl FnOnce(&Job, Timestamp) -> Result<Option<What>, Rejection> + Send + 'static,
        show: impl FnOnce(&Self, &Job) -> Result<Value, Rejection> + Send + 'static,
    ) -> Result<Value, Rejection> {
        let (this, name, actor, if_match) = (self.clone(), job.to_owned(), by.actor.clone(), by.if_match.clone());
        let decide = move |state: &State, now| {
            let job = state.job(&name)?;
            decide::admit(job, &if_match)?;
            let what = decide(job, now)?;
            let after = state.after(what.clone().map(|what| Event::new(&name, what)), &actor, now);
            let answer = show(&this, after.job(&name)?)?;
            Ok((what, answer))
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
        start: Option<ReplayStart>,
    ) -> Result<Positions, Rejection> {
        let mut positions = Positions::new();
        let reads = |topic: &TopicName| spec.inputs.values().any(|input| input.topic == *topic);
        if let Some(topic) = start.iter().flat_map(ReplayStart::topics).find(|topic| !reads(topic)) {
            return Err(Rejection::Refused {
                code: "INVALID_START".into(),
                place: None,
                detail: format!("`start`: job `{}` reads no topic `{topic}`", spec.name),
                remedy: "name topics that it reads, as in {\"ticks\": {\"0\": 120}}".into(),
            });
        }
        for (name, input) in &spec.inputs {
            let Some(topic) = topics.get(name) else { continue };
            let start = start.as_ref().and_then(|start| start.of(&input.topic)).unwrap_or_else(|| input.start.clone());
            let resolved = self.log.resolve_start(topic, start).await.map_err(|error| unknown_input(name, error))?;
            self.refuse_past_end(name, topic, &resolved).await?;
            positions = positions.max(&resolved);
        }
        Ok(positions)
    }

    /// Nothing can be read from where nothing has been written.
    async fn refuse_past_end(&self, input: &str, topic: &Topic, start: &Positions) -> Result<(), Rejection> {
        for (partition, range) in self.log.hot.ranges(&topic.name).await? {
            let from = start.get(&topic.name, partition).unwrap_or_default();
            if from > range.end {
                return Err(Rejection::Refused {
                    code: "START_PAST_END".into(),
                    place: None,
                    detail: format!(
                        "`inputs.{input}.start`: partition {partition} of `{}` ends at {}, {from} is past it",
                        topic.name, range.end
                    ),
                    remedy: "name an offset up to the end, or \"end\"".into(),
                });
            }
        }
        Ok(())
    }

    /// Refuses checks that could never be asked: of one name, or no SELECT over `old`, `new` and `diff`.
    pub(crate) async fn admit_checks(&self, spec: &JobSpec, new: &TableSchema) -> Result<(), Rejection> {
        let state = self.state();
        let serving = state.job(&spec.name).ok().and_then(|job| job.serving());
        let old = serving.and_then(|version| self.fleet.get(&spec.name, version.number));
        let old = old.as_ref().map_or(new, |old| old.table.schema());
        let refused =
            |list: &str, checks: &[&Check], (i, detail, remedy): (usize, String, String)| Rejection::Refused {
                code: "INVALID_CHECK".into(),
                place: None,
                detail: format!("`{list}[{i}]`, \"{}\": {detail}", checks[i].name),
                remedy,
            };
        let before: Vec<&Check> = spec.promote.checks.iter().collect();
        let after: Vec<&Check> = spec.promote.watch.iter().flat_map(|watch| &watch.checks).collect();
        plan_checks(old, new, &spec.promote.checks).await.map_err(|why| refused("promote.checks", &before, why))?;
        let planned = plan_live_checks(new, after.iter().copied()).await;
        planned.map_err(|why| refused("promote.watch.checks", &after, why))
    }
}

/// The digests of a compiled job: as they are taken now first, then as they were.
pub(crate) fn digests(compiled: &CompiledJob) -> Vec<String> {
    std::iter::once(&compiled.digest()).chain(compiled.former_digests()).map(ToString::to_string).collect()
}

fn to_json<V: Serialize>(view: &V) -> Result<Value, Rejection> {
    Ok(serde_json::to_value(view).map_err(CatalogError::encoding)?)
}

/// A topic that a spec names and that is not as it says: the spec is at fault, not the address.
fn unknown_input(input: &str, error: LogError) -> Rejection {
    let code = match &error {
        LogError::UnknownTopic(_) => "UNKNOWN_TOPIC",
        LogError::UnknownPartition { .. } => "UNKNOWN_PARTITION",
        _ => return Rejection::Log(error),
    };
    let remedy = match &error {
        LogError::UnknownPartition { .. } => {
            format!("name only partitions that the topic has in `inputs.{input}.start`")
        }
        _ => format!("make the topic first, or correct `inputs.{input}.topic`"),
    };
    Rejection::Refused { code: code.into(), place: None, detail: format!("input `{input}`: {error}"), remedy }
}

pub(crate) fn refused(refusal: rekap_jobs::Refusal) -> Rejection {
    let rekap_jobs::Refusal { code, place, detail, remedy } = refusal;
    let place = place.map(|place| (place.line, place.column));
    Rejection::Refused { code: code.to_string(), place, detail, remedy }
}
