//! The one pass over an event's bytes: serde visitors that put each value into its sink.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use super::plan::Node;
use super::sink::{Sink, TimeText, Values};
use crate::Timestamp;
use crate::field_name::FieldName;

/// The names on the way to the value that failed, innermost first.
pub(super) type Trail = Vec<String>;

/// Reads one event.
pub(super) struct Event<'a> {
    pub(super) root: &'a Node,
    pub(super) sinks: &'a mut [Sink],
    /// The number of the record: each kept sink has that many values before.
    pub(super) row: usize,
    pub(super) trail: &'a mut Trail,
}

impl<'de> DeserializeSeed<'de> for Event<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Event { root, sinks, row, trail } = self;
        let place = Place { node: root, sinks, row, trail };
        if root.columns.is_empty() { deserializer.deserialize_map(place) } else { place.deserialize(deserializer) }
    }
}

/// Reads what stands at one place of an event.
struct Place<'a> {
    node: &'a Node,
    sinks: &'a mut [Sink],
    row: usize,
    trail: &'a mut Trail,
}

impl Place<'_> {
    /// Forgets what an earlier field of the same name gave: the last one wins.
    fn reset(&mut self) {
        let (sinks, row) = (&mut *self.sinks, self.row);
        self.node.for_each_column(&mut |i| sinks[i].forget(row));
    }

    fn step(&mut self, i: usize) -> Place<'_> {
        Place { node: &self.node.children[i], sinks: self.sinks, row: self.row, trail: self.trail }
    }

    /// Several columns look at this place, or one looks here and another further in: each reads its bytes.
    fn each<E: Error>(self, raw: &RawValue) -> Result<(), E> {
        for i in &self.node.columns {
            Into { sink: &mut self.sinks[*i], trail: self.trail }
                .deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
                .map_err(E::custom)?;
        }
        serde_json::Deserializer::from_str(raw.get()).deserialize_any(self).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        if let (&[i], true) = (self.node.columns.as_slice(), self.node.is_leaf()) {
            let sink = &mut self.sinks[i];
            sink.forget(self.row);
            return Into { sink, trail: self.trail }.deserialize(deserializer);
        }
        self.reset();
        match self.node.columns.as_slice() {
            [] => deserializer.deserialize_any(self),
            _ => self.each(<&RawValue as serde::Deserialize>::deserialize(deserializer)?),
        }
    }
}

