//! The tables of a moment and their keys, by the ids under which clients ask for them.
//!
//! An id is given out once and stays as long as what it stands for is listed, since a client asks for a table's id first and for its
//! columns by that id next. A table's key columns are its primary key: no two rows have the same. They may be NULL all the same, as
//! the groups of a query may.

use std::collections::HashMap;

use arrow::datatypes::Field;
use rekap_orchestrator::SqlTable;

use super::{INFORMATION, LIVE, SYSTEM};

/// The schemas that there always are, with their ids: those of `pg_catalog` and `information_schema` are Postgres' own.
pub(super) const SCHEMAS: [(&str, i32); 5] =
    [(LIVE, 16_384), ("log", 16_385), ("version", 16_386), (SYSTEM, 11), (INFORMATION, 13_283)];

/// The first id of what is listed.
const FIRST: i32 = 16_400;

/// Ids that are given out so far.
#[derive(Debug)]
pub(super) struct Ids {
    next: i32,
    given: HashMap<(&'static str, String), Given>,
}

/// The ids of a table and its key; each table has all three, as a key may come with a promotion.
#[derive(Debug, Clone, Copy)]
struct Given {
    table: i32,
    index: i32,
    constraint: i32,
}

/// A table.
#[derive(Debug)]
pub(super) struct Relation {
    pub(super) oid: i32,
    pub(super) schema_oid: i32,
    pub(super) table: SqlTable,
    /// Its primary key; `None` where it has none.
    pub(super) key: Option<Key>,
}

/// A primary key: the constraint, and the index that it stands on.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) index_oid: i32,
    pub(super) constraint_oid: i32,
    /// The name of both.
    pub(super) name: String,
    /// Its columns, from 1 on.
    pub(super) columns: Vec<i16>,
}

impl Default for Ids {
    fn default() -> Self {
        Ids { next: FIRST, given: HashMap::new() }
    }
}

impl Ids {
    /// These tables by their ids. Those of tables that are gone are forgotten.
    pub(super) fn of(&mut self, tables: Vec<SqlTable>) -> Vec<Relation> {
        let mut given = HashMap::with_capacity(tables.len());
        let relations = tables.into_iter().map(|table| {
            let name = (table.schema, table.name.clone());
            let ids = self.given.get(&name).copied().unwrap_or_else(|| {
                self.next += 3;
                Given { table: self.next - 3, index: self.next - 2, constraint: self.next - 1 }
            });
            given.insert(name, ids);
            Relation::of(table, ids)
        });
        let relations = relations.collect();
        self.given = given;
        relations
    }
}

impl Relation {
    fn of(table: SqlTable, ids: Given) -> Self {
        let schema_oid = SCHEMAS.iter().find(|(name, _)| *name == table.schema).map_or(0, |(_, oid)| *oid);
        let key = (!table.key.is_empty()).then(|| Key {
            index_oid: ids.index,
            constraint_oid: ids.constraint,
            name: format!("{}_pkey", table.name),
            columns: table.key.iter().filter_map(|column| i16::try_from(column + 1).ok()).collect(),
        });
        Relation { oid: ids.table, schema_oid, table, key }
    }

    /// A column, from 1 on.
    pub(super) fn column(&self, number: i16) -> Option<&Field> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        self.table.columns.fields().get(at).map(AsRef::as_ref)
    }

    /// The names of the key's columns.
    pub(super) fn key_names(&self) -> Vec<&str> {
        let numbers = self.key.iter().flat_map(|key| &key.columns);
        numbers.filter_map(|number| Some(self.column(*number)?.name().as_str())).collect()
    }
}
