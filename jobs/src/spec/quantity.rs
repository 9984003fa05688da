//! Durations, sizes and shares as people write them: `10m`, `400 days`, `128MB`, `5%`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Units of time, the largest first, with their length in ms.
const TIME_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size in bytes: powers of ten, and of two with an `i`.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A duration as written in a file: a number and `ms`, `s`, `m`, `h`, `d` or `days`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

/// A share as written in a file: a number from 0 to 100 and `%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(f64);

/// Text that is no quantity of that kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {kind}: write {example}")]
pub struct InvalidQuantity {
    /// What was written.
    pub text: String,
    /// What it should have been.
    pub kind: &'static str,
    /// What would do.
    pub example: &'static str,
}

/// The number and the unit of `text`: `400 days` is `("400", "days")`.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// A duration: a number and `ms`, `s`, `m`, `h`, `d` (or `days`).
pub fn parse_duration(text: &str) -> Result<Duration, InvalidQuantity> {
    let wrong = || InvalidQuantity {
        text: text.to_owned(),
        kind: "duration",
        example: "a number and ms, s, m, h or d, as in `10m` or `400 days`",
    };
    let (number, unit) = split(text);
    let unit = if matches!(unit, "day" | "days") { "d" } else { unit };
    let (_, ms) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(*ms).map(Duration::from_millis).ok_or_else(wrong)
}

/// A size in bytes: a number and `B`, `kB`, `MB`, `GB`, `TB` (powers of ten), `KiB`, `MiB` or `GiB` (powers of two).
pub fn parse_bytes(text: &str) -> Result<u64, InvalidQuantity> {
    let wrong = || InvalidQuantity {
        text: text.to_owned(),
        kind: "size",
        example: "a number and a unit, as in `128MB` (10^6 bytes each) or `64MiB` (2^20)",
    };
    let (number, unit) = split(text);
    let bytes = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes);
    let bytes = bytes.or((unit.is_empty()).then_some(1)).ok_or_else(wrong)?;
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(bytes)).ok_or_else(wrong)
}

impl Percent {
    /// The share of the whole, 0 to 1: `5%` is 0.05.
    pub fn share(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Percent {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        number.filter(|n| (0.0..=100.0).contains(n)).map(Percent).ok_or_else(|| InvalidQuantity {
            text: text.to_owned(),
            kind: "percentage",
            example: "a number from 0 to 100 and `%`, as in `5%`",
        })
    }
}

impl TryFrom<String> for Percent {
    type Error = InvalidQuantity;

    fn try_from(text: String) -> Result<Self, InvalidQuantity> {
        text.parse()
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> String {
        percent.to_string()
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for Span {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        parse_duration(text).map(Span)
    }
}

impl TryFrom<String> for Span {
    type Error = InvalidQuantity;

    fn try_from(text: String) -> Result<Self, InvalidQuantity> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

/// In the largest unit that needs no fraction, so that equal spans read alike: `24h` and `1d` are both `1d`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis() as u64;
        let (unit, length) =
            TIME_UNITS.iter().find(|(_, length)| ms > 0 && ms.is_multiple_of(*length)).unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", ms / length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_in_every_unit() {
        let ms = |text: &str| parse_duration(text).unwrap().as_millis();
        assert_eq!(
            [ms("5ms"), ms("5s"), ms("10m"), ms("24h"), ms("400 days"), ms("2d")],
            [5, 5_000, 600_000, 86_400_000, 34_560_000_000, 172_800_000]
        );
    }

    #[test]
    fn equal_spans_are_written_alike() {
        let text = |text: &str| text.parse::<Span>().unwrap().to_string();
        assert_eq!([text("24h"), text("1 day"), text("90s"), text("0s")], ["1d", "1d", "90s", "0ms"]);
    }

    #[test]
    fn sizes_count_in_tens_or_in_twos() {
        assert_eq!(parse_bytes("128MB"), Ok(128_000_000));
        assert_eq!(parse_bytes("1 MiB"), Ok(1_048_576));
        assert_eq!(parse_bytes("17"), Ok(17));
    }

    #[test]
    fn what_is_no_quantity_is_named() {
        for text in ["", "m", "5", "-1s", "5 weeks", "1.5h", "99999999999999999999d"] {
            assert_eq!(parse_duration(text).unwrap_err().text, text);
        }
        for text in ["MB", "-1MB", "5 parsecs"] {
            assert_eq!(parse_bytes(text).unwrap_err().text, text);
        }
        for text in ["5", "-1%", "101%", "x%"] {
            assert_eq!(text.parse::<Percent>().unwrap_err().text, text);
        }
        assert_eq!("7%".parse::<Percent>().unwrap().to_string(), "7%");
    }
}
