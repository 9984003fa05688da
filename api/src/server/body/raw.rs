//! Records whose parts the producer gives: `?raw=true`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use rekap_tiered_storage::{NewRecord, Partition, Refused, TopicWriter, Violation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::json::members;

/// One record of `?raw=true`. What the topic refuses as a whole is the value.
pub(super) fn raw_event(json: &Bytes, writer: &TopicWriter) -> Result<NewRecord, Refused> {
    writer.raw(raw_record(json)?).map_err(|refusal| match refusal {
        Refused::Invalid(Violation { field, detail }) if field.is_empty() => wrong("value", detail).into(),
        refusal => refusal,
    })
}

/// Reads one raw record: `{key?, value, headers?, timestamp?, partition?, encoding?}`.
fn raw_record(json: &Bytes) -> Result<NewRecord, Violation> {
    let fields: Vec<(String, &RawValue)> = members(json)?;
    let again = |(i, (name, _)): &(usize, &(String, &RawValue))| fields[..*i].iter().any(|(before, _)| before == name);
    if let Some((_, (twice, _))) = fields.iter().enumerate().find(again) {
        return Err(wrong(twice, "comes twice".to_owned()));
    }
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
pub(super) fn wrong(field: &str, detail: String) -> Violation {
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
pub(super) fn bytes_of(body: &Bytes, field: &str, part: &RawValue, base64: bool) -> Result<Bytes, Violation> {
    let json = part.get();
    if !json.starts_with('"') {
        return Ok(body.slice_ref(json.as_bytes()));
    }
    let text: String = serde_json::from_str(json).expect("a raw value that begins as a string is one");
    if base64 { decode(field, &text) } else { Ok(Bytes::from(text)) }
}

/// The bytes that base64 stands for.
pub(super) fn decode(field: &str, text: &str) -> Result<Bytes, Violation> {
    let invalid = |e: base64::DecodeError| Violation { field: field.to_owned(), detail: format!("no base64: {e}") };
    BASE64_STANDARD.decode(text).map(Bytes::from).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

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
