//! Where a replay begins when it is told. Pure.

use rekap_tiered_storage::{Positions, Start, TopicName};
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

/// Where a replay begins: the same for every input, or positions by topic. Inputs of other topics begin where the job says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayStart {
    /// `"beginning"`, `"end"`, a time, or offsets by partition.
    Each(Start),
    /// `{"ticks": {"0": 120}}`.
    Positions(Positions),
}

impl ReplayStart {
    /// Where an input begins that reads this topic; `None` is where the job says.
    pub(crate) fn of(&self, topic: &TopicName) -> Option<Start> {
        match self {
            ReplayStart::Each(start) => Some(start.clone()),
            ReplayStart::Positions(positions) => {
                let offsets = positions.of(topic).collect();
                positions.topics().any(|named| named == topic).then_some(Start::Offsets(offsets))
            }
        }
    }

    /// The topics that are named.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        let positions = match self {
            ReplayStart::Each(_) => None,
            ReplayStart::Positions(positions) => Some(positions),
        };
        positions.into_iter().flat_map(Positions::topics)
    }
}

impl<'de> Deserialize<'de> for ReplayStart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let by_topic = value.as_object().is_some_and(|all| !all.is_empty() && all.values().all(Value::is_object));
        if by_topic {
            Positions::deserialize(value).map(ReplayStart::Positions).map_err(D::Error::custom)
        } else {
            Start::deserialize(value).map(ReplayStart::Each).map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_for_each_input_or_by_topic() {
        let parse = |text: &str| serde_json::from_str::<ReplayStart>(text);
        let (ticks, other) = ("ticks".parse().unwrap(), "other".parse().unwrap());
        for text in [r#""beginning""#, r#"{"0":120}"#, r#""2016-01-01T00:00:00Z""#, "{}"] {
            let start = parse(text).unwrap();
            assert_eq!(start.of(&ticks).map(|start| serde_json::to_string(&start).unwrap()).as_deref(), Some(text));
        }
        let by_topic = parse(r#"{"ticks":{"0":120}}"#).unwrap();
        assert_eq!(by_topic.of(&ticks), Some(serde_json::from_str(r#"{"0":120}"#).unwrap()));
        assert_eq!(by_topic.of(&other), None);
        assert_eq!(by_topic.topics().collect::<Vec<_>>(), [&ticks]);
        for text in [r#"{"ticks":{"0":-1}}"#, r#"{"ticks":{"0":1},"1":2}"#, "5", r#"{"no topic":{"0":1}}"#] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