/// A scalar where a path leads further in: nothing stands there.
macro_rules! nothing_there {
    ($($visit:ident: $ty:ty),*) => {
        $(fn $visit<E: Error>(self, _: $ty) -> Result<(), E> { Ok(()) })*
    };
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    nothing_there!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let node = self.node;
        let mut expected = 0;
        while let Some(found) = map.next_key_seed(FieldName { names: &node.steps, expected })? {
            let Some(i) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            expected = i + 1;
            if let Err(error) = map.next_value_seed(self.step(i)) {
                self.trail.push(node.steps[i].to_string());
                return Err(error);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let node = self.node;
        for index in 0usize.. {
            let here = node.steps.iter().position(|step| step.parse() == Ok(index));
            let item = match here {
                Some(i) => seq.next_element_seed(self.step(i)).inspect_err(|_| self.trail.push(index.to_string()))?,
                None => seq.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// Puts one value into a sink.
struct Into<'a> {
    sink: &'a mut Sink,
    trail: &'a mut Trail,
}

impl<'de> DeserializeSeed<'de> for Into<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Values::Json(_) = self.sink.values else { return deserializer.deserialize_any(self) };
        let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
        match raw.get() {
            "null" => self.sink.push_null(),
            json => self.text(json),
        }
        Ok(())
    }
}

impl Into<'_> {
    fn text(self, text: &str) {
        if self.sink.keep()
            && let Values::Text(texts) | Values::Json(texts) = &mut self.sink.values
        {
            texts.push(text);
        }
        self.sink.close();
    }

    fn micros(self, micros: i64) {
        if self.sink.keep()
            && let Values::Time(_, values) = &mut self.sink.values
        {
            values.push(micros);
        }
        self.sink.close();
    }
}

/// A whole number held as a double, where it is one: JSON Schema calls `3.0` an integer.
fn whole(number: f64) -> Option<i64> {
    let fits = number.fract() == 0.0 && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    fits.then_some(number as i64)
}

impl<'de> Visitor<'de> for Into<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.sink.values {
            Values::Bigint(_) => "a whole number of 64 bits",
            Values::Double(_) => "a number",
            Values::Boolean(_) => "true or false",
            Values::Time(TimeText::Rfc3339, _) => "an RFC 3339 time, as 2024-01-31T12:00:00Z",
            Values::Time(TimeText::Number { .. }, _) => {
                "a number, the time since 1970 in the unit of its column, within the years 0 to 9999"
            }
            Values::Text(_) => "a string",
            Values::Json(_) => "any value",
            Values::Binary(_) => "bytes, which JSON has not",
            Values::Struct(_) => "an object",
            Values::List(_) => "an array",
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.sink.push_null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        let keep = self.sink.keep();
        let Values::Boolean(values) = &mut self.sink.values else {
            return Err(E::invalid_type(Unexpected::Bool(value), &self));
        };
        if keep {
            values.append(value);
        }
        self.sink.close();
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let keep = self.sink.keep();
        match &mut self.sink.values {
            Values::Bigint(values) if keep => values.push(value),
            Values::Double(values) if keep => values.push(value as f64),
            Values::Bigint(_) | Values::Double(_) => {}
            Values::Time(TimeText::Number { per_second }, _) => {
                let micros = value.checked_mul(1_000_000 / *per_second).filter(|micros| Timestamp::exists(*micros));
                let micros = micros.ok_or_else(|| E::invalid_value(Unexpected::Signed(value), &self))?;
                self.micros(micros);
                return Ok(());
            }
            _ => return Err(E::invalid_type(Unexpected::Signed(value), &self)),
        }
        self.sink.close();
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match (i64::try_from(value), &self.sink.values) {
            (Ok(value), _) => self.visit_i64(value),
            (_, Values::Double(_)) => self.visit_f64(value as f64),
            _ => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let keep = self.sink.keep();
        match &mut self.sink.values {
            Values::Double(values) if keep => values.push(value),
            Values::Double(_) => {}
            Values::Bigint(_) if whole(value).is_some() => return self.visit_i64(whole(value).unwrap_or_default()),
            Values::Time(TimeText::Number { per_second }, _) => {
                let micros = whole((value * (1_000_000 / *per_second) as f64).round())
                    .filter(|micros| Timestamp::exists(*micros));
                let micros = micros.ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))?;
                self.micros(micros);
                return Ok(());
            }
            _ => return Err(E::invalid_type(Unexpected::Float(value), &self)),
        }
        self.sink.close();
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match &self.sink.values {
            Values::Text(_) => self.text(text),
            Values::Time(TimeText::Rfc3339, _) => {
                let time = text.parse::<Timestamp>();
                let time = time.map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
                self.micros(time.as_micros());
            }
            _ => return Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let row = self.sink.len();
        let Values::Struct(structs) = &mut self.sink.values else {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        };
        let mut expected = 0;
        while let Some(found) = map.next_key_seed(FieldName { names: &structs.names, expected })? {
            let Some(i) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            expected = i + 1;
            let sink = &mut structs.children[i];
            sink.forget(row);
            if let Err(error) = map.next_value_seed(Into { sink, trail: self.trail }) {
                self.trail.push(structs.names[i].to_string());
                return Err(error);
            }
        }
        structs.children.iter_mut().for_each(|child| child.pad(row + 1));
        self.sink.close();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Values::List(lists) = &mut self.sink.values else {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        };
        for index in 0usize.. {
            let item = Into { sink: &mut lists.item, trail: self.trail };
            let item = seq.next_element_seed(item).inspect_err(|_| self.trail.push(index.to_string()))?;
            if item.is_none() {
                break;
            }
        }
        lists.close();
        self.sink.close();
        Ok(())
    }
}
