//! Whether readers of an alias find in a new version what they find in the old one.

use rekap_tables::{TableSchema, type_name};
use serde::Serialize;

/// One way in which the output of a version differs from the serving one's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnChange {
    /// The column; for a change of the key, `key`.
    pub column: String,
    /// What happened to it.
    pub change: ColumnChangeKind,
    /// Its type (for the key: its columns) in the serving version.
    pub from: Option<String>,
    /// Its type (for the key: its columns) in the new version.
    pub to: Option<String>,
    /// A reader of the serving version would miss something. Such a change has to be acknowledged: `force: ["schema"]`.
    pub breaking: bool,
}

/// What happened to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnChangeKind {
    /// Only the new version has it.
    Added,
    /// Only the serving version has it.
    Removed,
    /// It has another type.
    Type,
    /// The key is made of other columns, or of the same ones in another order.
    Key,
}

impl std::fmt::Display for ColumnChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (column, from, to) = (&self.column, self.from.as_deref(), self.to.as_deref());
        match self.change {
            ColumnChangeKind::Added => write!(f, "column `{column}` {} is new", to.unwrap_or_default()),
            ColumnChangeKind::Removed => write!(f, "column `{column}` is gone"),
            ColumnChangeKind::Type => {
                write!(f, "column `{column}` was {} and is {}", from.unwrap_or_default(), to.unwrap_or_default())
            }
            ColumnChangeKind::Key => {
                write!(f, "the key was ({}) and is ({})", from.unwrap_or_default(), to.unwrap_or_default())
            }
        }
    }
}

/// Every difference between the columns of two versions: those that break readers first.
pub(crate) fn changes(old: &TableSchema, new: &TableSchema) -> Vec<ColumnChange> {
    let mut changes = vec![];
    for column in old.columns().fields() {
        let (name, was) = (column.name().clone(), Some(type_name(column.data_type())));
        let change = |change, to| ColumnChange { column: name, change, from: was, to, breaking: true };
        match new.columns().field_with_name(column.name()) {
            Err(_) => changes.push(change(ColumnChangeKind::Removed, None)),
            Ok(now) if now.data_type() != column.data_type() => {
                changes.push(change(ColumnChangeKind::Type, Some(type_name(now.data_type()))));
            }
            Ok(_) => {}
        }
    }
    let (was, is) = (key_names(old).join(", "), key_names(new).join(", "));
    if was != is {
        let (column, change) = ("key".into(), ColumnChangeKind::Key);
        changes.push(ColumnChange { column, change, from: Some(was), to: Some(is), breaking: true });
    }
    let added = new.columns().fields().iter().filter(|field| old.columns().field_with_name(field.name()).is_err());
    changes.extend(added.map(|field| ColumnChange {
        column: field.name().clone(),
        change: ColumnChangeKind::Added,
        from: None,
        to: Some(type_name(field.data_type())),
        breaking: false,
    }));
    changes
}

/// What of `old` a reader would miss in `new`, if anything. Columns may be added.
pub(crate) fn breaks(old: &TableSchema, new: &TableSchema) -> Option<String> {
    let breaking: Vec<String> = changes(old, new).iter().filter(|c| c.breaking).map(ToString::to_string).collect();
    (!breaking.is_empty()).then(|| breaking.join("; "))
}

fn key_names(schema: &TableSchema) -> Vec<&str> {
    schema.key().iter().map(|i| schema.columns().field(*i).name().as_str()).collect()
}
