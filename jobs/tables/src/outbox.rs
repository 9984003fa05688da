//! Messages about changed rows that wait to be sent: written in the very commit that changed the rows, removed once they are sent.
//!
//! A commit and its messages are one write, so neither is ever there without the other. What was sent and not yet removed when the
//! process dies is sent again, under the same id. The outbox of each action is bounded: past [`MAX_OUTBOX_MESSAGES`] or
//! [`MAX_OUTBOX_BYTES`] a commit drops the oldest ones and counts them in the table's status.

use std::collections::BTreeMap;
use std::ops::Bound;

use fjall::Slice;
use rekap_tiered_storage::{Positions, Timestamp};
use serde::{Deserialize, Serialize};

use crate::changes::Entry;
use crate::layout::{OUTBOX, after_prefix, place};
use crate::table::Inner;
use crate::{Table, TableError, TableStatus};

/// So many messages of one action may wait: hours of a target that is down, and little to read at a start.
pub const MAX_OUTBOX_MESSAGES: u64 = 100_000;

/// So many bytes of one action may wait.
pub const MAX_OUTBOX_BYTES: u64 = 64 << 20;

/// A message about rows that one commit changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The same for ever, so that receivers can tell that they have seen it.
    pub id: String,
    /// Which action wants it sent.
    pub action: String,
    /// When it came to be.
    pub at: Timestamp,
    /// Where the commit ended that changed the rows.
    pub to: Positions,
    /// What is to be said, as JSON.
    pub row: serde_json::Value,
}

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutboxPlace(Vec<u8>);

/// A message that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Where it stands.
    pub place: OutboxPlace,
    /// The message.
    pub message: Outgoing,
}

/// How much of one action waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxSize {
    /// The number of messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How much waits of each action.
pub(crate) type Sizes = BTreeMap<String, OutboxSize>;

/// What a commit does to the outbox.
#[derive(Default)]
pub(crate) struct OutboxChanges {
    /// In the order of their places.
    pub(crate) entries: Vec<Entry>,
    pub(crate) dropped: u64,
    pub(crate) sizes: Sizes,
}

impl OutboxChanges {
    /// Decides where the messages of a commit go, and which older ones make room for them.
    pub(crate) fn plan(table: &Inner, commit_seq: u64, messages: &[Outgoing]) -> Result<Self, TableError> {
        let mut changes = OutboxChanges { sizes: table.outbox_sizes(), ..OutboxChanges::default() };
        let mut by_action: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
        for (n, message) in messages.iter().enumerate() {
            let json = serde_json::to_vec(message).expect("a message is plain data");
            let place = message_place(&message.action, commit_seq, n as u64);
            by_action.entry(&message.action).or_default().push((place.into(), Some(json.into())));
        }
        for (action, entries) in by_action {
            changes.make_room(table, action, entries)?;
        }
        Ok(changes)
    }

    fn make_room(&mut self, table: &Inner, action: &str, mut new: Vec<Entry>) -> Result<(), TableError> {
        let size = self.sizes.entry(action.to_owned()).or_default();
        size.messages += new.len() as u64;
        size.bytes += new.iter().map(bytes_of).sum::<u64>();
        let full = |size: &OutboxSize| size.messages > MAX_OUTBOX_MESSAGES || size.bytes > MAX_OUTBOX_BYTES;
        if full(size) {
            for entry in table.keyspace.prefix(action_prefix(action)) {
                if !full(size) {
                    break;
                }
                let (place, value) =
                    entry.into_inner().map_err(|source| table.failed("reading the outbox of", source))?;
                size.take(value.len());
                self.dropped += 1;
                self.entries.push((place, None));
            }
        }
        // What is left over is in this very commit: its first messages are the oldest now.
        let mut own = 0;
        while full(size) && own < new.len() {
            size.take(bytes_of(&new[own]) as usize);
            own += 1;
        }
        self.dropped += own as u64;
        self.entries.extend(new.drain(own..));
        Ok(())
    }
}

impl OutboxSize {
    fn take(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }
}

