use serde_json::{Value, json};

use super::*;
use crate::decode::ColumnType;

fn schema(raw: Value) -> TopicSchema {
    TopicSchema::parse(raw).unwrap()
}

/// The columns of a schema with these properties, as `name type`.
fn columns(properties: Value) -> Vec<String> {
    let of = schema(json!({"type": "object", "properties": properties})).columns();
    of.iter().map(|column| format!("{} {}", column.name, column.ty)).collect()
}

fn field_type(field: Value) -> ColumnType {
    schema(json!({"properties": {"f": field}})).columns().remove(0).ty
}

fn violation(raw: Value, event: Value) -> (String, String) {
    let Violation { field, detail } = schema(raw).validator().unwrap().check(&event).unwrap_err();
    (field, detail)
}

#[test]
fn each_type_has_its_column() {
    let properties = json!({
        "i": {"type": "integer"}, "n": {"type": "number"}, "s": {"type": "string"}, "b": {"type": "boolean"},
        "t": {"type": "string", "format": "date-time"}, "d": {"type": "string", "format": "date"},
        "o": {"type": "object", "properties": {"x": {"type": "integer"}}},
        "a": {"type": "array", "items": {"type": "string"}},
    });
    let expected = ["i bigint", "n double", "s text", "b boolean", "t timestamp", "d text", "o struct", "a list<text>"];
    assert_eq!(columns(properties), expected);
}

#[test]
fn null_beside_a_type_changes_nothing() {
    for field in [
        json!({"type": ["string", "null"]}),
        json!({"type": ["null", "string"]}),
        json!({"oneOf": [{"type": "null"}, {"type": "string"}]}),
        json!({"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]}),
        json!({"anyOf": [{"type": "string", "maxLength": 3}, {"type": "string", "minLength": 5}]}),
        json!({"allOf": [{"type": "string"}]}),
    ] {
        assert_eq!(field_type(field.clone()), ColumnType::Text, "{field}");
    }
}

#[test]
fn what_has_no_one_type_is_json() {
    for field in [
        json!({}),
        json!(true),
        json!({"type": ["string", "integer"]}),
        json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"type": "object"}),
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        json!({"type": "array"}),
        json!({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "string"}}),
        json!({"enum": ["a", 1]}),
        json!({"type": "null"}),
    ] {
        assert_eq!(field_type(field.clone()), ColumnType::Json, "{field}");
    }
}

#[test]
fn references_are_followed_and_a_circle_ends_in_json() {
    let followed = schema(json!({
        "$defs": {"price": {"type": "number"}, "tree": {"properties": {"left": {"$ref": "#/$defs/tree"}, "n": {"type": "integer"}}}},
        "properties": {"p": {"$ref": "#/$defs/price"}, "t": {"$ref": "#/$defs/tree"}},
    }));
    let tree = ColumnType::Struct(vec![Column::new("left", ColumnType::Json), Column::new("n", ColumnType::Bigint)]);
    assert_eq!(followed.columns(), [Column::new("p", ColumnType::Double), Column::new("t", tree)]);
    let whole = schema(
        json!({"$ref": "#/$defs/e", "$defs": {"e": {"type": "object", "properties": {"a": {"type": "integer"}}}}}),
    );
    assert_eq!(whole.columns(), [Column::new("a", ColumnType::Bigint)]);
}

#[test]
fn references_that_multiply_come_to_an_end() {
    let step = |i: u32| json!({"properties": {"a": {"$ref": format!("#/$defs/s{}", i + 1)}, "b": {"$ref": format!("#/$defs/s{}", i + 1)}}});
    let mut defs: serde_json::Map<_, _> = (0..40).map(|i| (format!("s{i}"), step(i))).collect();
    defs.insert("s40".into(), json!({"type": "integer"}));
    assert_eq!(schema(json!({"$ref": "#/$defs/s0", "$defs": defs})).columns().len(), 2);
}

