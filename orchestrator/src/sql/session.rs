//! A query in parts, for a protocol that tells what an answer looks like before it gives the answer.
//!
//! A session sees what there is at the moment when it is made, and is used for one query. It runs on the threads of all queries, within
//! their bounds, and ends when its answer is read no further. It holds nothing that a crash could lose.

use std::future::Future;

use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use futures::{StreamExt as _, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::engine::Running;
use super::limit::bounded;
use super::{SqlError, SqlLimits, written};

/// The batches that wait for a slower client.
const BATCHES_AHEAD: usize = 2;

/// One query over what there is at one moment.
pub struct SqlSession {
    context: SessionContext,
    threads: Handle,
    limits: SqlLimits,
    running: Running,
}

impl SqlSession {
    pub(super) fn new(context: SessionContext, threads: Handle, limits: SqlLimits, running: Running) -> Self {
        SqlSession { context, threads, limits, running }
    }

    /// Where it is planned, for a protocol that adds functions and schemas of its own before that.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Plans a statement as it is written, with its parameters still in it; anything but one SELECT, or the explanation of one, is
    /// refused.
    pub async fn plan(&self, statement: SqlStatement) -> Result<LogicalPlan, SqlError> {
        let context = self.context.clone();
        let planned =
            self.threads.spawn(async move { written(&context, Statement::Statement(Box::new(statement))).await });
        planned.await.unwrap_or_else(|ended| Err(SqlError::Failed(format!("planning it failed: {ended}"))))
    }

    /// Runs a plan of this session, without parameters left in it.
    pub async fn run(self, plan: LogicalPlan) -> Result<SendableRecordBatchStream, SqlError> {
        let context = self.context.clone();
        self.begin(async move { Ok(context.execute_logical_plan(plan).await?.execute_stream().await?) }).await
    }

    /// Runs what `start` begins, ahead of its reader by a few batches.
    pub(super) async fn begin(
        self,
        start: impl Future<Output = Result<SendableRecordBatchStream, SqlError>> + Send + 'static,
    ) -> Result<SendableRecordBatchStream, SqlError> {
        let SqlSession { context, threads, limits, running } = self;
        let mut batches = match threads.spawn(start).await {
            Ok(started) => started?,
            Err(ended) => return Err(SqlError::Failed(format!("planning it failed: {ended}"))),
        };
        let schema = batches.schema();
        let (rows, answer) = mpsc::channel::<Result<_, DataFusionError>>(BATCHES_AHEAD);
        threads.spawn(async move {
            let _until_the_end = (running, context);
            loop {
                let batch = tokio::select! {
                    () = rows.closed() => return,
                    batch = batches.next() => batch,
                };
                let Some(batch) = batch else { return };
                if rows.send(batch).await.is_err() {
                    return;
                }
            }
        });
        let answer = stream::unfold(answer, |mut answer| async { Some((answer.recv().await?, answer)) });
        let answer = Box::pin(RecordBatchStreamAdapter::new(schema, answer));
        Ok(bounded(answer, limits.max_rows, limits.max_time))
    }
}
