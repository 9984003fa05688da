//! Which schema may follow which: columns are only ever added, so a job that reads the topic today reads it tomorrow.

use std::collections::BTreeMap;

use super::{TopicSchema, columns};
use crate::decode::{Column, ColumnType};

/// Why a schema may not follow the one that a topic has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` {detail}")]
pub struct IncompatibleSchema {
    /// The field, as `price` or `actor.id`.
    pub field: String,
    /// What changed, and what to do instead.
    pub detail: String,
}

pub(super) fn check(older: &TopicSchema, newer: &TopicSchema) -> Result<(), IncompatibleSchema> {
    added_only("", &older.columns(), &newer.columns())?;
    let before: Vec<_> = columns::required(&older.0).collect();
    match columns::required(&newer.0).find(|field| !before.contains(field)) {
        Some(field) => Err(IncompatibleSchema {
            field: field.to_owned(),
            detail: "is required now, and events without it are in the log already; leave it optional".into(),
        }),
        None => Ok(()),
    }
}

fn added_only(within: &str, older: &[Column], newer: &[Column]) -> Result<(), IncompatibleSchema> {
    let newer: BTreeMap<_, _> = newer.iter().map(|column| (&column.name, &column.ty)).collect();
    for column in older {
        let field = format!("{within}{}", column.name);
        let Some(ty) = newer.get(&column.name) else {
            return Err(IncompatibleSchema {
                field,
                detail: "is gone, and jobs may read it; keep it (it may stay without values)".into(),
            });
        };
        same_type(field, &column.ty, ty)?;
    }
    Ok(())
}

fn same_type(field: String, older: &ColumnType, newer: &ColumnType) -> Result<(), IncompatibleSchema> {
    match (older, newer) {
        (ColumnType::Struct(older), ColumnType::Struct(newer)) => added_only(&format!("{field}."), older, newer),
        (ColumnType::List(older), ColumnType::List(newer)) => same_type(field, older, newer),
        _ if older == newer => Ok(()),
        _ => Err(IncompatibleSchema {
            field,
            detail: format!("was {older} and would be {newer}; add a field of another name instead"),
        }),
    }
}
