//! The system catalog: what clients ask to learn which tables and columns there are.
//!
//! `pg_catalog` and `information_schema` tell what a query can name at the moment when it is asked. Object ids are given out once and
//! stay as long as the process, since a client asks for a table's id first and for its columns by that id next. Nothing is durable.

mod functions;
mod information_schema;
mod listed;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::generate_series_arg_coercion::CoerceIntArgsToBigInt;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::{
    PgCatalogSchemaProvider, PgCatalogStaticTables, PgCatalogTable,
};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use futures::TryStreamExt;
use rekap_orchestrator::{Orchestrator, Scope};

use super::error::{of_engine, of_rejection};
use super::parse::reads_catalog;
use functions::Functions;
use listed::Listed;

/// The only database.
pub(super) const DATABASE: &str = "rekap";

/// The schema that a client finds tables in without naming it.
pub(super) const LIVE: &str = "live";

const SYSTEM: &str = "pg_catalog";
const INFORMATION: &str = "information_schema";

/// The catalog of all connections.
pub(super) struct Catalog {
    listed: Listed,
    fixed: Arc<PgCatalogStaticTables>,
    system: Arc<PgCatalogSchemaProvider<Listed, EmptyContextProvider>>,
    functions: Arc<Functions>,
}

impl Catalog {
    /// A catalog that lists nothing yet.
    pub(super) fn new() -> datafusion::common::Result<Self> {
        Self::of(Arc::new(PgCatalogStaticTables::try_new()?), Arc::new(Functions::new()))
    }

    /// Another one, for those who see other tables.
    pub(super) fn another(&self) -> datafusion::common::Result<Self> {
        Self::of(self.fixed.clone(), self.functions.clone())
    }

    fn of(fixed: Arc<PgCatalogStaticTables>, functions: Arc<Functions>) -> datafusion::common::Result<Self> {
        let listed = Listed::default();
        let system = PgCatalogSchemaProvider::try_new(listed.clone(), fixed.clone(), EmptyContextProvider)?;
        Ok(Catalog { listed, fixed, system: Arc::new(system), functions })
    }

    /// Gives a query what clients take for granted: functions of Postgres, and the system catalog where it reads that.
    pub(super) async fn prepare(
        &self,
        context: &SessionContext,
        said: &HashMap<String, String>,
        seen: (&Orchestrator, &Scope),
        query: &Statement,
    ) -> PgWireResult<()> {
        self.functions.register(context, said);
        if reads_catalog(query) {
            self.list(context, seen).await?;
            if query.to_string().contains("is_visible") {
                let visible = self.visible(context).await.map_err(of_engine)?;
                functions::register_visible(context, visible);
            }
            context.register_udtf("pg_get_keywords", self.fixed.pg_get_keywords.clone());
        }
        let state = context.state_ref();
        let mut state = state.write();
        *state =
            SessionStateBuilder::new_from_existing(state.clone()).with_type_planner(Arc::new(PgOidTypePlanner)).build();
        drop(state);
        CoerceIntArgsToBigInt::widen(context);
        Ok(())
    }

    /// Puts what there is now into the catalog of a query.
    async fn list(&self, context: &SessionContext, seen: (&Orchestrator, &Scope)) -> PgWireResult<()> {
        let (orchestrator, scope) = seen;
        let tables = orchestrator.sql_tables(scope).await.map_err(of_rejection)?;
        let information = information_schema::of(&tables).map_err(of_engine)?;
        self.listed.renew(tables);
        let missing = || PgWireError::ApiError("a query's session has a catalog".into());
        let catalog = context.catalog(DATABASE).ok_or_else(missing)?;
        catalog.register_schema(SYSTEM, self.system.clone()).map_err(of_engine)?;
        catalog.register_schema(INFORMATION, information).map_err(of_engine)?;
        Ok(())
    }

    /// The ids of the tables that are found without naming their schema.
    async fn visible(&self, context: &SessionContext) -> datafusion::common::Result<BTreeSet<i32>> {
        let mut schemas = BTreeSet::new();
        for (oid, name, _) in self.ids(context, "pg_namespace", "nspname", "oid").await? {
            if name == LIVE || name == SYSTEM {
                schemas.insert(oid);
            }
        }
        let tables = self.ids(context, "pg_class", "relname", "relnamespace").await?;
        Ok(tables.into_iter().filter(|(_, _, schema)| schemas.contains(schema)).map(|(oid, ..)| oid).collect())
    }

    /// The id, the name and one more id of each row of a table of the catalog.
    async fn ids(
        &self,
        context: &SessionContext,
        table: &str,
        name: &str,
        other: &str,
    ) -> datafusion::common::Result<Vec<(i32, String, i32)>> {
        let Some(PgCatalogTable::Dynamic(table)) = self.system.build_table_by_name(table)? else {
            return Ok(Vec::new());
        };
        let batches: Vec<_> = table.execute(context.task_ctx()).try_collect().await?;
        let mut ids = Vec::new();
        for batch in &batches {
            let column = |name: &str| batch.column_by_name(name).map(|column| column.as_ref());
            let (Some(oids), Some(names), Some(others)) = (column("oid"), column(name), column(other)) else {
                continue;
            };
            let (oids, others) = (oids.as_primitive::<Int32Type>(), others.as_primitive::<Int32Type>());
            let names = names.as_string::<i32>();
            ids.extend((0..oids.len()).map(|i| (oids.value(i), names.value(i).to_owned(), others.value(i))));
        }
        Ok(ids)
    }
}
