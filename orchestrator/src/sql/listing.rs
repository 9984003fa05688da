//! All that a query can name, for clients that ask what there is.
//!
//! Told from the state of one moment; nothing is opened for it, so that listing thousands of topics reads none of them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use rekap_tiered_storage::{Decoder, Log, Topic};

use super::{SqlError, SqlTables, catalog};

/// A table that a query can name.
#[derive(Debug, Clone)]
pub struct SqlTable {
    /// `live`, `version` or `log`.
    pub schema: &'static str,
    /// Its name in that schema, unquoted.
    pub name: String,
    /// Its columns.
    pub columns: SchemaRef,
    /// Which of them are its key, in key order: no two rows have the same. They may be NULL. Empty where there is no such key.
    pub key: Vec<usize>,
}

impl SqlTables {
    /// Every table, by schema and name.
    pub(crate) async fn list(&self) -> Result<Vec<SqlTable>, SqlError> {
        let of = |schema: &'static str, tables: &std::collections::BTreeMap<String, rekap_tables::Table>| {
            let table = |(name, table): (&String, &rekap_tables::Table)| SqlTable {
                schema,
                name: name.clone(),
                columns: table.schema().columns().clone(),
                key: table.schema().key().to_vec(),
            };
            tables.iter().map(table).collect::<Vec<_>>()
        };
        let mut tables = of(catalog::LIVE, &self.live);
        tables.extend(topics(&self.log).await?.into_iter().filter(|table| self.scope.has_topic(&table.name)));
        tables.extend(of(catalog::VERSION, &self.versions));
        Ok(tables)
    }
}

async fn topics(log: &Log) -> Result<Vec<SqlTable>, SqlError> {
    let mut topics = log.hot.topics().await.map_err(|failure| SqlError::Log(Arc::new(failure)))?;
    topics.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    // A topic whose columns make no table cannot be named in a query either.
    Ok(topics.iter().filter_map(topic).collect())
}

fn topic(topic: &Topic) -> Option<SqlTable> {
    let columns = topic.config.schema.as_ref().map(|schema| schema.columns()).unwrap_or_default();
    let columns = Decoder::new(columns).ok()?.input_schema();
    // No two records have the same place.
    let key = ["_partition", "_offset"].iter().filter_map(|name| columns.index_of(name).ok()).collect();
    Some(SqlTable { schema: catalog::LOG, name: topic.name.to_string(), columns, key })
}
