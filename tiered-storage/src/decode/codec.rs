//! One record's bytes into the columns, by the topic's format and wire.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use arrow::array::BinaryArray;
use prost_reflect::FileDescriptor;
use serde::de::DeserializeSeed as _;
use serde_json::Value;

use super::avro::{self, Avro};
use super::plan::Node;
use super::protobuf::{self, Protobuf};
use super::scalar::Scalar;
use super::sink::Sink;
use super::visit::{Event, Trail};
use super::{Format, Wire, WriterSchema, WriterSchemas};

/// Why a value cannot be read.
pub(super) type Detail = Box<str>;

/// A record that fits no column, or lies in no known format.
pub(super) const UNDECODABLE: &str = "UNDECODABLE";
/// A record whose schema the registry does not have.
pub(super) const UNKNOWN_SCHEMA: &str = "UNKNOWN_SCHEMA";

/// The bytes before a value in Confluent's wire format: a 0 and the id.
const FRAME_BYTES: usize = 5;

/// How many writers' schemas a decoder keeps understood; a topic has some dozens in its life.
const MAX_UNDERSTOOD: usize = 1000;

/// A refused record: its code, and why.
pub(super) type Refusal = (&'static str, Detail);

/// How a decoder reads records.
#[derive(Debug)]
pub(super) struct Codec {
    pub(super) wire: Wire,
    pub(super) reader: Reader,
    /// Writers' schemas, understood, or why they cannot be.
    understood: Mutex<HashMap<u32, Result<Understood, Detail>>>,
}

/// By format.
#[derive(Debug)]
pub(super) enum Reader {
    Json(Node),
    Avro(Box<Avro>),
    Protobuf(Box<Protobuf>),
    Text,
    Bytes,
}

/// A writer's schema.
#[derive(Debug, Clone)]
pub(super) enum Understood {
    Avro(Arc<avro::Resolved>),
    Protobuf(FileDescriptor),
}

/// What the reading of many records shares.
pub(super) struct Desk<'a> {
    writers: &'a WriterSchemas,
    /// The writer of the record before, which mostly is that of the next one as well.
    last: Option<(u32, Understood)>,
    json: String,
}

impl<'a> Desk<'a> {
    pub(super) fn new(writers: &'a WriterSchemas) -> Self {
        Desk { writers, last: None, json: String::new() }
    }
}

impl Codec {
    pub(super) fn new(wire: Wire, reader: Reader) -> Self {
        Codec { wire, reader, understood: Mutex::default() }
    }

    /// True when records are read by their writers' schemas.
    pub(super) fn needs_writers(&self) -> bool {
        self.wire == Wire::Confluent && matches!(self.reader, Reader::Avro(_) | Reader::Protobuf(_))
    }

    /// The ids of the writers' schemas of these records.
    pub(super) fn writer_ids(&self, values: &BinaryArray) -> BTreeSet<u32> {
        if !self.needs_writers() {
            return BTreeSet::new();
        }
        values.iter().flatten().filter_map(|value| framed(value).ok()).map(|(id, _)| id).collect()
    }

    /// Reads one record into all columns. `row` is the number of records before it.
    pub(super) fn read(
        &self,
        bytes: &[u8],
        row: usize,
        sinks: &mut [Sink],
        trail: &mut Trail,
        desk: &mut Desk<'_>,
    ) -> Result<(), Refusal> {
        let undecodable = |detail: Detail| (UNDECODABLE, detail);
        let (id, value) = match self.wire {
            Wire::Bare => (None, bytes),
            Wire::Confluent => framed(bytes).map(|(id, value)| (Some(id), value)).map_err(undecodable)?,
        };
        match &self.reader {
            Reader::Json(root) => {
                let event = Event { root, sinks, row, trail };
                // Text that is known to be text is read without another look at each of its strings.
                let read = match std::str::from_utf8(value) {
                    Ok(text) => read_json(event, serde_json::Deserializer::from_str(text)),
                    Err(_) => read_json(event, serde_json::Deserializer::from_slice(value)),
                };
                read.map_err(|error| undecodable(error.to_string().into()))
            }
            Reader::Text => {
                let text =
                    std::str::from_utf8(value).map_err(|e| undecodable(format!("it is not UTF-8: {e}").into()))?;
                sinks.iter_mut().try_for_each(|sink| sink.put(Scalar::Text(text))).map_err(undecodable)
            }
            Reader::Bytes => Ok(()),
            Reader::Avro(avro) => {
                let theirs;
                let resolved = match id {
                    None => &avro.own,
                    Some(id) => match self.understood(id, desk)? {
                        Understood::Avro(resolved) => {
                            theirs = resolved;
                            &*theirs
                        }
                        Understood::Protobuf(_) => unreachable!("an Avro reader understands Avro"),
                    },
                };
                avro.read(value, resolved, sinks, trail, &mut desk.json).map_err(undecodable)
            }
            Reader::Protobuf(protobuf) => {
                let value = match id {
                    None => value,
                    Some(id) => match self.understood(id, desk)? {
                        Understood::Protobuf(file) => protobuf.after_index(&file, value).map_err(undecodable)?,
                        Understood::Avro(_) => unreachable!("a Protobuf reader understands Protobuf"),
                    },
                };
                protobuf.read(value, sinks, trail).map_err(undecodable)
            }
        }
    }