#[test]
fn what_nests_deeper_than_columns_may_is_json() {
    let deep =
        |levels: usize, of: fn(Value) -> Value| (0..levels).fold(json!({"type": "integer"}), |inner, _| of(inner));
    let depth = |mut ty: &ColumnType| {
        let mut levels = 0;
        loop {
            ty = match ty {
                ColumnType::Struct(columns) => &columns[0].ty,
                ColumnType::List(item) => item,
                innermost => return (levels, innermost.clone()),
            };
            levels += 1;
        }
    };
    for of in [
        (|inner| json!({"type": "object", "properties": {"a": inner}})) as fn(Value) -> Value,
        |inner| json!({"type": "array", "items": inner}),
    ] {
        assert_eq!(depth(&field_type(deep(32, of))), (32, ColumnType::Bigint));
        assert_eq!(depth(&field_type(deep(33, of))), (32, ColumnType::Json));
    }
}

#[test]
fn what_is_no_schema_is_refused_with_its_place() {
    let at = |raw| TopicSchema::parse(raw).unwrap_err().at;
    assert_eq!(at(json!("string")), "");
    assert_eq!(at(json!({"properties": {"a": {"type": "text"}}})), "/properties/a/type");
    assert_eq!(at(json!({"properties": {"_offset": {"type": "integer"}}})), "/properties/_offset");
    TopicSchema::parse(json!({"$ref": "https://example.com/schema.json"})).unwrap_err();
    TopicSchema::parse(json!({"properties": {"a": {"$ref": "#/nowhere"}}})).unwrap_err();
}

#[test]
fn a_violation_names_the_field() {
    let raw = || {
        json!({
            "type": "object",
            "required": ["id"],
            "additionalProperties": false,
            "properties": {
                "id": {"type": "integer", "minimum": 1},
                "at": {"type": "string", "format": "date-time"},
                "legs": {"type": "array", "items": {"type": "object", "required": ["km"]}},
            },
        })
    };
    assert_eq!(violation(raw(), json!({})), ("id".into(), "\"id\" is a required property".into()));
    assert_eq!(violation(raw(), json!({"id": "1"})).0, "id");
    assert_eq!(violation(raw(), json!({"id": 0})).0, "id");
    assert_eq!(violation(raw(), json!({"id": 1, "x": 2})).0, "x");
    assert_eq!(violation(raw(), json!({"id": 1, "at": "noon"})).0, "at");
    assert_eq!(violation(raw(), json!({"id": 1, "legs": [{"km": 1}, {}]})).0, "legs.1.km");
    assert_eq!(violation(raw(), json!(7)).0, "");
    assert!(violation(raw(), json!({"id": "x".repeat(5_000)})).1.chars().count() < 310);
    let valid = schema(raw()).validator().unwrap();
    valid.check(&json!({"id": 1, "at": "2024-01-31T12:00:00Z", "legs": []})).unwrap();
}

#[test]
fn fields_that_the_schema_does_not_name_are_allowed_unless_it_says_otherwise() {
    let open = schema(json!({"properties": {"a": {"type": "integer"}}}));
    open.validator().unwrap().check(&json!({"a": 1, "b": 2})).unwrap();
}

