//! A body of events, taken apart into records without copying the events.
//!
//! | media type | what it holds |
//! |---|---|
//! | `application/x-ndjson` | one event a line |
//! | `application/json` | one event, or an array of events |
//! | `text/csv` | a header line of field names, then one event a line |
//! | `text/plain` | for topics of text: one record a line |
//! | `application/cloudevents+json`, `…-batch+json` | one CloudEvent, or an array of them |
//!
//! All or none: one event that the topic refuses, and nothing of the body is appended.

mod cloud_events;
mod csv;
pub(super) mod encoding;
mod json;
mod raw;
mod refused;

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use rekap_tiered_storage::{Format, NewRecord, Refused, Topic, TopicWriter, Wire};

use self::cloud_events::Attributes;
use self::refused::{MAX_LISTED, refused};
use crate::Problem;

/// Newline-delimited JSON.
const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";
const CSV: &str = "text/csv";
const TEXT: &str = "text/plain";
const CLOUD_EVENT: &str = "application/cloudevents+json";
const CLOUD_EVENTS: &str = "application/cloudevents-batch+json";

/// The media types that events are sent in.
pub(super) const MEDIA: [&str; 6] = [NDJSON, JSON, CSV, TEXT, CLOUD_EVENT, CLOUD_EVENTS];

/// The most records of one request: each costs some hundred bytes beside its own, and the request is one atomic append.
const MAX_RECORDS: usize = 1_000_000;

/// What a body is sent as.
pub(super) struct Sent {
    media: &'static str,
    raw: bool,
    /// The attributes of the one CloudEvent whose data the body is.
    attributes: Option<Attributes>,
}

impl Sent {
    /// From the media type, `?raw=true` and the headers of a request.
    pub(super) fn new(media: &'static str, raw: bool, headers: &HeaderMap) -> Result<Self, Problem> {
        if raw && ![NDJSON, JSON].contains(&media) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UNSUPPORTED_MEDIA_TYPE",
                format!("raw=true takes records as JSON, not as `{media}`"),
                format!("send {NDJSON} or {JSON}, or leave raw out"),
            ));
        }
        let is_one_event = media == JSON && !raw;
        let attributes = if is_one_event { Attributes::of_headers(headers)? } else { None };
        Ok(Sent { media, raw, attributes })
    }
}

/// The records of a body, every one of them fit for the topic; else the first that are not.
pub(super) fn records(
    body: &Bytes,
    sent: &Sent,
    topic: &Topic,
    writer: &TopicWriter,
) -> Result<Vec<NewRecord>, Problem> {
    check_media(sent, topic)?;
    let body = &if sent.media == TEXT { body.clone() } else { unmarked(body) };
    if body.trim_ascii().is_empty() {
        return Err(empty());
    }
    if let Some(attributes) = &sent.attributes {
        return all(vec![body.slice_ref(body.trim_ascii())], |data| attributes.record(data, writer));
    }
    match sent.media {
        TEXT => all(parts(body, text_lines(body)), |line| writer.event(line)),
        CSV => all(csv::events(body, topic)?, |event| writer.event(event?)),
        CLOUD_EVENT => all(vec![body.slice_ref(body.trim_ascii())], |event| cloud_events::record(&event, writer)),
        CLOUD_EVENTS => all(parts(body, json::values(body)?), |event| cloud_events::record(&event, writer)),
        media => {
            let events = if media == NDJSON { json::lines(body) } else { json::values(body)? };
            let events = parts(body, events);
            if sent.raw {
                all(events, |record| raw::raw_event(&record, writer))
            } else {
                all(events, |event| writer.event(event))
            }
        }
    }
}

/// A body without the byte order mark that some editors begin a file with; it is no part of the first event.
fn unmarked(body: &Bytes) -> Bytes {
    if body.starts_with("\u{feff}".as_bytes()) { body.slice("\u{feff}".len()..) } else { body.clone() }
}

/// Refuses events for a topic whose records are no events of that kind.
fn check_media(sent: &Sent, topic: &Topic) -> Result<(), Problem> {
    let (format, wire) = (topic.config.format, topic.config.wire);
    let fits = match (format, wire) {
        (Format::Json, Wire::Bare) => sent.media != TEXT,
        (Format::Text, _) => sent.raw || (sent.media == TEXT && sent.attributes.is_none()),
        _ => sent.raw,
    };
    if fits {
        return Ok(());
    }
    let of = if wire == Wire::Confluent { " in Confluent's wire format" } else { "" };
    let detail =
        format!("topic `{}` holds records of format `{format}`{of}, not what `{}` brings", topic.name, sent.media);
    let remedy = match (format, wire) {
        (Format::Json, Wire::Bare) => "send application/x-ndjson",
        (Format::Text, _) => "send text/plain, one record a line, or records with ?raw=true",
        _ => {
            "send the records as their writer made them, with ?raw=true: {\"value\": \"…base64…\", \"encoding\": \"base64\"}"
        }
    };
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail, remedy))
}

/// The lines of a text that hold something, each without its end.
fn text_lines(body: &[u8]) -> Vec<&[u8]> {
    let lines = body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.is_empty()).collect()
}

/// The parts as handles of the body that they lie in.
fn parts(body: &Bytes, parts: Vec<&[u8]>) -> Vec<Bytes> {
    parts.into_iter().map(|part| body.slice_ref(part)).collect()
}

/// Makes a record of each event; refuses with the first few that none can be made of.
fn all<E>(events: Vec<E>, make: impl Fn(E) -> Result<NewRecord, Refused>) -> Result<Vec<NewRecord>, Problem> {
    if events.len() > MAX_RECORDS {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "TOO_MANY_RECORDS",
            format!("the body holds {} events", events.len()),
            format!("send at most {MAX_RECORDS} at once"),
        ));
    }
    if events.is_empty() {
        return Err(empty());
    }
    let (mut records, mut wrong) = (Vec::with_capacity(events.len()), Vec::new());
    for (index, event) in events.into_iter().enumerate() {
        match make(event) {
            Ok(record) if wrong.is_empty() => records.push(record),
            Ok(_) => {}
            Err(refusal) => wrong.push((index, refusal)),
        }
        if wrong.len() == MAX_LISTED {
            break;
        }
    }
    if wrong.is_empty() { Ok(records) } else { Err(refused(wrong)) }
}

fn empty() -> Problem {
    Problem::unprocessable("EMPTY_BODY", "the body holds no event", "send at least one")
}

#[cfg(test)]
mod tests;
