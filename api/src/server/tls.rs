//! The server's certificate: read at start, and again whenever its files change or the process gets SIGHUP.
//!
//! New connections use what was read last; those that are open go on as they are. Files that cannot be used are told in the log and
//! change nothing, so a renewal that goes wrong leaves the server up for as long as the former certificate is good.

use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rekap_orchestrator::Hash;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_util::sync::CancellationToken;

use super::{StartError, blocking};
use crate::config::TlsFiles;

/// How often the files are looked at. A renewal happens weeks before the former certificate ends.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The certificate in use. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tls {
    files: TlsFiles,
    current: Arc<RwLock<Read>>,
}

/// What was read, and of which bytes.
struct Read {
    config: Arc<ServerConfig>,
    of: Hash,
}

impl Tls {
    /// Reads certificate and key.
    pub(super) async fn open(files: TlsFiles) -> Result<Self, StartError> {
        let read = read_files(&files).await.and_then(|(bytes, of)| Ok(Read { config: configured(&bytes)?, of }));
        let current = read.map_err(|reason| StartError::Open { what: "the certificate of [server.tls]", reason })?;
        Ok(Tls { files, current: Arc::new(RwLock::new(current)) })
    }

    /// For one new connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.read().expect("no holder of this lock panics").config.clone())
    }

    /// For one new connection of a Postgres client, which names its protocol otherwise.
    pub(super) fn acceptor_of_postgres(&self) -> TlsAcceptor {
        let current = self.current.read().expect("no holder of this lock panics").config.clone();
        let mut config = ServerConfig::clone(&current);
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Reads the files again whenever they change, until the server stops.
    pub(super) async fn keep_fresh(self, stop: CancellationToken) {
        let Ok(mut asked) = signal(SignalKind::hangup()) else { return };
        let mut again = tokio::time::interval(LOOK_EVERY);
        let mut refused = None;
        loop {
            let told = tokio::select! {
                () = stop.cancelled() => return,
                _ = asked.recv() => true,
                _ = again.tick() => false,
            };
            if told {
                refused = None;
            }
            self.look(told, &mut refused).await;
        }
    }

    /// Takes what is in the files now, if it is new and can be used. What cannot is told once, or again when asked.
    async fn look(&self, told: bool, refused: &mut Option<Hash>) {
        let (bytes, of) = match read_files(&self.files).await {
            Ok(read) => read,
            Err(reason) => {
                let none = Some(Hash::NONE);
                if *refused != none {
                    tracing::error!("{reason}; the former certificate stays in use");
                }
                *refused = none;
                return;
            }
        };
        if !told && (*refused == Some(of) || self.current.read().expect("no holder of this lock panics").of == of) {
            return;
        }
        match configured(&bytes) {
            Ok(config) => {
                *self.current.write().expect("no holder of this lock panics") = Read { config, of };
                *refused = None;
                tracing::info!("the certificate in {} is in use", self.files.cert.display());
            }
            Err(reason) => {
                tracing::error!("{}: {reason}; the former certificate stays in use", self.files.cert.display());
                *refused = Some(of);
            }
        }
    }
}

/// The bytes of certificate and key.
struct Bytes {
    cert: Vec<u8>,
    key: Vec<u8>,
}

async fn read_files(files: &TlsFiles) -> Result<(Bytes, Hash), String> {
    let files = files.clone();
    blocking(move || {
        let read = |path: &Path| std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()));
        let bytes = Bytes { cert: read(&files.cert)?, key: read(&files.key)? };
        let both = [(bytes.cert.len() as u64).to_le_bytes().as_slice(), &bytes.cert, &bytes.key].concat();
        Ok((bytes, Hash::of(&both)))
    })
    .await
}

/// TLS 1.2 and 1.3 with this certificate. The reason of a failure tells nothing of the key.
fn configured(bytes: &Bytes) -> Result<Arc<ServerConfig>, String> {
    let chain = CertificateDer::pem_slice_iter(&bytes.cert).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|e| format!("the certificate is no PEM: {e}"))?;
    if chain.is_empty() {
        return Err("there is no certificate in it".into());
    }
    let key =
        PrivateKeyDer::from_pem_slice(&bytes.key).map_err(|_| "there is no private key in PEM in `key`".to_owned())?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|versions| versions.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|e| format!("certificate and key do not go together: {e}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
