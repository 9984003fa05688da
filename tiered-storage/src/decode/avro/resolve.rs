//! How values written with one schema are read as another: Avro's schema resolution, worked out once for each pair of schemas.

use std::collections::HashMap;

use serde_json::Value;

use super::default::encode;
use super::schema::{AvroField, Logical, Shape, TypeId, Types};

/// A place in [`Resolved`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(usize);

/// How to read all values of one writer.
#[derive(Debug)]
pub(in crate::decode) struct Resolved {
    /// The types of reader and writer.
    pub(super) types: Types,
    nodes: Vec<Node>,
    pub(super) root: NodeId,
}

/// How one value is read.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Scalar(Written, Meaning),
    /// The reader's symbol for each of the writer's; `None` where it has none.
    Enum(Vec<Option<Box<str>>>),
    Record(Fields),
    Array(NodeId),
    Map(NodeId),
    /// By the writer's branches.
    Union(Vec<NodeId>),
    /// The reader has no place for such a value.
    Never(Box<str>),
}

/// How a record is read.
#[derive(Debug)]
pub(super) struct Fields {
    /// The writer's fields, in their order.
    pub(super) written: Vec<WrittenField>,
    /// The reader's fields that the writer does not have: number, how to read, and the bytes of the default.
    pub(super) absent: Vec<(usize, NodeId, Box<[u8]>)>,
    /// The names of the reader's fields.
    pub(super) names: Vec<Box<str>>,
}

/// A field as the writer wrote it.
#[derive(Debug)]
pub(super) struct WrittenField {
    pub(super) ty: TypeId,
    /// The number of the reader's field, and how it is read; `None`: the reader does not have it.
    pub(super) read: Option<(usize, NodeId)>,
}

/// How a scalar's bytes are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Fixed(usize),
}

/// What a scalar is to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Boolean,
    Long,
    Float,
    Double,
    Text,
    Binary,
    Millis,
    Micros,
    Nanos,
    Date,
    Decimal(u32),
    Uuid,
}

impl Resolved {
    /// How the writer's values are read as the reader's; both are in `types`.
    pub(super) fn new(types: Types, writer: TypeId, reader: TypeId) -> Result<Self, String> {
        let mut work = Work { types: &types, nodes: Vec::new(), known: HashMap::new() };
        let root = work.resolve(writer, reader)?;
        let nodes = work.nodes.into_iter().map(|node| node.expect("every node is filled in")).collect();
        Ok(Resolved { types, nodes, root })
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }
}

struct Work<'a> {
    types: &'a Types,
    nodes: Vec<Option<Node>>,
    known: HashMap<(TypeId, TypeId), NodeId>,
}

impl Work<'_> {
    /// Errors come from the reader's schema alone (a default that does not fit); what only some values meet is a [`Node::Never`].
    fn resolve(&mut self, writer: TypeId, reader: TypeId) -> Result<NodeId, String> {
        if let Some(known) = self.known.get(&(writer, reader)) {
            return Ok(*known);
        }
        let id = NodeId(self.nodes.len());
        self.nodes.push(None);
        self.known.insert((writer, reader), id);
        let node = self.node(writer, reader)?;
        self.nodes[id.0] = Some(node);
        Ok(id)
    }

    fn node(&mut self, writer: TypeId, reader: TypeId) -> Result<Node, String> {
        let types = self.types;
        if let Shape::Union(branches) = types.shape(writer) {
            let branches = branches.iter().map(|branch| self.resolve(*branch, reader)).collect::<Result<_, _>>()?;
            return Ok(Node::Union(branches));
        }
        if let Shape::Union(branches) = types.shape(reader) {
            return match chosen(types, writer, branches) {
                Some(branch) => self.node(writer, branch),
                None => Ok(never(types, writer, reader)),
            };
        }
        Ok(match (types.shape(writer), types.shape(reader)) {
            (Shape::Null, Shape::Null) => Node::Null,
            (Shape::Record(written), Shape::Record(fields)) => self.record(written, fields)?,
            (Shape::Enum { symbols, .. }, Shape::Enum { symbols: ours, default }) => {
                let default = default.as_ref().filter(|default| ours.contains(default));
                Node::Enum(symbols.iter().map(|s| ours.contains(s).then_some(s).or(default).cloned()).collect())
            }
            (Shape::Array(written), Shape::Array(item)) => Node::Array(self.resolve(*written, *item)?),
            (Shape::Map(written), Shape::Map(value)) => Node::Map(self.resolve(*written, *value)?),
            _ => match scalar(types, writer, reader) {
                Some((written, meaning)) => Node::Scalar(written, meaning),
                None => never(types, writer, reader),
            },
        })
    }

    fn record(&mut self, written: &[AvroField], fields: &[AvroField]) -> Result<Node, String> {
        let mut taken = vec![false; fields.len()];
        let mut steps = Vec::with_capacity(written.len());
        for theirs in written {
            let exact = fields.iter().position(|field| field.name == theirs.name);
            let place = exact.or_else(|| fields.iter().position(|field| field.reads(&theirs.name)));
            let read = match place.filter(|place| !taken[*place]) {
                Some(place) => {
                    taken[place] = true;
                    Some((place, self.resolve(theirs.ty, fields[place].ty)?))
                }
                None => None,
            };
            steps.push(WrittenField { ty: theirs.ty, read });
        }
        let mut absent = Vec::new();
        for (place, field) in fields.iter().enumerate().filter(|(place, _)| !taken[*place]) {
            let Some(default) = &field.default else {
                let name = &field.name;
                return Ok(Node::Never(format!("the writer has no field `{name}`, and it has no default").into()));
            };
            absent.push((place, self.resolve(field.ty, field.ty)?, self.default(field, default)?));
        }
        let names = fields.iter().map(|field| field.name.clone()).collect();
        Ok(Node::Record(Fields { written: steps, absent, names }))
    }

    fn default(&self, field: &AvroField, default: &Value) -> Result<Box<[u8]>, String> {
        let mut bytes = Vec::new();
        encode(self.types, field.ty, default, &mut bytes)
            .map_err(|detail| format!("the default of field `{}`: {detail}", field.name))?;
        Ok(bytes.into())
    }
}

