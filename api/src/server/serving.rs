//! Connections: accepted up to a bound, over TLS where there is a certificate, let go when their sender stands still, and ended
//! without cutting off who is being answered.
//!
//! A connection beyond the bound waits in the system's queue until another one ends. Nothing here outlives the process.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::tls::Tls;
use crate::config::Limits;

/// How many headers a request may have: clients and a chain of proxies send a few dozen.
const MAX_HEADERS: usize = 100;

/// How large the head of a request may be, and how much of its body is read at once.
const MAX_HEAD_BYTES: usize = 256 << 10;

/// How long a handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long to wait when the system gives no connection, as without free file handles.
const REST: Duration = Duration::from_secs(1);

/// The address at the other end of a request's connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// How connections are served.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) router: Router,
    pub(super) tls: Option<Tls>,
    pub(super) limits: Limits,
    pub(super) stop: CancellationToken,
}

impl Serving {
    /// Answers requests until `stop`, then until those under way have ended.
    pub(super) async fn serve(self, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let mut connections = JoinSet::new();
        while let Some((stream, held)) = self.accept(&listener, &room).await {
            while connections.try_join_next().is_some() {}
            let serving = self.clone();
            connections.spawn(async move {
                serving.connected(stream).await;
                drop(held);
            });
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// The next connection, once there is room for it; `None` when the server stops.
    async fn accept(&self, listener: &TcpListener, room: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let next = async {
            let held = room.clone().acquire_owned().await.expect("the room is never closed");
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => return (stream, held),
                    Err(error) if is_of_the_peer(&error) => {}
                    Err(error) => {
                        tracing::error!(%error, "no connection can be accepted; see how many files the server may open");
                        tokio::time::sleep(REST).await;
                    }
                }
            }
        };
        self.stop.run_until_cancelled(next).await
    }

    async fn connected(self, stream: TcpStream) {
        let Ok(peer) = stream.peer_addr() else { return };
        // Answers are small and written whole: waiting to join them with more only delays them.
        let _ = stream.set_nodelay(true);
        let peer = Peer(peer.ip().to_canonical());
        match self.tls.clone() {
            None => self.answer(stream, peer).await,
            Some(tls) => match timeout(HANDSHAKE, tls.acceptor().accept(stream)).await {
                Ok(Ok(stream)) => self.answer(stream, peer).await,
                Ok(Err(error)) => tracing::debug!(%error, from = %peer.0, "a handshake of TLS failed"),
                Err(_) => tracing::debug!(from = %peer.0, "a handshake of TLS took too long"),
            },
        }
    }

    async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, peer: Peer) {
        let Serving { router, limits, stop, .. } = self;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            TowerToHyperService::new(router.clone()).call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, from = %peer.0, "a connection broke off");
        }
    }
}

/// True for what only the other end has done, or undone.
fn is_of_the_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
