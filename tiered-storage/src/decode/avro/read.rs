//! The one pass over a value's bytes, straight into the columns.

use super::super::codec::Detail;
use super::super::scalar::{Scalar, date, decimal};
use super::super::sink::{Sink, Values};
use super::super::visit::Trail;
use super::input::Input;
use super::place::Place;
use super::resolve::{Fields, Meaning, Node, NodeId, Resolved, Written};

/// Reads one value of a writer.
pub(super) struct Reading<'a> {
    pub(super) resolved: &'a Resolved,
    /// Gets the names on the way to what failed, innermost first.
    pub(super) trail: &'a mut Trail,
    /// Room for the JSON of one column.
    pub(super) json: &'a mut String,
}

impl Reading<'_> {
    /// Reads what stands at a place of the record into all columns there and further in.
    pub(super) fn walk(
        &mut self,
        node: NodeId,
        place: &Place,
        input: &mut Input<'_>,
        sinks: &mut [Sink],
    ) -> Result<(), Detail> {
        if let ([column], true) = (place.columns.as_slice(), place.fields.is_empty()) {
            return self.put(node, input, &mut sinks[*column]);
        }
        let begin = *input;
        for column in &place.columns {
            *input = begin;
            self.put(node, input, &mut sinks[*column])?;
        }
        if place.fields.is_empty() {
            return Ok(());
        }
        *input = begin;
        self.walk_in(node, place, input, sinks)
    }

    /// Reads what stands further in than a place.
    fn walk_in(
        &mut self,
        node: NodeId,
        place: &Place,
        input: &mut Input<'_>,
        sinks: &mut [Sink],
    ) -> Result<(), Detail> {
        input.enter()?;
        match self.resolved.node(node) {
            Node::Union(branches) => {
                let branch = input.choice(branches.len(), "branch")?;
                self.walk_in(branches[branch], place, input, sinks)?;
            }
            Node::Record(fields) => self.walk_fields(fields, place, input, sinks)?,
            // Nothing stands further in: the columns there are NULL.
            Node::Null => {}
            Node::Never(detail) => return Err(detail.clone()),
            _ => return Err("it is no record".into()),
        }
        input.leave();
        Ok(())
    }

    fn walk_fields(
        &mut self,
        fields: &Fields,
        place: &Place,
        input: &mut Input<'_>,
        sinks: &mut [Sink],
    ) -> Result<(), Detail> {
        let wanted = |field: usize| place.fields.get(field).and_then(Option::as_ref);
        for step in &fields.written {
            match step.read.and_then(|(field, node)| Some((field, node, wanted(field)?))) {
                Some((field, node, inner)) => {
                    self.walk(node, inner, input, sinks).inspect_err(|_| self.at(&fields.names[field]))?;
                }
                None => input.skip(&self.resolved.types, step.ty)?,
            }
        }
        for (field, node, default) in &fields.absent {
            if let Some(inner) = wanted(*field) {
                self.walk(*node, inner, &mut Input::new(default), sinks)?;
            }
        }
        Ok(())
    }

    fn at(&mut self, name: &str) {
        self.trail.push(name.to_owned());
    }

    /// Reads one value into one column.
    fn put(&mut self, node: NodeId, input: &mut Input<'_>, sink: &mut Sink) -> Result<(), Detail> {
        if let Values::Json(_) = sink.values {
            let mut json = std::mem::take(self.json);
            json.clear();
            let written = self.write_json(node, input, &mut json);
            if written.is_ok() {
                sink.put_json(&json);
            }
            *self.json = json;
            return written;
        }
        match self.resolved.node(node) {
            Node::Null => sink.push_null(),
            Node::Scalar(written, meaning) => return scalar(*written, *meaning, input, |value| sink.put(value)),
            Node::Enum(symbols) => return sink.put(Scalar::Text(symbol(symbols, input)?)),
            Node::Union(branches) => {
                input.enter()?;
                let branch = input.choice(branches.len(), "branch")?;
                self.put(branches[branch], input, sink)?;
                input.leave();
            }
            Node::Record(fields) => {
                input.enter()?;
                self.put_fields(fields, input, sink)?;
                input.leave();
            }
            Node::Array(item) => {
                input.enter()?;
                self.put_items(*item, input, sink)?;
                input.leave();
            }
            Node::Map(_) => return Err("it is a map, which is no column by itself".into()),
            Node::Never(detail) => return Err(detail.clone()),
        }
        Ok(())
    }

    fn put_fields(&mut self, fields: &Fields, input: &mut Input<'_>, sink: &mut Sink) -> Result<(), Detail> {
        let Values::Struct(structs) = &mut sink.values else { return Err("it is a record".into()) };
        for step in &fields.written {
            match step.read {
                Some((field, node)) => {
                    let child = &mut structs.children[field];
                    self.put(node, input, child).inspect_err(|_| self.at(&fields.names[field]))?;
                }
                None => input.skip(&self.resolved.types, step.ty)?,
            }
        }
        for (field, node, default) in &fields.absent {
            self.put(*node, &mut Input::new(default), &mut structs.children[*field])?;
        }
        sink.close();
        Ok(())
    }

    fn put_items(&mut self, item: NodeId, input: &mut Input<'_>, sink: &mut Sink) -> Result<(), Detail> {
        let Values::List(lists) = &mut sink.values else { return Err("it is an array".into()) };
        loop {
            let count = input.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                self.put(item, input, &mut lists.item)?;
            }
        }
        lists.close();
        sink.close();
        Ok(())
    }

    /// Reads one value as JSON.
    fn write_json(&mut self, node: NodeId, input: &mut Input<'_>, json: &mut String) -> Result<(), Detail> {
        input.enter()?;
        match self.resolved.node(node) {
            Node::Null => json.push_str("null"),
            Node::Scalar(written, meaning) => scalar(*written, *meaning, input, |value| {
                value.write_json(json);
                Ok(())
            })?,
            Node::Enum(symbols) => Scalar::Text(symbol(symbols, input)?).write_json(json),
            Node::Union(branches) => {
                let branch = input.choice(branches.len(), "branch")?;
                self.write_json(branches[branch], input, json)?;
            }
            Node::Record(fields) => self.write_fields(fields, input, json)?,
            Node::Array(item) => {
                json.push('[');
                self.write_blocks(*item, false, input, json)?;
                json.push(']');
            }
            Node::Map(value) => {
                json.push('{');
                self.write_blocks(*value, true, input, json)?;
                json.push('}');
            }
            Node::Never(detail) => return Err(detail.clone()),
        }
        input.leave();
        Ok(())
    }

    fn write_fields(&mut self, fields: &Fields, input: &mut Input<'_>, json: &mut String) -> Result<(), Detail> {
        let mut next = '{';
        let mut name = |field: usize, json: &mut String| {
            json.push(next);
            next = ',';
            Scalar::Text(&fields.names[field]).write_json(json);
            json.push(':');
        };
        for step in &fields.written {
            match step.read {
                Some((field, node)) => {
                    name(field, json);
                    self.write_json(node, input, json)?;
                }
                None => input.skip(&self.resolved.types, step.ty)?,
            }
        }
        for (field, node, default) in &fields.absent {
            name(*field, json);
            self.write_json(*node, &mut Input::new(default), json)?;
        }
        json.push_str(if next == '{' { "{}" } else { "}" });
        Ok(())
    }

    fn write_blocks(
        &mut self,
        item: NodeId,
        keyed: bool,
        input: &mut Input<'_>,
        json: &mut String,
    ) -> Result<(), Detail> {
        let mut first = true;
        loop {
            let count = input.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                if !std::mem::take(&mut first) {
                    json.push(',');
                }
                if keyed {
                    Scalar::Text(input.text()?).write_json(json);
                    json.push(':');
                }
                self.write_json(item, input, json)?;
            }
        }
    }
}

