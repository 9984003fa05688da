//! The few calls of librdkafka that its Rust binding hides: topic ids, stable ends of many partitions at once, single settings of a
//! topic, and batches of raw messages with their leader epochs and the offsets of the ends of partitions.
//!
//! Everything unsafe of this room is in this folder. What goes out of it is safe: owned values, and borrows that end with the call.

mod admin;
mod messages;
mod partitions;
mod rights;

pub(super) use admin::{At, Described, Listed, alter_topic, describe, list_offsets};
pub(super) use messages::{Message, Messages, PartitionQueue};
pub(super) use rights::{Right, rights};
