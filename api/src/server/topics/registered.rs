//! The schema of a topic in Confluent's wire format, taken from the schema registry once and then kept in the topic: a replay never
//! depends on what the registry holds then.

use rekap_tiered_storage::{Format, Log, TopicConfig, TopicName, Wire, WriterSchema};
use serde_json::{Value, json};

use super::PutTopic;
use crate::Problem;

/// Instead of a schema: the latest one of the topic's subject.
const LATEST: &str = "latest";

/// What is wanted, with the schema of the registry put in where it is wanted.
pub(super) async fn with_schema(
    log: &Log,
    topic: &TopicName,
    before: &TopicConfig,
    mut wanted: PutTopic,
) -> Result<PutTopic, Problem> {
    let (format, wire) = (wanted.format.unwrap_or(before.format), wanted.wire.unwrap_or(before.wire));
    let asks = matches!(&wanted.schema, Some(Some(Value::String(word))) if word == LATEST);
    let message = match &wanted.schema {
        Some(Some(given)) if format == Format::Protobuf && given.get("proto").is_none() => {
            given.get("message").cloned()
        }
        _ => None,
    };
    if asks && wire == Wire::Bare {
        let remedy = "write the schema itself, or say \"wire\": \"confluent\"";
        return Err(unfit(format!("`schema` is \"{LATEST}\", and a topic of bare records is in no registry"), remedy));
    }
    let needed = matches!(format, Format::Avro | Format::Protobuf);
    let open = wanted.schema.is_none() && before.schema.is_none() && needed;
    if !asks && message.is_none() && !(open && wire == Wire::Confluent) {
        return Ok(wanted);
    }
    let subject = format!("{topic}-value");
    let found = log.registry.latest(&subject).await?.ok_or_else(|| {
        let remedy = "register a schema there first, or give `schema` here";
        unfit(format!("the schema registry has no subject `{subject}`"), remedy)
    })?;
    if found.format != format {
        let detail = format!(
            "subject `{subject}` of the schema registry holds {}, and the topic is to hold {format}",
            found.format
        );
        return Err(unfit(detail, "correct `format`"));
    }
    wanted.schema = Some(Some(kept(found, message)?));
    Ok(wanted)
}

/// A schema of the registry as a topic keeps it.
fn kept(found: WriterSchema, message: Option<Value>) -> Result<Value, Problem> {
    match found.format {
        Format::Protobuf => {
            let mut schema = json!({"proto": found.schema});
            if let Some(message) = message {
                schema["message"] = message;
            }
            if !found.references.is_empty() {
                schema["imports"] = json!(found.references);
            }
            Ok(schema)
        }
        _ => found.whole().map_err(|e| unfit(format!("the schema in the registry: {e}"), "give `schema` here")),
    }
}

fn unfit(detail: String, remedy: &str) -> Problem {
    Problem::unprocessable("INVALID_TOPIC", detail, remedy).with("field", "schema")
}
