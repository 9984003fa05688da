//! Protobuf: messages of one type into columns.
//!
//! Protobuf values carry the numbers of their fields, so the topic's own message reads what any version of it wrote. A writer's schema
//! is only asked which of its messages a record is. Pure: where writers' schemas come from is not known here.

mod read;
mod schema;
mod shape;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, FileDescriptor, MessageDescriptor, Value};

use super::avro::fits;
use super::codec::Detail;
use super::sink::Sink;
use super::visit::Trail;
use super::{Column, InvalidColumns};
use read::{put_field, value_of};
use shape::{Field, Shape, fields};

pub(crate) use schema::ProtobufSchema;

impl ProtobufSchema {
    /// The columns that the message gives.
    pub(crate) fn columns(&self) -> Vec<Column> {
        fields(&self.message).iter().map(Field::column).collect()
    }
}

/// Reads Protobuf into columns.
#[derive(Debug)]
pub(super) struct Protobuf {
    message: MessageDescriptor,
    fields: Vec<Field>,
    /// By column: the numbers of the fields that lead to its value.
    paths: Vec<Vec<usize>>,
}

impl Protobuf {
    pub(super) fn new(schema: &ProtobufSchema, columns: &[Column]) -> Result<Self, InvalidColumns> {
        let fields = fields(&schema.message);
        let path = |column: &Column| {
            path(&fields, column).map_err(|detail| InvalidColumns { column: column.name.clone(), detail })
        };
        let paths = columns.iter().map(path).collect::<Result<_, _>>()?;
        Ok(Protobuf { message: schema.message.clone(), fields, paths })
    }

    /// Reads one message.
    pub(super) fn read(&self, value: &[u8], sinks: &mut [Sink], trail: &mut Trail) -> Result<(), Detail> {
        let message = DynamicMessage::decode(self.message.clone(), value).map_err(|e| e.to_string())?;
        for (path, sink) in self.paths.iter().zip(sinks) {
            put_at(&message, &self.fields, path, sink, trail)?;
        }
        Ok(())
    }

    /// Goes over the list of numbers before a message in Confluent's wire format, which says which message of the writer's source it is.
    pub(super) fn after_index<'a>(&self, file: &FileDescriptor, value: &'a [u8]) -> Result<&'a [u8], Detail> {
        let mut rest = value;
        let count = number(&mut rest)?;
        let mut found: Option<MessageDescriptor> = None;
        // A single 0 stands for the list of one 0: the first message.
        let mut left = if count == 0 { 1 } else { count };
        while left > 0 {
            let i = if count == 0 { 0 } else { number(&mut rest)? };
            found = match found {
                None => file.messages().nth(i),
                Some(outer) => outer.child_messages().nth(i),
            };
            if found.is_none() {
                return Err(format!("the writer's schema has no message {i}").into());
            }
            left -= 1;
        }
        match found {
            Some(message) if message.full_name() == self.message.full_name() => Ok(rest),
            Some(other) => {
                let (other, ours) = (other.full_name(), self.message.full_name());
                Err(format!("it is a `{other}`, and the topic holds `{ours}`").into())
            }
            None => Err("the record names no message".into()),
        }
    }
}

/// Compiles a writer's source.
pub(super) fn compile(source: &str, imports: BTreeMap<String, String>) -> Result<FileDescriptor, String> {
    schema::compile(source, imports)
}

/// A greater number is no place in a source, and no length of a list of them.
const MAX_INDEX: u64 = 10_000;

/// A number of the list of messages, in zigzag.
fn number(rest: &mut &[u8]) -> Result<usize, Detail> {
    let mut number = 0u64;
    for i in 0..5 {
        let (byte, after) = rest.split_first().ok_or("the record ends within its list of messages")?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return match number >> 1 {
                found if number & 1 == 0 && found <= MAX_INDEX => Ok(found as usize),
                _ => break,
            };
        }
    }
    Err("the record has no list of messages before it".into())
}

/// The fields that lead to a column's value; refuses what is not there, or is of another type.
fn path(fields: &[Field], column: &Column) -> Result<Vec<usize>, String> {
    let steps = column.steps()?;
    let (mut here, mut path, mut natural) = (Some(fields), Vec::new(), None);
    for step in &steps {
        let Some(fields) = here else {
            return Err(format!("`{step}` cannot stand there: only messages have fields; take it apart in the query"));
        };
        let Some(i) = fields.iter().position(|field| field.descriptor.name() == step) else {
            let names: Vec<&str> = fields.iter().map(|field| field.descriptor.name()).collect();
            return Err(format!("the topic's schema has no field `{step}` there; it has {}", names.join(", ")));
        };
        path.push(i);
        natural = Some(fields[i].shape.column_type());
        here = match &fields[i].shape {
            Shape::Struct(inner) => Some(inner),
            _ => None,
        };
    }
    let natural = natural.ok_or("the whole message is no column; name a field")?;
    fits(&natural, &column.ty)?;
    Ok(path)
}

fn put_at(
    message: &DynamicMessage,
    fields: &[Field],
    path: &[usize],
    sink: &mut Sink,
    trail: &mut Trail,
) -> Result<(), Detail> {
    let (first, rest) = path.split_first().expect("a path has a step");
    let field = &fields[*first];
    if rest.is_empty() {
        return put_field(message, field, sink, trail);
    }
    match (value_of(message, field).as_deref(), &field.shape) {
        (Some(Value::Message(inner)), Shape::Struct(fields)) => {
            put_at(inner, fields, rest, sink, trail).inspect_err(|_| trail.push(field.descriptor.name().to_owned()))
        }
        _ => {
            sink.push_null();
            Ok(())
        }
    }
}
