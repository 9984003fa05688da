//! Finding the fields of an event by their names while its JSON is read. Pure.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

/// Finds a field's name among those that are known; `None` is another one. Events mostly have their fields in one order, so the next one
/// is tried first.
pub(crate) struct FieldName<'a, N> {
    pub(crate) names: &'a [N],
    pub(crate) expected: usize,
}

impl<'de, N: AsRef<str>> DeserializeSeed<'de> for FieldName<'_, N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<N: AsRef<str>> Visitor<'_> for FieldName<'_, N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        if self.names.get(self.expected).is_some_and(|expected| expected.as_ref() == name) {
            return Ok(Some(self.expected));
        }
        Ok(self.names.iter().position(|known| known.as_ref() == name))
    }
}
