//! Questions to the cluster and changes to it, each answered through a queue of its own.
#![allow(unsafe_code, reason = "the binding does not have these calls")]

use std::ffi::{CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;
use sys::rd_kafka_admin_op_t as op;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

use super::partitions::{Partitions, text};
use crate::{Offset, Partition, TopicName};

/// A client of librdkafka, for the calls of this file.
pub(in crate::hot::kafka) type Client = *mut sys::rd_kafka_t;

/// A failed call: the code, and what librdkafka says about it.
pub(in crate::hot::kafka) type Failure = (RDKafkaErrorCode, String);

/// What the cluster says about one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hot::kafka) struct Described {
    pub(in crate::hot::kafka) id: [u8; 16],
    pub(in crate::hot::kafka) partitions: u32,
    /// True when every partition has a leader.
    pub(in crate::hot::kafka) led: bool,
}

impl Described {
    /// False of what brokers say that know no ids of topics.
    pub(in crate::hot::kafka) fn has_id(&self) -> bool {
        self.id != [0; 16]
    }
}

/// Which offset of a partition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hot::kafka) enum At {
    Earliest,
    /// The last stable offset: where readers of committed records end.
    Stable,
    /// The high watermark: where the log ends, open transactions included.
    High,
    /// The first record at or after that time, in ms.
    Time(i64),
}

/// An answer of [`list_offsets`]: `None` where there is no such record.
pub(in crate::hot::kafka) type Listed = (TopicName, Partition, Result<Option<Offset>, RDKafkaErrorCode>);

/// A queue for the answer of one call.
pub(super) struct Answer {
    queue: *mut sys::rd_kafka_queue_t,
    pub(super) event: *mut sys::rd_kafka_event_t,
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: both are ours; a null event is not there.
        unsafe {
            if !self.event.is_null() {
                sys::rd_kafka_event_destroy(self.event);
            }
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// Makes a call and waits for its answer.
pub(super) fn ask(
    client: Client,
    operation: op,
    timeout: Duration,
    isolation: Option<sys::rd_kafka_IsolationLevel_t>,
    call: impl FnOnce(*const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
) -> Result<Answer, Failure> {
    let timeout_ms = timeout.as_millis() as i32;
    let mut said = [0 as c_char; 256];
    // SAFETY: the client outlives the call, the options are freed after it, and the answer's event and queue by `Answer`.
    unsafe {
        let mut answer = Answer { queue: sys::rd_kafka_queue_new(client), event: ptr::null_mut() };
        let options = sys::rd_kafka_AdminOptions_new(client, operation);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, said.as_mut_ptr(), said.len());
        if let Some(isolation) = isolation {
            let refused = sys::rd_kafka_AdminOptions_set_isolation_level(options, isolation);
            debug_assert!(refused.is_null());
        }
        call(options, answer.queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        answer.event = sys::rd_kafka_queue_poll(answer.queue, timeout_ms.saturating_add(1000));
        if answer.event.is_null() {
            return Err((RDKafkaErrorCode::OperationTimedOut, format!("no answer within {timeout:?}")));
        }
        match sys::rd_kafka_event_error(answer.event) {
            RD_KAFKA_RESP_ERR_NO_ERROR => Ok(answer),
            err => Err((RDKafkaErrorCode::from(err), text(sys::rd_kafka_event_error_string(answer.event)))),
        }
    }
}

/// Asks what topics are like, and with `rights` what this principal may do with them.
pub(super) fn ask_for_topics(
    client: Client,
    names: &[TopicName],
    timeout: Duration,
    rights: bool,
) -> Result<Answer, Failure> {
    let texts: Vec<CString> = names.iter().map(|name| CString::new(name.as_str()).expect("no zero byte")).collect();
    let mut pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
    // SAFETY: the collection copies the names; it is freed after the call.
    let collection = unsafe { sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()) };
    let answer = ask(client, op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout, None, |options, queue| {
        // SAFETY: all four are valid for the call; the options are ours alone until it.
        unsafe {
            if rights {
                let refused = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.cast_mut(), 1);
                debug_assert!(refused.is_null());
            }
            sys::rd_kafka_DescribeTopics(client, collection, options, queue);
        }
    });
    // SAFETY: ours, freed once.
    unsafe { sys::rd_kafka_TopicCollection_destroy(collection) };
    answer
}

/// Describes topics; one that there is not is left out.
pub(in crate::hot::kafka) fn describe(
    client: Client,
    names: &[TopicName],
    timeout: Duration,
) -> Result<Vec<(TopicName, Described)>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let answer = ask_for_topics(client, names, timeout, false)?;
    let mut described = Vec::with_capacity(names.len());
    // SAFETY: the answer is of this kind, and owns everything that is borrowed here.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DescribeTopics_result(answer.event);
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        for topic in (0..count).map(|i| *topics.add(i)) {
            let error = sys::rd_kafka_TopicDescription_error(topic);
            let code = if error.is_null() { RD_KAFKA_RESP_ERR_NO_ERROR } else { sys::rd_kafka_error_code(error) };
            let name = text(sys::rd_kafka_TopicDescription_name(topic));
            match RDKafkaErrorCode::from(code) {
                RDKafkaErrorCode::NoError => {}
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => continue,
                code => return Err((code, format!("topic `{name}`: {}", text(sys::rd_kafka_error_string(error))))),
            }
            let Ok(name) = name.parse() else { continue };
            let id = sys::rd_kafka_TopicDescription_topic_id(topic);
            let high = sys::rd_kafka_Uuid_most_significant_bits(id).to_be_bytes();
            let low = sys::rd_kafka_Uuid_least_significant_bits(id).to_be_bytes();
            let mut partitions = 0;
            let all = sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
            let led = (0..partitions).all(|i| !sys::rd_kafka_TopicPartitionInfo_leader(*all.add(i)).is_null());
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&high);
            bytes[8..].copy_from_slice(&low);
            described.push((name, Described { id: bytes, partitions: partitions as u32, led }));
        }
    }
    Ok(described)
}

