//! Random jobs over random logs, cut, mirrored, crashed and restarted at random: the table is what one query over all rows gives.
//!
//! As it stands it tries the same cases every time, so that a change is judged by what it changed. `REKAP_RANDOM_SECONDS` makes it go on
//! for so long from a seed of chance, `REKAP_SEED` from that one. A failing case is made smaller before it is shown.

#![allow(unreachable_pub)]

mod chance;
mod data;
mod judge;
mod query;
mod relation;
mod world;

use std::time::Duration;

use chance::Chance;
use data::{Event, TopicModel};
use judge::Told;
use query::Case;
use tokio::time::Instant;
use world::World;

/// The cases that are tried unless something else is asked for.
const CASES: u64 = 150;

/// How often a failing case is run again to make it smaller.
const MAX_SHRINKS: usize = 60;

/// What is done to a log and its job.
#[derive(Debug, Clone)]
enum Step {
    /// Appends so many of the events that are left.
    Append(usize),
    /// Mirrors a topic, and drops some of the hot copy.
    Mirror { topic: usize, trim: bool },
    /// Waits until all is read, and compares.
    Compare,
    /// Ends everything as it is and opens it again, with ranges of at most so many records.
    Crash(u64),
}

struct Scenario {
    topics: Vec<TopicModel>,
    case: Case,
    events: Vec<Event>,
    steps: Vec<Step>,
}

#[test]
fn random_jobs_give_what_one_query_over_all_rows_gives() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().expect("a number in the environment"));
    let (seed, seconds) = (number("REKAP_SEED"), number("REKAP_RANDOM_SECONDS"));
    let chance = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let first = seed.unwrap_or_else(|| if seconds.is_some() { chance() } else { 0 });
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    eprintln!("REKAP_SEED={first}");
    let mut cases = 0;
    while until.map_or(cases < CASES, |until| cases == 0 || Instant::now() < until) {
        let seed = first.wrapping_add(cases);
        let scenario = Scenario::random(seed);
        if let Err(why) = scenario.run() {
            let (smaller, why) = scenario.smaller(why);
            panic!("REKAP_SEED={seed} fails (case {cases} of {first}):\n{}\n{why}", smaller.shown());
        }
        cases += 1;
    }
    eprintln!("{cases} cases passed");
}

impl Scenario {
    fn random(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let topics = vec![TopicModel::random("t", &mut chance), TopicModel::random("u", &mut chance)];
        let case = query::random(&topics, &mut chance);
        let n = 1 + chance.below(200);
        let mut event = || {
            let topic = chance.below(2);
            topics[topic].event(topic, &mut chance)
        };
        let events: Vec<Event> = (0..n).map(|_| event()).collect();
        let mut steps = vec![Step::Crash(1 + chance.below(60) as u64)];
        for _ in 0..chance.below(12) {
            steps.push(match chance.below(6) {
                0 | 1 => Step::Append(1 + chance.below(60)),
                2 => Step::Mirror { topic: chance.below(2), trim: chance.one_in(2) },
                3 => Step::Compare,
                _ => {
                    let most = *chance.pick(&[10, 500]);
                    Step::Crash(1 + chance.below(most) as u64)
                }
            });
        }
        steps.extend([Step::Append(usize::MAX), Step::Compare]);
        Scenario { topics, case, events, steps }
    }

    fn run(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let (mut told, mut left): (Told, &[Event]) = (vec![], &self.events);
        let mut steps = self.steps.as_slice();
        while let Some((Step::Crash(max_records), rest)) = steps.split_first() {
            let end = rest.iter().position(|step| matches!(step, Step::Crash(_))).unwrap_or(rest.len());
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.map_err(|e| e.to_string())?;
            let life = self.life(folder.path(), *max_records, &rest[..end], &mut told, &mut left);
            let lived = runtime.block_on(life);
            runtime.shutdown_timeout(Duration::from_secs(20));
            lived?;
            steps = &rest[end..];
        }
        Ok(())
    }

