//! What `pg_catalog` tells of the server itself: its database, its schemas, its settings. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Result;

use super::super::settings;
use super::DATABASE;
use super::columns::Columns;
use super::objects::SCHEMAS;
use super::system::OWNER;

/// The database, its encoding as Postgres counts them, and where it is in `pg_tablespace`.
const DATABASE_OID: i32 = 5;
const UTF8: i32 = 6;
const TABLESPACE: i32 = 1663;

pub(super) fn databases() -> Result<Arc<dyn TableProvider>> {
    Columns::of(&[DATABASE])
        .oid("oid", |_| DATABASE_OID)
        .text("datname", |name| (*name).to_owned())
        .oid("datdba", |_| OWNER)
        .numbers(&["encoding"], UTF8)
        .same(&["datlocprovider"], "c")
        .flags(&["datistemplate"], false)
        .flags(&["datallowconn"], true)
        .numbers(&["datconnlimit"], -1)
        .numbers(&["datfrozenxid", "datminmxid"], 0)
        .oid("dattablespace", |_| TABLESPACE)
        .same(&["datcollate", "datctype"], "C")
        .no_text(&["daticulocale", "daticurules", "datcollversion"])
        .no_list(&["datacl"])
        .table()
}

pub(super) fn extensions() -> Result<Arc<dyn TableProvider>> {
    Columns::<()>::of(&[])
        .oid("oid", |()| 0)
        .no_text(&["extname", "extversion"])
        .oid("extowner", |()| OWNER)
        .oid("extnamespace", |()| 0)
        .flags(&["extrelocatable"], false)
        .no_list(&["extconfig", "extcondition"])
        .table()
}

pub(super) fn schemas() -> Result<Arc<dyn TableProvider>> {
    Columns::of(&SCHEMAS)
        .oid("oid", |(_, oid)| *oid)
        .text("nspname", |(name, _)| (*name).to_owned())
        .oid("nspowner", |_| OWNER)
        .no_list(&["nspacl"])
        .table()
}

pub(super) fn settings(said: &HashMap<String, String>) -> Result<Arc<dyn TableProvider>> {
    let rows: Vec<(&str, &str)> = settings::all(said).collect();
    Columns::of(&rows)
        .text("name", |(name, _)| (*name).to_owned())
        .text("setting", |(_, value)| (*value).to_owned())
        .no_text(&["unit", "extra_desc", "min_val", "max_val", "sourcefile"])
        .same(&["category", "short_desc"], "")
        .same(&["context"], "user")
        .same(&["vartype"], "string")
        .text("source", |(name, _)| if said.contains_key(*name) { "session" } else { "default" }.to_owned())
        .no_list(&["enumvals"])
        .text("boot_val", |(name, _)| settings::default(name).unwrap_or_default().to_owned())
        .text("reset_val", |(name, _)| settings::default(name).unwrap_or_default().to_owned())
        .some_number("sourceline", |_| None)
        .flags(&["pending_restart"], false)
        .table()
}
