//! One plain value, on its way from a record into a column or into JSON text.

use std::fmt::Write as _;

use super::codec::Detail;
use super::sink::{Sink, TimeText, Values};
use crate::Timestamp;

/// A plain value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Boolean(bool),
    Bigint(i64),
    Double(f64),
    Text(&'a str),
    Binary(&'a [u8]),
    /// Microseconds since 1970.
    Micros(i64),
}

impl Sink {
    /// Adds a plain value. Which types meet was checked when the decoder was made; what is left are numbers that are no time.
    pub(super) fn put(&mut self, scalar: Scalar<'_>) -> Result<(), Detail> {
        let keep = self.keep();
        match (&mut self.values, scalar) {
            (Values::Boolean(values), Scalar::Boolean(value)) if keep => values.append(value),
            (Values::Bigint(values), Scalar::Bigint(value)) if keep => values.push(value),
            (Values::Double(values), Scalar::Double(value)) if keep => values.push(value),
            (Values::Text(texts), Scalar::Text(value)) if keep => texts.push(value),
            (Values::Binary(texts), Scalar::Binary(value)) if keep => texts.push_bytes(value),
            (Values::Time(TimeText::Rfc3339, values), Scalar::Micros(value)) if keep => values.push(value),
            (Values::Time(TimeText::Number { per_second }, values), Scalar::Bigint(value)) => {
                let micros = value.checked_mul(1_000_000 / *per_second);
                let micros = micros.ok_or_else(|| format!("{value} is no time"))?;
                if keep {
                    values.push(micros);
                }
            }
            (Values::Boolean(_), Scalar::Boolean(_))
            | (Values::Bigint(_), Scalar::Bigint(_))
            | (Values::Double(_), Scalar::Double(_))
            | (Values::Text(_), Scalar::Text(_))
            | (Values::Binary(_), Scalar::Binary(_))
            | (Values::Time(TimeText::Rfc3339, _), Scalar::Micros(_)) => {}
            (_, other) => return Err(format!("{other:?} does not fit into the column").into()),
        }
        self.close();
        Ok(())
    }

    /// Adds a value as the JSON that it is; `null` is NULL.
    pub(super) fn put_json(&mut self, json: &str) {
        if json == "null" {
            return self.push_null();
        }
        if self.keep()
            && let Values::Json(texts) = &mut self.values
        {
            texts.push(json);
        }
        self.close();
    }
}

impl Scalar<'_> {
    /// Writes the value as JSON: bytes in base64, times in RFC 3339, numbers that JSON does not have by their names.
    pub(super) fn write_json(self, json: &mut String) {
        use base64::Engine as _;
        // Writing to a string never fails.
        let _ = match self {
            Scalar::Boolean(value) => write!(json, "{value}"),
            Scalar::Bigint(value) => write!(json, "{value}"),
            Scalar::Double(value) => match serde_json::Number::from_f64(value) {
                Some(number) => write!(json, "{number}"),
                None if value.is_nan() => write!(json, "\"NaN\""),
                None => write!(json, "\"{}Infinity\"", if value < 0.0 { "-" } else { "" }),
            },
            Scalar::Text(text) => write!(json, "{}", serde_json::Value::from(text)),
            Scalar::Binary(bytes) => write!(json, "\"{}\"", base64::prelude::BASE64_STANDARD.encode(bytes)),
            Scalar::Micros(micros) => write!(json, "\"{}\"", Timestamp::from_micros(micros)),
        };
    }
}

/// `2024-01-31` of a number of days since 1970.
pub(super) fn date(days: i32) -> Result<String, Detail> {
    let time = chrono::DateTime::from_timestamp(i64::from(days) * 86_400, 0);
    Ok(time.ok_or_else(|| format!("{days} is no day"))?.date_naive().to_string())
}

/// The longest decimal that is read: about 300 digits.
const MAX_DECIMAL_BYTES: usize = 128;

/// `-12.34` of a number's two's complement, most significant byte first, and its digits behind the point.
pub(super) fn decimal(bytes: &[u8], scale: u32) -> Result<String, Detail> {
    if bytes.len() > MAX_DECIMAL_BYTES {
        return Err(format!("a decimal of {} bytes; at most {MAX_DECIMAL_BYTES} are read", bytes.len()).into());
    }
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if negative {
        magnitude.iter_mut().for_each(|byte| *byte = !*byte);
        for byte in magnitude.iter_mut().rev() {
            let (sum, carried) = byte.overflowing_add(1);
            *byte = sum;
            if !carried {
                break;
            }
        }
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let rest = magnitude.iter_mut().fold(0u32, |rest, byte| {
            let part = rest << 8 | u32::from(*byte);
            *byte = (part / 10) as u8;
            part % 10
        });
        digits.push(b'0' + rest as u8);
    }
    let scale = scale as usize;
    digits.resize(digits.len().max(scale + 1), b'0');
    digits.reverse();
    let mut text = String::from_utf8(digits).expect("digits are ASCII");
    if scale > 0 {
        text.insert(text.len() - scale, '.');
    }
    if negative {
        text.insert(0, '-');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_written_with_all_its_digits() {
        let of = |number: i128, scale| decimal(&number.to_be_bytes(), scale).unwrap();
        assert_eq!(
            (of(1234, 2), of(-1234, 2), of(5, 2), of(-5, 0), of(0, 3)),
            ("12.34".into(), "-12.34".into(), "0.05".into(), "-5".into(), "0.000".into())
        );
        assert_eq!(of(i128::MIN, 0), i128::MIN.to_string());
        assert_eq!(decimal(&[0xff], 1).unwrap(), "-0.1");
        assert_eq!(decimal(&[], 1).unwrap(), "0.0");
        assert!(decimal(&[1; 200], 1).is_err());
    }

    #[test]
    fn a_day_is_written_as_a_date() {
        assert_eq!((date(0).unwrap(), date(-1).unwrap()), ("1970-01-01".into(), "1969-12-31".into()));
        assert!(date(i32::MAX).is_err());
    }
}
