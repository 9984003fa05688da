use rekap_tiered_storage::{Incarnation, Timestamp, TopicConfig, TopicSchema};
use serde_json::json;

use super::*;

fn topic(key: &[&str], properties: Option<serde_json::Value>) -> Topic {
    let schema = properties.map(|properties| {
        TopicSchema::parse(json!({"type": "object", "properties": properties, "required": ["id"]})).unwrap()
    });
    let config = TopicConfig {
        partitions: 3,
        key: key.iter().map(|field| (*field).to_owned()).collect(),
        schema,
        ..TopicConfig::default()
    };
    Topic { name: "t".parse().unwrap(), incarnation: Incarnation::random(), config }
}

fn made(topic: &Topic, media: &'static str, body: &str, headers: &HeaderMap) -> Result<Vec<NewRecord>, Problem> {
    let sent = Sent::new(media, false, headers)?;
    records(&Bytes::copy_from_slice(body.as_bytes()), &sent, topic, &TopicWriter::new(topic).unwrap())
}

fn values(topic: &Topic, media: &'static str, body: &str) -> Vec<String> {
    let records = made(topic, media, body, &HeaderMap::new()).unwrap();
    records.into_iter().map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap()).collect()
}

fn ticks() -> Topic {
    let properties = json!({
        "id": {"type": "integer"}, "price": {"type": "number"}, "up": {"type": "boolean"}, "name": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
    });
    topic(&["id"], Some(properties))
}

