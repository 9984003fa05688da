//! One client's connection: served until it goes away or the server stops.
//!
//! The protocol's loop reads nothing while a query runs, so a second handle of the socket watches for a client that has gone; its
//! query then ends with it.

use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::pgwire::api::auth::StartupHandler;
use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::{ClientInfo, ErrorHandler, PgWireServerHandlers};
use datafusion_postgres::pgwire::error::PgWireError;
use datafusion_postgres::pgwire::tokio::{TlsAcceptor, process_socket};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::running::Cancels;
use super::service::Service;
use super::startup::Startup;
use super::{GRACE, second_handle};

/// How often a connection is looked at for its client having gone.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Serves one client to its end. One that is not `welcome` is told that there are too many.
pub(super) async fn serve(socket: TcpStream, tls: Option<TlsAcceptor>, service: Arc<Service>, welcome: bool) {
    let Ok((socket, watched)) = second_handle(socket) else { return };
    let stop = service.stop().clone();
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = process_socket(socket, tls, Handlers { service, welcome }) => if let Err(failed) = ended {
            tracing::debug!("a Postgres connection ended: {failed}");
        },
        () = gone(&watched) => {}
        () = overdue => {}
    }
}

/// Comes when the other side has closed the connection.
async fn gone(socket: &TcpStream) {
    loop {
        match socket.ready(Interest::READABLE).await {
            Ok(ready) if !ready.is_read_closed() => tokio::time::sleep(LOOK_EVERY).await,
            _ => break,
        }
    }
    // What it sent before it closed is read and answered first, unless a query holds that up.
    tokio::time::sleep(LOOK_EVERY).await;
}

/// What the protocol's loop calls.
struct Handlers {
    service: Arc<Service>,
    welcome: bool,
}

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        self.service.clone()
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        self.service.clone()
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::new(Startup { service: self.service.clone(), welcome: self.welcome })
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::new(Cancels(self.service.clone()))
    }

    fn error_handler(&self) -> Arc<impl ErrorHandler> {
        Arc::new(Told)
    }
}

/// Errors are told to the client; for the server's own log they are details.
struct Told;

impl ErrorHandler for Told {
    fn on_error<C: ClientInfo>(&self, client: &C, error: &mut PgWireError) {
        tracing::debug!(client = %client.socket_addr(), "a Postgres client was told: {error}");
    }
}
