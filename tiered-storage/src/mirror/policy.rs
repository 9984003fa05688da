//! When the mirror writes, and of which topics.

use std::time::Duration;

use crate::TopicName;

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
}

impl Default for MirrorPolicy {
    fn default() -> Self {
        let topics = vec!["*".into()];
        MirrorPolicy { topics, max_age: Duration::from_secs(60), max_bytes: 128_000_000, compacts: true, cleans: true }
    }
}

impl MirrorPolicy {
    /// True when the topic is mirrored.
    pub fn mirrors(&self, topic: &TopicName) -> bool {
        self.topics.iter().any(|pattern| matches(pattern, topic.as_str()))
    }
}

/// True when `name` is `pattern`, whose `*` stand for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).filter(|at| tail.is_char_boundary(*at)).any(|at| matches(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_any_text_for_its_star() {
        for (pattern, name, is) in [
            ("*", "ticks", true),
            ("ticks", "ticks", true),
            ("ticks", "ticks.eu", false),
            ("ticks*", "ticks.eu", true),
            ("*.eu", "ticks.eu", true),
            ("t*.*u", "ticks.eu", true),
            ("*.us", "ticks.eu", false),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
    }
}