    /// The writer's schema of that id.
    fn understood(&self, id: u32, desk: &mut Desk<'_>) -> Result<Understood, Refusal> {
        if let Some((last, understood)) = &desk.last
            && *last == id
        {
            return Ok(understood.clone());
        }
        let unreadable =
            |detail: &Detail| (UNDECODABLE, format!("schema {id}, with which it was written: {detail}").into());
        let mut known = self.understood.lock().expect("no holder panics");
        if let Some(understood) = known.get(&id) {
            let understood = understood.clone().map_err(|detail| unreadable(&detail))?;
            desk.last = Some((id, understood.clone()));
            return Ok(understood);
        }
        let Some(Some(writer)) = desk.writers.get(id) else {
            let detail = format!("the schema registry has no schema {id}, with which it was written");
            return Err((UNKNOWN_SCHEMA, detail.into()));
        };
        let understood = self.understand(writer);
        if known.len() == MAX_UNDERSTOOD {
            known.clear();
        }
        known.insert(id, understood.clone());
        let understood = understood.map_err(|detail| unreadable(&detail))?;
        desk.last = Some((id, understood.clone()));
        Ok(understood)
    }

    fn understand(&self, writer: &WriterSchema) -> Result<Understood, Detail> {
        let another = |ours: Format| format!("it is a schema of {}, and the topic holds {ours}", writer.format);
        match &self.reader {
            Reader::Avro(avro) if writer.format == Format::Avro => {
                let raw = avro_schema(writer)?;
                Ok(Understood::Avro(Arc::new(avro.resolve(&raw)?)))
            }
            Reader::Protobuf(_) if writer.format == Format::Protobuf => {
                Ok(Understood::Protobuf(protobuf::compile(&writer.schema, writer.references.clone())?))
            }
            Reader::Avro(_) => Err(another(Format::Avro).into()),
            _ => Err(another(Format::Protobuf).into()),
        }
    }
}

fn read_json<'de, R: serde_json::de::Read<'de>>(
    event: Event<'_>,
    mut json: serde_json::Deserializer<R>,
) -> serde_json::Result<()> {
    event.deserialize(&mut json).and_then(|()| json.end())
}

/// An Avro schema of a registry, with what it refers to in it.
pub(crate) fn avro_schema(writer: &WriterSchema) -> Result<Value, String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| format!("it is no JSON: {e}"));
    // The registry writes a plain type's name without quotes at times.
    let raw = parse(&writer.schema).or_else(|e| match writer.schema.chars().all(|c| c.is_ascii_lowercase()) {
        true => Ok(Value::from(writer.schema.as_str())),
        false => Err(e),
    })?;
    let references = writer.references.iter().map(|(name, text)| Ok((name.clone(), parse(text)?)));
    Ok(avro::inlined(&raw, &references.collect::<Result<_, String>>()?))
}

/// The id and the value of a record in Confluent's wire format.
fn framed(bytes: &[u8]) -> Result<(u32, &[u8]), Detail> {
    match bytes.split_at_checked(FRAME_BYTES) {
        Some(([0, id @ ..], value)) => Ok((u32::from_be_bytes(id.try_into().expect("four bytes follow the 0")), value)),
        Some(([first, ..], _)) => {
            Err(format!("it begins with {first:#04x}, and Confluent's wire format with 0x00: is the topic `bare`?")
                .into())
        }
        _ => Err(format!("its {} bytes are too few for the id of a schema", bytes.len()).into()),
    }
}
