//! A vector of positions: for each topic-partition the next offset to be read.
//!
//! Tables are at a position, the mirror is at a position, a target is a position. "Caught up", "verified at" and "no reader goes
//! back in time" are comparisons of these vectors, never counts of rows or clocks.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Offset, Partition, TopicName};

/// For each topic-partition the next offset to be read. A partition that is absent has no position yet: nothing is known of it.
///
/// As JSON: `{"ticks": {"0": 120, "1": 98}}`. As text, in headers and query parameters: `ticks/0=120,ticks/1=98`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Positions(BTreeMap<TopicName, BTreeMap<Partition, Offset>>);

impl Positions {
    /// No position at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next offset to be read of that partition.
    pub fn get(&self, topic: &TopicName, partition: Partition) -> Option<Offset> {
        self.0.get(topic)?.get(&partition).copied()
    }

    /// Sets the next offset to be read of that partition.
    pub fn set(&mut self, topic: &TopicName, partition: Partition, next: Offset) {
        self.0.entry(topic.clone()).or_default().insert(partition, next);
    }

    /// Every position, by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicName, Partition, Offset)> {
        self.0.iter().flat_map(|(topic, partitions)| partitions.iter().map(move |(p, next)| (topic, *p, *next)))
    }

    /// The topics that have a position.
    pub fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.0.keys()
    }

    /// The positions in one topic, by partition.
    pub fn of(&self, topic: &TopicName) -> impl Iterator<Item = (Partition, Offset)> {
        self.0.get(topic).into_iter().flatten().map(|(p, next)| (*p, *next))
    }

    /// True when no partition has a position.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeMap::is_empty)
    }

    /// True when every partition of `target` has reached its position there. A partition that is not here stands at its beginning.
    pub fn reached(&self, target: &Positions) -> bool {
        self.missing(target).next().is_none()
    }

    /// The partitions of `target` that are not yet at their position there, each with the position here (if any) and the target.
    pub fn missing<'a>(
        &'a self,
        target: &'a Positions,
    ) -> impl Iterator<Item = (&'a TopicName, Partition, Option<Offset>, Offset)> {
        target.iter().filter_map(|(topic, partition, wanted)| {
            let here = self.get(topic, partition);
            (here.unwrap_or(Offset::ZERO) < wanted).then_some((topic, partition, here, wanted))
        })
    }

    /// The positions of those partitions that `other` has too.
    pub fn shared_with(&self, other: &Positions) -> Positions {
        self.iter().filter(|(topic, partition, _)| other.get(topic, *partition).is_some()).collect()
    }

    /// The greater of both positions for every partition that either has.
    pub fn max(&self, other: &Positions) -> Positions {
        let mut greater = self.clone();
        for (topic, partition, next) in other.iter() {
            let here = greater.get(topic, partition).unwrap_or(Offset::ZERO);
            greater.set(topic, partition, here.max(next));
        }
        greater
    }

    /// How many offsets lie between here and `target`, over the partitions that `target` is ahead in.
    pub fn distance_to(&self, target: &Positions) -> u64 {
        self.missing(target).map(|(_, _, here, wanted)| wanted.since(here.unwrap_or(Offset::ZERO))).sum()
    }
}

impl<'a> FromIterator<(&'a TopicName, Partition, Offset)> for Positions {
    fn from_iter<I: IntoIterator<Item = (&'a TopicName, Partition, Offset)>>(positions: I) -> Self {
        let mut all = Positions::new();
        for (topic, partition, next) in positions {
            all.set(topic, partition, next);
        }
        all
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (topic, partition, next)) in self.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{topic}/{partition}={next}")?;
        }
        Ok(())
    }
}

/// Text that is no vector of positions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no position: write `topic/partition=offset`, joined by commas, as in `ticks/0=120,ticks/1=98`")]
pub struct InvalidPositions(pub String);

impl FromStr for Positions {
    type Err = InvalidPositions;

    fn from_str(text: &str) -> Result<Self, InvalidPositions> {
        let one = |item: &str| -> Option<(TopicName, Partition, Offset)> {
            let (place, next) = item.trim().split_once('=')?;
            let (topic, partition) = place.rsplit_once('/')?;
            let next = next.parse::<i64>().ok().and_then(Offset::from_i64)?;
            Some((topic.parse().ok()?, Partition(partition.parse().ok()?), next))
        };
        let mut positions = Positions::new();
        for item in text.split(',').filter(|item| !item.trim().is_empty()) {
            let (topic, partition, next) = one(item).ok_or_else(|| InvalidPositions(item.trim().to_owned()))?;
            positions.set(&topic, partition, next);
        }
        Ok(positions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Positions {
        text.parse().unwrap()
    }

    #[test]
    fn a_position_reads_back_as_it_was_written() {
        let both = at("ticks/0=120,ticks/1=98,trades.eu/7=0");
        assert_eq!(both.to_string().parse(), Ok(both.clone()));
        assert_eq!(serde_json::to_string(&both).unwrap(), r#"{"ticks":{"0":120,"1":98},"trades.eu":{"7":0}}"#);
    }

    #[test]
    fn a_target_is_reached_only_when_each_of_its_partitions_is() {
        assert!(at("t/0=5,t/1=9").reached(&at("t/0=5")));
        assert!(!at("t/0=5").reached(&at("t/0=5,t/1=1")));
        assert!(
            at("t/0=5").reached(&at("t/0=5,t/1=0")),
            "a partition of which nothing was read stands at its beginning"
        );
        assert_eq!(at("t/0=5").distance_to(&at("t/0=8,t/1=4")), 7);
    }

    #[test]
    fn the_greater_position_wins_partition_by_partition() {
        assert_eq!(at("t/0=5,t/1=9").max(&at("t/0=7,u/0=1")), at("t/0=7,t/1=9,u/0=1"));
        assert_eq!(at("t/0=5,t/1=9").shared_with(&at("t/1=1,u/0=1")), at("t/1=9"));
    }

    #[test]
    fn what_is_no_position_is_named() {
        assert_eq!("t/0=5,t/x=1".parse::<Positions>(), Err(InvalidPositions("t/x=1".into())));
        assert_eq!("t/0=-1".parse::<Positions>(), Err(InvalidPositions("t/0=-1".into())));
    }
}
