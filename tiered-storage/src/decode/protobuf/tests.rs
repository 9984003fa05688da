use arrow::array::BinaryArray;
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;
use prost_reflect::DynamicMessage;
use prost_reflect::Value as Proto;
use prost_reflect::prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::decode::{ColumnType, Decoded, Decoder, Encoding, Format, Wire, WriterSchema, WriterSchemas};

const TRIP: &str = r#"
syntax = "proto3";
package trips;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Kind { UNKNOWN = 0; CITY = 1; }
message Trip {
  int64 id = 1;
  string board = 2;
  optional int32 battery = 3;
  Kind kind = 4;
  google.protobuf.Timestamp at = 5;
  repeated Stop stops = 6;
  map<string, double> sensors = 7;
  bytes raw = 8;
  google.protobuf.StringValue note = 9;
  uint64 meters = 10;
  oneof paid { bool free = 11; float price = 12; }
  message Stop { double lat = 1; Trip within = 2; repeated int32 codes = 3; }
}
message Other { int64 id = 1; }
"#;

fn schema() -> Value {
    json!({"proto": TRIP, "message": "trips.Trip"})
}

fn decoder(wire: Wire) -> Decoder {
    let encoding = Encoding::new(Format::Protobuf, wire, Some(&schema())).unwrap();
    encoding.decoder(encoding.columns()).unwrap()
}

fn decode(decoder: &Decoder, values: &[&[u8]], writers: &WriterSchemas) -> Decoded {
    let all: Vec<usize> = (0..decoder.columns().len()).collect();
    decoder.decode_with(&BinaryArray::from_vec(values.to_vec()), &all, writers)
}

fn row(decoded: &Decoded, row: usize) -> String {
    let cells = decoded.fields.iter().map(|column| array_value_to_string(column, row).unwrap());
    cells.collect::<Vec<_>>().join("|")
}

/// Made by `protobuf` 6 for Python: id 300, board "hb-1", battery 0, kind CITY, at 1 s and 5 µs, two stops (lat 1.5 with codes 1 and 2; none),
/// sensors {"b": 2.0, "a": 1.0}, raw 00 ff, note "", meters 7, price 0.5.
const GOLDEN: &[u8] = b"\x08\xac\x02\x12\x04hb-1\x18\x00\x20\x01\x2a\x05\x08\x01\x10\x88\x27\x32\x0d\x09\x00\x00\x00\x00\x00\x00\xf8\x3f\
\x1a\x02\x01\x02\x32\x00\x3a\x0c\x0a\x01b\x11\x00\x00\x00\x00\x00\x00\x00\x40\x3a\x0c\x0a\x01a\x11\x00\x00\x00\x00\x00\x00\xf0\x3f\
\x42\x02\x00\xff\x4a\x00\x50\x07\x65\x00\x00\x00\x3f";

#[test]
fn a_message_of_another_implementation_is_read() {
    let decoded = decode(&decoder(Wire::Bare), &[GOLDEN, b""], &WriterSchemas::default());
    assert!(decoded.failures.is_empty(), "{:?}", decoded.failures);
    assert_eq!(
        row(&decoded, 0),
        r#"300|hb-1|0|CITY|1970-01-01T00:00:01.000005Z|[{lat: 1.5, within: , codes: [1, 2]}, {lat: 0.0, within: , codes: []}]|{"a":1.0,"b":2.0}|00ff||7||0.5"#
    );
    assert_eq!(
        row(&decoded, 1),
        "0|||UNKNOWN||[]|{}|||0||",
        "an absent field is NULL where it knows that it is absent"
    );
    let note = &decoded.fields[8];
    assert!(arrow::array::Array::is_valid(note, 0) && arrow::array::Array::is_null(note, 1));
}

#[test]
fn every_type_of_protobuf_is_the_column_that_the_guide_says() {
    let columns = ProtobufSchema::parse(&schema()).unwrap().columns();
    let types: Vec<String> = columns.iter().map(|column| column.ty.to_string()).collect();
    assert_eq!(
        types,
        [
            "bigint",
            "text",
            "bigint",
            "text",
            "timestamp",
            "list<struct>",
            "json",
            "binary",
            "text",
            "bigint",
            "boolean",
            "double"
        ]
    );
    let ColumnType::List(stop) = &columns[5].ty else { panic!("a list") };
    let ColumnType::Struct(stop) = &**stop else { panic!("of structs") };
    assert_eq!(stop[1].ty, ColumnType::Json, "a message within itself ends in JSON");
}

