use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use super::field::is_time;
use super::*;
use crate::ingest::TopicWriter;
use crate::{Incarnation, Topic, TopicConfig, TopicSchema};

fn writer(schema: &Value, key: &[String]) -> TopicWriter {
    let schema = Some(TopicSchema::parse(schema.clone()).unwrap());
    let config = TopicConfig { partitions: 3, key: key.to_vec(), schema, ..TopicConfig::default() };
    TopicWriter::new(&Topic { name: "t".parse().unwrap(), incarnation: Incarnation::random(), config }).unwrap()
}

fn key(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The key that the quick way finds, as text; `None` when it does not know.
fn quick(schema: &Value, names: &[&str], event: &'static str) -> Option<Option<String>> {
    let admitted = Quick::new(schema, &key(names))?.admit(&Bytes::from_static(event.as_bytes()))?;
    Some(admitted.key.map(|key| String::from_utf8(key.to_vec()).unwrap()))
}

fn trips() -> Value {
    json!({"type": "object", "required": ["board", "metres"], "properties": {
        "board": {"type": "string", "pattern": "^hb-[0-9]+$"},
        "customer": {"type": "string", "minLength": 1},
        "at": {"type": "string", "format": "date-time"},
        "metres": {"type": "integer", "minimum": 0},
        "stops": {"type": "array", "items": {"type": "integer"}},
    }})
}

#[test]
fn ordinary_events_take_the_quick_way_and_get_their_key_on_it() {
    let event =
        r#"{"board":"hb-1","customer":"c\u00e9","at":"2024-02-29T23:59:59.5+05:30","metres":7,"more":[{}, 1.5]}"#;
    assert_eq!(quick(&trips(), &["board"], event), Some(Some("hb-1".into())));
    assert_eq!(quick(&trips(), &["customer"], event), Some(Some("cé".into())));
    assert_eq!(quick(&trips(), &["board", "metres"], event), Some(Some(r#"["hb-1",7]"#.into())));
    assert_eq!(quick(&trips(), &["more"], event), Some(None), "a key that may be anything is found the long way");
}

#[test]
fn whatever_is_odd_is_left_to_the_validator() {
    for event in [
        r#"{"board":"x-1","metres":7}"#,
        r#"{"board":"hb-1"}"#,
        r#"{"board":"hb-1","metres":-1}"#,
        r#"{"board":"hb-1","metres":7.0}"#,
        r#"{"board":"hb-1","metres":7,"metres":7}"#,
        r#"{"board":"hb-1","metres":7,"at":"2023-02-29T00:00:00Z"}"#,
        r#"{"board":"hb-1","metres":7,"stops":["x"]}"#,
        r#"{"board":"hb-1","metres":7} 1"#,
        r#"[7]"#,
    ] {
        assert_eq!(quick(&trips(), &[], event), None, "{event}");
    }
    for schema in [json!({"oneOf": []}), json!({"properties": {"a": {"$ref": "#/x"}}}), json!({"minProperties": 1})] {
        assert!(Quick::new(&schema, &[]).is_none(), "{schema}");
    }
}

#[test]
fn only_times_as_everybody_writes_them_are_known() {
    for time in ["2024-05-06T06:02:00Z", "2000-02-29T00:00:00.123456789-23:59", "0001-01-01T23:59:59+00:00"] {
        assert!(is_time(time), "{time}");
    }
    for time in [
        "2024-05-06 06:02:00Z",
        "2024-05-06T06:02:00z",
        "2024-05-06T06:02:60Z",
        "2024-05-06T24:02:00Z",
        "2100-02-29T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-05-06T06:02:00.Z",
        "2024-05-06T06:02:00+0530",
        "2024-05-06T06:02:00",
        "0000-05-06T06:02:00Z",
        "20240-5-06T06:02:00Z",
        "2024-05-06T06:02:00Z ",
        "2024-05-06T06:02:00é",
    ] {
        assert!(!is_time(time), "{time}");
    }
}

/// Schemas of one field.
fn says() -> Vec<Value> {
    vec![
        json!({"type": "integer"}),
        json!({"type": "integer", "minimum": 0, "exclusiveMaximum": 100}),
        json!({"type": "integer", "maximum": 9_007_199_254_740_993_i64}),
        json!({"type": "number", "exclusiveMinimum": 0.5}),
        json!({"type": "number", "multipleOf": 0.5}),
        json!({"type": "boolean", "description": "yes or no"}),
        json!({"type": "string"}),
        json!({"type": "string", "minLength": 2, "maxLength": 3}),
        json!({"type": "string", "enum": ["x", "grü"]}),
        json!({"type": "string", "const": "x"}),
        json!({"type": "string", "pattern": "^hb-"}),
        json!({"type": "string", "format": "date-time"}),
        json!({"type": "string", "format": "date-time", "maxLength": 20}),
        json!({"type": "string", "format": "email"}),
        json!({"type": ["integer", "null"]}),
        json!({"type": "array", "items": {"type": "integer"}}),
        json!({"type": "object", "properties": {"a": {"type": "integer"}}}),
        json!({"enum": [1, "x", null]}),
        json!({}),
        json!(true),
    ]
}

/// Values as they may be written.
const WRITTEN: [&str; 34] = [
    "0",
    "-0",
    "1",
    "100",
    "3.0",
    "1e2",
    "0.5",
    "-1.25",
    "1e400",
    "9007199254740993",
    "-9223372036854775808",
    "18446744073709551615",
    "99999999999999999999",
    "\"\"",
    "\"x\"",
    "\"gr\\u00fc\"",
    "\"grü\"",
    "\"\\ud800\"",
    "\"a\\\"b\"",
    "\"hb-1\"",
    "\"a@b.org\"",
    "\"2024-02-29T23:59:59.123+05:30\"",
    "\"2023-02-29T00:00:00Z\"",
    "\"2024-05-06t06:02:00z\"",
    "\"2016-12-31T23:59:60Z\"",
    "\"2024-05-06T06:02:00.1234567891Z\"",
    "true",
    "null",
    "[1]",
    "[1,\"x\"]",
    "{\"a\":1}",
    "{\"a\":1,\"a\":\"x\"}",
    "01",
    "{",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// With the quick way and without it the same events pass, with the same keys, and the others are refused in the same words.
    #[test]
    fn the_quick_way_changes_nothing(
        fields in prop::collection::vec((select(says()), any::<bool>()), 1..4),
        extra in select(vec![json!(null), json!(true), json!(false)]),
        written in prop::collection::vec((select(vec!["a", "b", "c", "d", "\\u0061"]), select(WRITTEN.to_vec())), 0..5),
        key in subsequence(vec!["a", "b", "c", "d"], 0..3),
    ) {
        let names = ["a", "b", "c"];
        let properties: Map<String, Value> =
            names.iter().zip(&fields).map(|(name, (says, _))| ((*name).to_owned(), says.clone())).collect();
        let required: Vec<&str> =
            names.iter().zip(&fields).filter(|(_, (_, required))| *required).map(|(name, _)| *name).collect();
        let mut schema = json!({"type": "object", "properties": properties, "required": required});
        if !extra.is_null() {
            schema["additionalProperties"] = extra;
        }
        let key: Vec<String> = key.into_iter().map(str::to_owned).collect();
        let writer = writer(&schema, &key);
        let long = TopicWriter { quick: None, ..writer.clone() };
        let members: Vec<String> = written.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let event = Bytes::from(format!("{{{}}}", members.join(",")));
        prop_assert_eq!(writer.event(event.clone()), long.event(event.clone()), "{:?} under {}", event, schema);
    }
}
