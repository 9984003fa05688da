//! Plans: what a deploy would do, with nothing done.

use std::collections::BTreeMap;

use rekap_jobs::{CompiledJob, JobSpec, Place};
use rekap_tables::TableSchema;
use rekap_tiered_storage::{Extent, Offset, OffsetRange, Partition, Positions, Tier, Topic};
use serde_json::Value;

use crate::commands::refused;
use crate::decide::{self, DeployDecision};
use crate::state::{Job, State};
use crate::views::{Change, PlanInput, PlanRefusal, PlanReport, ReplayGap, ReplayRange, Tiers};
use crate::{Orchestrator, Rejection, schema};

impl Orchestrator {
    /// What a deploy of `spec` would do.
    pub async fn plan(&self, spec: &JobSpec) -> Result<PlanReport, Rejection> {
        let state = self.state();
        let job = state.job(&spec.name).ok();
        let mut report = PlanReport {
            job: spec.name.clone(),
            serving: job.and_then(|job| job.serving()).map(|version| version.number),
            differences: differences(job.map(|job| &**job), spec),
            ..PlanReport::default()
        };
        match self.plan_replay(&state, spec, &mut report).await {
            Ok(()) => {}
            Err(Rejection::Refused { code, place, detail, remedy }) => {
                let place = place.map(|(line, column)| Place { line, column });
                report.refusal = Some(PlanRefusal { code, detail, remedy, place });
            }
            Err(other) => return Err(other),
        }
        Ok(report)
    }

    async fn plan_replay(&self, state: &State, spec: &JobSpec, report: &mut PlanReport) -> Result<(), Rejection> {
        let topics = self.topics_of(spec).await?;
        let compiled = CompiledJob::compile(spec, &topics).await.map_err(refused)?;
        self.admit_checks(spec, compiled.table_schema()).await?;
        let start = self.start_of(spec, &topics, None).await?;
        let digest = compiled.digest().to_string();
        let decision = decide::deploy(state, spec, &digest, &topics, &start, false);
        report.digest = Some(digest);
        report.warnings = compiled.warnings().to_vec();
        report.compatibility = self.compatibility(state, spec, compiled.table_schema());
        report.changes = !matches!(decision, DeployDecision::Same(_));
        report.policy_only = matches!(decision, DeployDecision::Policy(..));
        match decision {
            DeployDecision::Same(version) | DeployDecision::Policy(version, _) => report.version = Some(version),
            DeployDecision::New(version, _) => {
                report.version = Some(version);
                report.inputs = self.inputs(&topics, &start).await?;
                report.records = report.inputs.iter().map(|input| input.records.cold + input.records.hot).sum();
                report.warnings.extend(report.inputs.iter().flat_map(lost));
                report.bytes = self.cold_bytes(&topics, &report.inputs).await?;
            }
        }
        Ok(())
    }

    async fn inputs(&self, topics: &BTreeMap<String, Topic>, start: &Positions) -> Result<Vec<PlanInput>, Rejection> {
        let mut inputs = vec![];
        for (name, topic) in topics {
            let extents = self.log.extent(topic).await?;
            inputs.push(input(name, topic, start, &extents));
        }
        Ok(inputs)
    }

    /// The bytes of the files that the replay reads, when it reads nothing else: what records take in the hot tier is not measured.
    async fn cold_bytes(
        &self,
        topics: &BTreeMap<String, Topic>,
        inputs: &[PlanInput],
    ) -> Result<Option<u64>, Rejection> {
        if inputs.iter().any(|input| input.records.hot > 0) {
            return Ok(None);
        }
        let mut bytes = 0;
        for input in inputs {
            let Some(topic) = topics.get(&input.input) else { continue };
            let coverage = self.log.cold.topic(topic).await?.coverage();
            for range in &input.ranges {
                let read = OffsetRange { from: range.from, to: range.to };
                let files = coverage.partition(range.partition).map_or(&[][..], |covered| covered.files());
                bytes += files.iter().filter(|f| f.range.intersect(&read).is_some()).map(|f| f.bytes).sum::<u64>();
            }
        }
        Ok(Some(bytes))
    }

    fn compatibility(&self, state: &State, spec: &JobSpec, new: &TableSchema) -> Vec<String> {
        let serving = state.job(&spec.name).ok().and_then(|job| job.serving());
        let old = serving.and_then(|version| self.fleet.get(&spec.name, version.number));
        old.and_then(|old| schema::breaks(old.table.schema(), new)).into_iter().collect()
    }
}

fn input(name: &str, topic: &Topic, start: &Positions, extents: &BTreeMap<Partition, Extent>) -> PlanInput {
    let (mut ranges, mut gaps, mut records) = (vec![], vec![], Tiers::default());
    for (partition, extent) in extents {
        let from = start.get(&topic.name, *partition).unwrap_or_default();
        for (tier, range) in by_tier(extent, from) {
            let count = if tier == Tier::Cold { &mut records.cold } else { &mut records.hot };
            *count += range.len();
            ranges.push(ReplayRange { partition: *partition, tier, from: range.from, to: range.to });
        }
        let read = OffsetRange { from, to: extent.hot.end.max(from) };
        let lost = extent.gaps.iter().filter_map(|gap| gap.intersect(&read));
        gaps.extend(lost.map(|range| ReplayGap { partition: *partition, range }));
    }
    records.cold -= gaps.iter().map(|gap| gap.range.len()).sum::<u64>().min(records.cold);
    let start = start.iter().filter(|(of, ..)| **of == topic.name).collect();
    PlanInput { input: name.to_owned(), topic: topic.name.clone(), start, ranges, records, gaps }
}

/// A warning for each range that the replay would meet and that is gone.
fn lost(input: &PlanInput) -> impl Iterator<Item = String> + '_ {
    input.gaps.iter().map(|ReplayGap { partition, range }| {
        let (name, topic) = (&input.input, &input.topic);
        format!("offsets {range} of `{topic}` partition {partition} are gone, and the replay fails there: set `inputs.{name}.start` to {} or later", range.to)
    })
}

/// What a reader from `from` gets of each tier: the cold one wherever it covers.
fn by_tier(extent: &Extent, from: Offset) -> impl Iterator<Item = (Tier, OffsetRange)> + use<> {
    let end = extent.hot.end.max(from);
    let seam = extent.mirrored.map_or(from, |mirrored| mirrored.to.clamp(from, end));
    let tiers = [(Tier::Cold, OffsetRange { from, to: seam }), (Tier::Hot, OffsetRange { from: seam, to: end })];
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
    }
    let mut new = fields(spec);
    let names: std::collections::BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    let change = |field: String| {
        let (from, to) = (old.remove(&field).unwrap_or_default(), new.remove(&field).unwrap_or_default());
        (from != to).then_some(Change { field, from, to })
    };
    names.into_iter().filter_map(change).collect()
}
