//! Which key a record has, and which partition a key belongs to. Both as Kafka's own clients do it, so that a topic can move there.

use std::fmt;

use bytes::Bytes;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::Partition;
use crate::schema::Violation;

/// The partition of a key among `partitions`: Kafka's default partitioner.
pub fn partition_of(key: &[u8], partitions: u32) -> Partition {
    Partition((murmur2(key) & 0x7fff_ffff) % partitions)
}

/// Kafka's murmur2 of the key bytes.
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mix = |word: u32| {
        let word = word.wrapping_mul(M);
        (word ^ (word >> 24)).wrapping_mul(M)
    };
    let (words, rest) = bytes.as_chunks::<4>();
    let mut hash = SEED ^ bytes.len() as u32;
    for word in words {
        hash = hash.wrapping_mul(M) ^ mix(u32::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The record key of an event: of one field its text, of several a compact JSON array in the declared order.
///
/// A string's text is its content, a number's the digits as sent. Without the fields there is no key, and so no order that its
/// consumers could rely on: that is a violation.
pub(crate) fn record_key(fields: &[String], event: &[u8]) -> Result<Bytes, Violation> {
    let mut found = vec![None; fields.len()];
    let mut json = serde_json::Deserializer::from_slice(event);
    let read = KeyFields { fields, found: &mut found }.deserialize(&mut json).and_then(|()| json.end());
    read.map_err(|error| Violation { field: String::new(), detail: error.to_string() })?;
    let mut key = String::new();
    for (i, (field, value)) in fields.iter().zip(found).enumerate() {
        let text = value.ok_or_else(|| key_violation(field, "is absent"))?.get();
        match fields.len() {
            1 => key = one_key(field, text)?,
            _ => {
                key.push(if i == 0 { '[' } else { ',' });
                key.push_str(&part_of_key(field, text)?);
            }
        }
    }
    if fields.len() > 1 {
        key.push(']');
    }
    Ok(Bytes::from(key))
}

fn one_key(field: &str, json: &str) -> Result<String, Violation> {
    match scalar(field, json)? {
        Some(text) => Ok(text),
        None => Ok(json.to_owned()),
    }
}

/// Strings are written anew, so that one text escaped in two ways is one key.
fn part_of_key(field: &str, json: &str) -> Result<String, Violation> {
    match scalar(field, json)? {
        Some(text) => Ok(serde_json::Value::String(text).to_string()),
        None => Ok(json.to_owned()),
    }
}

/// The content of a string; `None` for a number or a boolean.
fn scalar(field: &str, json: &str) -> Result<Option<String>, Violation> {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map(Some).map_err(|error| key_violation(field, &error.to_string())),
        Some(b'{' | b'[') => Err(key_violation(field, "is an object or an array")),
        Some(b'n') => Err(key_violation(field, "is null")),
        _ => Ok(None),
    }
}

fn key_violation(field: &str, what: &str) -> Violation {
    Violation {
        field: field.to_owned(),
        detail: format!("{what}; the topic's record key needs a string, number or boolean here"),
    }
}

/// Finds the key fields at the top of an event; the last of one name wins.
struct KeyFields<'a, 'de> {
    fields: &'a [String],
    found: &'a mut [Option<&'de RawValue>],
}

impl<'de> DeserializeSeed<'de> for KeyFields<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for KeyFields<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the fields of the topic's record key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(i) = map.next_key_seed(KeyField(self.fields))? {
            match i {
                Some(i) => self.found[i] = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct KeyField<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for KeyField<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyField<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|field| field == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(fields: &[&str], event: &str) -> Result<String, String> {
        let fields: Vec<_> = fields.iter().map(|field| (*field).to_owned()).collect();
        let key = record_key(&fields, event.as_bytes()).map_err(|violation| violation.field)?;
        Ok(String::from_utf8(key.to_vec()).unwrap())
    }

    #[test]
    fn keys_hash_as_in_kafka() {
        // The vectors of Kafka's own UtilsTest.
        let cases = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn one_field_gives_its_text() {
        assert_eq!(key(&["id"], r#"{"x":{"id":2},"id":"h-1"}"#), Ok("h-1".into()));
        assert_eq!(key(&["id"], r#"{"id": 12.50 }"#), Ok("12.50".into()));
        assert_eq!(key(&["id"], r#"{"id":true}"#), Ok("true".into()));
        assert_eq!(key(&["id"], r#"{"id":"\u0041\"","id":"A"}"#), Ok("A".into()));
    }

    #[test]
    fn several_fields_give_a_compact_array_in_the_declared_order() {
        assert_eq!(key(&["b", "a"], r#"{"a": 7, "b": "\u0041\"\u00fc"}"#), Ok(r#"["A\"ü",7]"#.into()));
        assert_eq!(key(&["a", "b", "c"], r#"{"c":false,"a":1,"b":""}"#), Ok(r#"[1,"",false]"#.into()));
    }

    #[test]
    fn an_event_without_its_key_fields_is_a_violation_of_that_field() {
        for event in [r"{}", r#"{"id":null}"#, r#"{"id":[1]}"#, r#"{"id":{}}"#] {
            assert_eq!(key(&["id"], event), Err("id".into()), "{event}");
        }
        assert_eq!(key(&["a", "id"], r#"{"a":1}"#), Err("id".into()));
        for event in ["7", "", "{", "[{}]"] {
            assert_eq!(key(&["id"], event), Err(String::new()), "{event}");
        }
    }
}