#[test]
fn columns_may_be_added_and_nothing_else() {
    let older = schema(json!({"required": ["a"], "properties": {
        "a": {"type": "integer"}, "o": {"properties": {"x": {"type": "string"}}}, "l": {"type": "array", "items": {"type": "number"}},
    }}));
    let newer = |change: fn(&mut Value)| {
        let mut raw = older.raw().clone();
        change(&mut raw);
        older.check_evolution(&schema(raw), Compatibility::Backward).map_err(|error| error.field)
    };
    assert_eq!(newer(|_| ()), Ok(()));
    assert_eq!(newer(|raw| raw["properties"]["new"] = json!({"type": "string"})), Ok(()));
    assert_eq!(newer(|raw| raw["properties"]["o"]["properties"]["y"] = json!({"type": "string"})), Ok(()));
    assert_eq!(newer(|raw| raw["required"] = json!([])), Ok(()));
    assert_eq!(newer(|raw| raw["properties"]["a"]["maximum"] = json!(9)), Ok(()));
    assert_eq!(newer(|raw| raw["properties"]["a"] = json!({"type": "string"})), Err("a".into()));
    assert_eq!(newer(|raw| raw["properties"]["o"]["properties"]["x"] = json!({})), Err("o.x".into()));
    assert_eq!(newer(|raw| raw["properties"]["l"]["items"] = json!({"type": "integer"})), Err("l".into()));
    assert_eq!(newer(|raw| raw["properties"] = json!({"a": {"type": "integer"}})), Err("o".into()));
    assert_eq!(newer(|raw| raw["required"] = json!(["a", "o"])), Err("o".into()));
}

/// A change, what it is, and whether each rule allows it.
type Case = (&'static str, fn(&mut Value), [bool; 3]);

#[test]
fn each_rule_keeps_what_its_readers_need() {
    let older = json!({"required": ["a"], "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}});
    let changes: [Case; 7] = [
        ("an optional field more", |raw| raw["properties"]["c"] = json!({"type": "string"}), [true, true, true]),
        ("an optional field less", |raw| raw["properties"] = json!({"a": {"type": "integer"}}), [false, true, false]),
        ("a required field less", |raw| *raw = json!({"properties": {"b": {"type": "string"}}}), [false, false, false]),
        ("a field is required now", |raw| raw["required"] = json!(["a", "b"]), [false, true, false]),
        ("a field is not required any more", |raw| raw["required"] = json!([]), [true, false, false]),
        ("another type", |raw| raw["properties"]["b"] = json!({"type": "number"}), [false, false, false]),
        ("nothing", |_| (), [true, true, true]),
    ];
    let rules = [Compatibility::Backward, Compatibility::Forward, Compatibility::Full];
    for (what, change, allowed) in changes {
        let mut raw = older.clone();
        change(&mut raw);
        let (before, after) = (schema(older.clone()), schema(raw));
        assert_eq!(rules.map(|rule| before.check_evolution(&after, rule).is_ok()), allowed, "{what}");
        before.check_evolution(&after, Compatibility::None).unwrap();
    }
}

#[test]
fn columns_keep_the_order_and_the_odd_names_of_the_schema() {
    let raw = r#"{"type": "object", "properties": {"zeta": {"type": "integer"}, "alpha": {"type": "string"}, "ID": {"type": "integer"},
        "id": {"type": "integer"}, "hg.nginx.org": {"properties": {"2xx": {"type": "integer"}, "_x": {"type": "integer"}, "1xx": {"type": "integer"}}},
        "$schema": {"type": "string"}, "two words": {"type": "number"}}}"#;
    let of = schema(serde_json::from_str(raw).unwrap()).columns();
    let names: Vec<&str> = of.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["zeta", "alpha", "ID", "id", "hg.nginx.org", "$schema", "two words"]);
    let ColumnType::Struct(inner) = &of[4].ty else { panic!("{:?}", of[4]) };
    assert_eq!(inner.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["2xx", "_x", "1xx"]);
}

#[test]
fn what_is_no_object_is_no_schema() {
    for raw in [json!(5), json!("x"), json!([]), json!(null), json!(true), json!([{"type": "object"}])] {
        let error = TopicSchema::parse(raw.clone()).unwrap_err();
        assert_eq!(error.detail, "a JSON Schema is an object", "{raw}");
    }
    for raw in
        [json!({"type": 5}), json!({"properties": 5}), json!({"properties": {"a": 5}}), json!({"properties": {"": {}}})]
    {
        TopicSchema::parse(raw.clone()).expect_err(&raw.to_string());
    }
}
