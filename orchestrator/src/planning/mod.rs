//! Plans: what a deploy would do, with nothing done.

mod diff;
mod estimate;
mod gone;

use std::collections::{BTreeMap, BTreeSet};

use rekap_jobs::{CompiledJob, JobSpec, LostRange, Place};
use rekap_tables::TableSchema;
use rekap_tiered_storage::{Extent, LogError, Offset, OffsetRange, Partition, Positions, Tier, Topic};
use serde_json::Value;

use crate::commands::{digests, refused};
use crate::decide::{self, DeployDecision};
use crate::state::{Job, State};
use crate::views::{
    Change, InputChange, PlanBase, PlanInput, PlanRefusal, PlanReport, PlanRollback, ReplayGap, ReplayRange, Tiers,
};
use crate::{ColumnChange, Orchestrator, Rejection, schema};

/// How many records of a partition's hot tier tell how large they are: enough for an average, few enough for one read.
const SAMPLE_RECORDS: usize = 100;

impl Orchestrator {
    /// What a deploy of `spec` would do; with `rebuild`, one that makes a version even if nothing changed.
    pub async fn plan(&self, spec: &JobSpec, rebuild: bool) -> Result<PlanReport, Rejection> {
        let state = self.state();
        let job = state.job(&spec.name).ok();
        let mut report = PlanReport {
            job: spec.name.clone(),
            serving: job.and_then(|job| job.serving()).map(|version| version.number),
            differences: differences(job.map(|job| &**job), spec),
            query_diff: query_diff(job.map(|job| &**job), spec),
            input_changes: input_changes(job.map(|job| &**job), spec),
            rollback: rollback(job.map(|job| &**job), spec),
            readers: self.seen_readers(&spec.name),
            ..PlanReport::default()
        };
        match self.plan_replay(&state, spec, rebuild, &mut report).await {
            Ok(()) => {}
            Err(Rejection::Refused { code, place, detail, remedy }) => {
                let place = place.map(|(line, column)| Place { line, column });
                report.refusal = Some(PlanRefusal { code, detail, remedy, place });
            }
            Err(other) => return Err(other),
        }
        Ok(report)
    }

    async fn plan_replay(
        &self,
        state: &State,
        spec: &JobSpec,
        rebuild: bool,
        report: &mut PlanReport,
    ) -> Result<(), Rejection> {
        let topics = self.topics_of(spec).await?;
        let compiled = CompiledJob::compile(spec, &topics).await.map_err(refused)?;
        self.admit_checks(spec, compiled.table_schema()).await?;
        self.admit_actions(spec, compiled.table_schema()).await?;
        let start = self.start_of(spec, &topics, None).await?;
        let digests = digests(&compiled);
        let digest = decide::known_digest(state, &spec.name, &digests).to_owned();
        let decision = decide::deploy(state, spec, &digests, &topics, &start, rebuild);
        let generation = state.ever(&spec.name).map_or(0, |job| job.generation);
        report.base = Some(PlanBase { generation, serving: report.serving, digest: digest.clone() });
        report.digest = Some(digest);
        report.warnings = compiled.warnings().to_vec();
        report.warnings.extend(moved_keys(state.job(&spec.name).ok().map(|job| &**job), &topics));
        report.output_changes = self.output_changes(state, spec, compiled.table_schema());
        let breaking = report.output_changes.iter().filter(|change| change.breaking);
        report.compatibility = breaking.map(ToString::to_string).collect();
        report.changes = !matches!(decision, DeployDecision::Same(_));
        report.policy_only = matches!(decision, DeployDecision::Policy(..));
        match decision {
            DeployDecision::Same(version) | DeployDecision::Policy(version, _) => report.version = Some(version),
            DeployDecision::New(version, _) => {
                report.version = Some(version);
                report.inputs = self.inputs(&topics, &start).await?;
                report.records = report.inputs.iter().map(|input| input.records.cold + input.records.hot).sum();
                report.warnings.extend(report.inputs.iter().flat_map(lost));
                report.warnings.extend(self.history_gone(state, spec, &topics).await?);
                report.bytes = self.bytes(&topics, &report.inputs).await?;
                let job = state.job(&spec.name).ok().map(|job| &**job);
                report.time_ms = estimate::time_ms(state, job, report.records);
                report.disk_bytes = estimate::disk_bytes(job, report.records);
            }
        }
        Ok(())
    }

    /// A warning for each input whose history is gone where the spec would have it read.
    pub(crate) async fn history_gone(
        &self,
        state: &State,
        spec: &JobSpec,
        topics: &BTreeMap<String, Topic>,
    ) -> Result<Vec<String>, Rejection> {
        let serving = state.job(&spec.name).ok().and_then(|job| job.serving());
        let mut warnings = vec![];
        for (name, input) in &spec.inputs {
            let Some(topic) = topics.get(name) else { continue };
            warnings.extend(gone::warning(input, topic, &self.log.extent(topic).await?, serving));
        }
        Ok(warnings)
    }

