//! What answers the statements of all connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ParamValues;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch};
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo, QueryResponse, Response, Tag};
use datafusion_postgres::pgwire::api::store::PortalStore;
use datafusion_postgres::pgwire::api::{
    ClientInfo, ClientPortalStore, METADATA_APPLICATION_NAME, METADATA_USER, RandomPidSecretKeyGenerator, Type,
};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::data::DataRow;
use datafusion_postgres::pgwire::messages::response::TransactionStatus;
use datafusion_postgres::pgwire::messages::startup::ParameterStatus;
use datafusion_postgres::pgwire::types::format::FormatOptions;
use futures::{Sink, SinkExt, StreamExt, stream};
use rekap_orchestrator::{Scope, SqlSession};
use tokio_util::sync::CancellationToken;

use super::catalog::Catalog;
use super::command::Command;
use super::error::{changed, error, fatal, of_engine, of_query};
use super::parse::Reader;
use super::running::{Bounds, Connections};
use super::settings;
use super::startup::{Door, Holder};
use crate::server::App;

/// So many scopes have a catalog of their own at a time; object ids of one that is forgotten are given out anew.
const MAX_SCOPES: usize = 1000;

/// What all connections share.
pub(super) struct Service {
    app: App,
    door: Door,
    stop: CancellationToken,
    reader: Reader,
    catalog: Arc<Catalog>,
    /// Those of scopes, by their text.
    narrower: Mutex<HashMap<String, Arc<Catalog>>>,
    connections: Arc<Connections>,
    ids: RandomPidSecretKeyGenerator,
}

/// A query that is planned and not yet run, over what there was when it was planned.
pub(super) struct Planned {
    session: SqlSession,
    plan: LogicalPlan,
}

impl Planned {
    /// The plan, with parameters in it.
    pub(super) fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// The columns of the answer, as far as they are known before parameters are.
    pub(super) fn columns(&self) -> SchemaRef {
        let settled = self.session.context().state().optimize(&self.plan);
        Arc::new(settled.as_ref().unwrap_or(&self.plan).schema().as_arrow().clone())
    }
}

impl Service {
    pub(super) fn new(app: App, door: Door, stop: CancellationToken) -> datafusion::common::Result<Self> {
        Ok(Service {
            catalog: Arc::new(Catalog::new()?),
            narrower: Mutex::default(),
            app,
            door,
            stop,
            reader: Reader::new(),
            connections: Arc::default(),
            ids: RandomPidSecretKeyGenerator::default(),
        })
    }

    pub(super) fn door(&self) -> Door {
        self.door
    }

    pub(super) fn app(&self) -> &App {
        &self.app
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    pub(super) fn ids(&self) -> &RandomPidSecretKeyGenerator {
        &self.ids
    }

    /// Plans a query over what there is now.
    pub(super) async fn plan<C: ClientInfo + ?Sized>(&self, client: &C, query: Statement) -> PgWireResult<Planned> {
        let orchestrator = self.app.orchestrator();
        let scope = self.scope(client)?;
        let session = orchestrator.sql_session(&scope);
        let catalog = self.catalog_of(&scope)?;
        catalog.prepare(session.context(), client.metadata(), (orchestrator, &scope), &query).await?;
        let plan = session.plan(query).await.map_err(of_query)?;
        Ok(Planned { session, plan })
    }

    /// What a client may see now: a token that has ended since opens nothing more.
    fn scope<C: ClientInfo + ?Sized>(&self, client: &C) -> PgWireResult<Scope> {
        if self.door == Door::Open {
            return Ok(Scope::default());
        }
        let holder = client.session_extensions().get::<Holder>();
        match holder.and_then(|holder| self.app.orchestrator().issued(&holder.0)) {
            Some((issued, None)) => Ok(issued.token.scope.clone()),
            _ => Err(fatal("28000", "the token of this connection has ended", "connect with another one")),
        }
    }

    /// The catalog of those who see as much; nobody learns from it what others see.
    fn catalog_of(&self, scope: &Scope) -> PgWireResult<Arc<Catalog>> {
        if scope.is_everything() {
            return Ok(self.catalog.clone());
        }
        let mut narrower = self.narrower.lock().expect("no holder of this lock panics");
        if narrower.len() >= MAX_SCOPES {
            narrower.clear();
        }
        if let Some(catalog) = narrower.get(&format!("{scope:?}")) {
            return Ok(catalog.clone());
        }
        let catalog = Arc::new(self.catalog.another().map_err(of_engine)?);
        narrower.insert(format!("{scope:?}"), catalog.clone());
        Ok(catalog)
    }

    /// Plans and runs a query. `told` are the columns that the client was told of before, which the answer must have.
    pub(super) async fn query<C: ClientInfo + ?Sized>(
        &self,
        client: &C,
        query: Statement,
        values: Option<ParamValues>,
        format: &Format,
        told: Option<&Schema>,
    ) -> PgWireResult<QueryResponse> {
        let bounds = Bounds::begin(client, &self.stop, settings::statement_timeout(client.metadata()));
        let started = bounds.within(async {
            let Planned { session, plan } = self.plan(client, query).await?;
            self.note_reader(client, &plan);
            let plan = match values {
                Some(values) => plan.replace_params_with_values(&values).map_err(of_engine)?,
                None => plan,
            };
            session.run(plan).await.map_err(of_query)
        });
        let batches = started.await??;
        let columns = fields(&batches.schema(), format, client)?;
        if let Some(told) = told
            && !is_same(&arrow_schema_to_pg_fields(told, &Format::UnifiedText, None)?, &columns)
        {
            return Err(changed());
        }
        let of_rows = columns.clone();
        let rows = bounds.batches(batches).flat_map(move |batch| {
            let rows: Box<dyn Iterator<Item = PgWireResult<DataRow>> + Send> = match batch {
                Ok(batch) => encode_recordbatch(of_rows.clone(), batch),
                Err(failed) => Box::new(std::iter::once(Err(failed))),
            };
            stream::iter(rows)
        });
        Ok(QueryResponse::new(columns, rows))
    }

    /// Does what is no query.
    pub(super) async fn obey<C>(&self, client: &mut C, command: Command) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        Ok(match command {
            Command::Begin if client.transaction_status() == TransactionStatus::Idle => {
                Response::TransactionStart(Tag::new("BEGIN"))
            }
            Command::Begin => Response::Execution(Tag::new("BEGIN")),
            Command::Commit if client.transaction_status() == TransactionStatus::Error => {
                Response::TransactionEnd(Tag::new("ROLLBACK"))
            }
            Command::Commit => Response::TransactionEnd(Tag::new("COMMIT")),
            Command::Rollback => Response::TransactionEnd(Tag::new("ROLLBACK")),
            Command::RollbackTo => Response::TransactionStart(Tag::new("ROLLBACK")),
            Command::Set(name, value) => {
                if let Some((name, value)) = settings::set(client.metadata_mut(), &name, value)? {
                    client.feed(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name, value))).await?;
                }
                Response::Execution(Tag::new("SET"))
            }
            Command::Reset => {
                settings::reset(client.metadata_mut());
                Response::Execution(Tag::new("RESET"))
            }
            Command::Show(name) => Response::Query(shown(&name, client)?),
            Command::Deallocate(name) => {
                if let Some(name) = name {
                    client.portal_store().rm_statement(&name);
                }
                Response::Execution(Tag::new("DEALLOCATE"))
            }
            Command::Nothing(tag) => Response::Execution(Tag::new(tag)),
            Command::Query(_) => return Err(error("XX000", "a query is run, not obeyed", "")),
        })
    }

    /// Remembers who reads which alias, for the plans of whoever changes it.
    fn note_reader<C: ClientInfo + ?Sized>(&self, client: &C, plan: &LogicalPlan) {
        let said = |name: &str| client.metadata().get(name).filter(|said| !said.is_empty());
        let reader = said(METADATA_APPLICATION_NAME).or_else(|| said(METADATA_USER));
        let reader = format!("{} (Postgres)", reader.map_or("unnamed", String::as_str));
        let _ = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && scan.table_name.schema().is_none_or(|schema| schema == super::catalog::LIVE)
            {
                self.app.orchestrator().saw_reader(scan.table_name.table(), &reader);
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }
}

