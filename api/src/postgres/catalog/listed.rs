//! The tables that the library's part of `pg_catalog` tells of: those of the last look.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::common::Result;
use datafusion::datasource::TableType;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use rekap_orchestrator::SqlTable;

use super::DATABASE;
use super::objects::SCHEMAS;

type Tables = BTreeMap<(&'static str, String), SchemaRef>;

/// The tables of the last look, shared by all connections: whoever looks next sees no less than who looked before.
#[derive(Debug, Clone, Default)]
pub(super) struct Listed(Arc<RwLock<Arc<Tables>>>);

impl Listed {
    /// Forgets the last look for this one.
    pub(super) fn renew(&self, tables: Vec<SqlTable>) {
        let tables = tables.into_iter().map(|table| ((table.schema, table.name), table.columns)).collect();
        *self.0.write().expect("no holder of this lock panics") = Arc::new(tables);
    }

    fn tables(&self) -> Arc<Tables> {
        self.0.read().expect("no holder of this lock panics").clone()
    }
}

#[async_trait]
impl CatalogInfo for Listed {
    async fn catalog_names(&self) -> Result<Vec<String>> {
        Ok(vec![DATABASE.to_owned()])
    }

    async fn schema_names(&self, _: &str) -> Result<Option<Vec<String>>> {
        Ok(Some(SCHEMAS.map(|(name, _)| name.to_owned()).to_vec()))
    }

    async fn table_names(&self, _: &str, schema: &str) -> Result<Option<Vec<String>>> {
        let tables = self.tables();
        Ok(Some(tables.keys().filter(|(of, _)| *of == schema).map(|(_, name)| name.clone()).collect()))
    }

    async fn table_schema(&self, _: &str, schema: &str, table: &str) -> Result<Option<SchemaRef>> {
        let schema = SCHEMAS.into_iter().find(|(known, _)| *known == schema);
        Ok(schema.and_then(|(schema, _)| self.tables().get(&(schema, table.to_owned())).cloned()))
    }

    async fn table_type(&self, _: &str, _: &str, _: &str) -> Result<Option<TableType>> {
        Ok(Some(TableType::Base))
    }
}
