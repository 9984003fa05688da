//! A body of events, taken apart into records without copying the events.

use std::fmt;

use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use rekap_tiered_storage::{MAX_RECORD_BYTES, NewRecord, Partition, Refused, TopicWriter, Violation};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
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
        let made = if raw { raw_event(&bytes, writer) } else { writer.event(bytes) };
        made.map_err(|refusal| refused(index, &refusal))
    };
    events.into_iter().enumerate().map(record).collect()
}

/// One record of `?raw=true`. What the topic refuses as a whole is the value.
fn raw_event(json: &Bytes, writer: &TopicWriter) -> Result<NewRecord, Refused> {
    writer.raw(raw_record(json)?).map_err(|refusal| match refusal {
        Refused::Invalid(Violation { field, detail }) if field.is_empty() => wrong("value", detail).into(),
        refusal => refusal,
    })
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

/// The members of a JSON object in their order; what was read before an error stays, with the name that the error came at.
struct Members<'a, V> {
    read: &'a mut Vec<(String, V)>,
    at: &'a mut String,
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for Members<'_, V> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            self.at.clone_from(&name);
            self.read.push((name, members.next_value()?));
        }
        self.at.clear();
        Ok(())
    }
}

/// The members of an object, or the name of the one that does not read.
fn members<'a, V: Deserialize<'a>>(json: &'a [u8]) -> Result<Vec<(String, V)>, Violation> {
    let (mut read, mut at) = (Vec::new(), String::new());
    let mut reader = serde_json::Deserializer::from_slice(json);
    let ended = reader.deserialize_map(Members { read: &mut read, at: &mut at }).and_then(|()| reader.end());
    ended.map(|()| read).map_err(|e| Violation { field: at, detail: e.to_string() })
}

/// Reads one raw record: `{key?, value, headers?, timestamp?, partition?, encoding?}`.
fn raw_record(json: &Bytes) -> Result<NewRecord, Violation> {
    let fields: Vec<(String, &RawValue)> = members(json)?;
    let given = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, raw)| *raw);
    let base64 = match given("encoding").map(RawValue::get) {
        None | Some("null" | "\"utf8\"") => false,
        Some("\"base64\"") => true,
        Some(other) => return Err(wrong("encoding", format!("{other} is neither \"base64\" nor \"utf8\""))),
    };
    if given("value").is_none() {
        return Err(wrong("value", "is missing; null makes a tombstone".to_owned()));
    }
    let mut record = NewRecord { partition: None, key: None, value: None, headers: Vec::new(), timestamp: None };
    for (field, raw) in fields.iter().filter(|(_, raw)| raw.get() != "null") {
        match field.as_str() {
            "key" => record.key = Some(bytes_of(json, field, raw, base64)?),
            "value" => record.value = Some(bytes_of(json, field, raw, base64)?),
            "headers" => record.headers = headers(raw, base64)?,
            "timestamp" => record.timestamp = Some(read(field, raw, "an RFC 3339 time")?),
            "partition" => record.partition = Some(Partition(read(field, raw, "the number of a partition")?)),
            "encoding" => {}
            _ => {
                return Err(wrong(
                    field,
                    "is no part of a record: key, value, headers, timestamp, partition, encoding".to_owned(),
                ));
            }
        }
    }
    Ok(record)
}

/// A part of a record that is not what it should be.
fn wrong(field: &str, detail: String) -> Violation {
    Violation { field: field.to_owned(), detail }
}

/// One part of a record.
fn read<T: DeserializeOwned>(field: &str, raw: &RawValue, what: &str) -> Result<T, Violation> {
    serde_json::from_str(raw.get()).map_err(|_| wrong(field, format!("{raw} is not {what}")))
}

/// Headers in their order: an object, or a list of `{key, value}` where a name comes twice.
fn headers(raw: &RawValue, base64: bool) -> Result<Vec<(String, Option<Bytes>)>, Violation> {
    let what = "an object of texts, or a list of {\"key\", \"value\"}";
    let pairs: Vec<(String, Option<String>)> = if raw.get().starts_with('[') {
        let list: Vec<RawHeader> = read("headers", raw, what)?;
        list.into_iter().map(|header| (header.key, header.value)).collect()
    } else {
        members(raw.get().as_bytes()).map_err(|_| wrong("headers", format!("{raw} is not {what}")))?
    };
    let value = |text: String| if base64 { decode("headers", &text) } else { Ok(Bytes::from(text)) };
    pairs.into_iter().map(|(name, text)| Ok((name, text.map(value).transpose()?))).collect()
}

/// One header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader {
    key: String,
    value: Option<String>,
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
    }

    #[test]
    fn the_part_of_a_raw_record_that_is_wrong_is_named() {
        let cases = [
            (r#"{"key": "k"}"#, "value"),
            (r#"{"valeu": 1, "value": 2}"#, "valeu"),
            (r#"{"value": 1, "timestamp": "x"}"#, "timestamp"),
            (r#"{"value": 1, "partition": -1}"#, "partition"),
            (r#"{"value": 1, "encoding": "hex"}"#, "encoding"),
            (r#"{"value": 1, "headers": {"h": 5}}"#, "headers"),
            (r#"{"value": {"a": }}"#, "value"),
        ];
        for (json, field) in cases {
            let violation = raw_record(&Bytes::copy_from_slice(json.as_bytes())).unwrap_err();
            assert_eq!(violation.field, field, "{json}: {violation:?}");
        }
    }

    #[test]
    fn headers_keep_their_order() {
        let record = raw_record(&Bytes::from_static(br#"{"value": 1, "headers": {"h": "1", "g": null}}"#)).unwrap();
        assert_eq!(record.headers, [("h".to_owned(), Some(Bytes::from("1"))), ("g".to_owned(), None)]);
    }
}
