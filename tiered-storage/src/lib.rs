//! The unified log over two tiers.
//!
//! Producers append to the hot tier ([`HotLog`]). Offsets and vectors of offsets ([`Positions`]) are the only truth about who has
//! read what. This room knows nothing of SQL, jobs, tables or HTTP.

mod batch;
mod clock;
mod cold;
mod decode;
mod error;
mod field_name;
mod finding;
mod hot;
mod ingest;
mod log;
#[cfg(test)]
mod memory_log;
mod mirror;
mod offset;
mod partitioner;
mod pattern;
mod positions;
mod retention;
mod schema;
mod schema_registry;
pub mod steps;
mod to_the_end;
mod topic;
#[cfg(test)]
mod world;

pub use batch::{ENVELOPE, LogBatch, UTC, headers_type, timestamp_type};
pub use clock::{Clock, InvalidTimestamp, ManualClock, SystemClock, Timestamp};
pub use cold::{BucketKeys, ColdFile, ColdLocation, ColdTier, ColdTopic, Coverage, PartitionCoverage};
pub use decode::{
    Column, ColumnPlace, ColumnSpec, ColumnType, DecodeFailure, DecodeStatus, Decoded, Decoder, Encoding, Fingerprint,
    Format, InvalidColumns, InvalidFingerprint, Wire, WriterSchema, WriterSchemas,
};
pub use error::LogError;
pub use finding::{Finding, Verdict};
pub use hot::{
    AppendKey, Appended, EmbeddedLog, HeldBack, HotLog, HotRange, KafkaExam, KafkaLog, KafkaSettings, NewRecord,
    examine_kafka,
};
pub use ingest::{MAX_RECORD_BYTES, Refused, TopicWriter};
pub use log::{Extent, InputBatch, Log, LogSlice, ReadPlan, Segment, Start, Tier, Undecodable, Written};
pub use mirror::{Mirror, MirrorCounts, MirrorPolicy};
pub use offset::{Offset, OffsetRange, Partition};
pub use partitioner::partition_of;
pub use pattern::matches_pattern;
pub use positions::{InvalidPositions, Positions};
pub use retention::{Retention, RetentionPolicy};
pub use schema::{Compatibility, IncompatibleSchema, InvalidSchema, TopicSchema, Validator, Violation};
pub use schema_registry::{RegistrySettings, SchemaRegistry};
pub use to_the_end::to_the_end;
pub use topic::{Incarnation, InvalidTopicConfig, InvalidTopicName, Topic, TopicConfig, TopicName};
