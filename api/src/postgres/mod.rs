//! The Postgres wire protocol: `psql`, Grafana, Superset, pandas and whatever else speaks it read aliases as tables.
//!
//! A client finds aliases in the schema `live` (which its search path names, so they are found without it), versions as
//! `version."bpi@2"`, topics as `log.<topic>`: the tables and the bounds of `/v1/sql`. Every query looks up its tables anew, so a
//! promotion goes unnoticed by those who read. Nothing can be written. Nothing here is durable; a connection ends with the process.
//!
//! What an answer may take, and what a query can name, is the orchestrator's; how clients are told is here.

mod catalog;
mod command;
mod connection;
mod error;
mod extended;
mod notation;
mod parameters;
mod parse;
mod running;
mod service;
mod settings;
mod simple;
mod startup;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::pgwire::tokio::TlsAcceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::server::App;
use service::Service;

pub(crate) use startup::Door;

/// How long connections get to tell their clients that the server stops.
const GRACE: Duration = Duration::from_millis(300);

/// So many connections beyond the bound are told that there are too many; more than that are closed without a word.
const REFUSED_AT_ONCE: usize = 16;

/// The certificate in use, for one new connection.
pub(crate) type Certificate = Arc<dyn Fn() -> TlsAcceptor + Send + Sync>;

/// A listener for Postgres clients, bound and not yet answering.
pub(crate) struct Postgres {
    listener: TcpListener,
    max_connections: usize,
}

impl Postgres {
    /// Takes the address. Port 0 takes a free one.
    pub(crate) async fn bind(addr: SocketAddr, max_connections: usize) -> std::io::Result<Self> {
        Ok(Postgres { listener: TcpListener::bind(addr).await?, max_connections })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers clients until `stop`; then running queries are ended, and their clients told why.
    pub(crate) async fn serve(self, app: App, door: Door, tls: Option<Certificate>, stop: CancellationToken) {
        let service = match Service::new(app, door, stop.clone()) {
            Ok(service) => Arc::new(service),
            Err(broken) => return tracing::error!("the catalog for Postgres clients does not open: {broken}"),
        };
        let (free, refusals) =
            (Arc::new(Semaphore::new(self.max_connections)), Arc::new(Semaphore::new(REFUSED_AT_ONCE)));
        let mut connections = JoinSet::new();
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            while connections.try_join_next().is_some() {}
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(failed) => {
                    // Such as too many open files: others may go on, and this one comes again.
                    tracing::warn!("a Postgres client was not accepted: {failed}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (permit, welcome) = match free.clone().try_acquire_owned() {
                Ok(permit) => (permit, true),
                Err(_) => match refusals.clone().try_acquire_owned() {
                    Ok(permit) => (permit, false),
                    Err(_) => continue,
                },
            };
            let (service, tls) = (service.clone(), tls.as_ref().map(|tls| tls()));
            connections.spawn(async move {
                connection::serve(socket, tls, service, welcome).await;
                drop(permit);
            });
        }
        let all_gone = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, all_gone).await;
        connections.shutdown().await;
    }
}

/// A second handle of a socket, to look at while the first one is in use.
fn second_handle(socket: TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    let socket = socket.into_std()?;
    let other = socket.try_clone()?;
    Ok((TcpStream::from_std(socket)?, TcpStream::from_std(other)?))
}
