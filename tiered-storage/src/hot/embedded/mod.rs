//! The log kept in this process's own data folder, for use without Kafka.
//!
//! ```text
//! append ──► queue ──► writer thread: gathers what waits ──► one batch, one sync ──► ends move, producers are answered
//!                                                                                     │
//! read   ◄── entries up to the end ◄──────────────────────────────────────────────────┘
//! ```
//!
//! Owns one folder, which one process at a time may open. A process that dies at any line loses nothing that was acknowledged: an
//! append answers after its batch is synced, a batch is all there or not at all, and deletions are unlinked before they are done.
//! Offsets start at 0 and have no holes. When to trim is the caller's business; this only says what has expired.

mod acknowledged;
mod batch;
mod entry;
mod group;
mod keys;
mod once;
mod read;
mod state;
mod store;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

use self::read::Reader;
use self::state::{PartitionState, TopicState, find};
use self::store::Store;
use self::writer::{Append, Command};
use super::doubled;
use crate::{
    AppendKey, Appended, Clock, HotLog, HotRange, Incarnation, LogBatch, LogError, NewRecord, Offset, OffsetRange,
    Partition, Timestamp, Topic, TopicConfig, TopicName, steps,
};

/// The embedded hot log.
pub struct EmbeddedLog {
    store: Arc<Store>,
    /// Dropped first, which ends the thread.
    commands: Option<mpsc::Sender<Command>>,
    writer: Option<JoinHandle<()>>,
}

impl EmbeddedLog {
    /// Opens the log in that folder, or makes one. [`LogError::InUse`] when another process has it open.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, LogError> {
        let store = Arc::new(Store::open(path, clock)?);
        let started = writer::spawn(store.clone());
        let (commands, writer) = started.map_err(|error| LogError::store("starting the log's writer", error))?;
        Ok(Arc::new(EmbeddedLog { store, commands: Some(commands), writer: Some(writer) }))
    }

    async fn send(&self, command: Command) {
        let commands = self.commands.as_ref().expect("the queue is there until the log is dropped");
        // It fails when the thread has died; then the answer, which is waited for next, says so.
        let _ = commands.send(command).await;
    }

    /// Changes the log on the writer's thread, between two groups of appends.
    async fn change<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Store) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (reply, answer) = oneshot::channel();
        let act = move |store: &Store| {
            let _ = reply.send(act(store));
        };
        self.send(Command::Do(Box::new(act))).await;
        answer.await.map_err(|_| writer_died())?
    }

    /// Does something that may wait for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Store) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || act(&store)).await;
        done.map_err(|error| LogError::store("reading the log", error))?
    }
}

