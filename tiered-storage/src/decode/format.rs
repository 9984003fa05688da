//! What the bytes of a topic's records are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON value a record.
    #[default]
    Json,
    /// Avro's binary encoding, without the header of a file.
    Avro,
    /// One Protobuf message a record.
    Protobuf,
    /// UTF-8 text.
    Text,
    /// Anything.
    Bytes,
}

/// What stands around a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    /// Nothing.
    #[default]
    Bare,
    /// Confluent's wire format: a 0, four bytes with the id of the writer's schema, and then the value.
    Confluent,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 5] = [Format::Json, Format::Avro, Format::Protobuf, Format::Text, Format::Bytes];

    /// True for the format of most topics, which is not written down.
    pub(crate) fn is_json(&self) -> bool {
        *self == Format::Json
    }
}

impl Wire {
    /// All of them.
    pub const ALL: [Wire; 2] = [Wire::Bare, Wire::Confluent];

    /// True for the way of most topics, which is not written down.
    pub(crate) fn is_bare(&self) -> bool {
        *self == Wire::Bare
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Json => "json",
            Format::Avro => "avro",
            Format::Protobuf => "protobuf",
            Format::Text => "text",
            Format::Bytes => "bytes",
        })
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wire::Bare => "bare",
            Wire::Confluent => "confluent",
        })
    }
}
