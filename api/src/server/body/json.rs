//! JSON taken apart without copying it: lines, the items of an array, the members of an object.

use std::fmt;

use rekap_tiered_storage::Violation;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::refused::refused;
use crate::Problem;

/// The lines that hold something.
pub(super) fn lines(body: &[u8]) -> Vec<&[u8]> {
    body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect()
}

/// The items of an array, or the one value.
pub(super) fn values(body: &[u8]) -> Result<Vec<&[u8]>, Problem> {
    let body = body.trim_ascii();
    if body.first() != Some(&b'[') {
        return Ok(if body.is_empty() { Vec::new() } else { vec![body] });
    }
    let mut items = Vec::new();
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = json.deserialize_seq(Items(&mut items)).and_then(|()| json.end());
    match read {
        Ok(()) => Ok(items),
        Err(e) => {
            let violation = Violation { field: String::new(), detail: format!("not JSON: {e}") };
            Err(refused(vec![(items.len(), violation.into())]))
        }
    }
}

/// Collects the items of a JSON array as they stand in the body; what was read before an error stays.
struct Items<'a, 'de>(&'a mut Vec<&'de [u8]>);

impl<'de> Visitor<'de> for Items<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            self.0.push(item.get().as_bytes());
        }
        Ok(())
    }
}

/// The members of a JSON object in their order; what was read before an error stays, with the name that the error came at.
struct Members<'a, V> {
    read: &'a mut Vec<(String, V)>,
    at: &'a mut String,
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for Members<'_, V> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            self.at.clone_from(&name);
            self.read.push((name, members.next_value()?));
        }
        self.at.clear();
        Ok(())
    }
}

/// The members of an object, or the name of the one that does not read.
pub(super) fn members<'a, V: Deserialize<'a>>(json: &'a [u8]) -> Result<Vec<(String, V)>, Violation> {
    let (mut read, mut at) = (Vec::new(), String::new());
    let mut reader = serde_json::Deserializer::from_slice(json);
    let ended = reader.deserialize_map(Members { read: &mut read, at: &mut at }).and_then(|()| reader.end());
    ended.map(|()| read).map_err(|e| Violation { field: at, detail: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_the_bytes_that_were_sent() {
        let body = br#" [ {"a": 1.50} , "x", [2 ,3] ] "#;
        let items = values(body).unwrap();
        assert_eq!(items, [&br#"{"a": 1.50}"#[..], br#""x""#, b"[2 ,3]"]);
        assert_eq!(lines(b"{}\r\n\n 1 \n"), [&b"{}"[..], b"1"]);
    }

    #[test]
    fn an_array_that_breaks_off_names_the_item_that_it_broke_at() {
        let problem = values(br#"[{"a":1},{"a":}]"#).unwrap_err();
        assert_eq!((problem.status, &problem.facts["index"]), (422, &1.into()));
    }
}