fn writer_died() -> LogError {
    LogError::store("changing the log", "its writer has stopped after an error; restart Rekap")
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.commands.take();
        if let Some(writer) = self.writer.take() {
            // A thread that panicked has said so itself.
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl HotLog for EmbeddedLog {
    async fn create_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Topic, LogError> {
        check(&config)?;
        let topic = Topic { name: name.clone(), incarnation: Incarnation::random(), config };
        self.change(move |store| create(store, topic)).await
    }

    async fn alter_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Topic, LogError> {
        check(&config)?;
        let name = name.clone();
        self.change(move |store| alter(store, &name, config)).await
    }

    async fn double_retention(&self, topic: &Topic, limit_ms: u64) -> Result<Option<(u64, u64)>, LogError> {
        let topic = topic.clone();
        self.change(move |store| double_retention(store, &topic, limit_ms)).await
    }

    async fn delete_topic(&self, name: &TopicName) -> Result<(), LogError> {
        let name = name.clone();
        let incarnation = self.change(move |store| unlink(store, &name)).await?;
        self.blocking(move |store| store.sweep_topic(&incarnation)).await?;
        steps::passed("topic.swept", &incarnation);
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        Ok(self.store.topics().values().map(|state| state.topic.clone()).collect())
    }

    async fn topic(&self, name: &TopicName) -> Result<Topic, LogError> {
        Ok(find(&self.store.topics(), name)?.topic.clone())
    }

    async fn ranges(&self, name: &TopicName) -> Result<BTreeMap<Partition, HotRange>, LogError> {
        let topics = self.store.topics();
        let partitions = find(&topics, name)?.partitions.iter().enumerate();
        Ok(partitions.map(|(i, state)| (Partition(i as u32), state.range())).collect())
    }

    async fn append(
        &self,
        name: &TopicName,
        records: Vec<NewRecord>,
        once: Option<AppendKey>,
    ) -> Result<Appended, LogError> {
        once.as_ref().map_or(Ok(()), AppendKey::check)?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Append(Append { topic: name.clone(), records, once, reply })).await;
        answer.await.map_err(|_| writer_died())?
    }

    async fn body_of(&self, key: &str) -> Result<Option<[u8; 32]>, LogError> {
        let key = key.to_owned();
        self.blocking(move |store| {
            let topics: Vec<Incarnation> = store.topics().values().map(|state| state.topic.incarnation).collect();
            for incarnation in topics {
                if let Some(answer) = once::find(store, &incarnation, &key)? {
                    return Ok(Some(answer.body_digest));
                }
            }
            Ok(None)
        })
        .await
    }

    fn first_offset(&self) -> Option<Offset> {
        Some(Offset::ZERO)
    }

    fn failure(&self) -> Option<String> {
        self.store.failure()
    }

    async fn read(
        &self,
        topic: &Topic,
        partition: Partition,
        range: OffsetRange,
        max_bytes: usize,
    ) -> Result<LogBatch, LogError> {
        let topic = topic.clone();
        self.blocking(move |store| Reader::new(store, &topic, partition)?.read(range, max_bytes)).await
    }

    async fn offset_at(&self, topic: &Topic, partition: Partition, time: Timestamp) -> Result<Offset, LogError> {
        let topic = topic.clone();
        self.blocking(move |store| Reader::new(store, &topic, partition)?.offset_at(time)).await
    }

    async fn bytes(&self, topic: &Topic) -> Result<BTreeMap<Partition, u64>, LogError> {
        let topic = topic.clone();
        self.blocking(move |store| {
            let partitions = (0..topic.config.partitions).map(Partition);
            partitions.map(|p| Ok((p, Reader::new(store, &topic, p)?.held_bytes()?))).collect()
        })
        .await
    }

    fn appended(&self) -> watch::Receiver<u64> {
        self.store.appended.subscribe()
    }

    async fn expired(&self, topic: &Topic, now: Timestamp) -> Result<BTreeMap<Partition, Offset>, LogError> {
        let topic = self.topic(&topic.name).await?;
        self.blocking(move |store| {
            let partitions = (0..topic.config.partitions).map(Partition);
            partitions.map(|p| Ok((p, Reader::new(store, &topic, p)?.expired(now)?))).collect()
        })
        .await
    }

    async fn appended_at(
        &self,
        topic: &Topic,
        partition: Partition,
        offset: Offset,
    ) -> Result<Option<Timestamp>, LogError> {
        let topic = topic.clone();
        self.blocking(move |store| Reader::new(store, &topic, partition)?.appended_at(offset)).await
    }

    async fn trim(&self, topic: &Topic, partition: Partition, before: Offset) -> Result<(), LogError> {
        let topic = topic.clone();
        let incarnation = topic.incarnation;
        let gone = self.change(move |store| trim(store, &topic, partition, before)).await?;
        self.blocking(move |store| store.sweep_below(&incarnation, partition, gone.from, gone.to)).await
    }
}

fn check(config: &TopicConfig) -> Result<(), LogError> {
    config.check().map_err(|error| LogError::Invalid(error.to_string()))
}

fn create(store: &Store, topic: Topic) -> Result<Topic, LogError> {
    if store.topics().contains_key(&topic.name) {
        return Err(LogError::TopicExists(topic.name));
    }
    store.save_topic(&topic)?;
    steps::passed("topic.saved", &topic.name);
    let partitions = vec![PartitionState::empty_at(Offset::ZERO); topic.config.partitions as usize];
    store.publish(|topics| {
        topics.insert(topic.name.clone(), TopicState { topic: topic.clone(), partitions });
    });
    Ok(topic)
}

fn alter(store: &Store, name: &TopicName, config: TopicConfig) -> Result<Topic, LogError> {
    let topic = Topic { config, ..find(&store.topics(), name)?.topic.clone() };
    let before = find(&store.topics(), name)?.partitions.len();
    let after = topic.config.partitions as usize;
    if after < before {
        return Err(LogError::Invalid(format!(
            "topic `{name}` has {before} partitions, which may only grow, not {after}"
        )));
    }
    store.save_topic(&topic)?;
    steps::passed("topic.saved", &topic.name);
    store.publish(|topics| {
        let state = topics.get_mut(name).expect("only this thread deletes topics");
        state.topic = topic.clone();
        state.partitions.resize(after, PartitionState::empty_at(Offset::ZERO));
    });
    Ok(topic)
}

fn double_retention(store: &Store, topic: &Topic, limit_ms: u64) -> Result<Option<(u64, u64)>, LogError> {
    let present = find(&store.topics(), &topic.name)?.topic.clone();
    if present.incarnation != topic.incarnation {
        let (expected, found) = (topic.incarnation, present.incarnation);
        return Err(LogError::Diverged { topic: present.name, expected, found });
    }
    let Some((from, to)) = doubled(topic, present.config.retention_ms, limit_ms) else { return Ok(None) };
    alter(store, &present.name, TopicConfig { retention_ms: Some(to), ..present.config })?;
    Ok(Some((from, to)))
}

fn unlink(store: &Store, name: &TopicName) -> Result<Incarnation, LogError> {
    let incarnation = find(&store.topics(), name)?.topic.incarnation;
    store.unlink_topic(name)?;
    steps::passed("topic.unlinked", name);
    store.publish(|topics| {
        topics.remove(name);
    });
    Ok(incarnation)
}

/// Moves the earliest offset up to `before`; answers which records are unlinked by that.
fn trim(store: &Store, topic: &Topic, partition: Partition, before: Offset) -> Result<OffsetRange, LogError> {
    let held = Reader::new(store, topic, partition)?.state.held();
    let before = before.clamp(held.from, held.to);
    if before > held.from {
        store.save_earliest(&topic.incarnation, partition, before)?;
        steps::passed("trim.unlinked", &topic.name);
        store.publish(|topics| {
            let state = topics.get_mut(&topic.name).expect("only this thread deletes topics");
            state.partitions[partition.0 as usize].earliest = before;
        });
    }
    Ok(OffsetRange::new(held.from, before))
}