/// Asks for an offset of each of many partitions, with one request to each of their leaders.
pub(in crate::hot::kafka) fn list_offsets<'a>(
    client: Client,
    partitions: impl Iterator<Item = (&'a TopicName, Partition)>,
    at: At,
    timeout: Duration,
) -> Result<Vec<Listed>, Failure> {
    use sys::rd_kafka_IsolationLevel_t as isolation;
    let (asked, level) = match at {
        At::Earliest => (-2, isolation::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
        At::Stable => (-1, isolation::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED),
        At::High => (-1, isolation::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
        At::Time(ms) => (ms.max(0), isolation::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED),
    };
    let mut list = Partitions::new();
    let mut asks_any = false;
    for (topic, partition) in partitions {
        list.add(topic.as_str(), partition, asked, None);
        asks_any = true;
    }
    if !asks_any {
        return Ok(Vec::new());
    }
    let answer = ask(client, op::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout, Some(level), |options, queue| {
        // SAFETY: all four are valid for the call.
        unsafe { sys::rd_kafka_ListOffsets(client, list.as_ptr(), options, queue) }
    })?;
    // SAFETY: the answer is of this kind, and owns everything that is borrowed here.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_ListOffsets_result(answer.event);
        let infos = sys::rd_kafka_ListOffsets_result_infos(result, &mut count);
        let info = |i| &*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(i));
        Ok((0..count).map(info).filter_map(listed).collect())
    }
}

fn listed(found: &sys::rd_kafka_topic_partition_t) -> Option<Listed> {
    let answer = match found.err {
        RD_KAFKA_RESP_ERR_NO_ERROR => Ok(Offset::from_i64(found.offset)),
        err => Err(RDKafkaErrorCode::from(err)),
    };
    Some((text(found.topic).parse().ok()?, Partition(found.partition as u32), answer))
}

/// Sets some of a topic's settings, and leaves all others as they are.
pub(in crate::hot::kafka) fn alter_topic(
    client: Client,
    topic: &TopicName,
    settings: &[(&str, String)],
    timeout: Duration,
) -> Result<(), Failure> {
    let c = |text: &str| CString::new(text).expect("no zero byte");
    // SAFETY: names and values are copied; the resource is ours and freed after the call.
    let mut resource = unsafe {
        let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        let resource = sys::rd_kafka_ConfigResource_new(kind, c(topic.as_str()).as_ptr());
        for (name, value) in settings {
            let set = sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
            let (name, value) = (c(name), c(value));
            let refused =
                sys::rd_kafka_ConfigResource_add_incremental_config(resource, name.as_ptr(), set, value.as_ptr());
            debug_assert!(refused.is_null());
        }
        resource
    };
    let answer = ask(client, op::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS, timeout, None, |options, queue| {
        // SAFETY: all are valid for the call.
        unsafe { sys::rd_kafka_IncrementalAlterConfigs(client, &mut resource, 1, options, queue) }
    });
    // SAFETY: ours, freed once.
    unsafe { sys::rd_kafka_ConfigResource_destroy(resource) };
    let answer = answer?;
    // SAFETY: the answer is of this kind, and owns everything that is borrowed here.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(answer.event);
        let resources = sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &mut count);
        for resource in (0..count).map(|i| *resources.add(i)) {
            let err = sys::rd_kafka_ConfigResource_error(resource);
            if err != RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err((RDKafkaErrorCode::from(err), text(sys::rd_kafka_ConfigResource_error_string(resource))));
            }
        }
    }
    Ok(())
}
