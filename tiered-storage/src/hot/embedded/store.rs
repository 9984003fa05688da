//! The folder of the log: opening it, what it says after a crash, topics, and the deletion of what is no longer held.
//!
//! Everything lives in one keyspace, so a batch is all there or not at all. What is deleted is first unlinked (the topic, or the
//! earliest offset) and then removed in pieces; a crash in between leaves pieces that nothing names, and the next start removes them.

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use tokio::sync::watch;

use super::acknowledged::Acknowledged;
use super::entry::Entry;
use super::keys;
use super::state::{PartitionState, TopicState, Topics};
use crate::{Clock, Incarnation, LogError, Offset, Partition, Topic, TopicName, steps};

/// The format of the folder. Version 1: first release.
const FORMAT_VERSION: u32 = 1;

/// Keys removed in one batch: enough to be fast, few enough that appends do not wait for it.
const SWEEP_KEYS: usize = 4_096;

/// Blocks kept in memory for readers that are not at the end.
const CACHE_BYTES: u64 = 64 << 20;

/// Appends kept in memory before they become a file. fjall keeps up to four such buffers; what they hold is in the journal, so their size
/// is memory and nothing else.
const MEMTABLE_BYTES: u64 = 16 << 20;

/// The open log.
pub(super) struct Store {
    pub(super) db: Database,
    pub(super) log: Keyspace,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) appended: watch::Sender<u64>,
    pub(super) acknowledged: Acknowledged,
    path: PathBuf,
    topics: RwLock<Topics>,
    /// The first write that the disk refused: the database takes no other until it is opened again.
    refused: OnceLock<String>,
}

/// Makes an error of the database one of the log, told with what was being done.
pub(super) fn failed(what: &'static str) -> impl Fn(fjall::Error) -> LogError {
    move |error| LogError::store(what, error)
}

