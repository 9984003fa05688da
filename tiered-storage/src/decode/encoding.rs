//! A topic's format, wire and schema together: what makes decoders.

use serde_json::Value;

use super::avro::{AvroSchema, WHOLE};
use super::protobuf::ProtobufSchema;
use super::{Column, ColumnType, Decoder, Format, InvalidColumns, Wire};

/// What the bytes of a topic's records are, understood.
#[derive(Debug, Clone)]
pub struct Encoding {
    pub(super) wire: Wire,
    pub(super) schema: Understood,
    /// Names all of it; `None` for plain JSON.
    pub(super) print: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Understood {
    Json,
    Avro(AvroSchema),
    Protobuf(ProtobufSchema),
    Text,
    Bytes,
}

impl Encoding {
    /// Plain JSON.
    pub(crate) fn json() -> Self {
        Encoding { wire: Wire::Bare, schema: Understood::Json, print: None }
    }

    /// Checks that there can be such records.
    pub(crate) fn new(format: Format, wire: Wire, schema: Option<&Value>) -> Result<Self, String> {
        let needed =
            || schema.ok_or_else(|| format!("records of format `{format}` cannot be read without a schema; give it"));
        let understood = match format {
            Format::Json => Understood::Json,
            Format::Avro => Understood::Avro(AvroSchema::parse(needed()?)?),
            Format::Protobuf => Understood::Protobuf(ProtobufSchema::parse(needed()?)?),
            Format::Text | Format::Bytes if schema.is_some() => {
                return Err(format!("records of format `{format}` have no schema; leave it out"));
            }
            Format::Text => Understood::Text,
            Format::Bytes => Understood::Bytes,
        };
        let plain = format.is_json() && wire.is_bare();
        // The schema decides what bytes mean but for JSON, whose columns say it all.
        let schema = schema.filter(|_| !format.is_json());
        let print = (!plain).then(|| serde_json::json!([format, wire, schema]).to_string());
        Ok(Encoding { wire, schema: understood, print })
    }

    /// The columns that records have by themselves. Those of JSON are not known here: its schema says them.
    pub(crate) fn columns(&self) -> Vec<Column> {
        match &self.schema {
            Understood::Json | Understood::Bytes => Vec::new(),
            Understood::Avro(schema) => schema.columns(),
            Understood::Protobuf(schema) => schema.columns(),
            Understood::Text => vec![Column { path: Some(String::new()), ..Column::new(WHOLE, ColumnType::Text) }],
        }
    }

    /// The decoder of such records into these columns.
    pub fn decoder(&self, columns: Vec<Column>) -> Result<Decoder, InvalidColumns> {
        Decoder::of(self, columns)
    }
}
