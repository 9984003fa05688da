use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, Int8Array};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn column(name: &str, ty: ColumnType) -> Column {
    Column::new(name, ty)
}

fn at(name: &str, ty: ColumnType, path: &str) -> Column {
    Column { name: name.into(), ty, path: Some(path.into()) }
}

fn decode(columns: Vec<Column>, events: &[&str]) -> Decoded {
    let projection: Vec<_> = (0..columns.len()).collect();
    let values = BinaryArray::from_iter_values(events.iter().map(|event| event.as_bytes()));
    Decoder::new(columns).unwrap().decode(&values, &projection)
}

/// The one value of a column, as Arrow prints it; `None` is NULL.
fn only(columns: Vec<Column>, event: &str) -> Option<String> {
    let decoded = decode(columns, &[event]);
    assert_eq!(decoded.failures, [], "{event}");
    let array = &decoded.fields[0];
    array.is_valid(0).then(|| arrow::util::display::array_value_to_string(array, 0).unwrap())
}

fn failure(ty: ColumnType, event: &str) -> DecodeFailure {
    let decoded = decode(vec![column("a", ty)], &[event]);
    assert!(decoded.fields[0].is_null(0));
    assert_eq!(decoded.status, Int8Array::from(vec![3]));
    decoded.failures[0].clone()
}

