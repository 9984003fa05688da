//! Avro: values of any writer's schema, read as the topic's, straight into the columns.
//!
//! The topic's schema is the reader's. A writer's schema is resolved to it once, into a tree of steps; reading a value then follows
//! the tree, without a tree of values in between. Pure: where writers' schemas come from is not known here.

mod default;
mod input;
mod place;
mod read;
mod resolve;
mod schema;

#[cfg(test)]
mod tests;

use apache_avro::schema_compatibility::SchemaCompatibility;
use serde_json::Value;

use super::codec::Detail;
use super::sink::Sink;
use super::visit::Trail;
use super::{Column, InvalidColumns};
use input::Input;
use place::Place;
use read::Reading;
use schema::{TypeId, Types};

pub(super) use place::{WHOLE, fits};
pub(super) use resolve::Resolved;
pub(crate) use schema::inlined;

/// An Avro schema, understood.
#[derive(Debug, Clone)]
pub(crate) struct AvroSchema {
    types: Types,
    root: TypeId,
}

impl AvroSchema {
    /// Checks a schema by all rules of Avro.
    pub(crate) fn parse(raw: &Value) -> Result<Self, String> {
        apache_avro::Schema::parse(raw).map_err(|e| e.to_string())?;
        let mut types = Types::default();
        let root = types.add(raw)?;
        let schema = AvroSchema { types, root };
        // Defaults that do not fit show when the schema reads itself.
        Resolved::new(schema.types.clone(), root, root)?;
        Ok(schema)
    }

    /// The columns that the schema gives.
    pub(crate) fn columns(&self) -> Vec<Column> {
        place::columns(&self.types, self.root)
    }
}

/// Checks that what was written with `writer` can be read with `reader`.
pub(crate) fn can_read(writer: &Value, reader: &Value) -> Result<(), String> {
    let parse = |raw: &Value| apache_avro::Schema::parse(raw).map_err(|e| e.to_string());
    SchemaCompatibility::can_read(&parse(writer)?, &parse(reader)?).map_err(|e| e.to_string())
}

/// Reads Avro into columns.
#[derive(Debug)]
pub(super) struct Avro {
    schema: AvroSchema,
    place: Place,
    /// How values of the topic's own schema are read.
    pub(super) own: Resolved,
}

impl Avro {
    pub(super) fn new(schema: AvroSchema, columns: &[Column]) -> Result<Self, InvalidColumns> {
        let mut place = Place::default();
        for (i, column) in columns.iter().enumerate() {
            let steps = column.steps().expect("paths are checked when a decoder is made");
            let added = place.add(&schema.types, schema.root, &steps, i, &column.ty);
            added.map_err(|detail| InvalidColumns { column: column.name.clone(), detail })?;
        }
        let own = Resolved::new(schema.types.clone(), schema.root, schema.root).expect("the schema reads itself");
        Ok(Avro { schema, place, own })
    }

    /// How values of that writer are read; the error says why they cannot be.
    pub(super) fn resolve(&self, writer: &Value) -> Result<Resolved, String> {
        let mut types = self.schema.types.clone();
        let theirs = types.add(writer)?;
        Resolved::new(types, theirs, self.schema.root)
    }

    /// Reads one value.
    pub(super) fn read(
        &self,
        value: &[u8],
        resolved: &Resolved,
        sinks: &mut [Sink],
        trail: &mut Trail,
        json: &mut String,
    ) -> Result<(), Detail> {
        let mut input = Input::new(value);
        Reading { resolved, trail, json }.walk(resolved.root, &self.place, &mut input, sinks)?;
        input.end()
    }
}