#[test]
fn lines_of_csv_are_events_typed_by_the_schema() {
    let csv = "\u{feff}id,price,up,name,tags,more\r\n1,1.50,TRUE,\"a, \"\"b\"\"\nc\",\"[\"\"x\"\"]\",7\r\n\r\n2,,,\"\",,\n3,-1e3,false,x,[],y";
    let expected = [
        r#"{"id":1,"price":1.50,"up":true,"name":"a, \"b\"\nc","tags":["x"],"more":"7"}"#,
        r#"{"id":2,"name":""}"#,
        r#"{"id":3,"price":-1e3,"up":false,"name":"x","tags":[],"more":"y"}"#,
    ];
    assert_eq!(values(&ticks(), CSV, csv), expected);
    assert_eq!(values(&topic(&[], None), CSV, "a,b\n1,\n"), [r#"{"a":"1"}"#]);
}

#[test]
fn a_line_of_csv_that_makes_no_event_is_named_with_its_field() {
    let refused = |csv: &str| {
        let problem = made(&ticks(), CSV, csv, &HeaderMap::new()).unwrap_err();
        (problem.facts["index"].clone(), problem.facts["field"].clone())
    };
    assert_eq!(refused("id\n1\nx\n"), (json!(1), json!("id")));
    assert_eq!(refused("id,up\n1,yes\n"), (json!(0), json!("up")));
    assert_eq!(refused("id,tags\n1,[\n"), (json!(0), json!("tags")));
    assert_eq!(refused("id\n1\n2,3\n"), (json!(1), json!("")));
    assert_eq!(refused("id\n1\n\"2\n"), (json!(1), json!("")));
    assert_eq!(refused("id\n\"1\"2\n"), (json!(0), json!("")));
    assert_eq!(refused("id,id\n1,2\n"), (json!(0), json!("")));
    assert_eq!(refused("name\nx\n"), (json!(0), json!("id")));
    assert_eq!(made(&ticks(), CSV, "id\n", &HeaderMap::new()).unwrap_err().code, "EMPTY_BODY");
    assert_eq!(made(&ticks(), CSV, "", &HeaderMap::new()).unwrap_err().code, "EMPTY_BODY");
}

#[test]
fn every_refused_record_is_listed_up_to_a_bound() {
    let body: String = (0..100).map(|n| if n % 2 == 0 { "{\"id\":1}\n" } else { "{\"id\":\"x\"}\n" }).collect();
    let problem = made(&ticks(), NDJSON, &body, &HeaderMap::new()).unwrap_err();
    assert_eq!((&problem.facts["index"], &problem.facts["field"]), (&json!(1), &json!("id")));
    let errors = problem.facts["errors"].as_array().unwrap();
    assert_eq!(errors.len(), MAX_LISTED);
    assert_eq!((&errors[19]["index"], &errors[19]["field"]), (&json!(39), &json!("id")));
}

fn header(record: &NewRecord, name: &str) -> Option<String> {
    let found = record.headers.iter().find(|(known, _)| known == name)?;
    Some(String::from_utf8(found.1.as_ref()?.to_vec()).unwrap())
}

#[test]
fn a_cloud_event_is_a_record_of_its_data_with_its_attributes_as_headers() {
    let event = r#"{"specversion":"1.0","id":"7","source":"/s","type":"tick","time":"2016-01-05T13:20:00Z",
                    "datacontenttype":"application/json","attempt":2,"data":{"id":1, "price":1.50}}"#;
    for (media, body) in [(CLOUD_EVENT, event.to_owned()), (CLOUD_EVENTS, format!("[{event}]"))] {
        let record = made(&ticks(), media, &body, &HeaderMap::new()).unwrap().remove(0);
        assert_eq!(record.value.as_ref().unwrap(), r#"{"id":1, "price":1.50}"#, "as it was sent");
        assert_eq!(record.key.as_ref().unwrap(), "1");
        assert_eq!(record.timestamp, Some("2016-01-05T13:20:00Z".parse::<Timestamp>().unwrap()));
        assert_eq!(header(&record, "ce_id").as_deref(), Some("7"));
        assert_eq!(header(&record, "ce_attempt").as_deref(), Some("2"));
        assert_eq!(header(&record, "content-type").as_deref(), Some("application/json"));
    }
    let plain = topic(&[], None);
    let keyed = r#"{"specversion":"1.0","id":"7","source":"/s","type":"t","partitionkey":"k","data_base64":"AAE="}"#;
    let record = made(&plain, CLOUD_EVENT, keyed, &HeaderMap::new()).unwrap().remove(0);
    assert_eq!((record.key.unwrap(), record.value.unwrap()), (Bytes::from("k"), Bytes::from_static(b"\x00\x01")));
}

#[test]
fn a_cloud_event_in_headers_has_the_body_as_its_data() {
    let mut headers = HeaderMap::new();
    for (name, value) in [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/gr%C3%BC%C3%9F"), ("ce-type", "t")]
    {
        headers.insert(name, value.parse().unwrap());
    }
    let record = made(&ticks(), JSON, " {\"id\":5} ", &headers).unwrap().remove(0);
    assert_eq!(record.value.as_ref().unwrap(), r#"{"id":5}"#);
    assert_eq!(header(&record, "ce_source").as_deref(), Some("/grüß"));
    headers.remove("ce-id");
    assert_eq!(made(&ticks(), JSON, "{\"id\":5}", &headers).unwrap_err().facts["field"], "id");
}

#[test]
fn what_is_no_cloud_event_is_refused_with_the_part_that_is_wrong() {
    let cases = [
        (r#"{"specversion":"1.0","id":"7","source":"/s","data":{"id":1}}"#, "type"),
        (r#"{"specversion":"0.3","id":"7","source":"/s","type":"t","data":{"id":1}}"#, "specversion"),
        (r#"{"specversion":"1.0","id":"7","source":"/s","type":"t"}"#, "data"),
        (r#"{"specversion":"1.0","id":"7","source":"/s","type":"t","time":"now","data":{"id":1}}"#, "time"),
        (r#"{"specversion":"1.0","id":"7","source":"/s","type":"t","x":{},"data":{"id":1}}"#, "x"),
        (r#"{"specversion":"1.0","id":"7","source":"/s","type":"t","data_base64":"!"}"#, "data_base64"),
        (r#"{"specversion":"1.0","id":"7","source":"/s","type":"t","data":{"id":"x"}}"#, "id"),
        ("7", ""),
    ];
    for (event, field) in cases {
        let problem = made(&ticks(), CLOUD_EVENT, event, &HeaderMap::new()).unwrap_err();
        assert_eq!(problem.facts["field"], field, "{event}: {problem}");
    }
}

#[test]
fn raw_records_are_json() {
    let refused = Sent::new(CSV, true, &HeaderMap::new()).err().unwrap();
    assert_eq!((refused.status, refused.code.as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"));
}
