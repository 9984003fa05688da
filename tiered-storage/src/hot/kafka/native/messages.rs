//! The queue of one partition, and raw messages from it.
#![allow(
    unsafe_code,
    reason = "the binding gives one message at a time, without epochs and the offset of the partition's end"
)]

use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t::{RD_KAFKA_RESP_ERR__PARTITION_EOF, RD_KAFKA_RESP_ERR_NO_ERROR};

use super::partitions::{Partitions, text};
use crate::hot::kafka::Watcher;
use crate::{Offset, Partition, TopicName};

/// Messages taken from the queue at a time: pointers only, the bytes stay where they were received.
const BATCH: usize = 2000;

/// What one consumer fetches of one partition.
pub(in crate::hot::kafka) struct PartitionQueue {
    queue: *mut sys::rd_kafka_queue_t,
    consumer: Arc<BaseConsumer<Watcher>>,
    topic: TopicName,
    partition: Partition,
}

// SAFETY: librdkafka's queues and clients may be used from any thread.
unsafe impl Send for PartitionQueue {}

impl PartitionQueue {
    /// Begins to fetch at an offset. With the epoch of the record before it, the broker is asked first whether that is still its own.
    pub(in crate::hot::kafka) fn start(
        consumer: Arc<BaseConsumer<Watcher>>,
        topic: &TopicName,
        partition: Partition,
        from: Offset,
        epoch: Option<i32>,
    ) -> Result<Self, String> {
        let name = CString::new(topic.as_str()).expect("a topic's name has no zero byte");
        let client = consumer.client().native_ptr();
        let mut list = Partitions::new();
        list.add(topic.as_str(), partition, from.as_i64(), epoch);
        // SAFETY: the client lives as long as the consumer, which `self` holds; the list lives until the end of the call.
        let queue = unsafe {
            let queue = sys::rd_kafka_queue_get_partition(client, name.as_ptr(), partition.0 as i32);
            if queue.is_null() {
                return Err("it has no such partition".into());
            }
            // Its messages stay in this queue, instead of going to the consumer's.
            sys::rd_kafka_queue_forward(queue, ptr::null_mut());
            queue
        };
        let started = PartitionQueue { queue, consumer, topic: topic.clone(), partition };
        // SAFETY: as above.
        failed(unsafe { sys::rd_kafka_incremental_assign(client, list.as_ptr()) })?;
        if epoch.is_some() {
            started.seek(from, epoch)?;
        }
        Ok(started)
    }

    /// Goes on at another offset; what was fetched before is dropped.
    pub(in crate::hot::kafka) fn seek(&self, to: Offset, epoch: Option<i32>) -> Result<(), String> {
        let mut list = Partitions::new();
        list.add(self.topic.as_str(), self.partition, to.as_i64(), epoch);
        let timeout = Duration::from_secs(10).as_millis() as i32;
        // SAFETY: the client lives as long as the consumer; the list lives until the end of the call.
        failed(unsafe { sys::rd_kafka_seek_partitions(self.consumer.client().native_ptr(), list.as_ptr(), timeout) })?;
        list.first_error().map_or(Ok(()), |err| Err(format!("{:?}", RDKafkaErrorCode::from(err))))
    }