fn symbol<'a>(symbols: &'a [Option<Box<str>>], input: &mut Input<'_>) -> Result<&'a str, Detail> {
    let chosen = input.choice(symbols.len(), "symbol")?;
    symbols[chosen].as_deref().ok_or_else(|| format!("the writer's symbol {chosen} is none of the reader's").into())
}

/// Reads a scalar and hands it on as what it means to the reader.
fn scalar(
    written: Written,
    meaning: Meaning,
    input: &mut Input<'_>,
    put: impl FnOnce(Scalar<'_>) -> Result<(), Detail>,
) -> Result<(), Detail> {
    match written {
        Written::Boolean => put(Scalar::Boolean(input.boolean()?)),
        Written::Int => whole(i64::from(input.int()?), meaning, put),
        Written::Long => whole(input.long()?, meaning, put),
        Written::Float => put(Scalar::Double(f64::from(input.float()?))),
        Written::Double => put(Scalar::Double(input.double()?)),
        Written::Bytes => bytes(input.bytes()?, meaning, put),
        Written::Fixed(size) => bytes(input.take(size)?, meaning, put),
    }
}

fn whole(number: i64, meaning: Meaning, put: impl FnOnce(Scalar<'_>) -> Result<(), Detail>) -> Result<(), Detail> {
    let out_of_range = || format!("{number} is no time");
    match meaning {
        Meaning::Float => put(Scalar::Double(f64::from(number as f32))),
        Meaning::Double => put(Scalar::Double(number as f64)),
        Meaning::Millis => put(Scalar::Micros(number.checked_mul(1000).ok_or_else(out_of_range)?)),
        Meaning::Micros => put(Scalar::Micros(number)),
        Meaning::Nanos => put(Scalar::Micros(number.div_euclid(1000))),
        Meaning::Date => put(Scalar::Text(&date(i32::try_from(number).map_err(|_| out_of_range())?)?)),
        _ => put(Scalar::Bigint(number)),
    }
}

fn bytes(bytes: &[u8], meaning: Meaning, put: impl FnOnce(Scalar<'_>) -> Result<(), Detail>) -> Result<(), Detail> {
    match meaning {
        Meaning::Text => put(Scalar::Text(std::str::from_utf8(bytes).map_err(|_| "a string is not UTF-8")?)),
        Meaning::Decimal(scale) => put(Scalar::Text(&decimal(bytes, scale)?)),
        Meaning::Uuid => {
            let uuid = uuid::Uuid::from_slice(bytes).map_err(|_| "a UUID has 16 bytes")?;
            put(Scalar::Text(&uuid.to_string()))
        }
        _ => put(Scalar::Binary(bytes)),
    }
}
