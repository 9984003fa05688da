//! What the cluster lets this principal do with topics.
#![allow(unsafe_code, reason = "the binding does not have this call")]

use std::time::Duration;

use rdkafka_sys as sys;

use super::admin::{Client, Failure, ask_for_topics};
use super::partitions::text;
use crate::TopicName;

/// Something that one may be allowed to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::hot::kafka) enum Right {
    Read,
    Write,
    Describe,
    DescribeConfigs,
}

impl Right {
    /// By its number in Kafka's protocol.
    fn of(number: u32) -> Option<Right> {
        match number {
            3 => Some(Right::Read),
            4 => Some(Right::Write),
            8 => Some(Right::Describe),
            10 => Some(Right::DescribeConfigs),
            _ => None,
        }
    }
}

/// The rights in each of the topics; a topic that may not even be described has none.
pub(in crate::hot::kafka) fn rights(
    client: Client,
    names: &[TopicName],
    timeout: Duration,
) -> Result<Vec<(TopicName, Vec<Right>)>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let answer = ask_for_topics(client, names, timeout, true)?;
    let mut found = Vec::with_capacity(names.len());
    // SAFETY: the answer is of this kind, and owns everything that is borrowed here. Operations are read as numbers: a newer cluster
    // may know more of them than the binding.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DescribeTopics_result(answer.event);
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        for topic in (0..count).map(|i| *topics.add(i)) {
            let Ok(name) = text(sys::rd_kafka_TopicDescription_name(topic)).parse() else { continue };
            let mut operations = 0;
            let all = sys::rd_kafka_TopicDescription_authorized_operations(topic, &mut operations).cast::<u32>();
            let may = if all.is_null() { 0 } else { operations };
            found.push((name, (0..may).filter_map(|i| Right::of(*all.add(i))).collect()));
        }
    }
    Ok(found)
}