    /// Waits for a first message, and takes what else is there; `into` is empty if none came in time.
    pub(in crate::hot::kafka) fn fill(&self, into: &mut Messages, wait: Duration) {
        debug_assert!(into.peek().is_none());
        into.clear();
        into.fetched.resize(BATCH, ptr::null_mut());
        let slots = into.fetched.as_mut_ptr();
        // SAFETY: the queue is ours, there are BATCH slots, and messages are owned by `into` from here on.
        let taken = unsafe {
            match sys::rd_kafka_consume_batch_queue(self.queue, 0, slots, BATCH) {
                0 => sys::rd_kafka_consume_batch_queue(self.queue, wait.as_millis() as i32, slots, 1),
                taken => taken,
            }
        };
        into.fetched.truncate(taken.max(0) as usize);
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        let mut list = Partitions::new();
        list.add(self.topic.as_str(), self.partition, 0, None);
        // SAFETY: the client outlives the queue; the queue is ours and freed once.
        unsafe {
            _ = failed(sys::rd_kafka_incremental_unassign(self.consumer.client().native_ptr(), list.as_ptr()));
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// Takes an error's text, and frees it.
fn failed(error: *mut sys::rd_kafka_error_t) -> Result<(), String> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: an error that a call returned is the caller's.
    unsafe {
        let said = text(sys::rd_kafka_error_string(error));
        sys::rd_kafka_error_destroy(error);
        Err(said)
    }
}

/// Messages taken from a queue and not handed on yet.
#[derive(Default)]
pub(in crate::hot::kafka) struct Messages {
    fetched: Vec<*mut sys::rd_kafka_message_t>,
    next: usize,
}

// SAFETY: messages belong to whoever took them from the queue, on any thread.
unsafe impl Send for Messages {}

impl Messages {
    /// The next message.
    pub(in crate::hot::kafka) fn peek(&self) -> Option<Message<'_>> {
        // SAFETY: fetched messages are valid until they are destroyed, which only `advance` and `clear` do.
        self.fetched.get(self.next).map(|message| Message(unsafe { &**message }))
    }

    /// Frees the next message.
    pub(in crate::hot::kafka) fn advance(&mut self) {
        if let Some(message) = self.fetched.get(self.next) {
            // SAFETY: not destroyed yet, since `next` moves past it now.
            unsafe { sys::rd_kafka_message_destroy(*message) };
            self.next += 1;
        }
    }

    /// Frees all that are left.
    pub(in crate::hot::kafka) fn clear(&mut self) {
        while self.next < self.fetched.len() {
            self.advance();
        }
        self.fetched.clear();
        self.next = 0;
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A record, the end of the partition, or an error.
pub(in crate::hot::kafka) struct Message<'a>(&'a sys::rd_kafka_message_t);

impl<'a> Message<'a> {
    /// The record's offset; of the end of a partition, the next offset that may hold one.
    pub(in crate::hot::kafka) fn offset(&self) -> i64 {
        self.0.offset
    }

    /// True where the partition ended when it was fetched.
    pub(in crate::hot::kafka) fn is_end(&self) -> bool {
        self.0.err == RD_KAFKA_RESP_ERR__PARTITION_EOF
    }

    /// What went wrong, where this is no record and no end.
    pub(in crate::hot::kafka) fn error(&self) -> Option<(RDKafkaErrorCode, String)> {
        if matches!(self.0.err, RD_KAFKA_RESP_ERR_NO_ERROR | RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            return None;
        }
        // SAFETY: the message is valid, and its text lives as long as it.
        let said = text(unsafe { sys::rd_kafka_message_errstr(self.0) });
        Some((RDKafkaErrorCode::from(self.0.err), said))
    }

    /// The record's key.
    pub(in crate::hot::kafka) fn key(&self) -> Option<&'a [u8]> {
        bytes(self.0.key, self.0.key_len)
    }

    /// The record's value.
    pub(in crate::hot::kafka) fn value(&self) -> Option<&'a [u8]> {
        bytes(self.0.payload, self.0.len)
    }

    /// The record's time in ms; -1 where it has none.
    pub(in crate::hot::kafka) fn timestamp_ms(&self) -> i64 {
        // SAFETY: the message is valid; the kind of time is not asked for.
        unsafe { sys::rd_kafka_message_timestamp(self.0, ptr::null_mut()) }
    }

    /// The epoch of the leader that took the record; -1 where it is not known.
    pub(in crate::hot::kafka) fn leader_epoch(&self) -> i32 {
        // SAFETY: the message is valid.
        unsafe { sys::rd_kafka_message_leader_epoch(self.0) }
    }

    /// Calls `each` with every header, in order; false where there is none.
    pub(in crate::hot::kafka) fn headers(&self, mut each: impl FnMut(&[u8], Option<&[u8]>)) -> bool {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is valid and keeps its headers, whose names end with a zero and whose values have the given size.
        unsafe {
            if sys::rd_kafka_message_headers(self.0, &mut headers) != RD_KAFKA_RESP_ERR_NO_ERROR {
                return false;
            }
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null::<c_void>(), 0);
            let mut at = 0;
            while sys::rd_kafka_header_get_all(headers, at, &mut name, &mut value, &mut size)
                == RD_KAFKA_RESP_ERR_NO_ERROR
            {
                each(std::ffi::CStr::from_ptr(name).to_bytes(), bytes(value.cast_mut(), size));
                at += 1;
            }
            at > 0
        }
    }
}

fn bytes<'a>(data: *mut c_void, size: usize) -> Option<&'a [u8]> {
    if data.is_null() {
        return None;
    }
    // SAFETY: librdkafka gives the size with the pointer; callers keep the message for as long as the bytes.
    Some(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) })
}
