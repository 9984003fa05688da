//! The one thread that changes the log.
//!
//! Appends that wait are gathered into one group: their records become one entry per partition, written with one batch and one sync.
//! Nothing is answered before that sync, so a process that dies loses only what nobody was told of. While the disk syncs, the next
//! group gathers by itself: the busier the log, the larger the groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::group::Group;
use super::once::Answers;
use super::store::Store;
use crate::{AppendKey, Appended, Incarnation, LogError, NewRecord, TopicName};

/// Commands that wait for the thread. A full queue makes producers wait, which is the right answer to a slow disk.
const QUEUE: usize = 1_024;

/// Record bytes after which a group is written, so that its memory is bounded and its first producer does not wait for long.
const GROUP_BYTES: usize = 16 << 20;

/// A change of the log that is no append.
type Change = Box<dyn FnOnce(&Store) + Send>;

/// What the thread does.
pub(super) enum Command {
    Append(Append),
    /// Anything else that changes the log, between two groups.
    Do(Change),
}

/// Records to append, and where to answer.
pub(super) struct Append {
    pub(super) topic: TopicName,
    pub(super) records: Vec<NewRecord>,
    pub(super) once: Option<AppendKey>,
    pub(super) reply: oneshot::Sender<Result<Appended, LogError>>,
}

impl Append {
    fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.value.as_ref().map_or(0, |value| value.len())).sum()
    }
}

/// Starts the thread; it ends when the sender is dropped and all is done.
pub(super) fn spawn(store: Arc<Store>) -> std::io::Result<(mpsc::Sender<Command>, std::thread::JoinHandle<()>)> {
    let (sender, commands) = mpsc::channel(QUEUE);
    let writer = Writer { store, answers: Answers::new(), turns: BTreeMap::new() };
    let thread = std::thread::Builder::new().name("rekap-log-writer".into());
    Ok((sender, thread.spawn(move || writer.run(commands))?))
}

struct Writer {
    store: Arc<Store>,
    answers: Answers,
    /// The next partition of each topic for records without a key.
    turns: BTreeMap<Incarnation, u32>,
}

impl Writer {
    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            match command {
                Command::Do(act) => act(&self.store),
                Command::Append(first) => {
                    let (group, then) = gather(first, &mut commands);
                    self.write(group);
                    if let Some(act) = then {
                        act(&self.store);
                    }
                }
            }
        }
    }

    fn write(&mut self, appends: Vec<Append>) {
        self.expire_answers(&appends);
        let mut group = Group::new(&self.store);
        let results: Vec<_> = appends.iter().map(|append| group.append(append, &mut self.turns)).collect();
        let written = group.commit();
        for (append, result) in appends.into_iter().zip(results) {
            let answer = match &written {
                Err(LogError::Store { what, source }) if result.is_ok() => {
                    Err(LogError::store(what.clone(), source.to_string()))
                }
                _ => result,
            };
            // Whoever asked may be gone; the records are in the log all the same.
            let _ = append.reply.send(answer);
        }
    }

    fn expire_answers(&mut self, appends: &[Append]) {
        let keyed = appends.iter().filter(|append| append.once.is_some()).count();
        if keyed > 0
            && let Err(error) = self.answers.expire(&self.store, keyed)
        {
            tracing::warn!(%error, "old idempotency keys stay");
        }
    }
}

/// The appends that wait by now, up to the bound of a group or the first other command, which is done after them.
fn gather(first: Append, commands: &mut mpsc::Receiver<Command>) -> (Vec<Append>, Option<Change>) {
    let mut bytes = first.bytes();
    let mut group = vec![first];
    while bytes < GROUP_BYTES {
        match commands.try_recv() {
            Ok(Command::Append(append)) => {
                bytes += append.bytes();
                group.push(append);
            }
            Ok(Command::Do(act)) => return (group, Some(act)),
            Err(_) => break,
        }
    }
    (group, None)
}
