//! What a query can name.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::DataFusionError;
use rekap_tables::Table;
use rekap_tiered_storage::Log;

use super::log::LogTable;
use super::scan;
use crate::Scope;

/// The catalog's name. It can be left out of a query.
pub(super) const NAME: &str = "rekap";

/// The schema of what aliases serve.
pub(super) const LIVE: &str = "live";

/// The schema of every live version.
pub(super) const VERSION: &str = "version";

/// The schema of topics.
pub(super) const LOG: &str = "log";

/// The tables that a query can name.
pub(crate) struct SqlTables {
    /// The table that each alias serves, by alias.
    pub(crate) live: BTreeMap<String, Table>,
    /// The table of each version, by `<alias>@<version>`.
    pub(crate) versions: BTreeMap<String, Table>,
    /// Both tiers of every topic.
    pub(crate) log: Arc<Log>,
    /// Which of its topics.
    pub(crate) scope: Scope,
}

impl SqlTables {
    pub(super) fn into_catalog(self) -> Arc<dyn CatalogProvider> {
        let catalog = MemoryCatalogProvider::new();
        let schemas: [(&str, Arc<dyn SchemaProvider>); 3] = [
            (LIVE, Arc::new(Schema::of(self.live))),
            (VERSION, Arc::new(Schema::of(self.versions))),
            (LOG, Arc::new(Topics { log: self.log, scope: self.scope, named: tokio::sync::Mutex::default() })),
        ];
        for (name, schema) in schemas {
            catalog.register_schema(name, schema).expect("a catalog in memory takes every schema");
        }
        Arc::new(catalog)
    }
}

/// Tables by name; each is a snapshot from the moment when the query first names it.
struct Schema {
    tables: BTreeMap<String, Table>,
    named: Mutex<HashMap<String, Arc<dyn TableProvider>>>,
}

impl Schema {
    fn of(tables: BTreeMap<String, Table>) -> Self {
        Schema { tables, named: Mutex::default() }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.tables.keys()).finish()
    }
}

#[async_trait]
impl SchemaProvider for Schema {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(table) = self.tables.get(name) else { return Ok(None) };
        let mut named = self.named.lock().expect("no thread panics while it holds this lock");
        if let Some(provider) = named.get(name) {
            return Ok(Some(provider.clone()));
        }
        let provider = scan(&table.snapshot());
        named.insert(name.to_owned(), provider.clone());
        Ok(Some(provider))
    }
}

/// Topics by name; each is what there was when the query first named it.
struct Topics {
    log: Arc<Log>,
    scope: Scope,
    named: tokio::sync::Mutex<HashMap<String, Arc<dyn TableProvider>>>,
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LOG)
    }
}

#[async_trait]
impl SchemaProvider for Topics {
    /// Topics are looked up by name only.
    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn table_exist(&self, _name: &str) -> bool {
        true
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if !self.scope.has_topic(name) {
            return Ok(None);
        }
        let mut named = self.named.lock().await;
        if let Some(provider) = named.get(name) {
            return Ok(Some(provider.clone()));
        }
        let Some(topic) = LogTable::open(self.log.clone(), name).await? else { return Ok(None) };
        let provider: Arc<dyn TableProvider> = Arc::new(topic);
        named.insert(name.to_owned(), provider.clone());
        Ok(Some(provider))
    }
}