fn never(types: &Types, writer: TypeId, reader: TypeId) -> Node {
    let (theirs, ours) = (types.shape(writer).kind(), types.shape(reader).kind());
    Node::Never(format!("it was written as {theirs}, which cannot be read as {ours}").into())
}

/// The branch of the reader's union for values of the writer's type: of its name, else of its kind, else one that it can grow to.
fn chosen(types: &Types, writer: TypeId, branches: &[TypeId]) -> Option<TypeId> {
    let theirs = types.get(writer);
    let kind = |branch: &TypeId| types.shape(*branch).kind() == theirs.shape.kind();
    let name = |branch: &TypeId| types.get(*branch).is_called_as(theirs);
    let find = |fits: &dyn Fn(&TypeId) -> bool| branches.iter().copied().find(|branch| fits(branch));
    find(&|branch| kind(branch) && name(branch))
        .or_else(|| find(&kind))
        .or_else(|| find(&|branch| scalar(types, writer, *branch).is_some()))
}

/// How a scalar is read; `None` when the reader's type does not take the writer's.
fn scalar(types: &Types, writer: TypeId, reader: TypeId) -> Option<(Written, Meaning)> {
    let (theirs, ours) = (types.get(writer), types.get(reader));
    let written = match theirs.shape {
        Shape::Boolean => Written::Boolean,
        Shape::Int => Written::Int,
        Shape::Long => Written::Long,
        Shape::Float => Written::Float,
        Shape::Double => Written::Double,
        Shape::Bytes | Shape::String => Written::Bytes,
        Shape::Fixed(size) => Written::Fixed(size),
        _ => return None,
    };
    let plain = match (written, &ours.shape) {
        (Written::Boolean, Shape::Boolean) => Meaning::Boolean,
        (Written::Int, Shape::Int | Shape::Long) | (Written::Long, Shape::Long) => Meaning::Long,
        (Written::Int | Written::Long | Written::Float, Shape::Float) => Meaning::Float,
        (Written::Int | Written::Long | Written::Float | Written::Double, Shape::Double) => Meaning::Double,
        (Written::Bytes, Shape::String) => Meaning::Text,
        (Written::Bytes, Shape::Bytes) => Meaning::Binary,
        (Written::Fixed(theirs), Shape::Fixed(size)) if theirs == *size => Meaning::Binary,
        _ => return None,
    };
    logical(plain, theirs.logical, ours.logical).map(|meaning| (written, meaning))
}

/// What the reader's logical type makes of a scalar. A writer's unit of time counts before the reader's.
fn logical(plain: Meaning, theirs: Option<Logical>, ours: Option<Logical>) -> Option<Meaning> {
    let time = |logical: Logical| match logical {
        Logical::Millis => Some(Meaning::Millis),
        Logical::Micros => Some(Meaning::Micros),
        Logical::Nanos => Some(Meaning::Nanos),
        _ => None,
    };
    Some(match ours {
        None => plain,
        Some(Logical::Date) => Meaning::Date,
        Some(Logical::Decimal(scale)) => match theirs {
            Some(Logical::Decimal(other)) if other != scale => return None,
            _ => Meaning::Decimal(scale),
        },
        Some(Logical::Uuid) if plain == Meaning::Text => Meaning::Text,
        Some(Logical::Uuid) => Meaning::Uuid,
        Some(ours) => theirs.and_then(time).or_else(|| time(ours)).unwrap_or(plain),
    })
}
