//! An Avro schema as it is walked: every type once in an arena, so that a type that contains itself is only a number.
//!
//! Built from the schema's JSON. Names resolve as Avro says: a name without dots is one of the enclosing namespace.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// A type of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TypeId(usize);

/// All types of one or more schemas.
#[derive(Debug, Clone, Default)]
pub(super) struct Types(Vec<AvroType>);

/// One type.
#[derive(Debug, Clone)]
pub(super) struct AvroType {
    /// Its full name, where it has one.
    pub(super) name: Option<Box<str>>,
    /// Further names of it.
    aliases: Vec<Box<str>>,
    pub(super) shape: Shape,
    pub(super) logical: Option<Logical>,
}

/// How a type's values are written.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum { symbols: Vec<Box<str>>, default: Option<Box<str>> },
    Record(Vec<AvroField>),
    Array(TypeId),
    Map(TypeId),
    Union(Vec<TypeId>),
}

/// A field of a record.
#[derive(Debug, Clone)]
pub(super) struct AvroField {
    pub(super) name: Box<str>,
    aliases: Vec<Box<str>>,
    /// What stands for it in records that do not have it.
    pub(super) default: Option<Value>,
    pub(super) ty: TypeId,
}

/// What a plain type stands for. Logical types that are not listed are read as the type below them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logical {
    Date,
    Millis,
    Micros,
    Nanos,
    Decimal(u32),
    Uuid,
}

impl AvroType {
    /// True when both are called the same, namespaces aside; `self` is the reader's, whose aliases count.
    pub(super) fn is_called_as(&self, writer: &AvroType) -> bool {
        let Some(theirs) = writer.name.as_deref() else { return self.name.is_none() };
        let ours = self.name.as_deref().into_iter().chain(self.aliases.iter().map(|alias| &**alias));
        ours.into_iter().any(|name| last(name) == last(theirs))
    }
}

impl AvroField {
    /// True when this field of the reader reads the writer's field of that name.
    pub(super) fn reads(&self, name: &str) -> bool {
        *self.name == *name || self.aliases.iter().any(|alias| **alias == *name)
    }
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

impl Shape {
    /// The type's name in Avro.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Shape::Null => "null",
            Shape::Boolean => "boolean",
            Shape::Int => "int",
            Shape::Long => "long",
            Shape::Float => "float",
            Shape::Double => "double",
            Shape::Bytes => "bytes",
            Shape::String => "string",
            Shape::Fixed(_) => "fixed",
            Shape::Enum { .. } => "enum",
            Shape::Record(_) => "record",
            Shape::Array(_) => "array",
            Shape::Map(_) => "map",
            Shape::Union(_) => "union",
        }
    }

    fn primitive(name: &str) -> Option<Shape> {
        Some(match name {
            "null" => Shape::Null,
            "boolean" => Shape::Boolean,
            "int" => Shape::Int,
            "long" => Shape::Long,
            "float" => Shape::Float,
            "double" => Shape::Double,
            "bytes" => Shape::Bytes,
            "string" => Shape::String,
            _ => return None,
        })
    }
}

impl Types {
    /// Takes in a schema; the error says what is wrong where.
    pub(super) fn add(&mut self, schema: &Value) -> Result<TypeId, String> {
        Parser { types: self, names: HashMap::new() }.parse(schema, "")
    }

    pub(super) fn get(&self, id: TypeId) -> &AvroType {
        &self.0[id.0]
    }

    pub(super) fn shape(&self, id: TypeId) -> &Shape {
        &self.0[id.0].shape
    }

    /// The one type of a union beside null; any other type is itself.
    pub(super) fn without_null(&self, id: TypeId) -> TypeId {
        let Shape::Union(branches) = self.shape(id) else { return id };
        let mut others = branches.iter().filter(|branch| !matches!(self.shape(**branch), Shape::Null));
        match (others.next(), others.next()) {
            (Some(only), None) => *only,
            _ => id,
        }
    }

    fn push(&mut self, shape: Shape) -> TypeId {
        self.0.push(AvroType { name: None, aliases: Vec::new(), shape, logical: None });
        TypeId(self.0.len() - 1)
    }
}

struct Parser<'a> {
    types: &'a mut Types,
    names: HashMap<String, TypeId>,
}

