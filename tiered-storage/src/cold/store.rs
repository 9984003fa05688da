//! Where the cold tier's bytes lie: the one place that knows of URLs, stores and what it takes to make a write durable.
//!
//! Today `file:` URLs. Another kind of store is another arm in [`ColdStore::open`]; nothing else changes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use deltalake_core::{DeltaTable, DeltaTableBuilder};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode};
use url::Url;

use crate::LogError;

/// A folder of an object store.
#[derive(Debug, Clone)]
pub(crate) struct ColdStore {
    root: Arc<dyn ObjectStore>,
    url: Url,
    /// The folder on this machine's disk. Its writes must be synced by hand; object stores answer only when a write is durable.
    disk: PathBuf,
}

impl ColdStore {
    /// The folder at a `file:` URL, made if need be. A relative path counts from the working folder.
    pub(crate) fn open(url: &str) -> Result<Self, LogError> {
        let path = url.strip_prefix("file://").or_else(|| url.strip_prefix("file:"));
        let path = path.ok_or_else(|| {
            LogError::Invalid(format!("the cold tier's URL `{url}` is not supported: use `file:` and a folder's path"))
        })?;
        let failed = |e: std::io::Error| LogError::store(format!("opening the cold tier's folder `{path}`"), e);
        std::fs::create_dir_all(path).map_err(failed)?;
        let disk = std::fs::canonicalize(path).map_err(failed)?;
        let url = Url::from_directory_path(&disk)
            .map_err(|()| LogError::Invalid(format!("the cold tier's folder `{path}` is no absolute path")))?;
        Ok(ColdStore { root: Arc::new(LocalFileSystem::new()), url, disk })
    }

    /// A folder below this one.
    pub(crate) fn folder(&self, name: &str) -> Self {
        let url = self.url.join(&format!("{name}/")).expect("topics and incarnations are legal in a URL");
        ColdStore { root: self.root.clone(), url, disk: self.disk.join(name) }
    }

    /// The folder's URL, with a slash at its end.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The folder as a Delta table, not loaded yet.
    pub(crate) fn table(&self) -> Result<DeltaTable, LogError> {
        DeltaTableBuilder::from_url(self.url.clone())
            .and_then(|builder| builder.with_storage_backend(self.root.clone(), self.url.clone()).build())
            .map_err(|e| LogError::store(format!("opening the cold table {}", self.url), e))
    }

    /// The folder's objects.
    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        let prefix = Path::from_url_path(self.url.path()).expect("the folder's URL was made from a path");
        Arc::new(PrefixStore::new(self.root.clone(), prefix))
    }

    /// Writes a new object, durably. It never replaces one.
    pub(crate) async fn put_new(&self, path: &str, bytes: Vec<u8>) -> Result<(), LogError> {
        let failed = |e: object_store::Error| LogError::store(format!("writing {path} below {}", self.url), e);
        self.objects().put_opts(&Path::from(path), bytes.into(), PutMode::Create.into()).await.map_err(failed)?;
        self.sync_all(vec![path.into()]).await
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
        let files: Vec<PathBuf> = paths.iter().map(|path| self.disk.join(path)).collect();
        let synced = tokio::task::spawn_blocking(move || sync(&files)).await;
        let what = || format!("syncing what was written to {}", self.url);
        synced.map_err(|e| LogError::store(what(), e))?.map_err(|e| LogError::store(what(), e))
    }
}

/// A data file lies at most this many folders below the cold tier: topic, incarnation, partition; one more for the tier's own.
const FOLDERS_ABOVE: usize = 4;

fn sync(files: &[PathBuf]) -> std::io::Result<()> {
    let mut folders = BTreeSet::new();
    for file in files {
        match std::fs::File::open(file) {
            Ok(opened) => opened.sync_all()?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        }
        folders.extend(file.ancestors().skip(1).take(FOLDERS_ABOVE));
    }
    folders.into_iter().try_for_each(|folder| std::fs::File::open(folder)?.sync_all())
}
