//! One move of an alias at a time, and a rollback first.
//!
//! Whatever holds a runner (a promotion, the start of a verification) takes a turn at its job's gate, and gives it up as soon as a
//! rollback waits for it. In memory only: a crash ends every turn, and runners hold nothing across a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{Mutex as Turn, MutexGuard, watch};

/// The gate of one job.
#[derive(Debug)]
pub(crate) struct Gate {
    turn: Turn<()>,
    /// How many rollbacks wait.
    urgent: watch::Sender<u32>,
}

impl Gate {
    /// Waits for a turn that has to be given up when [`Gate::interrupted`] says so.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Answers once a rollback waits for the turn.
    pub(crate) async fn interrupted(&self) {
        let mut urgent = self.urgent.subscribe();
        // The sender lives as long as `self`, so this ends only by being true.
        let _ = urgent.wait_for(|waiting| *waiting > 0).await;
    }

    /// Waits for a turn that others make way for.
    pub(crate) async fn urgent_turn(&self) -> MutexGuard<'_, ()> {
        let _waiting = Waiting::at(self);
        self.turn.lock().await
    }
}

/// Waits for a turn at each of these gates that others make way for. The turns are taken one after the other: who takes them at several
/// gates in the same order as everybody else waits for nobody who waits for them.
pub(crate) async fn urgent_turns(gates: &[Arc<Gate>]) -> Vec<MutexGuard<'_, ()>> {
    let _waiting: Vec<Waiting<'_>> = gates.iter().map(|gate| Waiting::at(gate)).collect();
    turns(gates).await
}

/// A turn at every gate, taken in order.
pub(crate) async fn turns(gates: &[Arc<Gate>]) -> Vec<MutexGuard<'_, ()>> {
    let mut turns = vec![];
    for gate in gates {
        turns.push(gate.turn().await);
    }
    turns
}

/// Counts one rollback as waiting until it is dropped.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn at(gate: &'a Gate) -> Self {
        gate.urgent.send_modify(|waiting| *waiting += 1);
        Waiting(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.urgent.send_modify(|waiting| *waiting -= 1);
    }
}

/// The gates of all jobs.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<BTreeMap<String, Arc<Gate>>>);

impl Gates {
    /// The gate of a job.
    pub(crate) fn of(&self, job: &str) -> Arc<Gate> {
        let mut gates = self.0.lock().expect("no holder of this lock panics");
        let new = || Arc::new(Gate { turn: Turn::new(()), urgent: watch::Sender::new(0) });
        gates.entry(job.to_owned()).or_insert_with(new).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rollback_of_a_group_waits_for_one_gate_before_it_takes_the_next() {
        let gates = Gates::default();
        let both = [gates.of("a"), gates.of("b")];
        let held = both[0].turn().await;
        let mut rollback = std::pin::pin!(urgent_turns(&both));
        assert!(futures::poll!(&mut rollback).is_pending());
        both[1].interrupted().await;
        assert!(both[1].turn.try_lock().is_ok(), "whoever has that turn may need the first one too");
        drop(held);
        assert_eq!(rollback.await.len(), 2);
    }

    #[tokio::test]
    async fn who_has_a_turn_is_told_when_a_rollback_waits_and_only_then() {
        let gates = Gates::default();
        let gate = gates.of("bpi");
        let turn = gate.turn().await;
        let rollback = tokio::spawn({
            let gate = gates.of("bpi");
            async move { drop(gate.urgent_turn().await) }
        });
        gate.interrupted().await;
        drop(turn);
        rollback.await.unwrap();
        assert_eq!(*gate.urgent.borrow(), 0, "nobody waits any more");
    }
}
