//! Topics of random columns, and what is appended to them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use rekap_tiered_storage::{Timestamp, UTC};
use serde_json::{Map, Value, json};

use crate::chance::Chance;

/// The type of a column or an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ty {
    Int,
    Double,
    Text,
    Bool,
    Time,
}

pub const TYPES: [Ty; 5] = [Ty::Int, Ty::Double, Ty::Text, Ty::Bool, Ty::Time];

/// When the records of a test are written, in microseconds: 2024-03-10.
pub const NOW: i64 = 1_710_072_000_000_000;

/// Names that people use and that SQL minds.
const NAMES: [&str; 10] = ["n", "Mixed", "two words", "a.b", "select", "ünï", "x0", "_", "$ref", "v"];

/// A topic: the text column `k` (its record key, if it is keyed), random columns, a struct `o` and a list `l`.
#[derive(Debug, Clone)]
pub struct TopicModel {
    pub name: &'static str,
    pub keyed: bool,
    pub columns: Vec<(String, Ty)>,
}

/// What stands in one column of one record. The struct holds an integer and a text.
#[derive(Debug, Clone)]
pub enum Val {
    Null,
    Int(i64),
    Double(f64),
    Text(String),
    Bool(bool),
    Time(i64),
}

#[derive(Debug, Clone)]
pub struct Row {
    pub columns: Vec<Val>,
    pub o: Option<(Option<i64>, Option<String>)>,
    pub l: Option<Vec<Option<i64>>>,
}

#[derive(Debug, Clone)]
pub enum Body {
    Row(Row),
    Tombstone,
    /// Bytes that do not decode.
    Broken(String),
}

#[derive(Debug, Clone)]
pub struct Event {
    pub topic: usize,
    pub partition: u32,
    pub timestamp: i64,
    pub key: Option<String>,
    pub body: Body,
}

impl TopicModel {
    pub fn random(name: &'static str, chance: &mut Chance) -> Self {
        let mut columns = vec![("k".to_owned(), Ty::Text)];
        let first = chance.below(NAMES.len());
        for i in 0..2 + chance.below(4) {
            let mut column = NAMES[(first + i) % NAMES.len()];
            if column.starts_with('_') {
                column = "no underscore";
            }
            columns.push((column.to_owned(), *chance.pick(&TYPES)));
        }
        columns.push(("i".to_owned(), Ty::Int));
        columns.push(("at".to_owned(), Ty::Time));
        TopicModel { name, keyed: chance.one_in(2), columns }
    }

    /// The topic's JSON Schema.
    pub fn schema(&self) -> Value {
        let mut properties = Map::new();
        for (name, ty) in &self.columns {
            let ty = match ty {
                Ty::Int => json!({"type": "integer"}),
                Ty::Double => json!({"type": ["number", "null"]}),
                Ty::Text => json!({"type": "string"}),
                Ty::Bool => json!({"type": "boolean"}),
                Ty::Time => json!({"type": "string", "format": "date-time"}),
            };
            properties.insert(name.clone(), ty);
        }
        let o = json!({"p": {"type": "integer"}, "q.r": {"type": "string"}});
        properties.insert("o".to_owned(), json!({"type": "object", "properties": o}));
        properties.insert("l".to_owned(), json!({"type": "array", "items": {"type": "integer"}}));
        json!({"type": "object", "properties": properties})
    }

    pub fn event(&self, topic: usize, chance: &mut Chance) -> Event {
        let k = format!("k{}", chance.below(5));
        let partition = if self.keyed { u32::from(k.as_bytes()[1] % 2) } else { chance.below(2) as u32 };
        let timestamp = NOW + chance.between(0, 20) * 1_000_000;
        let key = self.keyed.then(|| k.clone());
        let body = match chance.below(24) {
            0 => Body::Tombstone,
            1 => Body::Broken(format!("{{\"k\":{},\"i\":1}}", chance.below(9))),
            _ => Body::Row(self.row(k, chance)),
        };
        Event { topic, partition, timestamp, key, body }
    }

    fn row(&self, k: String, chance: &mut Chance) -> Row {
        let mut columns = vec![Val::Text(k)];
        for (_, ty) in &self.columns[1..] {
            columns.push(if chance.one_in(7) { Val::Null } else { value(*ty, chance) });
        }
        let maybe = |chance: &mut Chance| (!chance.one_in(5)).then(|| chance.between(-3, 9));
        let o = (!chance.one_in(6)).then(|| (maybe(chance), maybe(chance).map(|n| format!("q{n}"))));
        let l = (!chance.one_in(6)).then(|| (0..chance.below(4)).map(|_| maybe(chance)).collect());
        Row { columns, o, l }
    }
}

fn value(ty: Ty, chance: &mut Chance) -> Val {
    match ty {
        Ty::Int => Val::Int(chance.between(-5, 12)),
        Ty::Double => Val::Double(chance.between(-40, 80) as f64 / 4.0),
        Ty::Text => Val::Text(["a", "B", "é", "", "a'b", "xyz", "5"][chance.below(7)].to_owned()),
        Ty::Bool => Val::Bool(chance.one_in(2)),
        Ty::Time => {
            Val::Time(NOW + chance.between(-12 * 3_600, 12 * 3_600) * 1_000_000 + chance.between(0, 3) * 250_000)
        }
    }
}