    /// The ranges from `start` on that neither tier holds any more.
    pub(crate) async fn lost_from(
        &self,
        topics: &BTreeMap<String, Topic>,
        start: &Positions,
    ) -> Result<Vec<LostRange>, Rejection> {
        let inputs = self.inputs(topics, start).await?;
        let lost = |input: PlanInput| {
            let range = move |gap: ReplayGap| (input.topic.clone(), gap);
            input.gaps.into_iter().map(range)
        };
        let named = |(topic, gap): (_, ReplayGap)| LostRange { topic, partition: gap.partition, range: gap.range };
        Ok(inputs.into_iter().flat_map(lost).map(named).collect())
    }

    async fn inputs(&self, topics: &BTreeMap<String, Topic>, start: &Positions) -> Result<Vec<PlanInput>, Rejection> {
        let mut inputs = vec![];
        for (name, topic) in topics {
            let extents = self.log.extent(topic).await?;
            inputs.push(input(name, topic, start, &extents));
        }
        Ok(inputs)
    }

    /// About how many bytes the replay reads: the files of the cold tier as they are, and of the hot tier as many records as there are
    /// offsets, each as large as the first ones of its range.
    async fn bytes(&self, topics: &BTreeMap<String, Topic>, inputs: &[PlanInput]) -> Result<u64, Rejection> {
        let mut bytes = 0;
        for input in inputs {
            let Some(topic) = topics.get(&input.input) else { continue };
            let coverage = self.log.cold.topic(topic).await?.coverage();
            for range in &input.ranges {
                let read = OffsetRange { from: range.from, to: range.to };
                bytes += match range.tier {
                    Tier::Cold => coverage.partition(range.partition).map_or(0, |covered| {
                        covered.files().iter().filter(|f| f.range.intersect(&read).is_some()).map(|f| f.bytes).sum()
                    }),
                    Tier::Hot => self.hot_bytes(topic, range.partition, read).await?,
                };
            }
        }
        Ok(bytes)
    }

    async fn hot_bytes(&self, topic: &Topic, partition: Partition, range: OffsetRange) -> Result<u64, Rejection> {
        let (sample, _) = match self.log.records(topic, partition, range.from, SAMPLE_RECORDS).await {
            Ok(sample) => sample,
            Err(LogError::Gap { .. }) => return Ok(0),
            Err(other) => return Err(other.into()),
        };
        let sizes = sample.iter().flat_map(|(_, batch)| {
            let size = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) as u64;
            batch.keys().iter().zip(batch.values()).map(move |(key, value)| size(key) + size(value))
        });
        let (count, bytes) = sizes.fold((0, 0), |(count, bytes): (u64, u64), size| (count + 1, bytes + size));
        Ok(bytes * range.len() / count.max(1))
    }

    fn output_changes(&self, state: &State, spec: &JobSpec, new: &TableSchema) -> Vec<ColumnChange> {
        let serving = state.job(&spec.name).ok().and_then(|job| job.serving());
        let old = serving.and_then(|version| self.fleet.get(&spec.name, version.number));
        old.map(|old| schema::changes(old.table.schema(), new)).unwrap_or_default()
    }
}

fn input(name: &str, topic: &Topic, start: &Positions, extents: &BTreeMap<Partition, Extent>) -> PlanInput {
    let (mut ranges, mut gaps, mut records) = (vec![], vec![], Tiers::default());
    for (partition, extent) in extents {
        let from = start.get(&topic.name, *partition).unwrap_or_default();
        for (tier, range) in by_tier(extent, from) {
            let count = if tier == Tier::Cold { &mut records.cold } else { &mut records.hot };
            let lost = lost_ranges(extent).filter_map(|gap| gap.intersect(&range));
            *count += range.len() - lost.map(|gap| gap.len()).sum::<u64>();
            ranges.push(ReplayRange { partition: *partition, tier, from: range.from, to: range.to });
        }
        let read = OffsetRange { from, to: extent.hot.end.max(from) };
        let lost = lost_ranges(extent).filter_map(|gap| gap.intersect(&read));
        gaps.extend(lost.map(|range| ReplayGap { partition: *partition, range }));
    }
    let start = start.iter().filter(|(of, ..)| **of == topic.name).collect();
    PlanInput { input: name.to_owned(), topic: topic.name.clone(), start, ranges, records, gaps }
}

/// What neither tier holds any more: gaps of the mirror, and what left the hot tier before the mirror came to it.
fn lost_ranges(extent: &Extent) -> impl Iterator<Item = OffsetRange> + use<> {
    let seam = extent.mirrored.map_or(Offset::ZERO, |mirrored| mirrored.to);
    let ahead = OffsetRange { from: seam, to: extent.hot.earliest.max(seam) };
    extent.gaps.clone().into_iter().chain((!ahead.is_empty()).then_some(ahead))
}

/// A warning for each range that the replay would meet and that is gone.
fn lost(input: &PlanInput) -> impl Iterator<Item = String> + '_ {
    input.gaps.iter().map(|ReplayGap { partition, range }| {
        let (name, topic) = (&input.input, &input.topic);
        format!("offsets {range} of `{topic}` partition {partition} are gone, and the replay fails there: set `inputs.{name}.start` to {} or later, or replay with `--accept-gap` after it failed", range.to)
    })
}

