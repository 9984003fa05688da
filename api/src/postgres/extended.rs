//! The extended protocol: a statement is prepared once, and run with parameters as often as a client likes.
//!
//! Prepared is the text alone: each run plans it anew, over what is served then. A portal that is described is started at that moment,
//! so that its rows have the columns that were described, whatever is promoted meanwhile. A client that relies on what it was told
//! when it prepared the statement gets an error, as from Postgres, once the answer has other columns.

use std::fmt::Debug;
use std::ops::DerefMut;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion_postgres::pgwire::api::portal::{Format, Portal, PortalExecutionState};
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, send_partial_query_response};
use datafusion_postgres::pgwire::api::results::{
    DescribePortalResponse, DescribeStatementResponse, FieldInfo, QueryResponse, Response,
};
use datafusion_postgres::pgwire::api::stmt::{QueryParser, StoredStatement};
use datafusion_postgres::pgwire::api::store::{Entry, PortalStore};
use datafusion_postgres::pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, Type};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::extendedquery::{Execute, Parse};
use futures::Sink;

use super::command::Command;
use super::error::error;
use super::parameters::Parameters;
use super::parse::parameters_of;
use super::service::{Service, check_transaction, fields, show_field};

/// A prepared statement. Cheap to clone.
#[derive(Clone)]
pub(super) struct Prepared(Arc<Inner>);

struct Inner {
    command: Command,
    parameters: Parameters,
    /// The columns of its answer when it was prepared; `None` where it is no query.
    columns: Option<SchemaRef>,
}

impl Inner {
    fn fields<C: ClientInfo + ?Sized>(&self, format: &Format, client: &C) -> PgWireResult<Vec<FieldInfo>> {
        match (&self.command, &self.columns) {
            (Command::Show(name), _) => Ok(vec![show_field(name)]),
            (_, Some(columns)) => Ok(fields(columns, format, client)?.to_vec()),
            (_, None) => Ok(Vec::new()),
        }
    }
}

/// Prepares statements for one call of a client.
pub(super) struct Preparing;

#[async_trait]
impl QueryParser for Preparing {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, _: &C, _: &str, _: &[Option<Type>]) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        Err(error("XX000", "statements are prepared elsewhere", ""))
    }

    fn get_parameter_types(&self, statement: &Prepared) -> PgWireResult<Vec<Type>> {
        Ok(statement.0.parameters.wire())
    }

    fn get_result_schema(&self, _: &Prepared, _: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        Ok(Vec::new())
    }
}

impl Service {
    /// Prepares a statement; `None` for an empty one.
    async fn prepare<C: ClientInfo>(&self, client: &C, sql: &str) -> PgWireResult<Option<Prepared>> {
        let mut statements = self.reader().read(sql)?;
        if statements.len() > 1 {
            return Err(error("42601", "cannot insert multiple commands into a prepared statement", ""));
        }
        let Some(statement) = statements.pop() else { return Ok(None) };
        let command = Command::of(statement)?;
        check_transaction(client, &command)?;
        let (parameters, columns) = match &command {
            Command::Query(query) => {
                let planned = self.plan(client, query.as_ref().clone()).await?;
                (Parameters::of(planned.plan(), parameters_of(sql))?, Some(planned.columns()))
            }
            _ => (Parameters::default(), None),
        };
        Ok(Some(Prepared(Arc::new(Inner { command, parameters, columns }))))
    }

    /// Runs what a portal holds.
    async fn run<C: ClientInfo>(
        &self,
        client: &C,
        portal: &Portal<Prepared>,
        told: bool,
    ) -> PgWireResult<QueryResponse> {
        let prepared = &portal.statement.statement.0;
        let Command::Query(query) = &prepared.command else {
            return Err(error("XX000", "only a query has rows", ""));
        };
        let values = prepared.parameters.values(portal)?;
        let told = prepared.columns.as_deref().filter(|_| told);
        self.query(client, query.as_ref().clone(), Some(values), &portal.result_column_format, told).await
    }
}