/// Refuses what comes after an error in a transaction, until the client ends it: it may count on what has failed.
pub(super) fn check_transaction<C: ClientInfo + ?Sized>(client: &C, command: &Command) -> PgWireResult<()> {
    let ends = matches!(command, Command::Commit | Command::Rollback | Command::RollbackTo);
    if client.transaction_status() == TransactionStatus::Error && !ends {
        let message = "current transaction is aborted, commands ignored until end of transaction block";
        return Err(error("25P02", message, "ROLLBACK"));
    }
    Ok(())
}

/// The columns as a client is told of them, in the formats that it asks for.
pub(super) fn fields<C: ClientInfo + ?Sized>(
    columns: &Schema,
    format: &Format,
    client: &C,
) -> PgWireResult<Arc<Vec<FieldInfo>>> {
    if let Format::Individual(formats) = format
        && formats.len() != columns.fields().len()
    {
        return Err(changed());
    }
    let options = Arc::new(FormatOptions::from_client_metadata(client.metadata()));
    arrow_schema_to_pg_fields(columns, format, Some(options)).map(Arc::new).map_err(|_| {
        let hint = "cast columns of nested lists and the like, or name the columns that you need";
        error("0A000", "the answer has a column of a type that Postgres has not", hint)
    })
}

/// True when rows with columns `now` are read well by a client that was told of `then`.
fn is_same(then: &[FieldInfo], now: &[FieldInfo]) -> bool {
    let same = |(then, now): (&FieldInfo, &FieldInfo)| {
        then.name() == now.name() && (*then.datatype() == Type::UNKNOWN || then.datatype() == now.datatype())
    };
    then.len() == now.len() && then.iter().zip(now).all(same)
}

/// The answer to SHOW: one row, one column of the setting's name.
pub(super) fn shown<C: ClientInfo + ?Sized>(name: &str, client: &C) -> PgWireResult<QueryResponse> {
    let Some(value) = settings::get(client.metadata(), name) else {
        let message = format!("unrecognized configuration parameter \"{name}\"");
        return Err(error("42704", message, ""));
    };
    let fields = Arc::new(vec![show_field(name)]);
    let mut row = DataRowEncoder::new(fields.clone());
    row.encode_field(&Some(value))?;
    let row = row.take_row();
    let mut answer = QueryResponse::new(fields, stream::once(async move { Ok(row) }));
    answer.set_command_tag("SHOW");
    Ok(answer)
}

/// The column of an answer to SHOW.
pub(super) fn show_field(name: &str) -> FieldInfo {
    FieldInfo::new(name.to_owned(), None, None, Type::TEXT, FieldFormat::Text)
}
