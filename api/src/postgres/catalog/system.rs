//! `pg_catalog`: what is there now in tables of our own, and beside them Postgres' own types, functions and the like.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::Field;
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::PgCatalogSchemaProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::pgwire::api::Type;

use super::columns::Columns;
use super::kinds::{collation, layout, modifier, pg_type};
use super::listed::Listed;
use super::objects::{Key, Relation};
use super::server;

/// The owner of all that there is; `pg_get_userbyid` has its name.
pub(super) const OWNER: i32 = 10;

/// How indexes are read, by its id in `pg_am`. Of tables Postgres has no name for it.
const BTREE: i32 = 403;

/// The catalog of one moment.
#[derive(Debug)]
pub(super) struct System {
    ours: HashMap<&'static str, Arc<dyn TableProvider>>,
    fixed: Arc<PgCatalogSchemaProvider<Listed, EmptyContextProvider>>,
}

impl System {
    /// The catalog of these tables, for a client with these settings.
    pub(super) fn of(
        relations: &[Relation],
        said: &HashMap<String, String>,
        fixed: Arc<PgCatalogSchemaProvider<Listed, EmptyContextProvider>>,
    ) -> Result<Self> {
        let ours = [
            ("pg_database", server::databases()?),
            ("pg_extension", server::extensions()?),
            ("pg_namespace", server::schemas()?),
            ("pg_class", classes(relations)?),
            ("pg_attribute", attributes(relations)?),
            ("pg_index", indexes(relations)?),
            ("pg_constraint", constraints(relations)?),
            ("pg_settings", server::settings(said)?),
        ];
        Ok(System { ours: ours.into(), fixed })
    }
}

#[async_trait]
impl SchemaProvider for System {
    fn table_names(&self) -> Vec<String> {
        self.fixed.table_names()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.fixed.table_exist(name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.ours.get(name.to_lowercase().as_str()) {
            Some(table) => Ok(Some(table.clone())),
            None => self.fixed.table(name).await,
        }
    }
}

/// A row of `pg_class`: a table, or the index of its key.
struct Class<'a> {
    oid: i32,
    relation: &'a Relation,
    name: &'a str,
    columns: usize,
    is_index: bool,
}

fn classes(relations: &[Relation]) -> Result<Arc<dyn TableProvider>> {
    let mut rows = Vec::new();
    for relation in relations {
        let Relation { oid, table, key, .. } = relation;
        let columns = table.columns.fields().len();
        rows.push(Class { oid: *oid, relation, name: &table.name, columns, is_index: false });
        if let Some(Key { index_oid, name, columns, .. }) = key {
            rows.push(Class { oid: *index_oid, relation, name, columns: columns.len(), is_index: true });
        }
    }
    Columns::of(&rows)
        .oid("oid", |row| row.oid)
        .text("relname", |row| row.name.to_owned())
        .oid("relnamespace", |row| row.relation.schema_oid)
        .oid("reltype", |_| 0)
        .oid("reloftype", |_| 0)
        .oid("relowner", |_| OWNER)
        .oid("relam", |row| if row.is_index { BTREE } else { 0 })
        .oid("relfilenode", |row| row.oid)
        .oid("reltablespace", |_| 0)
        .numbers(&["relpages", "relallvisible"], 0)
        // As Postgres says of a table whose rows have not been counted.
        .real("reltuples", -1.0)
        .oid("reltoastrelid", |_| 0)
        .flag("relhasindex", |row| !row.is_index && row.relation.key.is_some())
        .flags(&["relisshared", "relhasrules", "relhastriggers", "relhassubclass"], false)
        .flags(&["relrowsecurity", "relforcerowsecurity", "relispartition"], false)
        .flags(&["relispopulated"], true)
        .same(&["relpersistence"], "p")
        .text("relkind", |row| if row.is_index { "i" } else { "r" }.to_owned())
        .small("relnatts", |row| i16::try_from(row.columns).unwrap_or(i16::MAX))
        .small("relchecks", |_| 0)
        .text("relreplident", |row| if row.is_index { "n" } else { "d" }.to_owned())
        .oid("relrewrite", |_| 0)
        .numbers(&["relfrozenxid", "relminmxid"], 0)
        .no_list(&["relacl", "reloptions"])
        .no_text(&["relpartbound"])
        .table()
}

/// A row of `pg_attribute`: a column of a table or of an index, with its number.
struct Attribute<'a> {
    of: i32,
    number: i16,
    field: &'a Field,
    kind: Type,
}

