//! Which events: `job.promoted`, `job.*`, `*`.

use std::fmt;
use std::str::FromStr;

/// What a pattern looks like, for those who wrote another one.
const EXAMPLE: &str = "write a type such as \"job.promoted\", all of a kind as \"version.*\", or \"*\"";

/// A type of event, all types of a kind, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Every event.
    All,
    /// Every event of a kind.
    Kind(String),
    /// One type.
    Type(String),
}

impl Pattern {
    /// True for an event of that type.
    pub(crate) fn matches(&self, kind: &str) -> bool {
        match self {
            Pattern::All => true,
            Pattern::Kind(first) => kind.split_once('.').is_some_and(|(kind, _)| kind == first),
            Pattern::Type(name) => kind == name,
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        match text.split_once('.') {
            None if text == "*" => Ok(Pattern::All),
            Some((kind, "*")) if word(kind) => Ok(Pattern::Kind(kind.to_owned())),
            Some((kind, name)) if word(kind) && word(name) => Ok(Pattern::Type(text.to_owned())),
            _ => Err(format!("`{text}` is no type of event; {EXAMPLE}")),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::All => f.write_str("*"),
            Pattern::Kind(kind) => write!(f, "{kind}.*"),
            Pattern::Type(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_type_a_kind_or_all() {
        let matches = |pattern: &str, kind| pattern.parse::<Pattern>().unwrap().matches(kind);
        assert!(matches("job.promoted", "job.promoted") && !matches("job.promoted", "job.promoted_again"));
        assert!(
            matches("job.*", "job.rolled_back") && !matches("job.*", "jobs.x") && !matches("job.*", "version.failed")
        );
        assert!(matches("*", "topic.created"));
        for wrong in ["", "job", "job.", ".promoted", "Job.promoted", "job.promoted.x", "*.failed", "job.pro*"] {
            assert!(wrong.parse::<Pattern>().unwrap_err().contains("job.promoted"), "{wrong}");
        }
    }
}
