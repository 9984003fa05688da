//! Reading: consumers that stand somewhere in partitions, and go on from there for whoever asks for just that offset.
//!
//! A consumer of librdkafka stands at one place of a partition. Several readers of one partition (the mirror, versions of jobs) need
//! several: the *lanes*. Whoever reads on where a cursor stands finds the next records fetched already; whoever begins elsewhere gets
//! a cursor of its own in another lane, or moves the one that was idle for longest.
//!
//! Memory: at most [`MAX_CURSORS`] cursors with [`QUEUED_KIB`](super::settings) each, which only those hold that stand still in the
//! middle of a log; they are closed after [`IDLE`]. Nothing here is written: a process that dies loses nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::columns::Sizes;
use super::cluster::{ANSWER, Cluster, blocking};
use super::fill::Fill;
use super::native::{Messages, PartitionQueue};
use super::settings::KafkaSettings;
use super::watcher::Watcher;
use crate::{Incarnation, LogBatch, LogError, Offset, OffsetRange, Partition, TopicName};

/// Places of one partition that can be read side by side.
const MAX_LANES: usize = 4;

/// Cursors in all.
const MAX_CURSORS: usize = 256;

/// How long a cursor may stand still.
const IDLE: Duration = Duration::from_secs(30);

/// How long a read waits for the next record that there is.
const SILENCE: Duration = Duration::from_secs(10);

/// The longest wait in one call of librdkafka.
const WAIT: Duration = Duration::from_millis(100);

/// The most record bytes of one read, whatever is asked for: Arrow's offsets hold 2 GiB.
const MAX_READ_BYTES: usize = 1 << 30;

/// The most records of one read, so that tiny records do not make huge batches.
const MAX_READ_RECORDS: usize = 1 << 20;

type Place = (TopicName, Partition);

/// All cursors of a log.
pub(super) struct Cursors {
    settings: KafkaSettings,
    watcher: Watcher,
    lanes: Mutex<Vec<Lane>>,
    freed: Notify,
}

struct Lane {
    slots: HashMap<Place, Slot>,
    /// The topics that the consumer was told of.
    topics: HashSet<TopicName>,
    consumer: Arc<BaseConsumer<Watcher>>,
}

enum Slot {
    Busy,
    Idle(Cursor, Instant),
}

/// A place in a partition. It can go on at any offset in `[next, upto]`: there is no record before `upto`.
struct Cursor {
    // Messages are freed before their queue.
    messages: Messages,
    queue: PartitionQueue,
    life: Incarnation,
    next: Offset,
    upto: Offset,
    /// How much the last read gave: mostly the next one gives as much.
    last: Sizes,
}

/// What a read gave.
pub(super) struct Read {
    pub(super) batch: LogBatch,
    /// The leader epochs seen, each with the first offset at which it was.
    pub(super) epochs: Vec<(i32, Offset)>,
}

/// Why a read failed.
#[derive(Debug)]
pub(super) enum ReadFailure {
    /// The offset is not held, or the log is not the one that was read before.
    OffsetLost(String),
    /// Anything else that the cluster says.
    Refused(Code, String),
}

impl ReadFailure {
    /// As an error of the log.
    pub(super) fn explain(self, cluster: &Cluster, topic: &TopicName) -> LogError {
        let doing = format!("reading topic `{topic}` of");
        match self {
            ReadFailure::OffsetLost(said) => cluster.unanswered(&doing, Code::OffsetOutOfRange, &said),
            ReadFailure::Refused(code, said) => cluster.unanswered(&doing, code, &said),
        }
    }
}

/// A cursor on loan: its slot is free again when this is dropped.
struct Loan {
    cursors: Arc<Cursors>,
    lane: usize,
    place: Place,
    cursor: Option<Cursor>,
}

impl Cursors {
    pub(super) fn new(settings: KafkaSettings, watcher: Watcher) -> Arc<Self> {
        Arc::new(Cursors { settings, watcher, lanes: Mutex::default(), freed: Notify::new() })
    }