#[async_trait]
impl ExtendedQueryHandler for Service {
    type Statement = Prepared;
    type QueryParser = Preparing;

    fn query_parser(&self) -> Arc<Preparing> {
        Arc::new(Preparing)
    }

    async fn on_parse<C>(&self, client: &mut C, message: Parse) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        use futures::SinkExt;
        let name = message.name.clone().unwrap_or_else(|| DEFAULT_NAME.to_owned());
        match self.prepare(client, &message.query).await? {
            Some(prepared) => {
                // A client that calls a type unknown leaves it to the server.
                let kinds = message.type_oids.iter().map(|oid| Type::from_oid(*oid).filter(|t| *t != Type::UNKNOWN));
                let statement = StoredStatement::new(name, prepared, kinds.collect());
                client.portal_store().put_statement(Arc::new(statement));
            }
            None => client.portal_store().put_empty_statement(&name),
        }
        let done = datafusion_postgres::pgwire::messages::extendedquery::ParseComplete::new();
        client.feed(PgWireBackendMessage::ParseComplete(done)).await?;
        Ok(())
    }

    async fn do_describe_statement<C>(
        &self,
        client: &mut C,
        statement: &StoredStatement<Prepared>,
    ) -> PgWireResult<DescribeStatementResponse>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let prepared = &statement.statement.0;
        let said = |n: usize| statement.parameter_types.get(n).cloned().flatten();
        let kinds = prepared.parameters.wire().into_iter().enumerate().map(|(n, kind)| said(n).unwrap_or(kind));
        Ok(DescribeStatementResponse::new(kinds.collect(), prepared.fields(&Format::UnifiedText, client)?))
    }

    async fn do_describe_portal<C>(
        &self,
        client: &mut C,
        portal: &Portal<Prepared>,
    ) -> PgWireResult<DescribePortalResponse>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let prepared = &portal.statement.statement.0;
        let Command::Query(_) = prepared.command else {
            return Ok(DescribePortalResponse::new(prepared.fields(&portal.result_column_format, client)?));
        };
        check_transaction(client, &prepared.command)?;
        let columns = match portal.state().lock().await.deref_mut() {
            PortalExecutionState::Suspended(started) => Some(started.row_schema()),
            PortalExecutionState::Finished => Some(Arc::default()),
            PortalExecutionState::Initial => None,
        };
        let columns = match columns {
            Some(columns) => columns,
            None => {
                let started = self.run(client, portal, false).await?;
                let columns = started.row_schema();
                portal.start(started).await;
                columns
            }
        };
        Ok(DescribePortalResponse::new(columns.to_vec()))
    }

    /// As the library's, but for the rows: they are sent as they come, never gathered first.
    async fn on_execute<C>(&self, client: &mut C, message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        let portal = match client.portal_store().get_portal(name) {
            Some(Entry::Value(portal)) => portal,
            _ => return self._on_execute(client, message).await,
        };
        let Command::Query(_) = portal.statement.statement.0.command else {
            return self._on_execute(client, message).await;
        };
        check_transaction(client, &portal.statement.statement.0.command)?;
        let state = portal.state();
        let mut state = state.lock().await;
        if matches!(*state, PortalExecutionState::Initial) {
            *state = PortalExecutionState::Suspended(self.run(client, &portal, true).await?);
        }
        let more = match state.deref_mut() {
            PortalExecutionState::Suspended(rows) => {
                send_partial_query_response(client, rows, usize::try_from(message.max_rows).unwrap_or(0)).await?
            }
            _ => {
                let mut none = QueryResponse::new(Arc::default(), futures::stream::empty());
                send_partial_query_response(client, &mut none, 0).await?
            }
        };
        if !more {
            *state = PortalExecutionState::Finished;
        }
        Ok(())
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Prepared>, _: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let command = portal.statement.statement.0.command.clone();
        check_transaction(client, &command)?;
        match command {
            Command::Query(_) => Ok(Response::Query(self.run(client, portal, true).await?)),
            other => self.obey(client, other).await,
        }
    }
}
