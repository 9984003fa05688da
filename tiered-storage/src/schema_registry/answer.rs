//! What a registry answers, read.

use serde::Deserialize;

use crate::Format;

/// A schema as the registry hands it out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Registered {
    pub(super) format: Format,
    pub(super) schema: String,
    pub(super) references: Vec<Reference>,
}

/// Another schema that one refers to.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) version: u32,
}

/// An answer that says something of schemas.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Found(Registered),
    /// There is no such schema, subject or version: the registry's own word for it, not just any 404.
    Absent,
    /// A schema of a type that is not known here.
    Foreign(String),
}

#[derive(Deserialize)]
struct Body {
    schema: String,
    #[serde(rename = "schemaType", default)]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Refusal {
    error_code: u32,
    #[serde(default)]
    message: String,
}

/// The codes for "there is no such": subject, version, schema.
const ABSENT: [u32; 3] = [40401, 40402, 40403];

impl Answered {
    /// Reads an answer; the error tells what it was instead.
    pub(super) fn of(status: u16, body: &[u8]) -> Result<Answered, String> {
        if status == 200 {
            let body: Body =
                serde_json::from_slice(body).map_err(|e| format!("what is no schema ({e}); is the url right?"))?;
            let format = match body.kind.as_deref() {
                None | Some("AVRO") => Format::Avro,
                Some("PROTOBUF") => Format::Protobuf,
                Some("JSON") => Format::Json,
                Some(_) => return Ok(Answered::Foreign(body.kind.unwrap_or_default())),
            };
            return Ok(Answered::Found(Registered { format, schema: body.schema, references: body.references }));
        }
        let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
        match (status, refusal) {
            (404, Some(refusal)) if ABSENT.contains(&refusal.error_code) => Ok(Answered::Absent),
            (401 | 403, _) => Err(format!("{status}: correct user and password, or token, in `[schema_registry]`")),
            (404, _) => Err("404, but not of a schema registry: is the url right?".into()),
            (_, Some(refusal)) => Err(format!("{status}: {}", refusal.message)),
            (_, None) => Err(status.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_registrys_own_word_means_that_there_is_no_schema() {
        let absent = br#"{"error_code": 40403, "message": "Schema 9 not found"}"#;
        assert_eq!(Answered::of(404, absent).unwrap(), Answered::Absent);
        for (status, body) in
            [(404, &b"<html>"[..]), (404, br#"{"error_code": 404}"#), (500, absent), (401, absent), (200, b"{}")]
        {
            Answered::of(status, body).unwrap_err();
        }
    }

    #[test]
    fn a_schema_without_a_type_is_avro() {
        let found = |body: &[u8]| match Answered::of(200, body).unwrap() {
            Answered::Found(found) => found,
            other => panic!("it is there: {other:?}"),
        };
        assert_eq!(found(br#"{"schema": "\"long\""}"#).format, Format::Avro);
        let other = found(br#"{"schema": "s", "schemaType": "PROTOBUF", "id": 7, "references": [{"name": "a.proto", "subject": "a", "version": 2}]}"#);
        assert_eq!(other.format, Format::Protobuf);
        let foreign = Answered::of(200, br#"{"schema": "s", "schemaType": "THRIFT"}"#).unwrap();
        assert_eq!(foreign, Answered::Foreign("THRIFT".into()), "the registry is well, and asking again does not help");
        assert_eq!(other.references, [Reference { name: "a.proto".into(), subject: "a".into(), version: 2 }]);
    }
}
