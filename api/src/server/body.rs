//! A body of events, taken apart into records without copying the events.

use std::borrow::Cow;
use std::fmt;

use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use rekap_tiered_storage::{MAX_RECORD_BYTES, NewRecord, Partition, Refused, Timestamp, TopicWriter, Violation};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::Problem;

/// Newline-delimited JSON.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// The most records of one request: each costs some hundred bytes beside its own, and the request is one atomic append.
const MAX_RECORDS: usize = 1_000_000;

/// The records of a body, every one of them fit for the topic; else the first that is not.
pub(super) fn records(body: &Bytes, media: &str, raw: bool, writer: &TopicWriter) -> Result<Vec<NewRecord>, Problem> {
    let events = if media == NDJSON { lines(body) } else { values(body)? };
    if events.len() > MAX_RECORDS {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "TOO_MANY_RECORDS",
            format!("the body holds {} events", events.len()),
            format!("send at most {MAX_RECORDS} at once"),
        ));
    }
    if events.is_empty() {
        return Err(Problem::unprocessable("EMPTY_BODY", "the body holds no event", "send at least one"));
    }
    let record = |(index, event): (usize, &[u8])| {
        let bytes = body.slice_ref(event);
        let made = if raw {
            raw_record(&bytes).map_err(Refused::from).and_then(|record| writer.raw(record))
        } else {
            writer.event(bytes)
        };
        made.map_err(|refusal| refused(index, &refusal))
    };
    events.into_iter().enumerate().map(record).collect()
}

/// The lines that hold something.
fn lines(body: &[u8]) -> Vec<&[u8]> {
    body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect()
}

/// The items of an array, or the one value.
fn values(body: &[u8]) -> Result<Vec<&[u8]>, Problem> {
    let body = body.trim_ascii();
    if body.first() != Some(&b'[') {
        return Ok(if body.is_empty() { Vec::new() } else { vec![body] });
    }
    let mut items = Vec::new();
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = json.deserialize_seq(Items(&mut items)).and_then(|()| json.end());
    match read {
        Ok(()) => Ok(items),
        Err(e) => {
            let violation = Violation { field: String::new(), detail: format!("not JSON: {e}") };
            Err(refused(items.len(), &violation.into()))
        }
    }
}

/// Collects the items of a JSON array as they stand in the body; what was read before an error stays.
struct Items<'a, 'de>(&'a mut Vec<&'de [u8]>);

impl<'de> Visitor<'de> for Items<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            self.0.push(item.get().as_bytes());
        }
        Ok(())
    }
}

/// A record of `?raw=true`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecord<'a> {
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    /// It has to be there; null is a tombstone.
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow, default)]
    headers: Option<RawHeaders<'a>>,
    #[serde(default)]
    timestamp: Option<Timestamp>,
    #[serde(default)]
    partition: Option<u32>,
    #[serde(default)]
    encoding: Option<Encoding>,
}

/// How text stands for bytes.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Utf8,
    Base64,
}

/// Headers as an object, or as a list where a name comes twice.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawHeaders<'a> {
    List(Vec<RawHeader>),
    Object(#[serde(borrow)] std::collections::BTreeMap<Cow<'a, str>, Option<String>>),
}

/// One header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader {
    key: String,
    value: Option<String>,
}

/// Reads one raw record.
fn raw_record(json: &Bytes) -> Result<NewRecord, Violation> {
    let raw: RawRecord<'_> = serde_json::from_slice(json).map_err(|e| unfit(&e))?;
    let base64 = raw.encoding == Some(Encoding::Base64);
    let part = |field: &str, part: Option<&RawValue>| part.map(|part| bytes_of(json, field, part, base64)).transpose();
    let header = |(name, value): (String, Option<String>)| {
        let value = value.map(|text| if base64 { decode("headers", &text) } else { Ok(Bytes::from(text)) });
        Ok((name, value.transpose()?))
    };
    let headers: Vec<(String, Option<String>)> = match raw.headers {
        None => Vec::new(),
        Some(RawHeaders::List(list)) => list.into_iter().map(|header| (header.key, header.value)).collect(),
        Some(RawHeaders::Object(map)) => map.into_iter().map(|(name, value)| (name.into_owned(), value)).collect(),
    };
    Ok(NewRecord {
        partition: raw.partition.map(Partition),
        key: part("key", raw.key)?,
        value: part("value", (raw.value.get() != "null").then_some(raw.value))?,
        headers: headers.into_iter().map(header).collect::<Result<_, Violation>>()?,
        timestamp: raw.timestamp,
    })
}

