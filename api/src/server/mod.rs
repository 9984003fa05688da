//! The server: opens the rooms, listens, and stops without cutting off who is being answered.
//!
//! It holds no state of its own. When the process dies, what was acknowledged is in the rooms; the next start opens them again and
//! goes on with whatever was under way.

mod access;
mod actions;
mod app;
mod body;
mod describe;
mod extract;
mod groups;
mod guard;
mod health;
mod history;
mod ingest;
mod jobs;
mod limits;
mod list;
mod mend;
mod metrics;
mod notifications;
mod once;
mod records;
mod router;
mod runbooks;
mod schedules;
mod serving;
mod sessions;
mod sql;
mod strict;
mod tables;
mod text;
mod tls;
mod tokens;
mod topics;
mod trace;
mod versions;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::postgres::{Certificate, Door, Postgres};
use crate::{Config, ConfigError};
use router::Front;
use serving::Serving;
use tls::Tls;

pub(crate) use access::authenticate;
pub(crate) use app::App;

/// How long a stop waits for requests under way. Longer than any bounded wait of the product (a promotion's hold is 2 s).
const GRACE: Duration = Duration::from_secs(5);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be served.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}; stop what uses that port, or set {setting}")]
    Listen {
        /// What says where.
        setting: &'static str,
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A room did not open.
    #[error("{what} does not open: {reason}")]
    Open {
        /// Which room.
        what: &'static str,
        /// Why, and what to do.
        reason: String,
    },
}

/// The whole product, in this process.
pub struct Rekap;

/// A server that runs until it is told to stop.
pub struct Running {
    /// Where it listens (the real port, also when the configuration said 0).
    pub addr: SocketAddr,
    scheme: &'static str,
    /// Where Postgres clients connect, if they may.
    pub postgres: Option<SocketAddr>,
    stop: CancellationToken,
    served: JoinHandle<()>,
    postgres_served: Option<JoinHandle<()>>,
    app: App,
}

impl Rekap {
    /// Opens all rooms and listens. On return requests are answered.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        config.check()?;
        let (listener, addr) = listen(config.server.listen).await?;
        let postgres = match config.postgres.listen {
            Some(addr) => Some(listen_for_postgres(addr, config.postgres.max_connections).await?),
            None => None,
        };
        let stop = CancellationToken::new();
        let app = App::open(&config, addr.port(), stop.clone()).await?;
        if config.server.wants_tokens() {
            access::first_admin(&app).await?;
        }
        let tls = match config.server.tls.clone() {
            Some(files) => Some(Tls::open(files).await?),
            None => None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (mut addr_of_postgres, mut postgres_served) = (None, None);
        if let Some((postgres, addr)) = postgres {
            let door = if config.server.wants_tokens() { Door::Tokens } else { Door::Open };
            let tls = tls.clone().map(|tls| -> Certificate { Arc::new(move || tls.acceptor_of_postgres()) });
            addr_of_postgres = Some(addr);
            postgres_served = Some(tokio::spawn(postgres.serve(app.clone(), door, tls, stop.clone())));
        }
        let router = router::router(app.clone(), &Front::of(&app, &config.server));
        let serving = Serving { router, tls, limits: config.server.limits, stop: stop.clone() };
        let served = tokio::spawn(serve(listener, app.clone(), serving));
        Ok(Running { addr, postgres: addr_of_postgres, scheme, stop, served, postgres_served, app })
    }
}

/// Takes the address for HTTP.
async fn listen(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let refused = |source| StartError::Listen { setting: "server.listen", addr, source };
    let listener = TcpListener::bind(addr).await.map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    Ok((listener, addr))
}

/// Takes the address for Postgres clients.
async fn listen_for_postgres(addr: SocketAddr, clients: usize) -> Result<(Postgres, SocketAddr), StartError> {
    let refused = |source| StartError::Listen { setting: "postgres.listen", addr, source };
    let postgres = Postgres::bind(addr, clients).await.map_err(refused)?;
    let addr = postgres.addr().map_err(refused)?;
    Ok((postgres, addr))
}

impl Running {
    /// The server's URL.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// Comes when the disk has refused a write and takes writes again: the rooms go on once they are opened anew.
    pub async fn mended(&self) {
        mend::mended(&self.app).await;
    }

    /// Stops: no new requests, those under way get a few seconds to end, then every room is closed.
    pub async fn shutdown(self) {
        self.stop.cancel();
        drop(self.app);
        for served in self.postgres_served.into_iter().chain([self.served]) {
            if let Err(failed) = served.await {
                tracing::error!("the server did not stop cleanly: {failed}");
            }
        }
    }
}

/// Answers requests until `stop`, then until those under way have ended or the grace is over.
async fn serve(listener: TcpListener, app: App, serving: Serving) {
    let stop = serving.stop.clone();
    if let Some(tls) = serving.tls.clone() {
        tokio::spawn(tls.keep_fresh(stop.clone()));
    }
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = serving.serve(listener) => {},
        () = overdue => tracing::warn!("requests were still under way after {GRACE:?}; they are cut off"),
    }
    app.close().await;
}

/// Runs what blocks on the disk where it does not hold up anybody else.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
