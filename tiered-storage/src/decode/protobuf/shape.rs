//! Protobuf fields to columns.
//!
//! | Protobuf | column |
//! |---|---|
//! | int32, int64, uint32, uint64 and their kin | bigint |
//! | float, double | double |
//! | bool | boolean |
//! | string, an enum by its name | text |
//! | bytes | binary |
//! | google.protobuf.Timestamp | timestamp |
//! | google.protobuf.StringValue and its kin | as the value within |
//! | another message | struct |
//! | repeated | list |
//! | map, a message within itself | text that holds JSON |
//!
//! A field that knows whether it is there (`optional`, messages, parts of a `oneof`) is NULL when it is not; any other one has its
//! default.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::super::column::{Column, ColumnType};

/// Fields of one message, all levels together; past this all is JSON.
const MAX_FIELDS: usize = 10_000;

/// A field, and how its values become columns.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) descriptor: FieldDescriptor,
    /// Whether it knows that it is absent.
    pub(super) presence: bool,
    pub(super) shape: Shape,
}

/// How a value becomes a column.
#[derive(Debug)]
pub(super) enum Shape {
    Bigint,
    Double,
    Boolean,
    Text,
    Binary,
    Enum(EnumDescriptor),
    Timestamp,
    /// A message that is only there to be absent at times.
    Wrapped(Box<Field>),
    Struct(Vec<Field>),
    List(Box<Shape>),
    Json,
}

/// The fields of a message, in the order of their numbers.
pub(super) fn fields(message: &MessageDescriptor) -> Vec<Field> {
    let mut within = Within { messages: vec![message.full_name().to_owned()], fields: 0 };
    message.fields().map(|field| within.field(field)).collect()
}

impl Field {
    /// The column that the field is by itself.
    pub(super) fn column(&self) -> Column {
        Column::new(self.descriptor.name(), self.shape.column_type())
    }
}

impl Shape {
    pub(super) fn column_type(&self) -> ColumnType {
        match self {
            Shape::Bigint => ColumnType::Bigint,
            Shape::Double => ColumnType::Double,
            Shape::Boolean => ColumnType::Boolean,
            Shape::Text | Shape::Enum(_) => ColumnType::Text,
            Shape::Binary => ColumnType::Binary,
            Shape::Timestamp => ColumnType::Timestamp,
            Shape::Wrapped(field) => field.shape.column_type(),
            Shape::Struct(fields) => ColumnType::Struct(fields.iter().map(Field::column).collect()),
            Shape::List(item) => ColumnType::List(Box::new(item.column_type())),
            Shape::Json => ColumnType::Json,
        }
    }
}

struct Within {
    /// The messages that lead here.
    messages: Vec<String>,
    fields: usize,
}

impl Within {
    fn field(&mut self, descriptor: FieldDescriptor) -> Field {
        let shape = match () {
            () if descriptor.is_map() => Shape::Json,
            () if descriptor.is_list() => Shape::List(Box::new(self.of(&descriptor.kind()))),
            () => self.of(&descriptor.kind()),
        };
        Field { presence: descriptor.supports_presence(), descriptor, shape }
    }

    fn of(&mut self, kind: &Kind) -> Shape {
        match kind {
            Kind::Double | Kind::Float => Shape::Double,
            Kind::Bool => Shape::Boolean,
            Kind::String => Shape::Text,
            Kind::Bytes => Shape::Binary,
            Kind::Enum(names) => Shape::Enum(names.clone()),
            Kind::Message(message) => self.message(message),
            _ => Shape::Bigint,
        }
    }

    fn message(&mut self, message: &MessageDescriptor) -> Shape {
        let name = message.full_name();
        let wrapper = name.strip_prefix("google.protobuf.").and_then(|name| name.strip_suffix("Value"));
        match (name, wrapper) {
            ("google.protobuf.Timestamp", _) => return Shape::Timestamp,
            (_, Some("Double" | "Float" | "Int64" | "UInt64" | "Int32" | "UInt32" | "Bool" | "String" | "Bytes")) => {
                if let Some(value) = message.get_field(1) {
                    return Shape::Wrapped(Box::new(self.field(value)));
                }
            }
            _ => {}
        }
        self.fields += message.fields().len();
        if message.fields().len() == 0 || self.fields > MAX_FIELDS || self.messages.iter().any(|outer| outer == name) {
            return Shape::Json;
        }
        self.messages.push(name.to_owned());
        let fields = message.fields().map(|field| self.field(field)).collect();
        self.messages.pop();
        Shape::Struct(fields)
    }
}
