//! The unified log over two tiers.
//!
//! Producers append to the hot tier ([`HotLog`]). Offsets and vectors of offsets ([`Positions`]) are the only truth about who has
//! read what. This room knows nothing of SQL, jobs, tables or HTTP.

mod batch;
mod clock;
mod decode;
mod error;
mod hot;
mod offset;
mod positions;
mod schema;
mod topic;

pub use batch::{ENVELOPE, LogBatch, UTC, headers_type, timestamp_type};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use decode::{
    Column, ColumnPlace, ColumnSpec, ColumnType, DecodeFailure, DecodeStatus, Decoded, Decoder, Fingerprint,
    InvalidColumns, InvalidFingerprint,
};
pub use error::LogError;
pub use hot::{AppendKey, Appended, HotLog, HotRange, NewRecord};
pub use offset::{Offset, OffsetRange, Partition};
pub use positions::{InvalidPositions, Positions};
pub use schema::{IncompatibleSchema, InvalidSchema, TopicSchema, Validator, Violation};
pub use topic::{Incarnation, InvalidTopicName, Topic, TopicConfig, TopicName};
