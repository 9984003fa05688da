//! Which schema may follow which.
//!
//! | rule | what it is for | fields may be added | fields may go | `required` may grow |
//! |---|---|---|---|---|
//! | backward | a job of the new schema reads the old events | yes | no | no |
//! | forward | a job of the old schema reads the new events | yes | optional ones | yes |
//! | full | both | yes | no | no, nor shrink |
//! | none | whoever changes it knows all readers | yes | yes | yes |
//!
//! No field changes its type under any of the first three: a column that a job reads today has that type tomorrow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{TopicSchema, columns};
use crate::decode::{Column, ColumnType};

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

/// Why a schema may not follow the one that a topic has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` {detail}")]
pub struct IncompatibleSchema {
    /// The field, as `price` or `actor.id`.
    pub field: String,
    /// What changed, and what to do instead.
    pub detail: String,
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
