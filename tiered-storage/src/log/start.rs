//! Where a reader begins: what a job says, and the positions that it comes to.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Offset, Partition, Timestamp};

/// Where to begin in a topic. As JSON or TOML: `"beginning"`, `"end"`, an RFC 3339 time, or `{"0": 120, "1": 98}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub enum Start {
    /// At the earliest offset that either tier holds.
    #[default]
    Beginning,
    /// At the end, as it is when the start is resolved.
    End,
    /// In each partition at the first record whose timestamp is at or after that time.
    At(Timestamp),
    /// At these offsets; partitions that are not named begin at their beginning.
    Offsets(BTreeMap<Partition, Offset>),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Word(String),
    Offsets(BTreeMap<String, i64>),
}

impl Serialize for Start {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self {
            Start::Beginning => Written::Word("beginning".into()),
            Start::End => Written::Word("end".into()),
            Start::At(time) => Written::Word(time.to_string()),
            Start::Offsets(offsets) => {
                Written::Offsets(offsets.iter().map(|(p, o)| (p.to_string(), o.as_i64())).collect())
            }
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const WRITE: &str = "write `beginning`, `end`, an RFC 3339 time, or offsets by partition as in { \"0\" = 120 }";
        match Written::deserialize(deserializer).map_err(|_| D::Error::custom(WRITE))? {
            Written::Word(word) if word == "beginning" => Ok(Start::Beginning),
            Written::Word(word) if word == "end" => Ok(Start::End),
            Written::Word(word) => {
                word.parse().map(Start::At).map_err(|_| D::Error::custom(format!("`{word}` is no start: {WRITE}")))
            }
            Written::Offsets(offsets) => {
                let place = |(p, o): (String, i64)| Some((Partition(p.parse().ok()?), Offset::from_i64(o)?));
                let offsets = offsets.into_iter().map(place).collect::<Option<_>>();
                offsets.map(Start::Offsets).ok_or_else(|| D::Error::custom(WRITE))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_reads_back_as_it_was_written() {
        for text in [r#""beginning""#, r#""end""#, r#""2016-01-01T00:00:00Z""#, r#"{"0":120,"1":98}"#] {
            let start: Start = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&start).unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_start_is_refused_with_what_to_write() {
        for text in [r#""yesterday""#, "5", r#"{"0":-1}"#, r#"{"x":1}"#] {
            assert!(serde_json::from_str::<Start>(text).is_err(), "{text}");
        }
    }
}
