//! The loop of one version: look what there is, cut a range, run it, commit it, tell.
//!
//! Everything it knows is in its table: after a crash it claims the table and goes on from the table's positions. A commit that was
//! written just before the crash is seen there; one that was not is read again.

use std::sync::Arc;
use std::time::Duration;

use rekap_tables::{Commit, CommitOutcome, TableStatus};
use rekap_tiered_storage::{Clock, LogError, LogSlice, Positions, Segment, Tier, Topic, TopicName};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::control::{Control, SnapshotError, passed};
use super::cut::{Cut, cut};
use super::failure::{Failure, RangeError};
use super::gaps::{LostRange, accepts};
use super::pace::Bound;
use super::range::{Bench, Computed};
use super::status::{PartitionStatus, Run, RunnerStatus};
use super::throttle::{Brake, Throttle};

/// The first pause before something is tried again; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(100);

/// The longest pause before something is tried again: a disk or a store that is back is noticed within it.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The span over which the rate is measured.
const RATE_SPAN: Duration = Duration::from_secs(2);

pub(super) struct Driver {
    pub(super) bench: Arc<Bench>,
    pub(super) topics: Vec<Topic>,
    pub(super) start: Positions,
    pub(super) accepted_gaps: Vec<LostRange>,
    pub(super) bound: Bound,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) status: watch::Sender<RunnerStatus>,
    /// The readable ends when the runner started: behind them it replays.
    pub(super) goal: Option<Positions>,
    pub(super) rate: Rate,
    pub(super) brake: Brake,
}

/// What one turn of the loop came to.
enum Turn {
    Committed,
    NothingToRead,
    /// A range was computed and dropped, because a snapshot was asked for inside it.
    Dropped,
}

