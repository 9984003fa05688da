//! The system catalog: what clients ask to learn which tables, columns and keys there are.
//!
//! `pg_catalog` and `information_schema` tell what a query can name at the moment when it is asked, from tables of our own (`objects`,
//! `system`, `information_schema`); Postgres' types, functions and the like are the library's. Questions are planned by the engine like
//! all others, in the form that `notation` gives them. Nothing is durable.

mod columns;
mod described;
mod functions;
mod information_schema;
mod kinds;
mod listed;
mod lists;
mod objects;
mod server;
mod system;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::generate_series_arg_coercion::CoerceIntArgsToBigInt;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use rekap_orchestrator::{Orchestrator, Scope};

use super::error::{of_engine, of_rejection};
use super::parse::reads_catalog;
use functions::Functions;
use listed::Listed;
use objects::Ids;
use system::System;

/// The only database.
pub(super) const DATABASE: &str = "rekap";

/// The schema that a client finds tables in without naming it.
pub(super) const LIVE: &str = "live";

const SYSTEM: &str = "pg_catalog";
const INFORMATION: &str = "information_schema";

/// The catalog of all connections.
pub(super) struct Catalog {
    ids: Mutex<Ids>,
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
        Ok(Catalog { ids: Mutex::default(), listed, fixed, system: Arc::new(system), functions })
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
            self.list(context, said, seen).await?;
            lists::register(context);
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
    async fn list(
        &self,
        context: &SessionContext,
        said: &HashMap<String, String>,
        (orchestrator, scope): (&Orchestrator, &Scope),
    ) -> PgWireResult<()> {
        let tables = orchestrator.sql_tables(scope).await.map_err(of_rejection)?;
        self.listed.renew(tables.clone());
        let relations = self.ids.lock().expect("no holder of this lock panics").of(tables);
        let information = information_schema::of(&relations).map_err(of_engine)?;
        let system = System::of(&relations, said, self.system.clone()).map_err(of_engine)?;
        described::register(context, &relations);
        let missing = || PgWireError::ApiError("a query's session has a catalog".into());
        let catalog = context.catalog(DATABASE).ok_or_else(missing)?;
        catalog.register_schema(SYSTEM, Arc::new(system)).map_err(of_engine)?;
        catalog.register_schema(INFORMATION, information).map_err(of_engine)?;
        Ok(())
    }
}