impl Store {
    /// Opens the log in that folder, or makes one.
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        let opening = |error| match error {
            fjall::Error::Locked => LogError::InUse(path.to_owned()),
            error => damaged(path, &in_words(&error)),
        };
        // One worker: of several, one asks for work without a pause while another compacts, which costs a core.
        let open = || Database::builder(path).cache_size(CACHE_BYTES).worker_threads(1).open();
        // The database panics at some kinds of damage.
        let opened =
            std::panic::catch_unwind(AssertUnwindSafe(open)).map_err(|_| damaged(path, "the database panicked"))?;
        let db = opened.map_err(opening)?;
        // Large entries are kept beside the tree: compaction then moves only their keys.
        let separation = || Some(KvSeparationOptions::default());
        let options =
            || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES).with_kv_separation(separation());
        let log = db.keyspace("log", options).map_err(opening)?;
        // The database leaves the name of a keyspace's folder to the file system.
        let named = File::open(path.join("keyspaces")).and_then(|folder| folder.sync_all());
        named.map_err(|error| opening(error.into()))?;
        let groups = log.get(keys::GROUPS).map_err(opening)?;
        let groups = groups.and_then(|bytes| Some(u64::from_be_bytes(bytes.as_ref().try_into().ok()?)));
        let acknowledged = Acknowledged::open(path, groups.unwrap_or(0))?;
        let store = Store {
            db,
            log,
            clock,
            appended: watch::Sender::new(0),
            acknowledged,
            path: path.to_owned(),
            topics: RwLock::default(),
            refused: OnceLock::new(),
        };
        store.check_format()?;
        let topics = store.recover()?;
        store.sweep_leftovers(&topics)?;
        *store.topics.write().expect("no thread panics while it holds the topics") = topics;
        Ok(store)
    }

    /// What is held now.
    pub(super) fn topics(&self) -> RwLockReadGuard<'_, Topics> {
        self.topics.read().expect("no thread panics while it holds the topics")
    }

    /// Makes a change of what is held visible, after it is durable.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Topics)) {
        change(&mut self.topics.write().expect("no thread panics while it holds the topics"));
        self.appended.send_modify(|changes| *changes += 1);
    }

    /// Keeps the first refusal of the disk, and tells it with every later one: the database itself then only says that it stopped.
    pub(super) fn write_failed(&self, what: &'static str, error: fjall::Error) -> LogError {
        let first = self.refused.get_or_init(|| {
            format!("the disk refused a write to the log in `{}`: {}", self.path.display(), in_words(&error))
        });
        LogError::store(what, first.clone())
    }

    /// Why nothing can be written any more.
    pub(super) fn failure(&self) -> Option<String> {
        self.refused.get().cloned()
    }

    fn check_format(&self) -> Result<(), LogError> {
        let Some(stamp) = self.log.get(keys::FORMAT).map_err(failed("reading the log's format"))? else {
            return self.durably("stamping the log", |batch| {
                batch.insert(&self.log, keys::FORMAT, FORMAT_VERSION.to_be_bytes());
            });
        };
        let found = stamp.as_ref().try_into().map_or(u32::MAX, u32::from_be_bytes);
        match found <= FORMAT_VERSION {
            true => Ok(()),
            false => Err(LogError::NewerFormat {
                what: format!("the log in `{}`", self.path.display()),
                found,
                supported: FORMAT_VERSION,
            }),
        }
    }

    /// Writes one batch and waits until the disk has it.
    pub(super) fn durably(
        &self,
        what: &'static str,
        write: impl FnOnce(&mut fjall::OwnedWriteBatch),
    ) -> Result<(), LogError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        write(&mut batch);
        batch.commit().map_err(|error| self.write_failed(what, error))
    }

    fn recover(&self) -> Result<Topics, LogError> {
        let mut topics = Topics::new();
        for stored in self.log.prefix(keys::TOPICS) {
            let bytes = stored.value().map_err(failed("reading the topics"))?;
            let topic: Topic =
                serde_json::from_slice(&bytes).map_err(|error| LogError::store("reading the topics", error))?;
            let partitions = (0..topic.config.partitions).map(Partition);
            let partitions = partitions.map(|p| self.recover_partition(&topic, p)).collect::<Result<_, _>>()?;
            topics.insert(topic.name.clone(), TopicState { topic, partitions });
        }
        Ok(topics)
    }

    fn recover_partition(&self, topic: &Topic, partition: Partition) -> Result<PartitionState, LogError> {
        let incarnation = &topic.incarnation;
        let earliest = self.log.get(keys::earliest(incarnation, partition)).map_err(failed("reading a partition"))?;
        let earliest = earliest.and_then(|bytes| keys::last_of(&bytes)).unwrap_or(Offset::ZERO);
        let empty = PartitionState::empty_at(earliest);
        let from = keys::entry(incarnation, partition, earliest);
        let Some(last) = self.log.range(from..keys::entries_end(incarnation, partition)).next_back() else {
            return Ok(empty);
        };
        let (key, bytes) = last.into_inner().map_err(failed("reading a partition"))?;
        let (last, entry) = self.parse(topic, partition, &key, &bytes)?;
        let (appended, max_time, bytes) = (entry.appended, entry.max_time, entry.bytes_after());
        Ok(PartitionState { end: last.next(), appended, max_time, bytes, ..empty })
    }

    /// An entry and the offset of its last record.
    pub(super) fn parse<'a>(
        &self,
        topic: &Topic,
        partition: Partition,
        key: &[u8],
        bytes: &'a [u8],
    ) -> Result<(Offset, Entry<'a>), LogError> {
        let whole = keys::last_of(key).zip(Entry::parse(bytes));
        whole
            .filter(|(last, entry)| last.get() < i64::MAX as u64 && u64::from(entry.count) <= last.get() + 1)
            .ok_or_else(|| {
                let what = format!("topic `{}` partition {partition}: reading an entry", topic.name);
                LogError::store(what, "the entry is damaged; restore the data folder, or trim the topic past it")
            })
    }

    fn sweep_leftovers(&self, topics: &Topics) -> Result<(), LogError> {
        for kind in keys::OWNED {
            self.sweep_unknown(kind, topics)?;
        }
        for state in topics.values() {
            for (i, partition) in state.partitions.iter().enumerate() {
                self.sweep_below(&state.topic.incarnation, Partition(i as u32), Offset::ZERO, partition.earliest)?;
            }
        }
        Ok(())
    }

    /// Removes what incarnations own that no topic has; skips over what is owned rightly.
    fn sweep_unknown(&self, kind: u8, topics: &Topics) -> Result<(), LogError> {
        let mut from = vec![kind];
        while let Some(found) = self.log.range(from..vec![kind + 1]).next() {
            let key = found.key().map_err(failed("looking for deleted topics"))?;
            let Some(owner) = keys::owner(&key) else { break };
            if !topics.values().any(|state| state.topic.incarnation == owner) {
                self.sweep(keys::owned(kind, &owner)..past(keys::owned(kind, &owner)))?;
            }
            from = past(keys::owned(kind, &owner));
        }
        Ok(())
    }

    /// Removes all that a deleted topic owned.
    pub(super) fn sweep_topic(&self, incarnation: &Incarnation) -> Result<(), LogError> {
        for kind in keys::OWNED {
            self.sweep(keys::owned(kind, incarnation)..past(keys::owned(kind, incarnation)))?;
        }
        Ok(())
    }

    /// Removes the entries whose records all lie in `[from, before)`.
    pub(super) fn sweep_below(
        &self,
        incarnation: &Incarnation,
        partition: Partition,
        from: Offset,
        before: Offset,
    ) -> Result<(), LogError> {
        self.sweep(keys::entry(incarnation, partition, from)..keys::entry(incarnation, partition, before))
    }

    fn sweep(&self, range: std::ops::Range<Vec<u8>>) -> Result<(), LogError> {
        let mut found = self.log.range(range).peekable();
        while found.peek().is_some() {
            let mut batch = self.db.batch();
            for guard in found.by_ref().take(SWEEP_KEYS) {
                batch.remove(&self.log, guard.key().map_err(failed("removing deleted records"))?);
            }
            batch.commit().map_err(|error| self.write_failed("removing deleted records", error))?;
            steps::passed("records.swept", &self.path.display());
        }
        Ok(())
    }

    /// Stores a topic as it is configured now.
    pub(super) fn save_topic(&self, topic: &Topic) -> Result<(), LogError> {
        let json = serde_json::to_vec(topic).map_err(|error| LogError::store("writing a topic", error))?;
        self.durably("writing a topic", |batch| batch.insert(&self.log, keys::topic(&topic.name), json))
    }

    /// Unlinks a topic; what it owned is removed by [`Store::sweep_topic`].
    pub(super) fn unlink_topic(&self, name: &TopicName) -> Result<(), LogError> {
        self.durably("deleting a topic", |batch| batch.remove(&self.log, keys::topic(name)))
    }

    /// Unlinks the records below `earliest`; they are removed by [`Store::sweep_below`]. Needs no sync: the disk gets the removal
    /// after this, and without either the records are merely there again.
    pub(super) fn save_earliest(
        &self,
        incarnation: &Incarnation,
        partition: Partition,
        earliest: Offset,
    ) -> Result<(), LogError> {
        let key = keys::earliest(incarnation, partition);
        let inserted = self.log.insert(key, earliest.get().to_be_bytes());
        inserted.map_err(|error| self.write_failed("trimming a partition", error))
    }
}

/// A log that does not open. It holds events that nothing else holds, so it is never set aside or made anew.
fn damaged(path: &Path, reason: &str) -> LogError {
    let what = format!("opening the log in `{}`", path.display());
    LogError::store(what, format!("{reason}; if the disk is well, its files are damaged: restore that folder"))
}

/// What the operating system said, where it did.
fn in_words(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error.to_string(),
        error => error.to_string(),
    }
}

/// The first key that does not start with `prefix`.
fn past(mut prefix: Vec<u8>) -> Vec<u8> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return prefix;
        }
    }
    unreachable!("every prefix starts with a letter")
}
