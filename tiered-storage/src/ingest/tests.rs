use serde_json::json;

use super::*;
use crate::{Incarnation, Partition, TopicConfig, TopicSchema};

fn writer(key: &[&str], schema: Option<Value>) -> TopicWriter {
    let config = TopicConfig {
        partitions: 3,
        key: key.iter().map(|field| (*field).to_owned()).collect(),
        schema: schema.map(|raw| TopicSchema::parse(raw).unwrap()),
        ..TopicConfig::default()
    };
    TopicWriter::new(&Topic { name: "t".parse().unwrap(), incarnation: Incarnation::random(), config }).unwrap()
}

fn ticks() -> Value {
    json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}, "price": {"type": "number"}}})
}

fn raw(value: Option<&'static str>) -> NewRecord {
    let value = value.map(|value| Bytes::from_static(value.as_bytes()));
    NewRecord { partition: None, key: None, value, headers: Vec::new(), timestamp: None }
}

/// The field that an event is refused for.
fn refused(writer: &TopicWriter, event: &'static str) -> String {
    match writer.event(Bytes::from_static(event.as_bytes())) {
        Err(Refused::Invalid(violation)) => violation.field,
        other => panic!("{event}: {other:?}"),
    }
}

#[test]
fn an_event_is_kept_byte_for_byte() {
    let event = r#" { "id":1.0e0,  "price" : 1.50, "extra":"gr\u00fc\u00df" } "#;
    let record = writer(&["price"], Some(ticks())).event(Bytes::from_static(event.as_bytes())).unwrap();
    assert_eq!(record.value.unwrap(), event);
    assert_eq!(record.key.unwrap(), "1.50");
    assert_eq!(record.partition, None);
}

#[test]
fn an_event_that_breaks_the_schema_names_its_field() {
    let writer = writer(&[], Some(ticks()));
    assert_eq!(refused(&writer, "{}"), "id");
    assert_eq!(refused(&writer, r#"{"id":1,"price":"x"}"#), "price");
    assert_eq!(refused(&writer, "7"), "");
    assert_eq!(refused(&writer, r#"{"id":1"#), "");
    assert_eq!(refused(&writer, r#"{"id":1} {"id":2}"#), "");
}

#[test]
fn what_passes_decodes_into_every_column() {
    let writer = writer(&[], Some(ticks()));
    assert_eq!(refused(&writer, r#"{"id":18446744073709551615}"#), "id", "no bigint, though JSON Schema's integer");
    writer.event(Bytes::from_static(br#"{"id":3.0}"#)).unwrap();
}

#[test]
fn without_a_schema_any_json_is_fine_and_nothing_else() {
    let writer = writer(&[], None);
    for event in ["7", "null", "\"x\"", "[1,{}]", "{}"] {
        writer.event(Bytes::from_static(event.as_bytes())).unwrap();
    }
    for event in ["", " ", "{", "{'a':1}", "1 2", "nul", "\"\u{1}\""] {
        assert_eq!(refused(&writer, event), "", "{event:?}");
    }
    assert!(writer.event(Bytes::from_static(b"\"\xff\"")).is_err(), "JSON is UTF-8");
}

#[test]
fn a_raw_value_is_any_bytes_unless_a_schema_says_otherwise() {
    let bytes =
        NewRecord { key: Some(Bytes::from_static(b"k")), value: Some(Bytes::from_static(b"\xff\x00")), ..raw(None) };
    assert_eq!(writer(&[], None).raw(bytes.clone()).unwrap(), bytes);
    writer(&[], Some(ticks())).raw(bytes).unwrap_err();
}

#[test]
fn nesting_without_end_is_refused_and_harmless() {
    let deep = Bytes::from("[".repeat(500_000) + &"]".repeat(500_000));
    writer(&[], Some(json!({}))).event(deep.clone()).unwrap_err();
    writer(&["id"], None).event(deep).unwrap_err();
}

#[test]
fn an_event_without_its_key_is_refused() {
    assert_eq!(refused(&writer(&["id"], None), r#"{"x":1}"#), "id");
    assert_eq!(refused(&writer(&["price"], Some(ticks())), r#"{"id":1}"#), "price");
}

#[test]
fn a_raw_record_keeps_the_parts_that_it_has() {
    let writer = writer(&["id"], Some(ticks()));
    let own =
        NewRecord { key: Some(Bytes::from_static(b"k")), partition: Some(Partition(2)), ..raw(Some(r#"{"id":1}"#)) };
    assert_eq!(writer.raw(own.clone()).unwrap(), own);
    assert_eq!(writer.raw(raw(Some(r#"{"id":1}"#))).unwrap().key.unwrap(), "1");
    let tombstone = NewRecord { key: Some(Bytes::from_static(b"k")), ..raw(None) };
    assert_eq!(writer.raw(tombstone.clone()).unwrap(), tombstone);
    let field = |record| match writer.raw(record) {
        Err(Refused::Invalid(violation)) => violation.field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(raw(None)), "key", "a tombstone needs the key that it deletes");
    assert_eq!(field(NewRecord { partition: Some(Partition(3)), ..raw(Some(r#"{"id":1}"#)) }), "partition");
    assert_eq!(field(raw(Some(r#"{"id":"x"}"#))), "id");
}

#[test]
fn a_record_over_a_mebibyte_is_too_large_whatever_it_holds() {
    let writer = writer(&[], None);
    let json = |bytes: usize| Bytes::from(format!("\"{}\"", "x".repeat(bytes - 2)));
    writer.event(json(MAX_RECORD_BYTES)).unwrap();
    let refused = writer.event(json(MAX_RECORD_BYTES + 1)).unwrap_err();
    assert_eq!(refused, Refused::TooLarge { bytes: MAX_RECORD_BYTES + 1 });
    let headers = vec![("h".into(), Some(json(MAX_RECORD_BYTES)))];
    let record = NewRecord { headers, ..raw(Some("1")) };
    assert_eq!(writer.raw(record).unwrap_err(), Refused::TooLarge { bytes: MAX_RECORD_BYTES + 2 });
}

#[test]
#[ignore = "prints figures"]
fn speed_of_ingest() {
    let event = r#"{"auction":1017,"bidder":2043,"price":1234567,"channel":"Google","url":"https://www.nexmark.com/item","at":1436918400123,"extra":"abcdefghij"}"#;
    let (integer, string) = (json!({"type": "integer"}), json!({"type": "string"}));
    let schema = json!({"type": "object", "required": ["auction"], "properties": {
        "auction": integer, "bidder": integer, "price": integer, "channel": string, "url": string, "at": integer, "extra": string,
    }});
    let quick = writer(&["auction"], Some(schema));
    let long = TopicWriter { quick: None, ..quick.clone() };
    for (what, writer) in [("schema and key", quick), ("both, the long way", long), ("neither", writer(&[], None))] {
        let bytes = Bytes::from_static(event.as_bytes());
        let started = tokio::time::Instant::now();
        for _ in 0..500_000 {
            writer.event(bytes.clone()).unwrap();
        }
        println!("checked with {what}: {:.0}/s", 500_000.0 / started.elapsed().as_secs_f64());
    }
}
