//! Lists of topic-partitions with offsets and leader epochs, as librdkafka's calls take them.
#![allow(unsafe_code, reason = "the binding's list has no leader epochs")]

use std::ffi::{CStr, CString};

use rdkafka_sys as sys;

use crate::Partition;

/// A list that is freed when it is dropped.
pub(super) struct Partitions(*mut sys::rd_kafka_topic_partition_list_t);

impl Partitions {
    pub(super) fn new() -> Self {
        // SAFETY: allocates; the size is a hint.
        Partitions(unsafe { sys::rd_kafka_topic_partition_list_new(8) })
    }

    /// Adds a partition at an offset, with the epoch of the record before it where that is known.
    pub(super) fn add(&mut self, topic: &str, partition: Partition, offset: i64, epoch: Option<i32>) {
        let topic = CString::new(topic).expect("a topic's name has no zero byte");
        // SAFETY: the list is ours; the name is copied; the element stays valid until the next addition.
        unsafe {
            let added = sys::rd_kafka_topic_partition_list_add(self.0, topic.as_ptr(), partition.0 as i32);
            (*added).offset = offset;
            if let Some(epoch) = epoch {
                sys::rd_kafka_topic_partition_set_leader_epoch(added, epoch);
            }
        }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0
    }

    /// The error of the first partition that has one.
    pub(super) fn first_error(&self) -> Option<sys::rd_kafka_resp_err_t> {
        // SAFETY: `elems` has `cnt` elements.
        let all = unsafe { std::slice::from_raw_parts((*self.0).elems, (*self.0).cnt as usize) };
        all.iter().map(|one| one.err).find(|err| *err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR)
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.0) }
    }
}

/// Text of librdkafka's own, which may be null.
pub(super) fn text(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: librdkafka's texts end with a zero and live as long as their owner, who is alive.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
