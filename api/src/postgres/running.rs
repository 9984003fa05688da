//! The query that each connection runs, so that another connection can cancel it and a stop of the server ends it.
//!
//! In memory only: a connection is here from its start-up to its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::execution::SendableRecordBatchStream;
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::cancel::CancelRequest;
use datafusion_postgres::pgwire::messages::startup::SecretKey;
use futures::{Stream, StreamExt, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error;
use super::service::Service;

/// Which connection: what a client got at its start-up, and says when it cancels.
type Key = (i32, Bytes);

/// All connections.
#[derive(Default)]
pub(super) struct Connections(Mutex<HashMap<Key, Weak<Connection>>>);

/// One connection's running query.
pub(super) struct Connection {
    key: Key,
    all: Weak<Connections>,
    running: Mutex<CancellationToken>,
}

impl Connections {
    /// A connection that is here until it is dropped.
    pub(super) fn add(self: &Arc<Self>, pid: i32, secret: &SecretKey) -> Arc<Connection> {
        let key = (pid, secret.to_bytes());
        let running = Mutex::new(CancellationToken::new());
        let connection = Arc::new(Connection { key: key.clone(), all: Arc::downgrade(self), running });
        self.0.lock().expect("no holder of this lock panics").insert(key, Arc::downgrade(&connection));
        connection
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(all) = self.all.upgrade() {
            all.0.lock().expect("no holder of this lock panics").remove(&self.key);
        }
    }
}

/// Cancels what another connection runs, when its pid and secret are known.
pub(super) struct Cancels(pub(super) Arc<Service>);

#[async_trait]
impl CancelHandler for Cancels {
    async fn on_cancel_request(&self, request: CancelRequest) {
        let key = (request.pid, request.secret_key.to_bytes());
        let all = self.0.connections().0.lock().expect("no holder of this lock panics");
        let connection = all.get(&key).and_then(Weak::upgrade);
        drop(all);
        if let Some(connection) = connection {
            connection.running.lock().expect("no holder of this lock panics").cancel();
        }
    }
}

/// What may end a query before its rows end.
#[derive(Clone)]
pub(super) struct Bounds {
    cancelled: CancellationToken,
    stop: CancellationToken,
    /// The client's own `statement_timeout`.
    ends_at: Option<Instant>,
}

impl Bounds {
    /// Those of the next query of this client.
    pub(super) fn begin<C: ClientInfo + ?Sized>(
        client: &C,
        stop: &CancellationToken,
        timeout: Option<Duration>,
    ) -> Bounds {
        let cancelled = stop.child_token();
        if let Some(connection) = client.session_extensions().get::<Arc<Connection>>() {
            *connection.running.lock().expect("no holder of this lock panics") = cancelled.clone();
        }
        Bounds { cancelled, stop: stop.clone(), ends_at: timeout.map(|timeout| Instant::now() + timeout) }
    }

    /// Waits for `work`, no longer than the query may take.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> PgWireResult<T> {
        tokio::select! {
            biased;
            ended = self.ended() => Err(ended),
            done = work => Ok(done),
        }
    }

    /// The batches, ended by an error where the query is.
    pub(super) fn batches(
        self,
        batches: SendableRecordBatchStream,
    ) -> impl Stream<Item = PgWireResult<RecordBatch>> + Send + 'static {
        stream::unfold(Some((batches, self)), |going| async move {
            let (mut batches, bounds) = going?;
            match bounds.within(batches.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(batch))) => Some((Ok(batch), Some((batches, bounds)))),
                Ok(Some(Err(failed))) => Some((Err(error::of_engine(failed)), None)),
                Err(ended) => Some((Err(ended), None)),
            }
        })
    }

    async fn ended(&self) -> PgWireError {
        let late = async {
            match self.ends_at {
                Some(ends_at) => tokio::time::sleep_until(ends_at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.cancelled.cancelled() => {
                if self.stop.is_cancelled() { error::stopping() } else { PgWireError::QueryCanceled }
            }
            () = late => error::timed_out(),
        }
    }
}