fn bytes_of((_, value): &Entry) -> u64 {
    value.as_ref().map_or(0, |value| value.len() as u64)
}

fn action_prefix(action: &str) -> Vec<u8> {
    let mut prefix = place(OUTBOX, action.as_bytes());
    prefix.push(0);
    prefix
}

fn message_place(action: &str, commit_seq: u64, n: u64) -> Vec<u8> {
    let mut place = action_prefix(action);
    place.extend_from_slice(&commit_seq.to_be_bytes());
    place.extend_from_slice(&n.to_be_bytes());
    place
}

/// The action in a place.
fn action_of(place: &[u8]) -> Option<&str> {
    let end = place.len().checked_sub(1 + 2 * size_of::<u64>())?;
    std::str::from_utf8(place.get(1..end)?).ok()
}

impl Table {
    /// Messages of an action in the order of their commits, after a place. None of a commit that is being written.
    pub fn outbox(&self, action: &str, after: Option<&OutboxPlace>, limit: usize) -> Result<Vec<Waiting>, TableError> {
        let table = self.inner();
        let _between_commits = table.writer();
        let prefix = action_prefix(action);
        let end = after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let start = after.map_or_else(|| Bound::Included(prefix), |after| Bound::Excluded(after.0.clone()));
        let read = |entry: fjall::Guard| {
            let (place, value) = entry.into_inner().map_err(|source| table.failed("reading the outbox of", source))?;
            let message = serde_json::from_slice(&value).map_err(|source| table.damaged(source))?;
            Ok(Waiting { place: OutboxPlace(place.to_vec()), message })
        };
        table.keyspace.range::<Vec<u8>, _>((start, end)).take(limit).map(read).collect()
    }

    /// Takes messages out that were sent. What is gone already is left alone.
    pub fn outbox_sent(&self, places: &[OutboxPlace]) -> Result<(), TableError> {
        let table = self.inner();
        let _between_commits = table.writer();
        table.remove_messages(places, None).map(drop)
    }

    /// Takes messages out that will never be sent, and counts them in the status in the same write. Answers how many there were.
    pub fn outbox_drop(&self, places: &[OutboxPlace]) -> Result<u64, TableError> {
        let table = self.inner();
        let _between_commits = table.writer();
        let status = TableStatus::clone(&table.status());
        table.remove_messages(places, Some(status))
    }

    /// How much waits of each action. Reads nothing from disk.
    pub fn outbox_sizes(&self) -> BTreeMap<String, OutboxSize> {
        self.inner().outbox_sizes()
    }
}

impl Inner {
    /// Removes messages; with a status, they are counted there as dropped.
    fn remove_messages(&self, places: &[OutboxPlace], status: Option<TableStatus>) -> Result<u64, TableError> {
        let mut sizes = self.outbox_sizes();
        let mut entries = vec![];
        for OutboxPlace(place) in places {
            let value = self.keyspace.get(place).map_err(|source| self.failed("reading the outbox of", source))?;
            let (Some(value), Some(action)) = (value, action_of(place)) else { continue };
            sizes.entry(action.to_owned()).or_default().take(value.len());
            entries.push((Slice::from(place.as_slice()), None));
        }
        let removed = entries.len() as u64;
        if removed > 0 {
            let counted =
                status.map(|status| TableStatus { outbox_dropped: status.outbox_dropped + removed, ..status });
            self.write_outbox(entries, counted)?;
            self.set_outbox_sizes(sizes);
        }
        Ok(removed)
    }

    /// What waits, counted: done once when a table is opened.
    pub(crate) fn count_outbox(&self) -> Result<Sizes, TableError> {
        let mut sizes = Sizes::new();
        for entry in self.keyspace.prefix([OUTBOX]) {
            let (place, value) = entry.into_inner().map_err(|source| self.failed("reading the outbox of", source))?;
            let Some(action) = action_of(&place) else { continue };
            let size = sizes.entry(action.to_owned()).or_default();
            size.messages += 1;
            size.bytes += value.len() as u64;
        }
        Ok(sizes)
    }
}
