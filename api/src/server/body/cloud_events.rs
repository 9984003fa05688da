//! CloudEvents 1.0 as records, in the way of their binding to Kafka: the event's data is the record's value, its attributes are
//! headers with the prefix `ce_`.
//!
//! `time` is the record's timestamp, `partitionkey` its key where the topic has no key fields of its own. The topic's schema is that
//! of the data.

use axum::http::HeaderMap;
use bytes::Bytes;
use rekap_tiered_storage::{NewRecord, Refused, Timestamp, TopicWriter, Violation};
use serde_json::value::RawValue;

use super::json::members;
use super::raw::{decode, wrong};
use crate::Problem;
use crate::server::extract::bad_header;

/// The attributes that every event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// The attributes of one event, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<(String, String)>);

impl Attributes {
    /// The attributes in `ce-…` headers, where there are any: the body is then the data of one event.
    pub(super) fn of_headers(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut attributes = Attributes::default();
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
            let value = value.to_str().ok().and_then(unescape);
            let value =
                value.ok_or_else(|| bad_header(&format!("ce-{name}"), "visible ASCII, the rest percent-encoded"))?;
            attributes.0.push((name.to_owned(), value));
        }
        Ok((!attributes.0.is_empty()).then_some(attributes))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The record of an event with these attributes and that data.
    pub(super) fn record(&self, data: Bytes, writer: &TopicWriter) -> Result<NewRecord, Refused> {
        for name in REQUIRED {
            if self.get(name).is_none_or(str::is_empty) {
                return Err(wrong(name, "is missing; every CloudEvent has it".to_owned()).into());
            }
        }
        if self.get("specversion") != Some("1.0") {
            let detail = format!("`{}` is not 1.0", self.get("specversion").unwrap_or(""));
            return Err(wrong("specversion", detail).into());
        }
        let timestamp = self
            .get("time")
            .map(|time| time.parse::<Timestamp>().map_err(|_| wrong("time", format!("`{time}` is no RFC 3339 time"))));
        let headers = self.0.iter().map(|(name, value)| match name.as_str() {
            "datacontenttype" => ("content-type".to_owned(), Some(Bytes::from(value.clone()))),
            name => (format!("ce_{name}"), Some(Bytes::from(value.clone()))),
        });
        let key = self.get("partitionkey").filter(|_| !writer.has_key());
        let record = NewRecord {
            partition: None,
            key: key.map(|key| Bytes::from(key.to_owned())),
            value: Some(data),
            headers: headers.collect(),
            timestamp: timestamp.transpose()?,
        };
        writer.raw(record)
    }
}

/// The record of an event in JSON.
pub(super) fn record(json: &Bytes, writer: &TopicWriter) -> Result<NewRecord, Refused> {
    let (mut attributes, mut data) = (Attributes::default(), None);
    for (name, value) in members::<&RawValue>(json)? {
        match name.as_str() {
            "data" | "data_base64" if data.is_some() => {
                return Err(wrong("data", "and `data_base64` exclude each other".to_owned()).into());
            }
            "data" => data = Some(json.slice_ref(value.get().as_bytes())),
            "data_base64" => {
                let text = text(&name, value)?.ok_or_else(|| wrong(&name, "is null".to_owned()))?;
                data = Some(decode(&name, &text)?);
            }
            _ => attributes.0.extend(text(&name, value)?.map(|value| (name, value))),
        }
    }
    let data = data.ok_or_else(|| wrong("data", "is missing; a topic keeps events with data".to_owned()))?;
    attributes.record(data, writer)
}

/// An attribute as text; null is no attribute.
fn text(name: &str, value: &RawValue) -> Result<Option<String>, Violation> {
    let named_well = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !named_well && name != "data_base64" {
        return Err(wrong(name, "is no name of an attribute: lower-case letters and digits".to_owned()));
    }
    match value.get().as_bytes().first() {
        Some(b'"') => Ok(Some(serde_json::from_str(value.get()).expect("a raw value that begins as a string is one"))),
        Some(b'n') => Ok(None),
        Some(b'{' | b'[') => Err(wrong(name, "is no string, number or boolean".to_owned())),
        _ => Ok(Some(value.get().to_owned())),
    }
}

/// Undoes percent-encoding; `None` when it is broken.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                bytes.push((digit(rest.next())? * 16 + digit(rest.next())?) as u8);
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}