#[test]
fn each_type_takes_what_it_says() {
    let cases = [
        (ColumnType::Bigint, r#"{"a":-7}"#, "-7"),
        (ColumnType::Bigint, r#"{"a":9223372036854775807}"#, "9223372036854775807"),
        (ColumnType::Bigint, r#"{"a":3.0}"#, "3"),
        (ColumnType::Double, r#"{"a":0.1}"#, "0.1"),
        (ColumnType::Double, r#"{"a":3}"#, "3.0"),
        (ColumnType::Double, r#"{"a":18446744073709551616}"#, "1.8446744073709552e19"),
        (ColumnType::Text, r#"{"a":"gr\u00fc\u00df 🛹"}"#, "grüß 🛹"),
        (ColumnType::Boolean, r#"{"a":true}"#, "true"),
        (ColumnType::Timestamp, r#"{"a":"2015-01-01T02:00:00.5+02:00"}"#, "2015-01-01T00:00:00.500Z"),
        (ColumnType::TimestampS, r#"{"a":1420070400}"#, "2015-01-01T00:00:00Z"),
        (ColumnType::TimestampS, r#"{"a":1420070400.25}"#, "2015-01-01T00:00:00.250Z"),
        (ColumnType::TimestampMs, r#"{"a":1420070400001}"#, "2015-01-01T00:00:00.001Z"),
        (ColumnType::TimestampUs, r#"{"a":1420070400000001}"#, "2015-01-01T00:00:00.000001Z"),
        (ColumnType::Json, r#"{"a": {"b" : [1, null]} }"#, r#"{"b" : [1, null]}"#),
        (ColumnType::Json, r#"{"a":"x"}"#, r#""x""#),
        (ColumnType::List(Box::new(ColumnType::Bigint)), r#"{"a":[1,null,3]}"#, "[1, , 3]"),
        (ColumnType::Struct(vec![column("b", ColumnType::Text)]), r#"{"a":{"c":1,"b":"x"}}"#, "{b: x}"),
    ];
    for (ty, event, expected) in cases {
        assert_eq!(only(vec![column("a", ty.clone())], event).as_deref(), Some(expected), "{ty:?} of {event}");
    }
}

#[test]
fn absent_and_null_are_null_in_every_type() {
    let types = [
        ColumnType::Bigint,
        ColumnType::Double,
        ColumnType::Text,
        ColumnType::Boolean,
        ColumnType::Timestamp,
        ColumnType::TimestampMs,
        ColumnType::Json,
        ColumnType::Struct(vec![column("b", ColumnType::Text)]),
        ColumnType::List(Box::new(ColumnType::Text)),
    ];
    for ty in types {
        for event in [r"{}", r#"{"a":null}"#, r#"{"b":{"a":1}}"#] {
            assert_eq!(only(vec![column("a", ty.clone())], event), None, "{ty:?} of {event}");
        }
    }
}

#[test]
fn what_has_another_type_is_undecodable_and_says_where() {
    assert!(
        failure(ColumnType::Bigint, r#"{"a":"7"}"#).detail.starts_with("invalid type: string \"7\", expected a whole")
    );
    failure(ColumnType::Bigint, r#"{"a":1.5}"#);
    failure(ColumnType::Bigint, r#"{"a":9223372036854775808}"#);
    failure(ColumnType::Text, r#"{"a":7}"#);
    failure(ColumnType::Boolean, r#"{"a":0}"#);
    failure(ColumnType::Timestamp, r#"{"a":"yesterday"}"#);
    failure(ColumnType::TimestampS, r#"{"a":9223372036854775807}"#);
    failure(ColumnType::List(Box::new(ColumnType::Text)), r#"{"a":"x"}"#);
    let nested = ColumnType::List(Box::new(ColumnType::Struct(vec![column("b", ColumnType::Bigint)])));
    assert_eq!(failure(nested, r#"{"a":[{"b":1},{"b":"x"}]}"#).field, "a.1.b");
    for event in ["", "7", "[]", "null", r#"{"a":1"#, r#"{"a":1} 2"#, r#"{"a":1}}"#] {
        failure(ColumnType::Bigint, event);
    }
}

#[test]
fn a_failed_record_leaves_nothing_behind() {
    let item = ColumnType::Struct(vec![column("x", ColumnType::Bigint), column("y", ColumnType::Text)]);
    let columns = vec![column("list", ColumnType::List(Box::new(item))), column("n", ColumnType::Bigint)];
    let good = r#"{"list":[{"x":1,"y":"a"}],"n":1}"#;
    let bad = r#"{"list":[{"x":2,"y":"b"},{"x":3}],"n":"no"}"#;
    let worse = r#"{"list":[{"x":2,"y":"b"},{"x":3,"y":4}]}"#;
    let decoded = decode(columns.clone(), &[good, bad, worse, good]);
    let alone = decode(columns, &[good, good]);
    assert_eq!(decoded.status, Int8Array::from(vec![1, 3, 3, 1]));
    assert_eq!(
        decoded.failures.iter().map(|f| (f.row, f.field.as_str())).collect::<Vec<_>>(),
        [(1, "n"), (2, "list.1.y")]
    );
    for (all, good) in decoded.fields.iter().zip(&alone.fields) {
        assert_eq!(all.len(), 4);
        assert!(all.is_null(1) && all.is_null(2));
        assert_eq!(&all.slice(3, 1), &good.slice(1, 1));
    }
}

#[test]
fn paths_lead_into_objects_and_arrays() {
    let event = r#"{"actor":{"login":"eve","a/b":1},"commits":[{"sha":"x"},{"sha":"y"}],"org":null,"n":5}"#;
    let text = |path| only(vec![at("c", ColumnType::Text, path)], event);
    assert_eq!(text("/actor/login").as_deref(), Some("eve"));
    assert_eq!(text("/commits/1/sha").as_deref(), Some("y"));
    assert_eq!(text("/commits/2/sha"), None);
    assert_eq!(text("/org/login"), None);
    assert_eq!(text("/n/login"), None);
    assert_eq!(only(vec![at("c", ColumnType::Bigint, "/actor/a~1b")], event).as_deref(), Some("1"));
    assert_eq!(only(vec![at("c", ColumnType::Json, "")], event).as_deref(), Some(event));
}

#[test]
fn one_place_may_serve_several_columns() {
    let columns = vec![
        column("actor", ColumnType::Json),
        at("login", ColumnType::Text, "/actor/login"),
        at("id", ColumnType::Bigint, "/actor/id"),
        at("again", ColumnType::Double, "/actor/id"),
    ];
    let decoded = decode(columns, &[r#"{"actor":{"id":7,"login":"eve"}}"#, r#"{"actor":null}"#]);
    assert_eq!(decoded.fields[0].as_string::<i32>().value(0), r#"{"id":7,"login":"eve"}"#);
    assert_eq!(decoded.fields[1].as_string::<i32>().value(0), "eve");
    assert_eq!(decoded.fields[2].as_primitive::<Int64Type>().value(0), 7);
    assert_eq!(decoded.fields[3].as_primitive::<Float64Type>().value(0), 7.0);
    assert!(decoded.fields.iter().all(|field| field.is_null(1)));
}

#[test]
fn the_last_of_two_fields_of_one_name_wins() {
    let a = || column("a", ColumnType::Bigint);
    assert_eq!(only(vec![a()], r#"{"a":1,"a":2}"#).as_deref(), Some("2"));
    assert_eq!(only(vec![a()], r#"{"a":1,"a":null}"#), None);
    let nested = column("s", ColumnType::Struct(vec![a()]));
    assert_eq!(only(vec![nested], r#"{"s":{"a":1,"a":2}}"#).as_deref(), Some("{a: 2}"));
    assert_eq!(only(vec![at("c", ColumnType::Bigint, "/s/a")], r#"{"s":{"a":1},"s":{}}"#), None);
}

#[test]
fn whether_a_record_decodes_does_not_depend_on_the_projection() {
    let columns = vec![column("a", ColumnType::Bigint), column("b", ColumnType::List(Box::new(ColumnType::Bigint)))];
    let decoder = Decoder::new(columns).unwrap();
    let events = [r#"{"a":1,"b":[2]}"#, r#"{"a":1,"b":["x"]}"#, r#"{"a":"x","b":[]}"#];
    let values = BinaryArray::from_iter_values(events.iter().map(|event| event.as_bytes()));
    let whole = decoder.decode(&values, &[0, 1]);
    for projection in [&[][..], &[0], &[1], &[1, 0], &[0, 0]] {
        let part = decoder.decode(&values, projection);
        assert_eq!((&part.status, &part.failures), (&whole.status, &whole.failures));
        let wanted: Vec<_> = projection.iter().map(|i| whole.fields[*i].clone()).collect();
        assert_eq!(part.fields, wanted);
    }
}

#[test]
fn tombstones_are_told_from_values() {
    let values = BinaryArray::from_opt_vec(vec![Some(br#"{"a":1}"#), None]);
    let decoder = Decoder::new(vec![column("a", ColumnType::Bigint)]).unwrap();
    let decoded = decoder.decode(&values, &[0]);
    assert_eq!(decoded.status, Int8Array::from(vec![1, 2]));
    assert!(decoded.fields[0].is_null(1));
    let none = Decoder::new(vec![]).unwrap().decode(&values, &[]);
    assert_eq!((none.status, none.fields.len()), (Int8Array::from(vec![0, 0]), 0));
}

#[test]
fn columns_that_cannot_be_are_refused_by_name() {
    let refused = |columns| Decoder::new(columns).unwrap_err().column;
    let a = || column("a", ColumnType::Bigint);
    assert_eq!(refused(vec![column("_offset", ColumnType::Bigint)]), "_offset");
    assert_eq!(refused(vec![a(), a()]), "a");
    assert_eq!(refused(vec![column("", ColumnType::Bigint)]), "");
    assert_eq!(refused(vec![at("a", ColumnType::Bigint, "b")]), "a");
    assert_eq!(refused(vec![column("s", ColumnType::Struct(vec![]))]), "s");
    assert_eq!(refused(vec![column("s", ColumnType::Struct(vec![a(), a()]))]), "s");
}

#[test]
fn a_fingerprint_follows_the_columns_and_reads_back() {
    let of = |columns| Decoder::new(columns).unwrap().fingerprint();
    let one = of(vec![column("a", ColumnType::Bigint)]);
    assert_eq!(one, of(vec![column("a", ColumnType::Bigint)]));
    assert_ne!(one, of(vec![column("a", ColumnType::Double)]));
    assert_ne!(one, of(vec![at("a", ColumnType::Bigint, "/b")]));
    assert_eq!(one.to_string().parse(), Ok(one));
    assert!("abc".parse::<Fingerprint>().is_err());
    // Frozen: another digest here means that `DECODER_VERSION` has to rise.
    assert_eq!(one.to_string(), "acd8183445f2f4db7bf3a10ced04441204a0d6f1b5744c7219bf7a654b34acf0");
}

#[test]
fn a_declared_column_reads_as_the_contract_writes_it() {
    let spec = |json: Value| serde_json::from_value::<ColumnSpec>(json).map(|spec| spec.named("c"));
    assert_eq!(spec(json!("timestamp_ms")).unwrap(), column("c", ColumnType::TimestampMs));
    assert_eq!(
        spec(json!({"type": "text", "path": "/actor/login"})).unwrap(),
        at("c", ColumnType::Text, "/actor/login")
    );
    let list = json!({"list": {"struct": [{"name": "a", "type": "bigint"}]}});
    let nested = ColumnType::List(Box::new(ColumnType::Struct(vec![column("a", ColumnType::Bigint)])));
    assert_eq!(spec(list).unwrap(), column("c", nested));
    assert!(spec(json!("decimal")).is_err());
    assert!(spec(json!({"type": "text", "pth": "/a"})).is_err());
}

/// Events of random shape, with the columns that describe them.
fn any_value(ty: &ColumnType) -> BoxedStrategy<Value> {
    let some = match ty {
        ColumnType::Bigint => any::<i64>().prop_map(Value::from).boxed(),
        ColumnType::Double => {
            any::<f64>().prop_filter("JSON has no infinity", |x| x.is_finite()).prop_map(Value::from).boxed()
        }
        ColumnType::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        ColumnType::List(item) => prop::collection::vec(any_value(item), 0..4).prop_map(Value::from).boxed(),
        ColumnType::Struct(columns) => {
            let fields: Vec<_> = columns.iter().map(|c| any_value(&c.ty)).collect();
            let names: Vec<_> = columns.iter().map(|c| c.name.clone()).collect();
            fields
                .prop_map(move |values| names.iter().cloned().zip(values).collect::<serde_json::Map<_, _>>().into())
                .boxed()
        }
        _ => ".{0,6}".prop_map(Value::from).boxed(),
    };
    prop_oneof![4 => some, 1 => Just(Value::Null), 1 => Just(json!("wrong"))].boxed()
}

fn any_type() -> impl Strategy<Value = ColumnType> {
    let leaf = prop_oneof![
        Just(ColumnType::Bigint),
        Just(ColumnType::Double),
        Just(ColumnType::Boolean),
        Just(ColumnType::Text),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|item| ColumnType::List(Box::new(item))),
            prop::collection::vec(inner, 1..3).prop_map(|types| ColumnType::Struct(
                types.into_iter().enumerate().map(|(i, ty)| column(&format!("f{i}"), ty)).collect()
            )),
        ]
    })
}

/// What a value decodes to by the plainest reading of the contract; `Err` where it does not decode.
fn expected(ty: &ColumnType, value: &Value) -> Result<Value, ()> {
    match (ty, value) {
        (_, Value::Null) => Ok(Value::Null),
        (ColumnType::Bigint, Value::Number(n)) if n.is_i64() => Ok(value.clone()),
        (ColumnType::Double, Value::Number(_)) | (ColumnType::Boolean, Value::Bool(_)) => Ok(value.clone()),
        (ColumnType::Text, Value::String(_)) => Ok(value.clone()),
        (ColumnType::List(item), Value::Array(items)) => items.iter().map(|v| expected(item, v)).collect(),
        (ColumnType::Struct(columns), Value::Object(fields)) => {
            let field = |c: &Column| Ok((c.name.clone(), expected(&c.ty, &fields[&c.name])?));
            Ok(Value::Object(columns.iter().map(field).collect::<Result<_, ()>>()?))
        }
        _ => Err(()),
    }
}

/// A decoded value, read back from Arrow.
fn read_back(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        arrow::datatypes::DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        arrow::datatypes::DataType::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
        arrow::datatypes::DataType::Boolean => array.as_boolean().value(row).into(),
        arrow::datatypes::DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        arrow::datatypes::DataType::Timestamp(..) => array.as_primitive::<TimestampMicrosecondType>().value(row).into(),
        arrow::datatypes::DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|i| read_back(&items, i)).collect()
        }
        arrow::datatypes::DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            fields.iter().zip(columns).map(|(f, c)| (f.name().clone(), read_back(c, row))).collect()
        }
        other => panic!("{other} is in no test"),
    }
}

proptest! {
    #[test]
    fn every_record_decodes_to_what_its_json_says(
        (columns, events) in prop::collection::vec(any_type(), 1..4).prop_flat_map(|types| {
            let columns: Vec<_> = types.into_iter().enumerate().map(|(i, ty)| column(&format!("c{i}"), ty)).collect();
            let event = any_value(&ColumnType::Struct(columns.clone()));
            (Just(columns), prop::collection::vec(event, 0..20))
        })
    ) {
        let texts: Vec<_> = events.iter().map(Value::to_string).collect();
        let decoded = decode(columns.clone(), &texts.iter().map(String::as_str).collect::<Vec<_>>());
        let row_type = ColumnType::Struct(columns.clone());
        for (row, event) in events.iter().enumerate() {
            let wanted = if event.is_object() { expected(&row_type, event) } else { Err(()) };
            prop_assert_eq!(decoded.status.value(row), if wanted.is_ok() { 1 } else { 3 });
            for (i, column) in columns.iter().enumerate() {
                let wanted = wanted.as_ref().map_or(&Value::Null, |event| &event[&column.name]);
                prop_assert_eq!(&read_back(&Arc::clone(&decoded.fields[i]), row), wanted);
            }
        }
    }
}

#[test]
#[ignore = "prints figures"]
fn speed_of_decode() {
    let event = r#"{"auction":1017,"bidder":2043,"price":1234567,"channel":"Google","url":"https://www.nexmark.com/item","at":1436918400123,"extra":"abcdefghij"}"#;
    let all = [
        column("auction", ColumnType::Bigint),
        column("bidder", ColumnType::Bigint),
        column("price", ColumnType::Bigint),
        column("channel", ColumnType::Text),
        column("url", ColumnType::Text),
        column("at", ColumnType::TimestampMs),
        column("extra", ColumnType::Text),
    ];
    let values = BinaryArray::from_iter_values(std::iter::repeat_n(event.as_bytes(), 200_000));
    for (columns, projection) in
        [(&all[..], vec![0, 1, 2, 3, 4, 5, 6]), (&all[..], vec![0, 2]), (&all[..3], vec![0, 2])]
    {
        let decoder = Decoder::new(columns.to_vec()).unwrap();
        let started = tokio::time::Instant::now();
        for _ in 0..5 {
            assert!(decoder.decode(&values, &projection).failures.is_empty());
        }
        let rate = 1e6 / started.elapsed().as_secs_f64();
        println!("decoded {} bytes, {} columns, {} wanted: {rate:.0}/s", event.len(), columns.len(), projection.len());
    }
}