impl<'a> Attribute<'a> {
    /// These columns of a table, as those of the table or index `of`.
    fn all(of: i32, relation: &'a Relation, columns: &[i16]) -> Vec<Attribute<'a>> {
        let attribute = |(number, column): (i16, &i16)| {
            let field = relation.column(*column)?;
            Some(Attribute { of, number, field, kind: pg_type(field.data_type()) })
        };
        (1..).zip(columns).filter_map(attribute).collect()
    }
}

fn attributes(relations: &[Relation]) -> Result<Arc<dyn TableProvider>> {
    let mut rows = Vec::new();
    for relation in relations {
        let count = i16::try_from(relation.table.columns.fields().len()).unwrap_or(i16::MAX);
        rows.extend(Attribute::all(relation.oid, relation, &(1..=count).collect::<Vec<_>>()));
        if let Some(key) = &relation.key {
            rows.extend(Attribute::all(key.index_oid, relation, &key.columns));
        }
    }
    Columns::of(&rows)
        .oid("attrelid", |row| row.of)
        .text("attname", |row| row.field.name().clone())
        .oid("atttypid", |row| i32::try_from(row.kind.oid()).unwrap_or_default())
        .numbers(&["attstattarget", "attcacheoff"], -1)
        .small("attlen", |row| layout(&row.kind).0)
        .small("attnum", |row| row.number)
        .number("attndims", |row| i32::from(row.kind.name().starts_with('_')))
        .number("atttypmod", |row| modifier(row.field.data_type()))
        .flag("attbyval", |row| layout(&row.kind).1)
        .text("attalign", |row| layout(&row.kind).2.to_owned())
        .text("attstorage", |row| layout(&row.kind).3.to_owned())
        .same(&["attcompression", "attidentity", "attgenerated"], "")
        .flag("attnotnull", |row| !row.field.is_nullable())
        .flags(&["atthasdef", "atthasmissing", "attisdropped"], false)
        .flags(&["attislocal"], true)
        .numbers(&["attinhcount"], 0)
        .oid("attcollation", |row| collation(&row.kind))
        .no_list(&["attacl", "attoptions", "attfdwoptions", "attmissingval"])
        .table()
}

/// Tables with their keys.
fn keyed(relations: &[Relation]) -> Vec<(&Relation, &Key)> {
    relations.iter().filter_map(|relation| Some((relation, relation.key.as_ref()?))).collect()
}

fn indexes(relations: &[Relation]) -> Result<Arc<dyn TableProvider>> {
    let rows = keyed(relations);
    let count = |key: &Key| i16::try_from(key.columns.len()).unwrap_or(i16::MAX);
    Columns::of(&rows)
        .oid("indexrelid", |(_, key)| key.index_oid)
        .oid("indrelid", |(relation, _)| relation.oid)
        .small("indnatts", |(_, key)| count(key))
        .small("indnkeyatts", |(_, key)| count(key))
        .flags(&["indisunique", "indisprimary", "indimmediate", "indisvalid", "indisready", "indislive"], true)
        .flags(&["indisexclusion", "indisclustered", "indcheckxmin", "indisreplident"], false)
        // Two rows whose keys are NULL are one.
        .flags(&["indnullsnotdistinct"], true)
        .smalls("indkey", |(_, key)| Some(key.columns.clone()))
        .oids("indcollation", |(_, key)| Some(vec![0; key.columns.len()]))
        .oids("indclass", |(_, key)| Some(vec![0; key.columns.len()]))
        .smalls("indoption", |(_, key)| Some(vec![0; key.columns.len()]))
        .no_text(&["indexprs", "indpred"])
        .table()
}

fn constraints(relations: &[Relation]) -> Result<Arc<dyn TableProvider>> {
    let rows = keyed(relations);
    Columns::of(&rows)
        .oid("oid", |(_, key)| key.constraint_oid)
        .text("conname", |(_, key)| key.name.clone())
        .oid("connamespace", |(relation, _)| relation.schema_oid)
        .same(&["contype"], "p")
        .flags(&["condeferrable", "condeferred"], false)
        .flags(&["convalidated", "conislocal", "connoinherit"], true)
        .oid("conrelid", |(relation, _)| relation.oid)
        .oid("conindid", |(_, key)| key.index_oid)
        .oid("contypid", |_| 0)
        .oid("conparentid", |_| 0)
        .oid("confrelid", |_| 0)
        .same(&["confupdtype", "confdeltype", "confmatchtype"], " ")
        .small("coninhcount", |_| 0)
        .smalls("conkey", |(_, key)| Some(key.columns.clone()))
        .smalls("confkey", |_| None)
        .smalls("confdelsetcols", |_| None)
        .oids("conpfeqop", |_| None)
        .oids("conppeqop", |_| None)
        .oids("conffeqop", |_| None)
        .oids("conexclop", |_| None)
        .no_text(&["conbin"])
        .table()
}