/// JSON that is no raw record; serde names the field between backticks where it knows it.
fn unfit(error: &serde_json::Error) -> Violation {
    let detail = error.to_string();
    let field = detail.split('`').nth(1).filter(|_| detail.contains("field `")).unwrap_or("").to_owned();
    Violation { field, detail }
}

/// A string's text (or what its base64 stands for); all other JSON is kept as it was sent.
fn bytes_of(body: &Bytes, field: &str, part: &RawValue, base64: bool) -> Result<Bytes, Violation> {
    let json = part.get();
    if !json.starts_with('"') {
        return Ok(body.slice_ref(json.as_bytes()));
    }
    let text: String = serde_json::from_str(json).expect("a raw value that begins as a string is one");
    if base64 { decode(field, &text) } else { Ok(Bytes::from(text)) }
}

/// The bytes that base64 stands for.
fn decode(field: &str, text: &str) -> Result<Bytes, Violation> {
    let invalid = |e: base64::DecodeError| Violation { field: field.to_owned(), detail: format!("no base64: {e}") };
    BASE64_STANDARD.decode(text).map(Bytes::from).map_err(invalid)
}

/// The refusal of the record at `index`: nothing was appended.
fn refused(index: usize, refusal: &Refused) -> Problem {
    let problem = match refusal {
        Refused::TooLarge { .. } => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RECORD_TOO_LARGE",
            format!("record {index}: {refusal}; nothing was appended"),
            "keep large values elsewhere and send where they are",
        )
        .with("limit_bytes", MAX_RECORD_BYTES),
        Refused::Invalid(Violation { field, detail }) => {
            let place = if field.is_empty() { String::new() } else { format!(", field `{field}`") };
            Problem::unprocessable(
                "INVALID_RECORD",
                format!("record {index}{place}: {detail}; nothing was appended"),
                "correct that record and send the request again",
            )
            .with("field", field.as_str())
        }
    };
    problem.with("index", index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_the_bytes_that_were_sent() {
        let body = br#" [ {"a": 1.50} , "x", [2 ,3] ] "#;
        let items = values(body).unwrap();
        assert_eq!(items, [&br#"{"a": 1.50}"#[..], br#""x""#, b"[2 ,3]"]);
        assert_eq!(lines(b"{}\r\n\n 1 \n"), [&b"{}"[..], b"1"]);
    }

    #[test]
    fn an_array_that_breaks_off_names_the_item_that_it_broke_at() {
        let problem = values(br#"[{"a":1},{"a":}]"#).unwrap_err();
        assert_eq!((problem.status, &problem.facts["index"]), (422, &1.into()));
    }

    #[test]
    fn a_raw_record_may_hold_text_base64_or_json() {
        let of = |json: &str| raw_record(&Bytes::copy_from_slice(json.as_bytes()));
        assert_eq!(of(r#"{"value": {"a": 1}}"#).unwrap().value.unwrap(), r#"{"a": 1}"#);
        assert_eq!(of(r#"{"key": "k", "value": "{\"a\":1}"}"#).unwrap().value.unwrap(), r#"{"a":1}"#);
        assert_eq!(of(r#"{"value": "AAE=", "encoding": "base64"}"#).unwrap().value.unwrap(), &b"\x00\x01"[..]);
        assert_eq!(of(r#"{"key": "k", "value": null}"#).unwrap().value, None);
        assert_eq!(of(r#"{"value": "!", "encoding": "base64"}"#).unwrap_err().field, "value");
        assert_eq!(of(r#"{"key": "k"}"#).unwrap_err().field, "value");
        assert_eq!(of(r#"{"valeu": 1, "value": 2}"#).unwrap_err().field, "valeu");
    }
}
