//! Types of the inner rooms, in the shapes that the document has for them: those rooms know nothing of OpenAPI.

use rekap_orchestrator::TokenRole;
use rekap_tiered_storage::{Compatibility, Format, Wire};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};

/// Why, in the words of whoever wants it.
pub(super) fn note() -> Schema {
    let what = "why, in the words of whoever wants it: kept in the audit log with what changes";
    text(SchemaType::Array(vec![Type::String, Type::Null])).description(Some(what)).build().into()
}

/// Where a replay begins.
pub(in crate::server) fn start() -> Schema {
    let word = text(Type::String).description(Some("`beginning`, `end`, or an RFC 3339 time"));
    let offset = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build();
    let by = |what: &str, value: Schema| -> Schema {
        let values = Some(AdditionalProperties::from(value));
        ObjectBuilder::new().description(Some(what)).additional_properties(values).build().into()
    };
    let offsets = by("offsets by partition, as in `{\"0\": 120}`", offset.into());
    let positions = by("positions by topic, as in `{\"ticks\": {\"0\": 120}}`", offsets.clone());
    let all = [word.build().into(), offsets, positions, null()];
    one_of(all, "where; as the job says when it is not said")
}

/// What a plan rests on, as the plan says it under `base`.
pub(in crate::server) fn plan_base() -> Schema {
    let count = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build();
    let serving = ObjectBuilder::new().schema_type(SchemaType::Array(vec![Type::Integer, Type::Null])).minimum(Some(0));
    let base = ObjectBuilder::new()
        .property("generation", count())
        .property("serving", serving.build())
        .property("digest", text(Type::String).build())
        .required("generation")
        .required("digest")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let what = "`base` of the plan that this deploy carries out: refused with 409 once that has moved";
    one_of([base.build().into(), null()], what)
}

/// A topic's schema in any format.
pub(in crate::server) fn topic_schema() -> Schema {
    let what = "the schema of every event: a JSON Schema, an Avro schema, or `{proto, message, imports}`. On a topic of Confluent's wire \
        format, `latest` (or nothing, on a new topic) takes the latest one of the subject `{topic}-value` in the schema registry";
    let object = ObjectBuilder::new().build().into();
    one_of(
        [
            object,
            text(Type::String).build().into(),
            ArrayBuilder::new().items(text(SchemaType::AnyValue)).build().into(),
            null(),
        ],
        what,
    )
}

/// The formats of a topic.
pub(in crate::server) fn format() -> Schema {
    words(&Format::ALL, true, "how values are written; `json` when nothing is said")
}

/// What stands around a value.
pub(in crate::server) fn wire() -> Schema {
    let what = "what stands around a value: nothing, or a 0 and the id of its schema; `bare` when nothing is said";
    words(&Wire::ALL, true, what)
}

/// The rules of compatibility.
pub(in crate::server) fn compatibility() -> Schema {
    words(&Compatibility::ALL, true, "what a newer schema has to keep; `backward` when nothing is said")
}

/// The roles of tokens.
pub(in crate::server) fn role() -> Schema {
    words(&TokenRole::ALL, false, "what it may do; each may all that those before it may")
}

/// One of these words, as they are written in JSON; `or_null` where null says as much as nothing.
fn words<T: Serialize>(all: &[T], or_null: bool, what: &str) -> Schema {
    let words = all.iter().map(|word| json!(word)).chain(or_null.then_some(Value::Null));
    let types = if or_null { SchemaType::Array(vec![Type::String, Type::Null]) } else { Type::String.into() };
    text(types).enum_values(Some(words)).description(Some(what)).build().into()
}

fn one_of(all: impl IntoIterator<Item = Schema>, what: &str) -> Schema {
    all.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item).description(Some(what)).build().into()
}

fn text(types: impl Into<SchemaType>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(types)
}

fn null() -> Schema {
    text(Type::Null).build().into()
}
