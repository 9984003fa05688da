//! The pass over an event's bytes. Nothing is allocated for an event whose strings need no unescaping.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserializer;
use serde::de::{Deserialize, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::field::{Check, Field, is_time};
use super::{MAX_KEY_FIELDS, Quick};
use crate::field_name::FieldName;

/// What an event was found to have.
#[derive(Default)]
pub(super) struct Found<'de> {
    /// The bits of its fields.
    pub(super) seen: u64,
    key: [Option<Part<'de>>; MAX_KEY_FIELDS],
}

/// A part of the record key.
enum Part<'de> {
    Text(Cow<'de, str>),
    Integer(i64),
    Boolean(bool),
}

impl Found<'_> {
    /// The record key of that many fields, if all are there. See [`crate::partitioner::record_key`].
    pub(super) fn key(&self, parts: usize, event: &Bytes) -> Option<Bytes> {
        match &self.key[..parts] {
            [Some(Part::Text(Cow::Borrowed(text)))] => Some(event.slice_ref(text.as_bytes())),
            [one] => Some(Bytes::from(one.as_ref()?.plain())),
            several => {
                let mut key = String::with_capacity(64);
                for part in several {
                    key.push(if key.is_empty() { '[' } else { ',' });
                    part.as_ref()?.write(&mut key);
                }
                key.push(']');
                Some(Bytes::from(key))
            }
        }
    }
}

impl Part<'_> {
    fn plain(&self) -> String {
        match self {
            Part::Text(text) => text.as_ref().to_owned(),
            Part::Integer(number) => number.to_string(),
            Part::Boolean(is) => is.to_string(),
        }
    }

    fn write(&self, key: &mut String) {
        match self {
            Part::Text(text) if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') => {
                key.push('"');
                key.push_str(text);
                key.push('"');
            }
            Part::Text(text) => key.push_str(&Value::from(text.as_ref()).to_string()),
            other => key.push_str(&other.plain()),
        }
    }
}

/// The event as a whole: an object.
pub(super) struct Reader<'a, 'de> {
    pub(super) quick: &'a Quick,
    pub(super) found: &'a mut Found<'de>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Reader { quick, found } = self;
        let mut expected = 0;
        while let Some(field) = map.next_key_seed(FieldName { names: &quick.fields, expected })? {
            let Some(i) = field else {
                if quick.closed {
                    return Err(unknown());
                }
                map.next_value::<Anything>()?;
                continue;
            };
            expected = i + 1;
            if found.seen & (1 << i) != 0 {
                return Err(unknown());
            }
            found.seen |= 1 << i;
            let part = map.next_value_seed(Its(&quick.fields[i]))?;
            if let Some(place) = quick.fields[i].key {
                found.key[place] = part;
            }
        }
        Ok(())
    }
}

/// Why the quick way ends: nobody reads this.
fn unknown<E: Error>() -> E {
    E::custom("unknown")
}

/// The value of one field: checked, and given as a part of the key where it is one.
struct Its<'a>(&'a Field);

impl<'de> DeserializeSeed<'de> for Its<'_> {
    type Value = Option<Part<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match &self.0.check {
            Check::Anything => Anything::deserialize(deserializer).map(|_| None),
            Check::Other(validator) => match validator.check(&Value::deserialize(deserializer)?) {
                Ok(()) => Ok(None),
                Err(_) => Err(unknown()),
            },
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl Its<'_> {
    fn text<'de, E: Error>(self, text: Cow<'de, str>) -> Result<Option<Part<'de>>, E> {
        let admitted = match &self.0.check {
            Check::Text(check) => check.admit(&text),
            Check::Time => is_time(&text),
            _ => false,
        };
        if admitted { Ok(Some(Part::Text(text))) } else { Err(unknown()) }
    }
}

impl<'de> Visitor<'de> for Its<'_> {
    type Value = Option<Part<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the schema says")
    }

    fn visit_bool<E: Error>(self, is: bool) -> Result<Self::Value, E> {
        if matches!(self.0.check, Check::Boolean) { Ok(Some(Part::Boolean(is))) } else { Err(unknown()) }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        match &self.0.check {
            Check::Integer(bounds) | Check::Number(bounds) if bounds.admit(number as f64) => {
                Ok(Some(Part::Integer(number)))
            }
            _ => Err(unknown()),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        i64::try_from(number).map_err(|_| unknown()).and_then(|number| self.visit_i64(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        match &self.0.check {
            Check::Number(bounds) if bounds.admit(number) => Ok(None),
            _ => Err(unknown()),
        }
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        self.text(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.text(Cow::Owned(text.to_owned()))
    }
}

/// Any JSON, read as strictly as a tree of values would be, and forgotten.
struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

macro_rules! forgotten {
    ($($visit:ident: $ty:ty),*) => {
        $(fn $visit<E: Error>(self, _: $ty) -> Result<Anything, E> { Ok(Anything) })*
    };
}

impl<'de> Visitor<'de> for Anything {
    type Value = Anything;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    forgotten!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: Error>(self) -> Result<Anything, E> {
        Ok(Anything)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Anything, A::Error> {
        while items.next_element::<Anything>()?.is_some() {}
        Ok(Anything)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Anything, A::Error> {
        while members.next_entry::<Anything, Anything>()?.is_some() {}
        Ok(Anything)
    }
}
