//! What a schema says of one field, where that is little.

use serde_json::{Map, Value};

use super::SAYS_NOTHING;
use crate::schema::{Validator, compile};

/// Bounds below this compare exactly with every number, however it is written.
const MAX_BOUND: f64 = 9_007_199_254_740_992.0;

/// One field of an event.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    pub(super) check: Check,
    /// Which part of the record key it is.
    pub(super) key: Option<usize>,
}

impl AsRef<str> for Field {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

/// What a field's value must be.
#[derive(Debug)]
pub(super) enum Check {
    Integer(Bounds),
    Number(Bounds),
    Boolean,
    Text(Text),
    /// An RFC 3339 time.
    Time,
    /// Any JSON.
    Anything,
    /// What a validator of its own says; the column may hold less.
    Other(Validator),
}

/// The least and the greatest number that passes.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    least: Option<Bound>,
    greatest: Option<Bound>,
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    number: f64,
    exclusive: bool,
}

/// The strings that pass.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// In characters.
    min_length: usize,
    max_length: Option<usize>,
    one_of: Option<Vec<Box<str>>>,
    /// What says the rest, as a pattern does.
    rest: Option<Validator>,
}

impl Field {
    /// The field that `says` tells of; `None` where its schema refers to something outside of itself.
    pub(super) fn new(name: &str, says: &Value, dialect: Option<&Value>) -> Option<Self> {
        if refers(says) {
            return None;
        }
        let check = match says {
            Value::Bool(true) => Check::Anything,
            Value::Object(says) => plain(says, dialect).or_else(|| alone(says, dialect).map(Check::Other))?,
            _ => return None,
        };
        Some(Field { name: name.into(), check, key: None })
    }
}

impl Check {
    /// Whether a value that passed has one text, whatever way it was written: only then can a key be made from what was read.
    pub(super) fn tells_its_text(&self) -> bool {
        matches!(self, Check::Integer(_) | Check::Boolean | Check::Text(_) | Check::Time)
    }

    /// Whether values pass that do not fit into the column.
    pub(super) fn admits_more_than_its_column(&self) -> bool {
        matches!(self, Check::Other(_))
    }
}

/// The check of a field whose schema is one of the plain ones.
fn plain(says: &Map<String, Value>, dialect: Option<&Value>) -> Option<Check> {
    match says.get("type").and_then(Value::as_str) {
        Some("integer") => bounds(says).map(Check::Integer),
        Some("number") => bounds(says).map(Check::Number),
        Some("boolean") => only(says, &["type"]).then_some(Check::Boolean),
        Some("string") if says.get("format").and_then(Value::as_str) == Some("date-time") => {
            only(says, &["type", "format"]).then_some(Check::Time)
        }
        Some("string") => text(says, dialect).map(Check::Text),
        None if only(says, &[]) => Some(Check::Anything),
        _ => None,
    }
}