impl Driver {
    /// Runs until it is stopped or cannot go on.
    pub(super) async fn run(mut self) {
        let control = self.bench.control.clone();
        let mut appended = self.bench.log.hot.appended();
        let mut backoff = MIN_BACKOFF;
        loop {
            if control.is_stopped() {
                return self.end(Run::Stopped);
            }
            if control.is_paused() {
                self.pause(&control).await;
                continue;
            }
            let rest = self.brake.rest(control.limit(), Instant::now());
            if !rest.is_zero() {
                self.answer(&self.bench.table.status().positions);
                tokio::select! {
                    () = tokio::time::sleep(rest) => {}
                    () = control.changed() => {}
                }
                continue;
            }
            appended.borrow_and_update();
            match self.turn().await {
                Ok(Turn::Committed | Turn::Dropped) => backoff = MIN_BACKOFF,
                Ok(Turn::NothingToRead) => {
                    backoff = MIN_BACKOFF;
                    tokio::select! {
                        _ = appended.changed() => {}
                        () = control.changed() => {}
                    }
                }
                Err(RangeError::Stopped) => {}
                Err(RangeError::Fatal(failure)) => return self.fail(failure),
                Err(RangeError::Environment(problem) | RangeError::TooLarge(problem)) => {
                    tracing::warn!(table = %self.bench.table.id(), problem, "a range is tried again");
                    self.status.send_modify(|status| status.problem = Some(problem));
                    tokio::select! {
                        () = tokio::time::sleep(backoff) => {}
                        () = control.changed() => {}
                    }
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
    }

    async fn turn(&mut self) -> Result<Turn, RangeError> {
        let at = self.bench.table.status();
        let ends = self.ends(&at.positions).await?;
        let goal = self.goal.get_or_insert_with(|| ends.clone()).clone();
        self.answer(&at.positions);
        let limit = self.bench.control.limit();
        let records = limit.map_or(u64::MAX, Throttle::range_records).min(self.bound.records());
        let targets: Vec<Positions> =
            self.bench.control.targets().into_iter().chain(self.bench.trigger.cut(&at.positions)).collect();
        let next = cut(&at.positions, &ends, &targets, records);
        if next.ranges.is_empty() {
            self.tell(&at, &ends, None, |run| match run {
                _ if at.positions.reached(&ends) => Run::Live,
                Run::Paused | Run::Stopped => Run::CatchingUp,
                other => other,
            });
            return Ok(Turn::NothingToRead);
        }
        let begun = Instant::now();
        let slices = self.slices(&next).await?;
        let computed = match self.compute(&next, &slices, &at).await {
            Err(RangeError::TooLarge(_)) if self.bound.shrink(next.len()) => return Ok(Turn::Dropped),
            computed => computed?,
        };
        let (next, output_error) = (computed.cut, computed.output_error);
        let _gate = self.bench.control.gate().await;
        if self.bench.control.targets().iter().any(|target| next.passes(target)) {
            return Ok(Turn::Dropped);
        }
        let commit = computed.commit;
        if commit.outbox.is_empty() && !computed.told && self.bench.trigger.due(&commit.to).is_some() {
            // It counts since it was computed: it is computed again, with its messages.
            return Ok(Turn::Dropped);
        }
        if self.bench.control.is_stopped() {
            return Err(RangeError::Stopped);
        }
        self.commit(commit).await?;
        self.bound.grow();
        self.rate.add(next.len());
        self.brake.ran(begun, next.len());
        self.status.send_if_modified(|status| {
            status.ranges.offsets.add(next.len() as f64);
            status.ranges.seconds.add(begun.elapsed().as_secs_f64());
            false
        });
        let after = self.bench.table.status();
        self.tell(&after, &ends, Some(&slices), |_| match next.whole {
            _ if !after.positions.reached(&goal) => Run::Replaying,
            true => Run::Live,
            false => Run::CatchingUp,
        });
        self.tell_failed_rows(after.failed_rows, output_error);
        self.answer(&after.positions);
        Ok(Turn::Committed)
    }

    /// Tells that so many rows cannot be computed, one of which the last range met for that reason.
    fn tell_failed_rows(&self, failed_rows: u64, reason: Option<String>) {
        self.status.send_if_modified(|status| {
            let known = status.output_error.take();
            let now = if failed_rows > 0 { reason.or_else(|| known.clone()) } else { None };
            status.failed_rows = failed_rows;
            status.output_error = now;
            status.output_error != known
        });
    }

    /// The readable ends of all partitions, which are still those that were read up to `reached`.
    async fn ends(&self, reached: &Positions) -> Result<Positions, RangeError> {
        let mut ends = Positions::new();
        for topic in &self.topics {
            for (partition, end) in self.bench.log.ends(topic, reached).await? {
                ends.set(&topic.name, partition, end);
            }
        }
        Ok(ends)
    }

    /// Plans how a range is read, with the number of the input of each part.
    async fn slices(&self, cut: &Cut) -> Result<Vec<(usize, LogSlice)>, RangeError> {
        let mut slices = vec![];
        for ((name, partition), range) in &cut.ranges {
            let number =
                self.topics.iter().position(|topic| topic.name == *name).expect("ranges are of the job's topics");
            let (log, topic) = (&self.bench.log, &self.topics[number]);
            let slice = match self.accepted_gaps.is_empty() {
                true => log.slice(topic, *partition, *range).await?,
                false => self.across_accepted_gaps(log.slice_across_gaps(topic, *partition, *range).await?, name)?,
            };
            slices.push((number, slice));
        }
        Ok(slices)
    }

    /// The slice, if every gap in it was accepted.
    fn across_accepted_gaps(&self, slice: LogSlice, topic: &TopicName) -> Result<LogSlice, RangeError> {
        let partition = slice.partition();
        let gaps = slice.segments().iter().filter_map(|segment| match segment {
            Segment::Gap { range } => Some(*range),
            _ => None,
        });
        match gaps.into_iter().find(|gap| !accepts(&self.accepted_gaps, topic, partition, *gap)) {
            Some(missing) => Err(LogError::Gap { topic: topic.clone(), partition, missing }.into()),
            None => Ok(slice),
        }
    }

    async fn compute(
        &self,
        cut: &Cut,
        slices: &[(usize, LogSlice)],
        at: &Arc<TableStatus>,
    ) -> Result<Computed, RangeError> {
        let workers = self.bound.workers(cut.len());
        let split = |slice: LogSlice| {
            let whole = !self.bench.job.splits_partitions();
            let shares = if whole { 1 } else { self.bound.parts(slice.range().len(), workers) };
            slice.split(shares)
        };
        let parts: Vec<_> = slices.iter().map(|(number, slice)| (*number, split(slice.clone()))).collect();
        let (parts, bounds) = (take_turns(parts), (workers, self.bound.keys()));
        let (bench, cut, at) = (self.bench.clone(), cut.clone(), at.clone());
        let run = spawn_blocking(move || bench.run(cut, parts, bounds, &at));
        run.await.unwrap_or_else(|panic| Err(RangeError::panicked(&panic)))
    }

    async fn commit(&self, commit: Commit) -> Result<(), RangeError> {
        let table = self.bench.table.clone();
        let written = spawn_blocking(move || table.commit(commit)).await;
        match written.map_err(|panic| RangeError::panicked(&panic))?? {
            CommitOutcome::Committed | CommitOutcome::AlreadyApplied => Ok(()),
            CommitOutcome::Fenced => Err(RangeError::fatal(
                "FENCED",
                format!("another writer has claimed table `{}`", self.bench.table.id()),
                "nothing is lost: the other writer goes on",
            )),
        }
    }

    /// Answers the snapshots that are decided at these positions.
    fn answer(&self, at: &Positions) {
        for request in self.bench.control.decided(at) {
            let target = request.target;
            let answer = match passed(at, &target) {
                true => Err(SnapshotError::PastTarget { at: at.clone(), target }),
                false => Ok(self.bench.table.snapshot()),
            };
            // Whoever asked may be gone.
            _ = request.reply.send(answer);
        }
    }

    async fn pause(&self, control: &Control) {
        control.close(&self.bench.table.status().positions);
        self.status.send_modify(|status| status.run = Run::Paused);
        while control.is_paused() && !control.is_stopped() {
            control.changed().await;
        }
        control.open();
        self.status.send_modify(|status| status.run = Run::CatchingUp);
    }

    fn fail(&self, reason: Failure) {
        tracing::error!(table = %self.bench.table.id(), code = reason.code, "the version failed: {reason}");
        self.end(Run::Failed { reason });
    }

    fn end(&self, run: Run) {
        self.bench.control.close(&self.bench.table.status().positions);
        self.status.send_modify(|status| status.run = run);
    }

    /// Tells where the runner stands.
    fn tell(
        &self,
        at: &TableStatus,
        ends: &Positions,
        slices: Option<&[(usize, LogSlice)]>,
        run: impl FnOnce(Run) -> Run,
    ) {
        let now = self.clock.now();
        let tiers = slices.unwrap_or_default();
        // What has read all there is does not rest for a limit, whatever it is.
        let limit = self.bench.control.limit().filter(|_| slices.is_some() && !at.positions.reached(ends));
        let throttled = limit.filter(|_| !self.brake.rest(limit, Instant::now()).is_zero());
        self.status.send_modify(|status| {
            status.run = run(status.run.clone());
            status.partitions = partitions(at, ends, tiers, &self.topics, &status.partitions);
            status.positions = at.positions.clone();
            status.targets = ends.clone();
            status.records_done = self.start.distance_to(&at.positions);
            status.records_total = self.start.distance_to(&ends.max(&at.positions));
            status.rate_per_s = if at.positions.reached(ends) && slices.is_none() { 0.0 } else { self.rate.per_s() };
            status.last_progress_at = now;
            status.dead_letters = at.dead_letters;
            status.problem = None;
            status.throttled = throttled;
        });
    }
}

fn partitions(
    at: &TableStatus,
    ends: &Positions,
    slices: &[(usize, LogSlice)],
    topics: &[Topic],
    before: &[PartitionStatus],
) -> Vec<PartitionStatus> {
    let each = ends.iter().enumerate().map(|(i, (topic, partition, target))| {
        let slice =
            slices.iter().find(|(number, slice)| topics[*number].name == *topic && slice.partition() == partition);
        let known = before.get(i).map_or(Tier::Hot, |status| status.tier);
        PartitionStatus {
            topic: topic.clone(),
            partition,
            position: at.positions.get(topic, partition).unwrap_or_default(),
            target,
            tier: slice.map_or(known, |(_, slice)| tier(slice)),
        }
    });
    each.collect()
}

/// The tier that holds the end of a slice, which is where its reader goes on.
fn tier(slice: &LogSlice) -> Tier {
    match slice.segments().last() {
        Some(Segment::Cold { .. }) => Tier::Cold,
        _ => Tier::Hot,
    }
}

/// Offsets a second, over the last spans.
pub(super) struct Rate {
    since: Instant,
    done: u64,
    before: f64,
}

impl Rate {
    pub(super) fn new() -> Self {
        Rate { since: Instant::now(), done: 0, before: 0.0 }
    }

    fn add(&mut self, offsets: u64) {
        if self.since.elapsed() > RATE_SPAN {
            self.before = self.here();
            (self.since, self.done) = (Instant::now(), 0);
        }
        self.done += offsets;
    }

    fn here(&self) -> f64 {
        self.done as f64 / self.since.elapsed().as_secs_f64().max(1e-3)
    }

    fn per_s(&self) -> f64 {
        let young = self.before > 0.0 && self.since.elapsed() < RATE_SPAN / 4;
        if young { self.before } else { self.here() }
    }
}

/// The parts of all slices, a part of each in turn: wherever the range ends, all partitions have come about as far.
fn take_turns(slices: Vec<(usize, Vec<LogSlice>)>) -> Vec<(usize, LogSlice)> {
    let most = slices.iter().map(|(_, parts)| parts.len()).max().unwrap_or(0);
    let mut parts: Vec<(usize, usize, LogSlice)> = vec![];
    for (number, slice) in slices {
        let n = slice.len().max(1);
        parts.extend(slice.into_iter().enumerate().map(|(i, part)| ((i + 1) * most / n, number, part)));
    }
    parts.sort_by_key(|(turn, ..)| *turn);
    parts.into_iter().map(|(_, number, part)| (number, part)).collect()
}
