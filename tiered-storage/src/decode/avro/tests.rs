use std::collections::HashMap;

use apache_avro::types::Value as Avro;
use apache_avro::{Schema, to_avro_datum};
use arrow::array::BinaryArray;
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decode::{ColumnType, Decoded, Decoder, Encoding, Format, Wire, WriterSchema, WriterSchemas};

fn decoder(schema: &Value) -> Decoder {
    let encoding = Encoding::new(Format::Avro, Wire::Bare, Some(schema)).unwrap();
    encoding.decoder(encoding.columns()).unwrap()
}

fn decode(decoder: &Decoder, values: &[&[u8]]) -> Decoded {
    let all: Vec<usize> = (0..decoder.columns().len()).collect();
    decoder.decode(&BinaryArray::from_vec(values.to_vec()), &all)
}

/// The rows as text, cells between bars.
fn rows(decoded: &Decoded) -> Vec<String> {
    let cell = |column: &arrow::array::ArrayRef, row| array_value_to_string(column, row).unwrap();
    let row = |row| decoded.fields.iter().map(|column| cell(column, row)).collect::<Vec<_>>().join("|");
    (0..decoded.status.len()).map(row).collect()
}

fn record(fields: Value) -> Value {
    json!({"type": "record", "name": "r", "fields": fields})
}

/// What a value of a writer's schema is to a reader of another one.
fn resolved(writer: &Value, reader: &Value, value: Avro) -> Result<String, String> {
    let bytes = to_avro_datum(&Schema::parse(writer).unwrap(), value).unwrap();
    let encoding = Encoding::new(Format::Avro, Wire::Confluent, Some(reader)).unwrap();
    let decoder = encoding.decoder(encoding.columns()).unwrap();
    let mut writers = WriterSchemas::default();
    let schema = WriterSchema { format: Format::Avro, schema: writer.to_string(), references: Default::default() };
    writers.insert(258, Some(schema.into()));
    let framed = [&[0, 0, 0, 1, 2], bytes.as_slice()].concat();
    let all: Vec<usize> = (0..decoder.columns().len()).collect();
    let decoded = decoder.decode_with(&BinaryArray::from_vec(vec![&framed]), &all, &writers);
    match decoded.failures.first() {
        None => Ok(rows(&decoded).remove(0)),
        Some(failure) => Err(failure.to_string()),
    }
}

