//! Records' bytes to typed Arrow columns.
//!
//! ```text
//! BinaryArray ──► Codec (JSON | Avro | Protobuf | text | bytes) ──► Sinks (one growing Arrow column each) ──► Decoded
//! ```
//!
//! One pass over the bytes of each record of JSON and Avro, straight into the columns: no tree of values is built in between. An [`Encoding`]
//! (format, wire, schema) makes decoders; what a record decodes to depends on its bytes, the topic's schema and the writer's schema that
//! its id names, which never changes. Everything here is pure; a [`Fingerprint`] names what a decoder does, so that stored results of one decoder are never taken for another's.

mod avro;
mod codec;
mod column;
mod decoder;
mod encoding;
mod fingerprint;
mod format;
mod plan;
mod protobuf;
mod scalar;
mod sink;
mod visit;
mod writers;

#[cfg(test)]
mod tests;

pub(crate) use avro::can_read;
pub(crate) use codec::avro_schema;
pub(crate) use column::MAX_DEPTH;
pub use column::{Column, ColumnPlace, ColumnSpec, ColumnType, InvalidColumns};
pub(crate) use decoder::DecodeCheck;
pub use decoder::{DecodeFailure, DecodeStatus, Decoded, Decoder};
pub use encoding::Encoding;
pub use fingerprint::{Fingerprint, InvalidFingerprint};
pub use format::{Format, Wire};
pub(crate) use protobuf::ProtobufSchema;
pub use writers::{WriterSchema, WriterSchemas};