    /// Reads on from `range.from`, to `range.to` or about `max_bytes`. `range.to` is at most the last stable offset, so what is asked
    /// for is there. `epoch` is that of the record before `range.from`, where it is known.
    pub(super) async fn read(
        self: &Arc<Self>,
        topic: &TopicName,
        life: Incarnation,
        partition: Partition,
        range: OffsetRange,
        max_bytes: usize,
        epoch: Option<i32>,
    ) -> Result<Read, ReadFailure> {
        let mut loan = self.borrow(topic, life, partition, range.from).await?;
        blocking(move || {
            let mut cursor = loan.at(life, range.from, epoch)?;
            let read = cursor.read(partition, range, max_bytes);
            if read.is_ok() {
                loan.give_back(cursor);
            }
            read
        })
        .await
    }

    async fn borrow(
        self: &Arc<Self>,
        topic: &TopicName,
        life: Incarnation,
        partition: Partition,
        from: Offset,
    ) -> Result<Loan, ReadFailure> {
        let place = (topic.clone(), partition);
        loop {
            let freed = self.freed.notified();
            if let Some((lane, cursor)) = self.choose(&place, life, from)? {
                return Ok(Loan { cursors: self.clone(), lane, place, cursor });
            }
            // A busy cursor comes back within a bounded time; whoever is told may find it taken by another.
            _ = tokio::time::timeout(WAIT, freed).await;
        }
    }

    /// The best lane for a read: with a cursor that stands there, else one that has none, else one whose cursor is idle.
    fn choose(
        &self,
        place: &Place,
        life: Incarnation,
        from: Offset,
    ) -> Result<Option<(usize, Option<Cursor>)>, ReadFailure> {
        let mut lanes = self.lanes.lock().expect("no holder panics");
        let total: usize = lanes.iter().map(|lane| lane.slots.len()).sum();
        let stands = |lane: &Lane| match lane.slots.get(place) {
            Some(Slot::Idle(cursor, _)) => cursor.life == life && cursor.next <= from && from <= cursor.upto,
            _ => false,
        };
        let idle_since = |lane: &Lane| match lane.slots.get(place) {
            Some(Slot::Idle(_, since)) => Some(*since),
            _ => None,
        };
        let mut chosen = lanes.iter().position(stands);
        if chosen.is_none() && total < MAX_CURSORS {
            chosen = lanes.iter().position(|lane| !lane.slots.contains_key(place));
            if chosen.is_none() && lanes.len() < MAX_LANES {
                lanes.push(self.lane()?);
                chosen = Some(lanes.len() - 1);
            }
        }
        let longest = || (0..lanes.len()).filter_map(|i| Some((idle_since(&lanes[i])?, i))).min();
        let Some(chosen) = chosen.or_else(|| longest().map(|(_, i)| i)) else {
            // Somebody else's idle cursor makes room.
            let all = lanes.iter_mut().flat_map(|lane| lane.slots.iter().map(|(place, slot)| (place.clone(), slot)));
            let idle = all.filter_map(|(place, slot)| match slot {
                Slot::Idle(_, since) => Some((*since, place)),
                Slot::Busy => None,
            });
            if total >= MAX_CURSORS
                && let Some((_, oldest)) = idle.min()
            {
                lanes.iter_mut().for_each(|lane| {
                    if matches!(lane.slots.get(&oldest), Some(Slot::Idle(..))) {
                        lane.slots.remove(&oldest);
                    }
                });
            }
            return Ok(None);
        };
        let cursor = match lanes[chosen].slots.insert(place.clone(), Slot::Busy) {
            Some(Slot::Idle(cursor, _)) => Some(cursor),
            _ => None,
        };
        Ok(Some((chosen, cursor)))
    }

    fn lane(&self) -> Result<Lane, ReadFailure> {
        let made = BaseConsumer::from_config_and_context(&self.settings.consumer(), self.watcher.clone());
        let consumer = made.map_err(|e| ReadFailure::Refused(Code::InvalidConfig, format!("log.properties: {e}")))?;
        Ok(Lane { slots: HashMap::new(), topics: HashSet::new(), consumer: Arc::new(consumer) })
    }

    /// Closes cursors that stood still for long, and hears what the consumers have to say.
    pub(super) fn sweep(&self) {
        let mut closed = Vec::new();
        let mut consumers = Vec::new();
        for lane in self.lanes.lock().expect("no holder panics").iter_mut() {
            let old = |slot: &Slot| matches!(slot, Slot::Idle(_, since) if since.elapsed() > IDLE);
            let places: Vec<Place> =
                lane.slots.iter().filter(|(_, slot)| old(slot)).map(|(place, _)| place.clone()).collect();
            closed.extend(places.iter().filter_map(|place| lane.slots.remove(place)));
            consumers.push(lane.consumer.clone());
        }
        drop(closed);
        for consumer in consumers {
            // Log lines and errors go to the watcher.
            _ = consumer.poll(Duration::ZERO);
        }
    }
}

