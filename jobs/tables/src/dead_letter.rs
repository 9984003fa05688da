//! Records that could not become part of a table, kept with the reason.

use rekap_tiered_storage::{Offset, Partition, TopicName};
use serde::{Deserialize, Serialize};

/// A record that could not be decoded, or on which an expression failed. It is kept once, however often its range is read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The input of the job that read the record.
    pub input: String,
    /// The topic that the record stands in.
    pub topic: TopicName,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// The stable code of the reason.
    pub code: String,
    /// The reason, for people.
    pub detail: String,
    /// The record's value: text, or base64 where it is not UTF-8; null for a tombstone.
    #[serde(with = "value", flatten)]
    pub value: Option<Vec<u8>>,
}

mod value {
    //! A record's value as `value` and `encoding`, as everywhere in the API.

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Serialize, Deserialize)]
    struct Shown {
        value: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        encoding: Option<String>,
    }

    pub(super) fn serialize<S: Serializer>(value: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = match value.as_deref().map(std::str::from_utf8) {
            None => Shown { value: None, encoding: None },
            Some(Ok(text)) => Shown { value: Some(text.to_owned()), encoding: None },
            Some(Err(_)) => {
                Shown { value: value.as_ref().map(|v| STANDARD.encode(v)), encoding: Some("base64".into()) }
            }
        };
        shown.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let Shown { value, encoding } = Shown::deserialize(deserializer)?;
        match (value, encoding.as_deref()) {
            (None, _) => Ok(None),
            (Some(text), None) => Ok(Some(text.into_bytes())),
            (Some(text), Some("base64")) => STANDARD.decode(text).map(Some).map_err(D::Error::custom),
            (Some(_), Some(other)) => Err(D::Error::custom(format!("unknown encoding `{other}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_keeps_its_bytes_whatever_they_are() {
        for value in [None, Some(b"{\"price\": \"x\"".to_vec()), Some(vec![0xff, 0x00, 0xfe])] {
            let letter = DeadLetter {
                input: "ticks".into(),
                topic: "ticks.eu".parse().unwrap(),
                partition: Partition(2),
                offset: Offset::new(7),
                code: "UNDECODABLE".into(),
                detail: "`price` is text".into(),
                value,
            };
            let json = serde_json::to_string(&letter).unwrap();
            assert_eq!(serde_json::from_str::<DeadLetter>(&json).unwrap(), letter);
        }
    }
}
