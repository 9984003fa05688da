//! Where the cold tier's bytes lie: the one place that knows of stores and of what it takes to make a write durable.
//!
//! A folder on this machine, or a bucket. Nothing else in the cold tier knows which. A process that dies in a write leaves at most an
//! object that nothing refers to (or parts of one, which a bucket's life-cycle rule removes).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::DeltaTable;
use deltalake_core::logstore::{StorageConfig, default_logstore};
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, WriteMultipart};
use url::Url;

use super::location::Place;
use super::{ColdLocation, bucket};
use crate::LogError;

/// A larger object goes into a bucket in parts of this size: a lost connection costs one part.
const PART_BYTES: usize = 16 << 20;

/// Parts on their way at a time. The file is in memory anyhow; more connections than these are no faster.
const PARTS_AT_ONCE: usize = 4;

/// Files and folders synced at the same time.
const SYNCS_AT_ONCE: usize = 16;

/// How often a write is begun anew, beyond what the client itself tries again: it does not where a connection was lost in a create.
const ATTEMPTS: u32 = 4;

/// The wait before the second attempt; each further one waits four times as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// A folder of an object store.
#[derive(Debug, Clone)]
pub(crate) struct ColdStore {
    root: Arc<dyn ObjectStore>,
    url: Url,
    /// The folder on this machine's disk, if it is one. Its writes must be synced by hand; a bucket answers only when a write is durable.
    disk: Option<PathBuf>,
}

impl ColdStore {
    /// The folder at a location; on this machine it is made if need be. A relative path counts from the working folder.
    pub(crate) fn open(location: &ColdLocation) -> Result<Self, LogError> {
        match location.place()? {
            Place::Folder(path) => Self::on_disk(&path),
            Place::Bucket { bucket, url } => {
                let root = Arc::new(bucket::open(&bucket, location)?);
                Ok(ColdStore { root, url, disk: None })
            }
        }
    }

    fn on_disk(path: &std::path::Path) -> Result<Self, LogError> {
        let failed =
            |e: std::io::Error| LogError::store(format!("opening the cold tier's folder `{}`", path.display()), e);
        std::fs::create_dir_all(path).map_err(failed)?;
        let disk = std::fs::canonicalize(path).map_err(failed)?;
        let url = Url::from_directory_path(&disk).map_err(|()| {
            LogError::Invalid(format!("the cold tier's folder `{}` is no absolute path", path.display()))
        })?;
        Ok(ColdStore { root: Arc::new(LocalFileSystem::new()), url, disk: Some(disk) })
    }

    /// True for a folder of this machine.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// A store of a test's own.
    #[cfg(test)]
    pub(crate) fn over(root: Arc<dyn ObjectStore>) -> Self {
        ColdStore { root, url: Url::parse("memory:///cold/").expect("a URL"), disk: None }
    }

    /// A folder below this one.
    pub(crate) fn folder(&self, name: &str) -> Self {
        let url = self.url.join(&format!("{name}/")).expect("topics and incarnations are legal in a URL");
        ColdStore { root: self.root.clone(), url, disk: self.disk.as_ref().map(|disk| disk.join(name)) }
    }

    /// The folder's URL, with a slash at its end.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The folder as a Delta table, not loaded yet.
    pub(crate) fn table(&self) -> DeltaTable {
        let options = StorageConfig::default();
        DeltaTable::new(default_logstore(self.objects(), self.root.clone(), &self.url, &options))
    }

    /// The folder's objects.
    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        let prefix = Path::from_url_path(self.url.path()).expect("the folder's URL was made from a path");
        Arc::new(PrefixStore::new(self.root.clone(), prefix))
    }

    /// Writes new objects, all at the same time, and makes them durable. It never replaces one. Their names must be nobody else's (names
    /// hold a random id): so an object that is there already, of just that size, is an earlier attempt that had succeeded.
    pub(crate) async fn put_new(&self, objects: Vec<(String, PutPayload)>) -> Result<(), LogError> {
        let paths = objects.iter().map(|(path, _)| path.clone()).collect();
        try_join_all(objects.into_iter().map(|(path, bytes)| self.put_one(path, bytes))).await?;
        // Together, since they share folders, and each folder is to be synced as well.
        self.sync_all(paths).await
    }

    async fn put_one(&self, path: String, bytes: PutPayload) -> Result<(), LogError> {
        let path = path.as_str();
        let (objects, at) = (self.objects(), Path::from(path));
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let Err(e) = self.put_once(objects.as_ref(), &at, &bytes).await else { break };
            if objects.head(&at).await.is_ok_and(|there| there.size == bytes.content_length() as u64) {
                break;
            }
            if attempt == ATTEMPTS || is_final(&e) {
                return Err(LogError::store(format!("writing {path} below {}", self.url), e));
            }
            tracing::debug!(path, error = %e, "a write to the cold tier failed; it is tried again");
            tokio::time::sleep(wait).await;
            wait *= 4;
        }
        Ok(())
    }

    async fn put_once(&self, objects: &dyn ObjectStore, at: &Path, bytes: &PutPayload) -> Result<(), Error> {
        if self.disk.is_some() || bytes.content_length() <= PART_BYTES {
            return objects.put_opts(at, bytes.clone(), PutMode::Create.into()).await.map(drop);
        }
        let mut upload = WriteMultipart::new_with_chunk_size(objects.put_multipart(at).await?, PART_BYTES);
        for piece in bytes {
            if let Err(e) = upload.wait_for_capacity(PARTS_AT_ONCE).await {
                // What cannot be taken back now, the bucket's life-cycle rule takes.
                let _ = upload.abort().await;
                return Err(e);
            }
            upload.put(piece.clone());
        }
        upload.finish().await.map(drop)
    }

    /// Removes an object that nothing refers to; best effort, since clean-up finds it too.
    pub(crate) async fn discard(&self, path: &str) {
        if let Err(error) = self.objects().delete(&Path::from(path)).await {
            tracing::debug!(path, %error, "an abandoned file stays for clean-up");
        }
    }

    /// Makes objects survive a power cut: their bytes, and their names in every folder up to the cold tier's. An object that is not
    /// there any more needs nothing.
    pub(crate) async fn sync_all(&self, paths: Vec<String>) -> Result<(), LogError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let files: BTreeSet<PathBuf> = paths.iter().map(|path| disk.join(path)).collect();
        let above =
            |file: &PathBuf| file.ancestors().skip(1).take(FOLDERS_ABOVE).map(PathBuf::from).collect::<Vec<_>>();
        let folders: BTreeSet<PathBuf> = files.iter().flat_map(above).collect();
        let what = || format!("syncing what was written to {}", self.url);
        // All at the same time: the file system's journal then writes many of them as one.
        let sync = |path: PathBuf| tokio::task::spawn_blocking(move || sync(&path));
        let mut syncs = stream::iter(files.into_iter().chain(folders)).map(sync).buffer_unordered(SYNCS_AT_ONCE);
        while let Some(synced) = syncs.next().await {
            synced.map_err(|e| LogError::store(what(), e))?.map_err(|e| LogError::store(what(), e))?;
        }
        Ok(())
    }
}

/// True when another attempt would fail the same way.
fn is_final(e: &Error) -> bool {
    matches!(
        e,
        Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
    )
}

/// A data file lies at most this many folders below the cold tier: topic, incarnation, partition; one more for the tier's own.
const FOLDERS_ABOVE: usize = 4;

fn sync(path: &std::path::Path) -> std::io::Result<()> {
    match std::fs::File::open(path) {
        Ok(opened) => opened.sync_all(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}