impl Event {
    /// The bytes of the event.
    pub fn bytes(&self, topic: &TopicModel) -> Option<String> {
        match &self.body {
            Body::Tombstone => None,
            Body::Broken(text) => Some(text.clone()),
            Body::Row(row) => {
                let mut fields = Map::new();
                for ((name, _), value) in topic.columns.iter().zip(&row.columns) {
                    fields.insert(name.clone(), value.json());
                }
                let o = row.o.as_ref().map(|(p, q)| json!({"p": p, "q.r": q}));
                fields.insert("o".to_owned(), o.unwrap_or(Value::Null));
                fields.insert("l".to_owned(), json!(row.l));
                Some(Value::Object(fields).to_string())
            }
        }
    }
}

impl Val {
    fn json(&self) -> Value {
        match self {
            Val::Null => Value::Null,
            Val::Int(n) => json!(n),
            Val::Double(n) => json!(n),
            Val::Text(text) => json!(text),
            Val::Bool(value) => json!(value),
            Val::Time(micros) => json!(Timestamp::from_micros(*micros).to_string()),
        }
    }
}

/// All that is in one topic as a table without any of our own code: its columns, those of the record, and for the judge `__ts`, `__p`,
/// `__o` and `__tomb`. A tombstone has its key and nothing else.
pub fn table(model: &TopicModel, records: &[(i64, &Event)]) -> RecordBatch {
    let records: Vec<_> = records.iter().filter(|(_, event)| !matches!(event.body, Body::Broken(_))).collect();
    let row = |event: &Event| match &event.body {
        Body::Row(row) => row.clone(),
        _ => {
            let mut columns = vec![Val::Null; model.columns.len()];
            if let Some(key) = &event.key {
                columns[0] = Val::Text(key.clone());
            }
            Row { columns, o: None, l: None }
        }
    };
    let rows: Vec<Row> = records.iter().map(|(_, event)| row(event)).collect();
    let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = (vec![], vec![]);
    let mut push = |name: &str, array: ArrayRef| {
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    };
    for (i, (name, ty)) in model.columns.iter().enumerate() {
        push(name, column(*ty, rows.iter().map(|row| &row.columns[i])));
    }
    push("o", structs(&rows));
    let lists = rows.iter().map(|row| row.l.clone());
    push("l", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)));
    for prefix in ["_partition _offset _timestamp", "__p __o __ts"] {
        let names: Vec<&str> = prefix.split(' ').collect();
        push(names[0], Arc::new(Int32Array::from_iter_values(records.iter().map(|(_, event)| event.partition as i32))));
        push(names[1], Arc::new(Int64Array::from_iter_values(records.iter().map(|(offset, _)| *offset))));
        push(names[2], times(records.iter().map(|(_, event)| Some(event.timestamp))));
    }
    let keys: BinaryArray = records.iter().map(|(_, event)| event.key.as_ref().map(|key| key.as_bytes())).collect();
    push("_key", Arc::new(keys));
    let tombs = records.iter().map(|(_, event)| Some(matches!(event.body, Body::Tombstone)));
    push("__tomb", Arc::new(tombs.collect::<BooleanArray>()));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length")
}

fn times(micros: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone(UTC))
}

fn structs(rows: &[Row]) -> ArrayRef {
    let o = |row: &Row| row.o.clone().unwrap_or_default();
    let p: Int64Array = rows.iter().map(|row| o(row).0).collect();
    let q: StringArray = rows.iter().map(|row| o(row).1).collect();
    let fields = vec![Field::new("p", DataType::Int64, true), Field::new("q.r", DataType::Utf8, true)];
    let valid: Vec<bool> = rows.iter().map(|row| row.o.is_some()).collect();
    Arc::new(StructArray::new(fields.into(), vec![Arc::new(p), Arc::new(q)], Some(valid.into())))
}

fn column<'a>(ty: Ty, values: impl Iterator<Item = &'a Val>) -> ArrayRef {
    match ty {
        Ty::Int => Arc::new(values.map(|v| if let Val::Int(n) = v { Some(*n) } else { None }).collect::<Int64Array>()),
        Ty::Double => {
            Arc::new(values.map(|v| if let Val::Double(n) = v { Some(*n) } else { None }).collect::<Float64Array>())
        }
        Ty::Text => Arc::new(
            values.map(|v| if let Val::Text(t) = v { Some(t.as_str()) } else { None }).collect::<StringArray>(),
        ),
        Ty::Bool => {
            Arc::new(values.map(|v| if let Val::Bool(b) = v { Some(*b) } else { None }).collect::<BooleanArray>())
        }
        Ty::Time => times(values.map(|v| if let Val::Time(t) = v { Some(*t) } else { None })),
    }
}