#[test]
fn a_record_in_confluents_wire_format_says_which_message_it_is() {
    let mut writers = WriterSchemas::default();
    // The writer's source has the message in second place, within another, and a field more.
    let writer = r#"syntax = "proto3"; package trips; message First {} message Trip { int64 id = 1; string more = 20; message In {} }"#;
    let schema =
        |schema: &str| WriterSchema { format: Format::Protobuf, schema: schema.into(), references: BTreeMap::new() };
    writers.insert(1, Some(schema(TRIP).into()));
    writers.insert(2, Some(schema(writer).into()));
    writers.insert(3, Some(schema("not a source").into()));
    writers.insert(4, None);
    let records: [&[u8]; 7] = [
        b"\0\0\0\0\x01\0\x08\x07",                    // the short form of the first message
        b"\0\0\0\0\x01\x02\0\x08\x08",                // the long form
        b"\0\0\0\0\x02\x02\x02\x08\x09\xa2\x01\x01x", // the second message of another source
        b"\0\0\0\0\x02\x04\x02\0",                    // the first within the second
        b"\0\0\0\0\x03\0\x08\x07",
        b"\0\0\0\0\x04\0\x08\x07",
        b"{}",
    ];
    let decoder = decoder(Wire::Confluent);
    assert_eq!(decoder.writer_ids(&BinaryArray::from_vec(records.to_vec())), [1, 2, 3, 4].into());
    let decoded = decode(&decoder, &records, &writers);
    let ids: Vec<String> = (0..3).map(|i| array_value_to_string(&decoded.fields[0], i).unwrap()).collect();
    assert_eq!(ids, ["7", "8", "9"]);
    let told: Vec<(usize, &str)> = decoded.failures.iter().map(|failure| (failure.row, failure.code)).collect();
    assert_eq!(told, [(3, "UNDECODABLE"), (4, "UNDECODABLE"), (5, "UNKNOWN_SCHEMA"), (6, "UNDECODABLE")]);
    let words = ["trips.Trip.In", "schema 3", "no schema 4", "too few"];
    for (failure, word) in decoded.failures.iter().zip(words) {
        assert!(failure.detail.contains(word), "{failure}");
    }
}

#[test]
fn a_source_that_does_not_compile_or_lacks_the_message_is_refused() {
    for (schema, word) in [
        (json!({"proto": "message {"}), "rekap-topic.proto"),
        (json!({"proto": TRIP, "message": "trips.Absent"}), "trips.Trip"),
        (json!({"proto": "syntax = \"proto3\"; import \"other.proto\";"}), "other.proto"),
        (json!({"text": TRIP}), "proto"),
    ] {
        let refused = ProtobufSchema::parse(&schema).unwrap_err();
        assert!(refused.contains(word), "{refused}");
    }
    let imports = json!({"other.proto": "syntax = \"proto3\"; message Money { int64 v = 1; }"});
    let source = "syntax = \"proto3\"; import \"other.proto\"; message A { Money m = 1; }";
    ProtobufSchema::parse(&json!({"proto": source, "imports": imports})).unwrap();
}

#[test]
fn a_field_keeps_its_number() {
    let of = |fields: &str| {
        ProtobufSchema::parse(&json!({"proto": format!("syntax = \"proto3\"; message A {{ {fields} }}")})).unwrap()
    };
    let before = of("int64 a = 1; string b = 2;");
    before.keeps_numbers(&of("string b = 2; int64 a = 1; bool c = 3;")).unwrap();
    assert_eq!(before.keeps_numbers(&of("int64 a = 2; string b = 1;")).unwrap_err().0, "a");
    assert_eq!(before.keeps_numbers(&of("int64 other = 1; string b = 2;")).unwrap_err().0, "a");
}

proptest! {
    #[test]
    fn what_the_library_encodes_is_read_as_it_was(
        id in any::<i64>(), board in any::<String>(), battery in any::<Option<i32>>(), meters in 0..i64::MAX as u64,
        raw in any::<Vec<u8>>(), codes in proptest::collection::vec(any::<i32>(), 0..4),
    ) {
        use arrow::array::{Array, AsArray};
        use arrow::datatypes::Int64Type;
        let schema = ProtobufSchema::parse(&schema()).unwrap();
        let mut trip = DynamicMessage::new(schema.message.clone());
        trip.set_field_by_name("id", Proto::I64(id));
        trip.set_field_by_name("board", Proto::String(board.clone()));
        trip.set_field_by_name("meters", Proto::U64(meters));
        trip.set_field_by_name("raw", Proto::Bytes(raw.clone().into()));
        if let Some(battery) = battery {
            trip.set_field_by_name("battery", Proto::I32(battery));
        }
        let mut stop = DynamicMessage::new(schema.message.child_messages().find(|m| m.name() == "Stop").unwrap());
        stop.set_field_by_name("codes", Proto::List(codes.iter().map(|code| Proto::I32(*code)).collect()));
        trip.set_field_by_name("stops", Proto::List(vec![Proto::Message(stop)]));
        let decoded = decode(&decoder(Wire::Bare), &[&trip.encode_to_vec()], &WriterSchemas::default());
        prop_assert!(decoded.failures.is_empty(), "{:?}", decoded.failures);
        let column = |i: usize| &decoded.fields[i];
        prop_assert_eq!(column(0).as_primitive::<Int64Type>().value(0), id);
        prop_assert_eq!(column(1).as_string::<i32>().value(0), board);
        prop_assert_eq!(column(2).is_valid(0).then(|| column(2).as_primitive::<Int64Type>().value(0)), battery.map(i64::from));
        prop_assert_eq!(column(7).as_binary::<i32>().value(0), raw);
        prop_assert_eq!(column(9).as_primitive::<Int64Type>().value(0) as u64, meters);
        let stops = column(5).as_list::<i32>().value(0);
        let found = stops.as_struct().column(2).as_list::<i32>().value(0);
        prop_assert_eq!(found.as_primitive::<Int64Type>().values().to_vec(), codes.iter().map(|c| i64::from(*c)).collect::<Vec<_>>());
    }

    #[test]
    fn bytes_that_are_no_message_never_end_the_process(bytes in any::<Vec<u8>>()) {
        decode(&decoder(Wire::Bare), &[&bytes], &WriterSchemas::default());
    }
}
