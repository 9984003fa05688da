//! Durations and sizes as people write them: a number and a unit.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// The units of time, in ms.
const TIMES: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("day", 86_400_000),
    ("days", 86_400_000),
];

/// The units of size, in bytes: decimal and binary ones.
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// A whole number and one of `units`, with or without a blank between them.
fn measure(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// `"60s"`, `"400 days"`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    measure(text, TIMES).map(Duration::from_millis)
}

/// Reads `"60s"`.
pub(super) fn duration<'de, D: Deserializer<'de>>(text: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(text)?;
    parse_duration(&text)
        .ok_or_else(|| D::Error::custom(format!("`{text}` is no duration: write 500ms, 60s, 10m, 24h or 7d")))
}

/// Reads `"128MB"`.
pub(super) fn bytes<'de, D: Deserializer<'de>>(text: D) -> Result<u64, D::Error> {
    let text = String::deserialize(text)?;
    measure(&text, SIZES)
        .ok_or_else(|| D::Error::custom(format!("`{text}` is no size: write 512KB, 128MB (10^6) or 1GiB (2^30)")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_what_it_says() {
        assert_eq!(parse_duration("400 days"), Some(Duration::from_secs(400 * 86_400)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!((measure("1MB", SIZES), measure("1 MiB", SIZES)), (Some(1_000_000), Some(1 << 20)));
    }

    #[test]
    fn a_bare_number_a_sign_and_an_unknown_unit_are_refused() {
        for text in ["5", "-5s", "5 weeks", "s", "", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
