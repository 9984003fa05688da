//! A message into columns, or into JSON.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};

use super::super::codec::Detail;
use super::super::scalar::Scalar;
use super::super::sink::{Sink, Values};
use super::super::visit::Trail;
use super::shape::{Field, Shape};

/// A field's value; `None` when the field is absent, and knows it.
pub(super) fn value_of<'a>(message: &'a DynamicMessage, field: &Field) -> Option<Cow<'a, Value>> {
    (!field.presence || message.has_field(&field.descriptor)).then(|| message.get_field(&field.descriptor))
}

/// Puts one field of a message into one column.
pub(super) fn put_field(
    message: &DynamicMessage,
    field: &Field,
    sink: &mut Sink,
    trail: &mut Trail,
) -> Result<(), Detail> {
    let put = match value_of(message, field) {
        None => {
            sink.push_null();
            Ok(())
        }
        Some(value) if matches!(sink.values, Values::Json(_)) => {
            let mut json = String::new();
            write_json(&value, &field.descriptor.kind(), &mut json);
            sink.put_json(&json);
            Ok(())
        }
        Some(value) => put(&value, &field.shape, sink, trail),
    };
    put.inspect_err(|_| trail.push(field.descriptor.name().to_owned()))
}

fn put(value: &Value, shape: &Shape, sink: &mut Sink, trail: &mut Trail) -> Result<(), Detail> {
    match (shape, value) {
        (Shape::Enum(names), Value::EnumNumber(number)) => match names.get_value(*number) {
            Some(known) => sink.put(Scalar::Text(known.name())),
            None => sink.put(Scalar::Text(&number.to_string())),
        },
        (Shape::Timestamp, Value::Message(time)) => sink.put(Scalar::Micros(micros(time)?)),
        (Shape::Wrapped(field), Value::Message(message)) => {
            put(&message.get_field(&field.descriptor), &field.shape, sink, trail)
        }
        (Shape::Struct(fields), Value::Message(message)) => {
            let Values::Struct(structs) = &mut sink.values else { return Err("it is a message".into()) };
            for (field, child) in fields.iter().zip(&mut structs.children) {
                put_field(message, field, child, trail)?;
            }
            sink.close();
            Ok(())
        }
        (Shape::List(item), Value::List(items)) => {
            let Values::List(lists) = &mut sink.values else { return Err("it is repeated".into()) };
            for (i, value) in items.iter().enumerate() {
                let put = match &lists.item.values {
                    Values::Json(_) => {
                        let mut json = String::new();
                        write_json_plain(value, &mut json);
                        lists.item.put_json(&json);
                        Ok(())
                    }
                    _ => put(value, item, &mut lists.item, trail),
                };
                put.inspect_err(|_| trail.push(i.to_string()))?;
            }
            lists.close();
            sink.close();
            Ok(())
        }
        (_, value) => sink.put(scalar(value)?),
    }
}

fn scalar(value: &Value) -> Result<Scalar<'_>, Detail> {
    Ok(match value {
        Value::Bool(value) => Scalar::Boolean(*value),
        Value::I32(value) => Scalar::Bigint(i64::from(*value)),
        Value::I64(value) => Scalar::Bigint(*value),
        Value::U32(value) => Scalar::Bigint(i64::from(*value)),
        Value::U64(value) => {
            Scalar::Bigint(i64::try_from(*value).map_err(|_| format!("{value} does not fit into 64 bits with a sign"))?)
        }
        Value::F32(value) => Scalar::Double(f64::from(*value)),
        Value::F64(value) => Scalar::Double(*value),
        Value::String(text) => Scalar::Text(text),
        Value::Bytes(bytes) => Scalar::Binary(bytes),
        Value::EnumNumber(number) => Scalar::Bigint(i64::from(*number)),
        Value::Message(_) | Value::List(_) | Value::Map(_) => return Err("it is no plain value".into()),
    })
}

/// Microseconds since 1970 of a `google.protobuf.Timestamp`.
fn micros(time: &DynamicMessage) -> Result<i64, Detail> {
    let seconds = time.get_field_by_number(1).and_then(|value| value.as_i64()).unwrap_or(0);
    let nanos = time.get_field_by_number(2).and_then(|value| value.as_i32()).unwrap_or(0);
    let micros =
        seconds.checked_mul(1_000_000).and_then(|micros| micros.checked_add(i64::from(nanos).div_euclid(1000)));
    micros.ok_or_else(|| format!("{seconds} seconds are no time").into())
}

/// Writes a value as JSON: enums by name, times in RFC 3339, fields by their names in the source, maps in the order of their keys.
fn write_json(value: &Value, kind: &Kind, json: &mut String) {
    match (value, kind) {
        (Value::EnumNumber(number), Kind::Enum(names)) => match names.get_value(*number) {
            Some(known) => Scalar::Text(known.name()).write_json(json),
            None => Scalar::Bigint(i64::from(*number)).write_json(json),
        },
        (Value::List(items), kind) => {
            json.push('[');
            for (i, item) in items.iter().enumerate() {
                json.push_str(if i == 0 { "" } else { "," });
                write_json(item, kind, json);
            }
            json.push(']');
        }
        (Value::Map(entries), Kind::Message(entry)) => {
            let kind = entry.map_entry_value_field().kind();
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            json.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                json.push_str(if i == 0 { "" } else { "," });
                Scalar::Text(&text_of(key)).write_json(json);
                json.push(':');
                write_json(value, &kind, json);
            }
            json.push('}');
        }
        (value, _) => write_json_plain(value, json),
    }
}

fn write_json_plain(value: &Value, json: &mut String) {
    match value {
        Value::Message(message) if message.descriptor().full_name() == "google.protobuf.Timestamp" => {
            match micros(message) {
                Ok(micros) => Scalar::Micros(micros).write_json(json),
                Err(_) => json.push_str("null"),
            }
        }
        Value::Message(message) => {
            let there = |field: &FieldDescriptor| !field.supports_presence() || message.has_field(field);
            json.push('{');
            for (i, field) in message.descriptor().fields().filter(there).enumerate() {
                json.push_str(if i == 0 { "" } else { "," });
                Scalar::Text(field.name()).write_json(json);
                json.push(':');
                write_json(&message.get_field(&field), &field.kind(), json);
            }
            json.push('}');
        }
        Value::U64(number) => json.push_str(&number.to_string()),
        plain => match scalar(plain) {
            Ok(scalar) => scalar.write_json(json),
            Err(_) => json.push_str("null"),
        },
    }
}

fn text_of(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