impl Loan {
    /// The cursor, standing at `from`.
    fn at(&mut self, life: Incarnation, from: Offset, epoch: Option<i32>) -> Result<Cursor, ReadFailure> {
        let refused = |said: String| ReadFailure::Refused(Code::Fail, said);
        let present = self.cursor.take().filter(|cursor| cursor.life == life);
        if let Some(mut cursor) = present {
            if cursor.next <= from && from <= cursor.upto {
                return Ok(cursor);
            }
            cursor.messages.clear();
            if cursor.queue.seek(from, epoch).is_ok() {
                return Ok(Cursor { next: from, upto: from, ..cursor });
            }
        }
        let (topic, partition) = &self.place;
        let (consumer, knows) = {
            let lane = &mut self.cursors.lanes.lock().expect("no holder panics")[self.lane];
            (lane.consumer.clone(), !lane.topics.insert(topic.clone()))
        };
        if !knows {
            // By itself it looks for the leaders of a topic that it does not know once a second. What it answers is its own to keep.
            _ = consumer.fetch_metadata(Some(topic.as_str()), ANSWER);
        }
        let queue = PartitionQueue::start(consumer, topic, *partition, from, epoch).map_err(refused)?;
        Ok(Cursor { messages: Messages::default(), queue, life, next: from, upto: from, last: Sizes::default() })
    }
}

impl Loan {
    /// The cursor stays where it is, for whoever reads on.
    fn give_back(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor);
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut lanes = self.cursors.lanes.lock().expect("no holder panics");
        let slots = &mut lanes[self.lane].slots;
        match self.cursor.take() {
            Some(cursor) => _ = slots.insert(self.place.clone(), Slot::Idle(cursor, Instant::now())),
            None => _ = slots.remove(&self.place),
        }
        drop(lanes);
        self.cursors.freed.notify_waiters();
    }
}

impl Cursor {
    /// Gathers records until the range is covered, the bytes are there, or nothing more comes.
    fn read(&mut self, partition: Partition, range: OffsetRange, max_bytes: usize) -> Result<Read, ReadFailure> {
        let max_bytes = max_bytes.min(MAX_READ_BYTES);
        let mut fill = Fill::with_room(self.last.of_at_most(range.len()));
        let mut covered = range.from;
        let mut heard = Instant::now();
        while covered < range.to && fill.len() < MAX_READ_RECORDS {
            let Some(message) = self.messages.peek() else {
                if heard.elapsed() > SILENCE {
                    break;
                }
                self.queue.fill(&mut self.messages, WAIT);
                if self.messages.peek().is_some() {
                    heard = Instant::now();
                }
                continue;
            };
            if let Some((code, said)) = message.error() {
                self.messages.clear();
                return Err(match code {
                    Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => {
                        ReadFailure::OffsetLost(said)
                    }
                    code => ReadFailure::Refused(code, said),
                });
            }
            let offset = Offset::from_i64(message.offset()).unwrap_or(covered);
            if message.is_end() {
                // Nothing stands before the end that was not handed out: markers and aborted records are passed.
                covered = covered.max(offset);
                self.messages.advance();
            } else if offset >= range.to {
                covered = range.to;
                self.upto = offset;
            } else {
                let size = message.key().map_or(0, <[u8]>::len) + message.value().map_or(0, <[u8]>::len);
                if fill.len() > 0 && fill.bytes() + size > max_bytes {
                    break;
                }
                fill.push(&message);
                covered = offset.next();
                self.messages.advance();
            }
        }
        if covered == range.from {
            let said = format!("nothing came of partition {partition} from offset {covered} on within {SILENCE:?}");
            return Err(ReadFailure::Refused(Code::OperationTimedOut, said));
        }
        self.upto = self.upto.max(covered);
        let covered = covered.min(range.to);
        self.next = covered;
        self.last = fill.sizes();
        let (batch, epochs) = fill.finish(partition, OffsetRange::new(range.from, covered));
        Ok(Read { batch, epochs })
    }
}
