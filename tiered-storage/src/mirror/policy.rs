//! When the mirror writes, and of which topics.

use std::time::Duration;

use crate::{TopicName, matches_pattern};

/// What to mirror, and when a file is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorPolicy {
    /// Patterns of topic names, with `*` for any text. A topic that none matches is not mirrored.
    pub topics: Vec<String>,
    /// How long a record waits to be mirrored. Where a topic has many quiet partitions, their small tails wait up to ten times as long.
    pub max_age: Duration,
    /// The size at which a data file is cut.
    pub max_bytes: u64,
    /// Join small files whenever there are some. If not, [`Mirror::compact`](super::Mirror::compact) does it when it is called.
    pub compacts: bool,
    /// Delete what nothing refers to, every few hours. If not, [`Mirror::clean_up`](super::Mirror::clean_up) does it when it is called.
    pub cleans: bool,
    /// While retention comes near what is not mirrored of a topic, its retention is raised, up to this. `None`: never.
    pub raise_retention_to: Option<Duration>,
}

impl Default for MirrorPolicy {
    fn default() -> Self {
        let topics = vec!["*".into()];
        MirrorPolicy {
            topics,
            max_age: Duration::from_secs(60),
            max_bytes: 128_000_000,
            compacts: true,
            cleans: true,
            raise_retention_to: None,
        }
    }
}

impl MirrorPolicy {
    /// True when the topic is mirrored.
    pub fn mirrors(&self, topic: &TopicName) -> bool {
        self.topics.iter().any(|pattern| matches_pattern(pattern, topic.as_str()))
    }
}