fn bounds(says: &Map<String, Value>) -> Option<Bounds> {
    if !only(says, &["type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]) {
        return None;
    }
    let bound = |inclusive: &str, exclusive: &str| -> Option<Option<Bound>> {
        let read = |word: &str, exclusive| {
            let number = says.get(word).map(|value| value.as_f64().filter(|number| number.abs() < MAX_BOUND));
            number.map(|number| number.map(|number| Bound { number, exclusive }))
        };
        match (read(inclusive, false), read(exclusive, true)) {
            (None, None) => Some(None),
            (Some(bound), None) | (None, Some(bound)) => bound.map(Some),
            (Some(_), Some(_)) => None,
        }
    };
    Some(Bounds { least: bound("minimum", "exclusiveMinimum")?, greatest: bound("maximum", "exclusiveMaximum")? })
}

fn text(says: &Map<String, Value>, dialect: Option<&Value>) -> Option<Text> {
    if !only(says, &["type", "minLength", "maxLength", "enum", "const"]) {
        return Some(Text { rest: Some(alone(says, dialect)?), ..Text::default() });
    }
    let length = |word: &str| says.get(word).map(|value| usize::try_from(value.as_u64()?).ok());
    let list = |word: &str| says.get(word).map(|value| value.as_array().map_or(std::slice::from_ref(value), |all| all));
    let texts = |values: &[Value]| values.iter().map(|value| value.as_str().map(Box::from)).collect::<Option<Vec<_>>>();
    let one_of = match (list("enum"), says.get("const")) {
        (None, None) => None,
        (Some(values), None) => Some(texts(values)?),
        (None, Some(value)) => Some(texts(std::slice::from_ref(value))?),
        (Some(_), Some(_)) => return None,
    };
    let max_length = match length("maxLength") {
        Some(length) => Some(length?),
        None => None,
    };
    Some(Text { min_length: length("minLength").unwrap_or(Some(0))?, max_length, one_of, rest: None })
}

/// True when the schema says nothing but `words`, and what says nothing.
fn only(says: &Map<String, Value>, words: &[&str]) -> bool {
    says.keys().all(|word| words.contains(&word.as_str()) || SAYS_NOTHING.contains(&word.as_str()))
}

/// A validator of one field's schema under the dialect of the whole.
fn alone(says: &Map<String, Value>, dialect: Option<&Value>) -> Option<Validator> {
    let mut says = says.clone();
    if let Some(dialect) = dialect {
        says.insert("$schema".to_owned(), dialect.clone());
    }
    compile(&Value::Object(says)).ok()
}

/// True when a schema names another, or has a name that others could use.
fn refers(says: &Value) -> bool {
    match says {
        Value::Object(says) => says.iter().any(|(word, value)| word.starts_with('$') || refers(value)),
        Value::Array(items) => items.iter().any(refers),
        _ => false,
    }
}

impl Bounds {
    pub(super) fn admit(&self, number: f64) -> bool {
        let above =
            self.least.is_none_or(|bound| number > bound.number || (!bound.exclusive && number == bound.number));
        let below =
            self.greatest.is_none_or(|bound| number < bound.number || (!bound.exclusive && number == bound.number));
        above && below
    }
}

impl Text {
    pub(super) fn admit(&self, text: &str) -> bool {
        if self.min_length > 0 || self.max_length.is_some() {
            let length = text.chars().count();
            if length < self.min_length || self.max_length.is_some_and(|max| length > max) {
                return false;
            }
        }
        self.one_of.as_ref().is_none_or(|texts| texts.iter().any(|one| **one == *text))
            && self.rest.as_ref().is_none_or(|rest| rest.check(&Value::String(text.to_owned())).is_ok())
    }
}

/// True for a time as nearly everybody writes it: `2024-05-06T06:02:00Z`, with a fraction and an offset or without.
pub(super) fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u32> {
        bytes
            .get(from..to)?
            .iter()
            .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    };
    let separated = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if bytes.len() < 20 || separated.iter().any(|(at, byte)| bytes[*at] != *byte) {
        return false;
    }
    let date = (number(0, 4), number(5, 7), number(8, 10));
    let (Some(year @ 1..), Some(month @ 1..=12), Some(day @ 1..)) = date else { return false };
    let (Some(0..=23), Some(0..=59), Some(0..=59)) = (number(11, 13), number(14, 16), number(17, 19)) else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
    let zone = match bytes[19] {
        b'.' => 20 + bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
        _ => 19,
    };
    let fraction = matches!(zone, 19 | 21..=29);
    let offset = match bytes.get(zone..) {
        Some(b"Z") => true,
        Some([b'+' | b'-', _, _, b':', _, _]) => {
            matches!((number(zone + 1, zone + 3), number(zone + 4, zone + 6)), (Some(0..=23), Some(0..=59)))
        }
        _ => false,
    };
    day <= days && fraction && offset
}
