//! A field's default, from the schema's JSON to the bytes that a writer would have written.

use serde_json::Value;

use super::schema::{Shape, TypeId, Types};

/// Appends the default's bytes.
pub(super) fn encode(types: &Types, ty: TypeId, default: &Value, bytes: &mut Vec<u8>) -> Result<(), String> {
    let no = || format!("{default} is no {}", types.shape(ty).kind());
    match types.shape(ty) {
        Shape::Null => default.is_null().then_some(()).ok_or_else(no)?,
        Shape::Boolean => bytes.push(u8::from(default.as_bool().ok_or_else(no)?)),
        Shape::Int => long(i64::from(default.as_i64().and_then(|n| i32::try_from(n).ok()).ok_or_else(no)?), bytes),
        Shape::Long => long(default.as_i64().ok_or_else(no)?, bytes),
        Shape::Float => bytes.extend((number(default).ok_or_else(no)? as f32).to_le_bytes()),
        Shape::Double => bytes.extend(number(default).ok_or_else(no)?.to_le_bytes()),
        Shape::String => sized(default.as_str().ok_or_else(no)?.as_bytes(), bytes),
        Shape::Bytes => sized(&latin(default).ok_or_else(no)?, bytes),
        Shape::Fixed(size) => bytes.extend(latin(default).filter(|given| given.len() == *size).ok_or_else(no)?),
        Shape::Enum { symbols, .. } => {
            let symbol = default.as_str().and_then(|name| symbols.iter().position(|symbol| **symbol == *name));
            long(symbol.ok_or_else(no)? as i64, bytes);
        }
        Shape::Array(item) => {
            let items = default.as_array().ok_or_else(no)?;
            blocks(items.len(), bytes, |bytes| items.iter().try_for_each(|value| encode(types, *item, value, bytes)))?;
        }
        Shape::Map(value) => {
            let entries = default.as_object().ok_or_else(no)?;
            blocks(entries.len(), bytes, |bytes| {
                entries.iter().try_for_each(|(key, held)| {
                    sized(key.as_bytes(), bytes);
                    encode(types, *value, held, bytes)
                })
            })?;
        }
        Shape::Record(fields) => {
            let given = default.as_object().ok_or_else(no)?;
            for field in fields {
                let value = given.get(&*field.name).or(field.default.as_ref());
                encode(types, field.ty, value.ok_or_else(|| format!("field `{}` is missing", field.name))?, bytes)?;
            }
        }
        Shape::Union(branches) => {
            let mut tried = branches.iter().enumerate().map(|(i, branch)| {
                let mut encoded = Vec::new();
                encode(types, *branch, default, &mut encoded).map(|()| (i, encoded))
            });
            let (branch, encoded) = tried.find_map(Result::ok).ok_or_else(no)?;
            long(branch as i64, bytes);
            bytes.extend(encoded);
        }
    }
    Ok(())
}

fn number(default: &Value) -> Option<f64> {
    match default.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => default.as_f64(),
    }
}

/// Bytes are written as text of the characters 0 to 255.
fn latin(default: &Value) -> Option<Vec<u8>> {
    default.as_str()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

fn long(number: i64, bytes: &mut Vec<u8>) {
    let mut left = ((number << 1) ^ (number >> 63)) as u64;
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
}

fn sized(text: &[u8], bytes: &mut Vec<u8>) {
    long(text.len() as i64, bytes);
    bytes.extend(text);
}

fn blocks(
    count: usize,
    bytes: &mut Vec<u8>,
    items: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    if count > 0 {
        long(count as i64, bytes);
        items(bytes)?;
    }
    long(0, bytes);
    Ok(())
}