    /// What happens between two crashes.
    async fn life<'a>(
        &'a self,
        folder: &std::path::Path,
        max_records: u64,
        steps: &[Step],
        told: &mut Told<'a>,
        left: &mut &'a [Event],
    ) -> Result<(), String> {
        let world = World::open(folder, &self.topics, &self.case, max_records).await?;
        for step in steps {
            match step {
                Step::Crash(_) => {}
                Step::Append(n) => {
                    let (now, later) = left.split_at((*n).min(left.len()));
                    *left = later;
                    for (i, topic) in self.topics.iter().enumerate() {
                        let events: Vec<&Event> = now.iter().filter(|event| event.topic == i).collect();
                        if !events.is_empty() {
                            let offsets = world.append(topic, &events).await?;
                            told.extend(offsets.into_iter().zip(events));
                        }
                    }
                }
                Step::Mirror { topic, trim } => world.mirror(&self.topics[*topic], *trim).await?,
                Step::Compare => {
                    let seen = world.settle().await?;
                    let ignores = |topic: &TopicModel| {
                        let warning = format!("tombstones of input `{}` are ignored", topic.name);
                        world.job.warnings().iter().any(|told| told.starts_with(&warning))
                    };
                    let ignored: Vec<usize> = (0..2).filter(|i| ignores(&self.topics[*i])).collect();
                    let keys = world.job.table_schema().key().to_vec();
                    judge::judge(&self.case, &self.topics, told, &ignored, &seen, &keys).await?;
                }
            }
        }
        Ok(())
    }

    /// A smaller scenario that fails too, and how.
    fn smaller(self, why: String) -> (Scenario, String) {
        let (mut best, mut why) = (self, why);
        let mut tries = 0;
        let mut chunk = best.events.len().max(1);
        loop {
            let mut shrunk = false;
            let mut at = 0;
            while at < best.events.len() && tries < MAX_SHRINKS {
                let mut events = best.events.clone();
                events.drain(at..(at + chunk).min(events.len()));
                match best.with(events, best.steps.clone()) {
                    Some((smaller, reason)) => (best, why, shrunk) = (smaller, reason, true),
                    None => at += chunk,
                }
                tries += 1;
            }
            let mut at = 1;
            while at + 2 < best.steps.len() && tries < MAX_SHRINKS {
                let mut steps = best.steps.clone();
                steps.remove(at);
                match best.with(best.events.clone(), steps) {
                    Some((smaller, reason)) => (best, why, shrunk) = (smaller, reason, true),
                    None => at += 1,
                }
                tries += 1;
            }
            if (chunk == 1 && !shrunk) || tries >= MAX_SHRINKS {
                return (best, why);
            }
            chunk = (chunk / 2).max(1);
        }
    }

    fn with(&self, events: Vec<Event>, steps: Vec<Step>) -> Option<(Scenario, String)> {
        let smaller = Scenario { topics: self.topics.clone(), case: self.case.clone(), events, steps };
        let why = smaller.run().err()?;
        Some((smaller, why))
    }

    fn shown(&self) -> String {
        let events: Vec<String> = self
            .events
            .iter()
            .map(|event| {
                let topic = &self.topics[event.topic];
                format!(
                    "{} p{} ts+{} key {:?}: {:?}",
                    topic.name,
                    event.partition,
                    event.timestamp - data::NOW,
                    event.key,
                    event.bytes(topic)
                )
            })
            .collect();
        let keyed: Vec<_> = self.topics.iter().map(|topic| (topic.name, topic.keyed)).collect();
        format!(
            "{}\n{}\nkeyed {keyed:?}\nsteps {:?}\njudge {:?}\n{}",
            self.case.toml,
            self.case.sql,
            self.steps,
            self.case.judge,
            events.join("\n")
        )
    }
}