impl Parser<'_> {
    fn parse(&mut self, schema: &Value, namespace: &str) -> Result<TypeId, String> {
        match schema {
            Value::String(name) => self.named(name, namespace),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.parse(branch, namespace)).collect::<Result<_, _>>()?;
                Ok(self.types.push(Shape::Union(branches)))
            }
            Value::Object(schema) => self.complex(schema, namespace),
            other => Err(format!("{other} is no Avro type")),
        }
    }

    fn named(&mut self, name: &str, namespace: &str) -> Result<TypeId, String> {
        if let Some(shape) = Shape::primitive(name) {
            return Ok(self.types.push(shape));
        }
        let known = self.names.get(&full_name(name, namespace)).or_else(|| self.names.get(name));
        known.copied().ok_or_else(|| format!("`{name}` is no Avro type, and no type of that name stands before"))
    }

    fn complex(&mut self, schema: &Map<String, Value>, namespace: &str) -> Result<TypeId, String> {
        let ty = schema.get("type").ok_or("a type without `type`")?;
        let Value::String(kind) = ty else { return self.parse(ty, namespace) };
        match kind.as_str() {
            "record" | "error" => self.record(schema, namespace),
            "enum" => {
                let symbols: Vec<Box<str>> = texts(schema, "symbols").ok_or("an enum without `symbols`")?;
                let default = schema.get("default").and_then(Value::as_str).map(Into::into);
                Ok(self.declare(schema, namespace, Shape::Enum { symbols, default })?.0)
            }
            "fixed" => {
                let size = schema.get("size").and_then(Value::as_u64).ok_or("a fixed without `size`")?;
                let id = self.declare(schema, namespace, Shape::Fixed(size as usize))?.0;
                self.types.0[id.0].logical = logical(schema, &Shape::Fixed(size as usize));
                Ok(id)
            }
            "array" => {
                let item = self.parse(schema.get("items").ok_or("an array without `items`")?, namespace)?;
                Ok(self.types.push(Shape::Array(item)))
            }
            "map" => {
                let value = self.parse(schema.get("values").ok_or("a map without `values`")?, namespace)?;
                Ok(self.types.push(Shape::Map(value)))
            }
            name => {
                let id = self.named(name, namespace)?;
                if Shape::primitive(name).is_some() {
                    let logical = logical(schema, self.types.shape(id));
                    self.types.0[id.0].logical = logical;
                }
                Ok(id)
            }
        }
    }

    fn record(&mut self, schema: &Map<String, Value>, namespace: &str) -> Result<TypeId, String> {
        let (id, namespace) = self.declare(schema, namespace, Shape::Record(Vec::new()))?;
        let listed = schema.get("fields").and_then(Value::as_array).ok_or("a record without `fields`")?;
        let mut fields = Vec::with_capacity(listed.len());
        for field in listed {
            let field = field.as_object().ok_or_else(|| format!("{field} is no field"))?;
            let name = field.get("name").and_then(Value::as_str).ok_or("a field without `name`")?;
            let ty = field.get("type").ok_or_else(|| format!("field `{name}` has no `type`"))?;
            let ty = match ty {
                // Some write a logical type beside the field's type instead of within it.
                Value::String(plain) if field.contains_key("logicalType") && Shape::primitive(plain).is_some() => {
                    self.complex(field, &namespace)
                }
                ty => self.parse(ty, &namespace),
            };
            fields.push(AvroField {
                name: name.into(),
                aliases: texts(field, "aliases").unwrap_or_default(),
                default: field.get("default").cloned(),
                ty: ty.map_err(|detail| format!("field `{name}`: {detail}"))?,
            });
        }
        self.types.0[id.0].shape = Shape::Record(fields);
        Ok(id)
    }

    /// Gives a named type its place before its parts are read: they may name it. Answers the namespace within it as well.
    fn declare(
        &mut self,
        schema: &Map<String, Value>,
        namespace: &str,
        shape: Shape,
    ) -> Result<(TypeId, String), String> {
        let name =
            schema.get("name").and_then(Value::as_str).ok_or_else(|| format!("a {} without `name`", shape.kind()))?;
        let namespace = schema.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let full = full_name(name, namespace);
        let aliases = texts(schema, "aliases").unwrap_or_default();
        self.types.0.push(AvroType { name: Some(full.as_str().into()), aliases, shape, logical: None });
        let id = TypeId(self.types.0.len() - 1);
        let within = full.rsplit_once('.').map_or("", |(within, _)| within).to_owned();
        if self.names.insert(full.clone(), id).is_some() {
            return Err(format!("two types are called `{full}`"));
        }
        Ok((id, within))
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn texts(schema: &Map<String, Value>, field: &str) -> Option<Vec<Box<str>>> {
    schema.get(field)?.as_array()?.iter().map(|text| text.as_str().map(Into::into)).collect()
}

fn logical(schema: &Map<String, Value>, shape: &Shape) -> Option<Logical> {
    let name = schema.get("logicalType")?.as_str()?;
    let number = |field: &str| schema.get(field).and_then(Value::as_u64);
    Some(match (name.strip_prefix("local-").unwrap_or(name), shape) {
        ("date", Shape::Int) => Logical::Date,
        ("timestamp-millis", Shape::Long) => Logical::Millis,
        ("timestamp-micros", Shape::Long) => Logical::Micros,
        ("timestamp-nanos", Shape::Long) => Logical::Nanos,
        ("decimal", Shape::Bytes | Shape::Fixed(_)) => Logical::Decimal(number("scale").unwrap_or(0) as u32),
        ("uuid", Shape::String | Shape::Fixed(16)) => Logical::Uuid,
        _ => return None,
    })
}

/// A schema with the types that it refers to written into the places where they come first, so that it stands by itself.
pub(crate) fn inlined(schema: &Value, references: &HashMap<String, Value>) -> Value {
    inline(schema, references, &mut Vec::new())
}

fn inline(schema: &Value, references: &HashMap<String, Value>, done: &mut Vec<String>) -> Value {
    match schema {
        Value::String(name) if !done.contains(name) => match references.get(name) {
            Some(found) => {
                done.push(name.clone());
                inline(found, references, done)
            }
            None => schema.clone(),
        },
        Value::Array(branches) => branches.iter().map(|branch| inline(branch, references, done)).collect(),
        Value::Object(fields) => {
            let mut fields = fields.clone();
            for name in ["type", "items", "values"] {
                if let Some(ty) = fields.get_mut(name) {
                    *ty = inline(ty, references, done);
                }
            }
            for field in fields.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(ty) = field.get_mut("type") {
                    *ty = inline(ty, references, done);
                }
            }
            Value::Object(fields)
        }
        other => other.clone(),
    }
}
