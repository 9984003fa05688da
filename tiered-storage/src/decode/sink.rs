//! A growing Arrow column that can be cut back: a record that fails half-way leaves nothing behind.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Float64Array, Int64Array, ListArray, NullBufferBuilder,
    StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};

use super::{Column, ColumnType};
use crate::UTC;
use crate::decode::column::fields;

/// A column that grows by one value per record (or per list item).
///
/// A sink that is not kept checks values without storing them, so that what is decodable does not depend on what is wanted.
pub(super) struct Sink {
    pub(super) values: Values,
    validity: NullBufferBuilder,
    len: usize,
    keep: bool,
}

/// The values so far, by type.
pub(super) enum Values {
    Bigint(Vec<i64>),
    Double(Vec<f64>),
    Boolean(BooleanBufferBuilder),
    Time(TimeText, Vec<i64>),
    Text(Texts),
    Json(Texts),
    Binary(Texts),
    Struct(Structs),
    List(Lists),
}

/// How an event writes a timestamp.
#[derive(Clone, Copy)]
pub(super) enum TimeText {
    /// RFC 3339 text.
    Rfc3339,
    /// A number of which one second has this many, as each stands for `1_000_000 / per_second` microseconds.
    Number { per_second: i64 },
}

/// Strings, or strings of bytes, one after the other.
pub(super) struct Texts {
    ends: Vec<i32>,
    bytes: Vec<u8>,
}

/// Objects with known fields.
pub(super) struct Structs {
    fields: Fields,
    pub(super) names: Vec<Box<str>>,
    pub(super) children: Vec<Sink>,
}

/// Arrays of values of one type.
pub(super) struct Lists {
    field: FieldRef,
    ends: Vec<i32>,
    pub(super) item: Box<Sink>,
}

impl Sink {
    pub(super) fn new(ty: &ColumnType, keep: bool) -> Self {
        let number = |per_second| Values::Time(TimeText::Number { per_second }, Vec::new());
        let values = match ty {
            ColumnType::Bigint => Values::Bigint(Vec::new()),
            ColumnType::Double => Values::Double(Vec::new()),
            ColumnType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            ColumnType::Text => Values::Text(Texts::new()),
            ColumnType::Json => Values::Json(Texts::new()),
            ColumnType::Binary => Values::Binary(Texts::new()),
            ColumnType::Timestamp => Values::Time(TimeText::Rfc3339, Vec::new()),
            ColumnType::TimestampS => number(1),
            ColumnType::TimestampMs => number(1_000),
            ColumnType::TimestampUs => number(1_000_000),
            ColumnType::Struct(columns) => Values::Struct(Structs::new(columns, keep)),
            ColumnType::List(item) => Values::List(Lists::new(item, keep)),
        };
        Sink { values, validity: NullBufferBuilder::new(0), len: 0, keep }
    }

    /// The number of values; stays 0 when they are not kept.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Marks the value just stored as there. Every `push_*` ends here.
    pub(super) fn close(&mut self) {
        if self.keep {
            self.validity.append_non_null();
            self.len += 1;
        }
    }

    pub(super) fn keep(&self) -> bool {
        self.keep
    }

    pub(super) fn push_null(&mut self) {
        if !self.keep {
            return;
        }
        match &mut self.values {
            Values::Bigint(values) | Values::Time(_, values) => values.push(0),
            Values::Double(values) => values.push(0.0),
            Values::Boolean(values) => values.append(false),
            Values::Text(texts) | Values::Json(texts) | Values::Binary(texts) => texts.push(""),
            Values::Struct(structs) => structs.children.iter_mut().for_each(Sink::push_null),
            Values::List(lists) => lists.close(),
        }
        self.validity.append_null();
        self.len += 1;
    }

    /// Cuts back to the first `len` values, whatever of a further one was stored already.
    pub(super) fn truncate(&mut self, len: usize) {
        if !self.keep {
            return;
        }
        match &mut self.values {
            Values::Bigint(values) | Values::Time(_, values) => values.truncate(len),
            Values::Double(values) => values.truncate(len),
            Values::Boolean(values) => values.truncate(len),
            Values::Text(texts) | Values::Json(texts) | Values::Binary(texts) => texts.truncate(len),
            Values::Struct(structs) => structs.children.iter_mut().for_each(|child| child.truncate(len)),
            Values::List(lists) => lists.truncate(len),
        }
        self.validity.truncate(len);
        self.len = len;
    }

    /// Forgets the value of this row where there is one already: of several fields of one name the last one wins.
    pub(super) fn forget(&mut self, row: usize) {
        if self.len > row {
            self.truncate(row);
        }
    }

    /// Brings a column that got no value for its row up to `len` with a NULL.
    pub(super) fn pad(&mut self, len: usize) {
        if self.keep && self.len() < len {
            self.push_null();
        }
    }

    pub(super) fn finish(mut self) -> ArrayRef {
        let nulls = self.validity.finish();
        match self.values {
            Values::Bigint(values) => Arc::new(Int64Array::new(values.into(), nulls)),
            Values::Double(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Values::Boolean(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Time(_, values) => {
                Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone(UTC))
            }
            Values::Text(texts) | Values::Json(texts) => {
                Arc::new(StringArray::new(offsets(texts.ends), Buffer::from_vec(texts.bytes), nulls))
            }
            Values::Binary(texts) => {
                Arc::new(BinaryArray::new(offsets(texts.ends), Buffer::from_vec(texts.bytes), nulls))
            }
            Values::Struct(structs) => {
                let children = structs.children.into_iter().map(Sink::finish).collect();
                Arc::new(StructArray::new(structs.fields, children, nulls))
            }
            Values::List(lists) => {
                Arc::new(ListArray::new(lists.field, offsets(lists.ends), lists.item.finish(), nulls))
            }
        }
    }
}

fn offsets(ends: Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(ends))
}

impl Texts {
    fn new() -> Self {
        Texts { ends: vec![0], bytes: Vec::new() }
    }

    /// Text is never longer than the input that it came from, which Arrow bounds to 2 GiB.
    pub(super) fn push(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len() as i32);
    }

    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len + 1);
        self.bytes.truncate(self.ends[len] as usize);
    }
}

impl Structs {
    fn new(columns: &[Column], keep: bool) -> Self {
        Structs {
            fields: fields(columns),
            names: columns.iter().map(|column| column.name.as_str().into()).collect(),
            children: columns.iter().map(|column| Sink::new(&column.ty, keep)).collect(),
        }
    }
}

impl Lists {
    fn new(item: &ColumnType, keep: bool) -> Self {
        let DataType::List(field) = ColumnType::List(Box::new(item.clone())).arrow() else {
            unreachable!("the Arrow type of a list is a list")
        };
        Lists { field, ends: vec![0], item: Box::new(Sink::new(item, keep)) }
    }

    /// Ends the list that the items since the last end belong to.
    pub(super) fn close(&mut self) {
        self.ends.push(self.item.len() as i32);
    }

    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len + 1);
        self.item.truncate(self.ends[len] as usize);
    }
}
