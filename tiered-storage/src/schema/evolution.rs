//! Which schema may follow which.
//!
//! | rule | what it is for | fields may be added | fields may go | `required` may grow |
//! |---|---|---|---|---|
//! | backward | a job of the new schema reads the old events | yes | no | no |
//! | forward | a job of the old schema reads the new events | yes | optional ones | yes |
//! | full | both | yes | no | no, nor shrink |
//! | none | whoever changes it knows all readers | yes | yes | yes |
//!
//! Avro and Protobuf have their own words for the same rules: defaults there, numbers of fields here.
//!
//! No field changes its type under any of the first three: a column that a job reads today has that type tomorrow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{TopicSchema, columns};
use crate::TopicConfig;
use crate::decode::{Column, ColumnType, Format, ProtobufSchema, can_read};

/// What a newer schema of a topic has to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compatibility {
    /// What reads by the new schema reads the old events: fields are only added, and none of them is required.
    #[default]
    Backward,
    /// What reads by the old schema reads the new events: required fields stay required.
    Forward,
    /// Both.
    Full,
    /// Anything may follow.
    None,
}

impl Compatibility {
    /// All of them.
    pub const ALL: [Compatibility; 4] =
        [Compatibility::Backward, Compatibility::Forward, Compatibility::Full, Compatibility::None];
}

/// Why a schema may not follow the one that a topic has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` {detail}")]
pub struct IncompatibleSchema {
    /// The field, as `price` or `actor.id`.
    pub field: String,
    /// What changed, and what to do instead.
    pub detail: String,
}

/// Checks that a topic's configuration may follow another one.
pub(crate) fn check_evolution(older: &TopicConfig, newer: &TopicConfig) -> Result<(), IncompatibleSchema> {
    let rule = newer.compatibility;
    let refused = |field: &str, detail: String| Err(IncompatibleSchema { field: field.to_owned(), detail });
    let known = older.schema.is_some() || older.format != Format::Json;
    if known && rule != Compatibility::None && (older.format, older.wire) != (newer.format, newer.wire) {
        let (field, was) = match older.format == newer.format {
            true => ("wire", older.wire.to_string()),
            false => ("format", older.format.to_string()),
        };
        return refused(field, format!("was {was}, and the records that are there are; make another topic"));
    }
    match (&older.schema, &newer.schema) {
        (Some(before), Some(after)) if before != after && older.format == newer.format => match older.format {
            Format::Json => check(before, after, rule),
            _ => check_others(older, newer),
        },
        (Some(_), None) if rule != Compatibility::None => {
            refused("schema", "a topic keeps its schema, since jobs may read its columns".into())
        }
        _ => Ok(()),
    }
}

/// Avro and Protobuf: by their own rules, and columns keep their types.
fn check_others(older: &TopicConfig, newer: &TopicConfig) -> Result<(), IncompatibleSchema> {
    let (backward, forward) = match newer.compatibility {
        Compatibility::None => return Ok(()),
        Compatibility::Backward => (true, false),
        Compatibility::Forward => (false, true),
        Compatibility::Full => (true, true),
    };
    let refused = |field: &str, detail: String| IncompatibleSchema { field: field.to_owned(), detail };
    let raw = |config: &TopicConfig| config.schema.as_ref().map(|schema| schema.0.clone()).unwrap_or_default();
    let (before, after) = (raw(older), raw(newer));
    if older.format == Format::Avro {
        if backward {
            can_read(&before, &after).map_err(|e| refused("schema", format!("does not read the old records: {e}")))?;
        }
        if forward {
            can_read(&after, &before).map_err(|e| refused("schema", format!("is not read by the old schema: {e}")))?;
        }
    } else {
        let parse = |raw| ProtobufSchema::parse(raw).map_err(|e| refused("schema", e));
        let kept = parse(&before)?.keeps_numbers(&parse(&after)?);
        kept.map_err(|(field, detail)| refused(&field, format!("{detail}; add a field of another number instead")))?;
    }
    let columns = |config: &TopicConfig| config.columns().map_err(|e| refused("schema", e.to_string()));
    kept("", &columns(older)?, &columns(newer)?, backward)
}

pub(super) fn check(older: &TopicSchema, newer: &TopicSchema, rule: Compatibility) -> Result<(), IncompatibleSchema> {
    let (backward, forward) = match rule {
        Compatibility::None => return Ok(()),
        Compatibility::Backward => (true, false),
        Compatibility::Forward => (false, true),
        Compatibility::Full => (true, true),
    };
    let before: Vec<_> = columns::required(&older.0).collect();
    let after: Vec<_> = columns::required(&newer.0).collect();
    let refused =
        |field: &str, detail: &str| Err(IncompatibleSchema { field: field.to_owned(), detail: detail.to_owned() });
    if forward && let Some(field) = before.iter().find(|field| !after.contains(field)) {
        return refused(field, "is not required any more, and readers of the old schema rely on it; leave it required");
    }
    kept("", &older.columns(), &newer.columns(), backward)?;
    match after.iter().find(|field| !before.contains(field)) {
        Some(field) if backward => {
            refused(field, "is required now, and events without it are in the log already; leave it optional")
        }
        _ => Ok(()),
    }
}

/// Checks that the older columns keep their types, and that `all` of them are still there.
fn kept(within: &str, older: &[Column], newer: &[Column], all: bool) -> Result<(), IncompatibleSchema> {
    let newer: BTreeMap<_, _> = newer.iter().map(|column| (&column.name, &column.ty)).collect();
    for column in older {
        let field = format!("{within}{}", column.name);
        match newer.get(&column.name) {
            Some(ty) => same_type(field, &column.ty, ty, all)?,
            None if !all => {}
            None => {
                return Err(IncompatibleSchema {
                    field,
                    detail: "is gone, and jobs may read it; keep it (it may stay without values)".into(),
                });
            }
        }
    }
    Ok(())
}

fn same_type(field: String, older: &ColumnType, newer: &ColumnType, all: bool) -> Result<(), IncompatibleSchema> {
    match (older, newer) {
        (ColumnType::Struct(older), ColumnType::Struct(newer)) => kept(&format!("{field}."), older, newer, all),
        (ColumnType::List(older), ColumnType::List(newer)) => same_type(field, older, newer, all),
        _ if older == newer => Ok(()),
        _ => Err(IncompatibleSchema {
            field,
            detail: format!("was {older} and would be {newer}; add a field of another name instead"),
        }),
    }
}
