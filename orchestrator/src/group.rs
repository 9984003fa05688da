//! Moving the aliases of a group as one: every serving version is held, every other one arrives, and *one* event moves them all.
//!
//! Readers load one pointer to the state after that event, so they see all of the group moved or none of it. Turns at the gates are
//! taken in the order of the jobs' names, so two groups cannot wait for each other; a promotion gives all its turns up as soon as a
//! rollback of any of its jobs waits. If the process dies before the event is durable nothing has happened; after it, all has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{join_all, select_all};
use rekap_tiered_storage::{Timestamp, to_the_end};
use tokio::time::Instant;

use crate::commands::WAITS_FOR;
use crate::decide::{self, GroupDecision, GroupPromotion, Order};
use crate::event::{Chosen, Moved, SteppedBack, Swap, What};
use crate::fleet::Member;
use crate::gate::{Gate, turns, urgent_turns};
use crate::state::State;
use crate::swap::{
    Meeting, PROMOTION_LIMIT, Places, ROLLBACK_LIMIT, has_actions, meet, millis, stepped_back, still_as_ordered, swap,
    warnings,
};
use crate::views::{GroupApproved, GroupJob, GroupMoved, GroupPromoted, GroupSwapped, GroupView};
use crate::{By, Conditions, Orchestrator, Rejection};

impl Orchestrator {
    /// The jobs of a group and what a promotion or a rollback of it would do.
    pub fn group(&self, group: &str) -> Result<GroupView, Rejection> {
        let state = self.state();
        let members = decide::members(&state, group)?;
        let job = |job: &&Arc<crate::state::Job>| GroupJob {
            job: job.name.clone(),
            serving: job.serving().map(|version| version.number),
            candidate: decide::newest_candidate(job).map(|version| version.number),
            ready: decide::newest_candidate(job).map(|version| self.conditions_of(job, version)),
            approved_by: decide::newest_candidate(job).and_then(|version| Some(version.approved.as_ref()?.by.clone())),
        };
        let why_not = decide::roll_back_group(&state, group).err().map(|rejection| rejection.to_string());
        let generation = decide::group_generation(&members);
        let jobs = members.iter().map(job).collect();
        Ok(GroupView { group: group.to_owned(), generation, jobs, why_no_rollback: why_not })
    }

    /// Promotes the newest candidate of every job of the group, or those that are named: all of them or none.
    pub async fn promote_group(
        self: &Arc<Self>,
        group: &str,
        asked: GroupPromotion,
        by: By,
    ) -> Result<GroupPromoted, Rejection> {
        if let Some(answer) = self.book.answered(&by)? {
            return Ok(answer);
        }
        let state = self.state();
        decide::admit_to_group(&state, group, &by.if_match)?;
        let conditions = |job: &crate::state::Job, version: &crate::state::Version| self.conditions_of(job, version);
        let decision = decide::promote_group(&state, group, &asked, conditions, &by.actor, self.clock.now())?;
        let (this, group) = (self.clone(), group.to_owned());
        match decision {
            GroupDecision::Swap(orders) => {
                let swap = to_the_end(async move { this.swap_group_forward(group, orders, by).await });
                swap.await.map(GroupPromoted::Swapped)
            }
            GroupDecision::Approve(orders, before) => {
                self.approve_group(group, orders, asked.force, before, by).await.map(GroupPromoted::Approved)
            }
        }
    }

    /// Records who is the first of the two, for all versions in one event.
    async fn approve_group(
        &self,
        group: String,
        orders: Vec<Order>,
        force: Vec<String>,
        before: bool,
        by: By,
    ) -> Result<GroupApproved, Rejection> {
        let if_match = by.if_match.clone();
        let (what, answer) = approval(group.clone(), &orders, force, by.actor.clone());
        self.write(&by, "", move |state, _| {
            decide::admit_to_group(state, &group, &if_match)?;
            orders.iter().try_for_each(|order| still_as_ordered(state, order).map(drop))?;
            Ok(((!before).then_some(what), answer))
        })
        .await
    }

    /// Takes the last promotion of the group back, within 250 ms.
    pub async fn roll_back_group(self: &Arc<Self>, group: &str, by: By) -> Result<GroupSwapped, Rejection> {
        let (this, group) = (self.clone(), group.to_owned());
        to_the_end(async move { this.swap_group_back(group, by).await }).await
    }

    async fn swap_group_forward(&self, group: String, orders: Vec<Order>, by: By) -> Result<GroupSwapped, Rejection> {
        let gates = self.gates_of(&orders);
        let off = |reason: &str| {
            let (job, version) = (group.clone(), orders.first().map_or(0, |order| order.to));
            let reason = reason.to_owned();
            Rejection::CalledOff { job, version, reason, conditions: Conditions::new() }
        };
        let interrupted = select_all(gates.iter().map(|gate| gate.interrupted().boxed()));
        let met = async {
            let turns = turns(&gates).await;
            let begun = Instant::now();
            Ok::<_, Rejection>((turns, begun, self.meet_all(&orders, PROMOTION_LIMIT).await?))
        };
        let (_turns, begun, meetings) = tokio::select! {
            _ = interrupted => return Err(off("a rollback came first")),
            met = met => met?,
        };
        if let Some(reason) = meetings.iter().find_map(|(_, meeting)| meeting.missed.as_ref()) {
            return Err(off(reason));
        }
        let swaps = orders.into_iter().zip(&meetings).map(|(order, (to, meeting))| {
            let places = (to.positions(), meeting.held_at.clone());
            (order, places, SteppedBack::new())
        });
        let swaps: Vec<Planned> = swaps.collect();
        let (name, if_match) = (group.clone(), by.if_match.clone());
        let decide = move |state: &State, now| {
            decide::admit_to_group(state, &name, &if_match)?;
            let (swaps, answer) = moved(state, now, &name, swaps, millis(begun))?;
            Ok((Some(What::GroupPromoted { group: name, swaps }), answer))
        };
        let swapped = self.write(&by, "", decide).await?;
        self.tell_all_actions();
        drop(meetings);
        Ok(swapped)
    }

