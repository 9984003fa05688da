//! The check of a record that is not plain JSON: it is read as its readers will read it, and its key comes from what was read.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use serde_json::Value;
use tokio::runtime::Handle;

use super::Refused;
use crate::schema::{InvalidSchema, Violation};
use crate::{Decoder, SchemaRegistry, Timestamp, TopicConfig, WriterSchemas};

/// How records of one topic are checked.
#[derive(Debug)]
pub(super) struct ReadFirst {
    decoder: Decoder,
    /// The names of the key's fields, and their places among the decoder's columns.
    key: Vec<(String, usize)>,
    registry: Arc<SchemaRegistry>,
}

impl ReadFirst {
    pub(super) fn new(config: &TopicConfig, registry: Arc<SchemaRegistry>) -> Result<Self, InvalidSchema> {
        let decoder = config.decoder()?;
        let place = |field: &String| {
            let place = decoder.columns().iter().position(|column| column.name == *field);
            let detail = format!("the record key is made of field `{field}`, which it does not have");
            place.map(|place| (field.clone(), place)).ok_or(InvalidSchema { at: String::new(), detail })
        };
        let key = config.key.iter().map(place).collect::<Result<_, _>>()?;
        Ok(ReadFirst { decoder, key, registry })
    }

    pub(super) fn may_wait(&self) -> bool {
        self.decoder.needs_writers()
    }

    /// Reads a value; answers its record key where the topic has key fields.
    pub(super) fn check(&self, value: &Bytes) -> Result<Option<Bytes>, Refused> {
        let values = BinaryArray::from_vec(vec![value]);
        let writers = match self.decoder.needs_writers() {
            true => self.ask(&values)?,
            false => WriterSchemas::default(),
        };
        let places: Vec<usize> = self.key.iter().map(|(_, place)| *place).collect();
        let mut decoded = self.decoder.decode_with(&values, &places, &writers);
        if let Some(failure) = decoded.failures.pop() {
            return Err(Violation { field: failure.field, detail: failure.detail }.into());
        }
        let fields = self.key.iter().map(|(name, _)| name).zip(&decoded.fields);
        let mut parts = fields.map(|(name, column)| part(name, column)).collect::<Result<Vec<Value>, _>>()?;
        Ok(match (parts.pop(), parts.is_empty()) {
            (None, _) => None,
            (Some(Value::String(text)), true) => Some(Bytes::from(text)),
            (Some(only), true) => Some(Bytes::from(only.to_string())),
            (Some(last), false) => {
                parts.push(last);
                Some(Bytes::from(Value::from(parts).to_string()))
            }
        })
    }

    fn ask(&self, values: &BinaryArray) -> Result<WriterSchemas, Refused> {
        let asked = self.registry.writers(self.decoder.writer_ids(values));
        Handle::current().block_on(asked).map_err(|e| Refused::Unavailable(e.to_string()))
    }
}

/// One field of a key.
fn part(name: &str, column: &ArrayRef) -> Result<Value, Violation> {
    let violation = |detail: &str| Violation { field: name.to_owned(), detail: detail.to_owned() };
    if column.is_null(0) {
        return Err(violation("is null, and the record key is made of it"));
    }
    Ok(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(0).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(0).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(0).into(),
        DataType::Boolean => column.as_boolean().value(0).into(),
        DataType::Timestamp(..) => {
            Timestamp::from_micros(column.as_primitive::<TimestampMicrosecondType>().value(0)).to_string().into()
        }
        _ => return Err(violation("is no string, number or boolean, and the record key is made of it")),
    })
}