#[test]
fn the_bytes_of_avros_own_specification_decode() {
    let test = json!({"type": "record", "name": "test", "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "string"}]});
    assert_eq!(rows(&decode(&decoder(&test), &[b"\x36\x06foo"])), ["27|foo"]);
    let list = record(json!([{"name": "l", "type": {"type": "array", "items": "long"}}]));
    assert_eq!(rows(&decode(&decoder(&list), &[b"\x04\x06\x36\x00", b"\x03\x04\x06\x36\x00"])), ["[3, 27]", "[3, 27]"]);
    let union = record(json!([{"name": "u", "type": ["null", "string"]}]));
    assert_eq!(rows(&decode(&decoder(&union), &[b"\x00", b"\x02\x02a"])), ["", "a"]);
}

#[test]
fn every_type_of_avro_is_the_column_that_the_guide_says() {
    let of = |ty: Value| AvroSchema::parse(&record(json!([{"name": "x", "type": ty}]))).unwrap().columns().remove(0).ty;
    let logical = |ty: &str, name: &str| of(json!({"type": ty, "logicalType": name, "precision": 9, "scale": 2}));
    assert_eq!((of(json!("int")), of(json!("long"))), (ColumnType::Bigint, ColumnType::Bigint));
    assert_eq!((of(json!("float")), of(json!("double"))), (ColumnType::Double, ColumnType::Double));
    assert_eq!((of(json!("bytes")), of(json!("string"))), (ColumnType::Binary, ColumnType::Text));
    assert_eq!(of(json!({"type": "fixed", "name": "f", "size": 3})), ColumnType::Binary);
    assert_eq!(of(json!({"type": "enum", "name": "e", "symbols": ["A"]})), ColumnType::Text);
    assert_eq!(logical("long", "timestamp-millis"), ColumnType::Timestamp);
    assert_eq!(logical("long", "local-timestamp-micros"), ColumnType::Timestamp);
    assert_eq!((logical("int", "date"), logical("bytes", "decimal")), (ColumnType::Text, ColumnType::Text));
    assert_eq!(logical("int", "time-millis"), ColumnType::Bigint);
    assert_eq!(of(json!({"type": "map", "values": "long"})), ColumnType::Json);
    assert_eq!(of(json!(["null", "long"])), ColumnType::Bigint);
    assert_eq!(of(json!(["long", "string"])), ColumnType::Json);
    let within =
        json!({"type": "array", "items": {"type": "record", "name": "i", "fields": [{"name": "a", "type": "long"}]}});
    let item = ColumnType::Struct(vec![Column::new("a", ColumnType::Bigint)]);
    assert_eq!(of(within), ColumnType::List(Box::new(item)));
    let whole = AvroSchema::parse(&json!("long")).unwrap().columns();
    assert_eq!((whole[0].name.as_str(), &whole[0].ty), ("value", &ColumnType::Bigint));
}

#[test]
fn times_decimals_and_dates_are_read_as_what_they_stand_for() {
    let fields = json!([
        {"name": "ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "us", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    ]);
    let bytes = [&zigzag(1_700_000_000_123)[..], &zigzag(-1), &zigzag(19_000), &[4, 0xfb, 0x2e]].concat();
    let row = rows(&decode(&decoder(&record(fields)), &[&bytes])).remove(0);
    assert_eq!(row, "2023-11-14T22:13:20.123Z|1969-12-31T23:59:59.999999Z|2022-01-08|-12.34");
}

fn zigzag(number: i64) -> Vec<u8> {
    to_avro_datum(&Schema::Long, Avro::Long(number)).unwrap()
}

#[test]
fn an_older_writers_record_is_read_by_the_rules_of_schema_resolution() {
    let writer = record(json!([
        {"name": "gone", "type": {"type": "map", "values": "string"}},
        {"name": "id", "type": "int"},
        {"name": "old", "type": "string"},
        {"name": "kind", "type": {"type": "enum", "name": "k", "symbols": ["A", "B"]}},
        {"name": "n", "type": ["null", "float"]},
    ]));
    let reader = record(json!([
        {"name": "kind", "type": {"type": "enum", "name": "k", "symbols": ["A", "OTHER"], "default": "OTHER"}},
        {"name": "id", "type": "long"},
        {"name": "n", "type": ["double", "null"]},
        {"name": "added", "type": {"type": "array", "items": "long"}, "default": [1, 2]},
        {"name": "renamed", "aliases": ["old"], "type": ["null", "string"]},
        {"name": "maybe", "type": ["null", "string"], "default": null},
    ]));
    let value = Avro::Record(vec![
        ("gone".into(), Avro::Map(HashMap::from([("k".into(), Avro::String("v".into()))]))),
        ("id".into(), Avro::Int(-7)),
        ("old".into(), Avro::String("né".into())),
        ("kind".into(), Avro::Enum(1, "B".into())),
        ("n".into(), Avro::Union(1, Box::new(Avro::Float(1.5)))),
    ]);
    assert_eq!(resolved(&writer, &reader, value).unwrap(), "OTHER|-7|1.5|[1, 2]|né|");
}

#[test]
fn a_writers_schema_that_the_topic_cannot_read_says_why() {
    let of = |ty: Value| record(json!([{"name": "x", "type": ty}]));
    let one = |value| Avro::Record(vec![("x".into(), value)]);
    let text = resolved(&of(json!("string")), &of(json!("long")), one(Avro::String("a".into()))).unwrap_err();
    assert!(text.contains("field `x`") && text.contains("string") && text.contains("long"), "{text}");
    let without = resolved(&of(json!("long")), &record(json!([{"name": "y", "type": "long"}])), one(Avro::Long(1)));
    assert!(without.unwrap_err().contains("no field `y`"));
    let branch = json!(["long", "string"]);
    let of_union = |value| resolved(&of(branch.clone()), &of(json!("long")), one(value));
    assert_eq!(of_union(Avro::Union(0, Box::new(Avro::Long(4)))).unwrap(), "4");
    assert!(of_union(Avro::Union(1, Box::new(Avro::String("a".into())))).is_err());
}

#[test]
fn what_sql_has_no_type_for_is_text_that_holds_json() {
    let schema = record(json!([
        {"name": "m", "type": {"type": "map", "values": ["null", "double"]}},
        {"name": "u", "type": ["long", "string", "bytes"]},
        {"name": "tree", "type": {"type": "record", "name": "t", "fields": [
            {"name": "v", "type": "long"}, {"name": "next", "type": ["null", "t"]}]}},
    ]));
    let leaf = |next| Avro::Record(vec![("v".into(), Avro::Long(1)), ("next".into(), next)]);
    let tree = leaf(Avro::Union(1, Box::new(leaf(Avro::Union(0, Box::new(Avro::Null))))));
    let map = HashMap::from([("a\"".into(), Avro::Union(1, Box::new(Avro::Double(f64::NAN))))]);
    let value = Avro::Record(vec![
        ("m".into(), Avro::Map(map)),
        ("u".into(), Avro::Union(2, Box::new(Avro::Bytes(vec![0, 1])))),
        ("tree".into(), tree),
    ]);
    let bytes = to_avro_datum(&Schema::parse(&schema).unwrap(), value).unwrap();
    let row = rows(&decode(&decoder(&schema), &[&bytes])).remove(0);
    assert_eq!(row, r#"{"a\"":"NaN"}|"AAE="|{v: 1, next: {"v":1,"next":null}}"#);
}

#[test]
fn a_record_that_is_cut_off_or_has_something_after_it_is_refused_where_it_breaks() {
    let schema = record(json!([{"name": "a", "type": "long"}, {"name": "o", "type":
        {"type": "record", "name": "i", "fields": [{"name": "b", "type": "string"}]}}]));
    let decoder = decoder(&schema);
    let whole = b"\x36\x06foo";
    for cut in 0..whole.len() {
        let decoded = decode(&decoder, &[whole, &whole[..cut], whole]);
        assert_eq!(rows(&decoded), ["27|{b: foo}", "|", "27|{b: foo}"], "a refused record leaves nothing behind");
        assert_eq!((decoded.failures[0].row, decoded.failures[0].code), (1, "UNDECODABLE"));
        let field = if cut == 0 { "a" } else { "o.b" };
        assert_eq!(decoded.failures[0].field, field, "{:?}", decoded.failures);
    }
    let longer = decode(&decoder, &[b"\x36\x06foo!"]);
    assert!(longer.failures[0].detail.contains("1 bytes follow"), "{:?}", longer.failures);
}

#[test]
fn a_job_may_name_fields_further_in_but_not_what_is_not_there() {
    let schema = record(json!([{"name": "o", "type": ["null", {"type": "record", "name": "i", "fields": [
        {"name": "at", "type": "long"}, {"name": "b", "type": "string"}]}]}, {"name": "l", "type": {"type": "array", "items": "long"}}]));
    let encoding = Encoding::new(Format::Avro, Wire::Bare, Some(&schema)).unwrap();
    let column = |name: &str, ty, path: &str| Column { path: Some(path.into()), ..Column::new(name, ty) };
    let columns = vec![
        column("b", ColumnType::Text, "/o/b"),
        column("at", ColumnType::TimestampMs, "/o/at"),
        column("o", ColumnType::Json, "/o"),
    ];
    let decoder = encoding.decoder(columns).unwrap();
    let decoded = decode(&decoder, &[b"\x02\xd0\x0f\x02x\x00", b"\x00\x00"]);
    assert_eq!(rows(&decoded), [r#"x|1970-01-01T00:00:01Z|{"at":1000,"b":"x"}"#, "||"]);
    for (column, words) in [
        (column("b", ColumnType::Bigint, "/o/b"), "text in the topic's schema, not bigint"),
        (column("c", ColumnType::Text, "/o/c"), "it has at, b"),
        (column("c", ColumnType::Text, "/l/0"), "cannot stand in a array"),
    ] {
        let refused = encoding.decoder(vec![column]).unwrap_err();
        assert!(refused.detail.contains(words), "{refused}");
    }
}

#[test]
fn a_schema_that_is_none_or_contradicts_itself_is_refused() {
    for schema in [
        json!({"type": "record", "name": "r"}),
        json!({"type": "record", "name": "r", "fields": [{"name": "a", "type": "nothing"}]}),
        json!({"type": "record", "name": "r", "fields": [{"name": "a", "type": "long", "default": "x"}]}),
        json!(7),
    ] {
        assert!(AvroSchema::parse(&schema).is_err(), "{schema}");
    }
}

#[test]
fn what_a_schema_refers_to_is_written_into_it_once() {
    let referred = json!({"type": "record", "name": "a.Money", "fields": [{"name": "v", "type": "long"}]});
    let schema = record(json!([{"name": "x", "type": "a.Money"}, {"name": "y", "type": ["null", "a.Money"]}]));
    let whole = inlined(&schema, &HashMap::from([("a.Money".to_owned(), referred.clone())]));
    assert_eq!(whole["fields"][0]["type"], referred);
    assert_eq!(whole["fields"][1]["type"], json!(["null", "a.Money"]));
    AvroSchema::parse(&whole).unwrap();
}

/// A schema with a field of every kind, and values of it.
fn everything() -> Value {
    record(json!([
        {"name": "i", "type": "int"}, {"name": "l", "type": "long"}, {"name": "d", "type": "double"},
        {"name": "b", "type": "boolean"}, {"name": "s", "type": "string"}, {"name": "y", "type": "bytes"},
        {"name": "n", "type": ["null", "long"]}, {"name": "a", "type": {"type": "array", "items": ["null", "string"]}},
        {"name": "e", "type": {"type": "enum", "name": "k", "symbols": ["A", "B", "C"]}},
        {"name": "o", "type": {"type": "record", "name": "i2", "fields": [{"name": "x", "type": "float"}]}},
    ]))
}

proptest! {
    #[test]
    fn what_the_library_encodes_is_read_as_it_was(
        (i, l, d, b) in any::<(i32, i64, f64, bool)>(), s in any::<String>(), y in any::<Vec<u8>>(), n in any::<Option<i64>>(),
        a in proptest::collection::vec(any::<Option<String>>(), 0..5), e in 0u32..3, x in any::<f32>(),
    ) {
        use arrow::array::{Array, AsArray};
        use arrow::datatypes::{Float64Type, Int64Type};
        let maybe = |text: &Option<String>| match text {
            None => Avro::Union(0, Box::new(Avro::Null)),
            Some(text) => Avro::Union(1, Box::new(Avro::String(text.clone()))),
        };
        let symbol = ["A", "B", "C"][e as usize];
        let value = Avro::Record(vec![
            ("i".into(), Avro::Int(i)), ("l".into(), Avro::Long(l)), ("d".into(), Avro::Double(d)),
            ("b".into(), Avro::Boolean(b)), ("s".into(), Avro::String(s.clone())), ("y".into(), Avro::Bytes(y.clone())),
            ("n".into(), n.map_or(Avro::Union(0, Box::new(Avro::Null)), |n| Avro::Union(1, Box::new(Avro::Long(n))))),
            ("a".into(), Avro::Array(a.iter().map(maybe).collect())),
            ("e".into(), Avro::Enum(e, symbol.into())),
            ("o".into(), Avro::Record(vec![("x".into(), Avro::Float(x))])),
        ]);
        let bytes = to_avro_datum(&Schema::parse(&everything()).unwrap(), value).unwrap();
        let decoded = decode(&decoder(&everything()), &[&bytes]);
        prop_assert!(decoded.failures.is_empty(), "{:?}", decoded.failures);
        let column = |i: usize| &decoded.fields[i];
        prop_assert_eq!(column(0).as_primitive::<Int64Type>().value(0), i64::from(i));
        prop_assert_eq!(column(1).as_primitive::<Int64Type>().value(0), l);
        prop_assert_eq!(column(2).as_primitive::<Float64Type>().value(0).to_bits(), d.to_bits());
        prop_assert_eq!(column(3).as_boolean().value(0), b);
        prop_assert_eq!(column(4).as_string::<i32>().value(0), s);
        prop_assert_eq!(column(5).as_binary::<i32>().value(0), y);
        prop_assert_eq!(column(6).is_valid(0).then(|| column(6).as_primitive::<Int64Type>().value(0)), n);
        let items = column(7).as_list::<i32>().value(0);
        let items: Vec<Option<String>> = items.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect();
        prop_assert_eq!(items, a);
        prop_assert_eq!(column(8).as_string::<i32>().value(0), symbol);
        let inner = column(9).as_struct().column(0).as_primitive::<Float64Type>().value(0);
        prop_assert_eq!(inner.to_bits(), f64::from(x).to_bits());
    }

    #[test]
    fn bytes_that_are_no_record_never_end_the_process(bytes in any::<Vec<u8>>()) {
        let decoded = decode(&decoder(&everything()), &[&bytes]);
        prop_assert_eq!(decoded.status.len(), 1);
    }
}