    async fn swap_group_back(&self, group: String, by: By) -> Result<GroupSwapped, Rejection> {
        let begun = Instant::now();
        let before = decide::roll_back_group(&self.state(), &group);
        let gates = self.gates_of(before.as_deref().unwrap_or_default());
        let _turns = urgent_turns(&gates).await;
        if let Some(answer) = self.book.answered(&by)? {
            return Ok(answer);
        }
        decide::admit_to_group(&self.state(), &group, &by.if_match)?;
        let orders = decide::roll_back_group(&self.state(), &group)?;
        let meetings = self.meet_all(&orders, ROLLBACK_LIMIT.saturating_sub(begun.elapsed())).await?;
        let state = self.state();
        let mut swaps: Vec<Planned> = vec![];
        for (order, (to, meeting)) in orders.into_iter().zip(&meetings) {
            let (positions, version) = (to.positions(), state.job(&order.job)?.version(order.to)?);
            let here = version.positions_within(&positions, &meeting.target);
            swaps.push((order, (positions, meeting.held_at.clone()), stepped_back(&meeting.target, &here)));
        }
        let (name, if_match) = (group.clone(), by.if_match.clone());
        let decide = move |state: &State, now| {
            decide::admit_to_group(state, &name, &if_match)?;
            let (swaps, answer) = moved(state, now, &name, swaps, millis(begun))?;
            Ok((Some(What::GroupRolledBack { group: name, swaps }), answer))
        };
        let swapped = self.write(&by, "", decide).await?;
        self.tell_all_actions();
        drop(meetings);
        Ok(swapped)
    }

    /// The gates of these jobs, by name: in that order everybody takes them.
    fn gates_of(&self, orders: &[Order]) -> Vec<Arc<Gate>> {
        let jobs: BTreeSet<&str> = orders.iter().map(|order| order.job.as_str()).collect();
        jobs.into_iter().map(|job| self.gates.of(job)).collect()
    }

    /// Holds what serves in each job and waits for what takes over, all at the same time.
    async fn meet_all(&self, orders: &[Order], limit: Duration) -> Result<Vec<(Member, Meeting)>, Rejection> {
        let state = self.state();
        let mut pairs = vec![];
        for order in orders {
            let job = state.job(&order.job)?;
            let version = job.version(order.to)?;
            let to = self.fleet.get(&order.job, order.to).filter(|to| to.attempt == order.attempt);
            let why = || Rejection::CalledOff {
                job: order.job.clone(),
                version: order.to,
                reason: "its table is not open yet".into(),
                conditions: Conditions::new(),
            };
            pairs.push((self.moved_from(job, order), to.ok_or_else(why)?, version, has_actions(&state, order)));
        }
        let meetings =
            pairs.iter().map(|(from, to, version, exact)| meet(from.as_ref(), (to, *version), limit, *exact));
        let meetings = join_all(meetings).await;
        Ok(pairs.iter().map(|(_, to, ..)| to.clone()).zip(meetings).collect())
    }
}

/// One job's part of the swap: the order, where the version that takes over stands, and how far it stepped back.
pub(crate) type Planned = (Order, Places, SteppedBack);

/// The approval of a group's promotion, and its answer.
pub(crate) fn approval(group: String, orders: &[Order], force: Vec<String>, actor: String) -> (What, GroupApproved) {
    let chosen = |order: &Order| Chosen { job: order.job.clone(), version: order.to, attempt: order.attempt };
    let what = What::GroupApproved { group: group.clone(), versions: orders.iter().map(chosen).collect(), force };
    let versions = orders.iter().map(|order| (order.job.clone(), order.to)).collect();
    (what, GroupApproved { group, versions, approved_by: actor, waits_for: WAITS_FOR.into() })
}

/// The moves of all jobs, if what each rests on is still so, and the answer.
pub(crate) fn moved(
    state: &State,
    now: Timestamp,
    group: &str,
    planned: Vec<Planned>,
    held_ms: u64,
) -> Result<(Vec<Moved>, GroupSwapped), Rejection> {
    let (mut swaps, mut jobs) = (vec![], vec![]);
    for (order, places, back) in planned {
        let job = still_as_ordered(state, &order)?;
        let swap: Swap = swap(job, now, &order, places, held_ms, back.clone());
        let (name, generation) = (order.job.clone(), swap.generation);
        let warnings = warnings(&swap);
        jobs.push(GroupMoved { job: name.clone(), serving: order.to, generation, stepped_back: back, warnings });
        swaps.push(Moved { job: name, swap: Box::new(swap) });
    }
    Ok((swaps, GroupSwapped { group: group.to_owned(), jobs, swap_ms: held_ms }))
}