/// What a reader from `from` gets of each tier: the cold one wherever it covers.
fn by_tier(extent: &Extent, from: Offset) -> impl Iterator<Item = (Tier, OffsetRange)> + use<> {
    let end = extent.hot.end.max(from);
    let seam = extent.mirrored.map_or(from, |mirrored| mirrored.to.clamp(from, end));
    let held = OffsetRange { from: seam.max(extent.hot.earliest).min(end), to: end };
    let tiers = [(Tier::Cold, OffsetRange { from, to: seam }), (Tier::Hot, held)];
    tiers.into_iter().filter(|(_, range)| !range.is_empty())
}

/// The fields of the spec that differ from the serving version's; all of them when nothing serves.
fn differences(job: Option<&Job>, spec: &JobSpec) -> Vec<Change> {
    let fields = |spec: &JobSpec| match serde_json::to_value(spec) {
        Ok(Value::Object(fields)) => fields,
        _ => Default::default(),
    };
    let mut old = job.and_then(|job| job.serving()).map(|version| fields(&version.spec)).unwrap_or_default();
    if let (Some(job), false) = (job, old.is_empty()) {
        old.insert("promote".into(), serde_json::to_value(&job.policy).unwrap_or_default());
        if let Some(serving) = job.serving().filter(|serving| !serving.actions.is_empty()) {
            old.insert("actions".into(), serde_json::to_value(&*serving.actions).unwrap_or_default());
        } else {
            old.remove("actions");
        }
    }
    let mut new = fields(spec);
    let names: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    let change = |field: String| {
        let (from, to) = (old.remove(&field).unwrap_or_default(), new.remove(&field).unwrap_or_default());
        (from != to).then_some(Change { field, from, to })
    };
    names.into_iter().filter_map(change).collect()
}

/// The query against the serving version's.
fn query_diff(job: Option<&Job>, spec: &JobSpec) -> Vec<String> {
    let serving = job.and_then(|job| job.serving());
    serving.map(|serving| diff::lines(&serving.spec.query, &spec.query)).unwrap_or_default()
}

/// What differs of each input, field by field; an input that is new or gone as a whole.
fn input_changes(job: Option<&Job>, spec: &JobSpec) -> Vec<InputChange> {
    let Some(serving) = job.and_then(|job| job.serving()) else { return vec![] };
    let inputs = |spec: &JobSpec| match serde_json::to_value(&spec.inputs) {
        Ok(Value::Object(inputs)) => inputs,
        _ => Default::default(),
    };
    let (old, new) = (inputs(&serving.spec), inputs(spec));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().flat_map(|name| input_change(name, old.get(name), new.get(name))).collect()
}

fn input_change(name: &str, old: Option<&Value>, new: Option<&Value>) -> Vec<InputChange> {
    let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) else {
        let side = |side: Option<&Value>| side.cloned().unwrap_or_default();
        return vec![InputChange { input: name.to_owned(), field: None, from: side(old), to: side(new) }];
    };
    let fields: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = fields.into_iter().filter(|field| old.get(*field) != new.get(*field));
    let change = |field: &String| {
        let side = |side: &serde_json::Map<String, Value>| side.get(field).cloned().unwrap_or_default();
        InputChange { input: name.to_owned(), field: Some(field.clone()), from: side(old), to: side(new) }
    };
    differing.map(change).collect()
}

/// Whether a promotion of what is planned could be taken back, and for how long.
fn rollback(job: Option<&Job>, spec: &JobSpec) -> PlanRollback {
    let window_ms = u64::try_from(spec.promote.rollback_window.0.as_millis()).unwrap_or(u64::MAX);
    let not = |why: &str| PlanRollback { why_not: Some(why.to_owned()), ..PlanRollback::default() };
    match job.and_then(|job| job.serving()) {
        None => not("nothing serves yet that it could go back to"),
        Some(_) if window_ms == 0 => not("`promote.rollback_window` is 0"),
        Some(serving) => match &serving.failure {
            Some(reason) => not(&format!("version {} failed: {reason}", serving.number)),
            None => PlanRollback { possible: true, to: Some(serving.number), window_ms, why_not: None },
        },
    }
}

/// A warning for each topic to which partitions were added: a key may have records in two of them, in no order between the two.
fn moved_keys(job: Option<&Job>, topics: &BTreeMap<String, Topic>) -> Vec<String> {
    let Some(serving) = job.and_then(|job| job.serving()) else { return vec![] };
    let grown = |(name, topic): (&String, &Topic)| {
        let before = serving.topics.get(name).filter(|before| before.incarnation == topic.incarnation)?;
        let (was, is) = (before.config.partitions, topic.config.partitions);
        (was < is).then(|| {
            format!(
                "topic `{}` had {was} partitions when version {} was deployed and has {is}: records of one key may lie in \
                 two partitions, without an order between them",
                topic.name, serving.number
            )
        })
    };
    topics.iter().filter_map(grown).collect()
}
