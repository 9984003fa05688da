//! The catalog's copy outside: segments of entries, each written once and never again, a few seconds after the change.
//!
//! ```text
//! 00000000000000000001.ndjson   entries 1..=40     a segment is named by its first entry and put create-only, so whoever
//! 00000000000000000041.ndjson   entries 41..=43    rewrites the chain cannot write the same names again
//! ```
//! The last entry of the last segment is the anchor: `audit verify` compares the chain with it. If the process dies between a change and
//! its export, the next start exports it. A segment that was put and not acknowledged is found when the names are listed again.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode};
use rekap_tiered_storage::ColdLocation;
use tokio::task::JoinHandle;

use crate::Orchestrator;
use crate::catalog::{Audit, Broken, Head, head_of};
use crate::orchestrator::blocking;

/// A change is outside after at most about this long.
const EXPORT_EVERY: Duration = Duration::from_secs(5);

/// Entries in one segment, at most: one segment is read into memory as a whole.
const MAX_SEGMENT_ENTRIES: usize = 10_000;

/// Where the catalog is copied to.
#[derive(Debug, Clone)]
pub struct Export {
    store: Arc<dyn ObjectStore>,
    place: String,
    scheduled: bool,
}

impl Export {
    /// A folder, as `file:/backup/catalog`, which is made where it is missing; or a folder of a bucket, as `s3://bucket/catalog`.
    pub fn open(location: &ColdLocation) -> Result<Self, String> {
        let store = location.open().map_err(|e| e.to_string())?;
        Ok(Export { store, place: location.url.clone(), scheduled: false })
    }

    /// The same, but only when a schedule says so (and once more when the server stops).
    pub fn by_schedule(self, scheduled: bool) -> Self {
        Export { scheduled, ..self }
    }

    /// The names of all segments, in order.
    async fn segments(&self) -> Result<Vec<Path>, String> {
        let listed = self.store.list(None).try_collect::<Vec<_>>().await.map_err(|e| e.to_string())?;
        let mut names: Vec<Path> = listed.into_iter().map(|object| object.location).collect();
        names.retain(|name| name.extension() == Some("ndjson"));
        names.sort();
        Ok(names)
    }

    async fn text(&self, segment: &Path) -> Result<String, String> {
        let bytes = async { self.store.get(segment).await?.bytes().await }.await.map_err(|e| e.to_string())?;
        String::from_utf8(bytes.to_vec()).map_err(|e| format!("{segment}: {e}"))
    }

    /// The last entry that is outside; `None` when there is none.
    pub async fn head(&self) -> Result<Option<Head>, String> {
        let Some(last) = self.segments().await?.pop() else { return Ok(None) };
        head_of(&self.text(&last).await?).map_err(|e| e.to_string())
    }

    /// All that is outside, as one text for [`restore`](crate::Catalog::restore).
    pub async fn read(&self) -> Result<String, String> {
        let mut text = String::new();
        for segment in self.segments().await? {
            text += &self.text(&segment).await?;
        }
        Ok(text)
    }

    /// Puts the entries after `head`. Answers the last entry that is outside now; another one's segment is an error.
    async fn put(&self, catalog: &Arc<crate::book::Book>, head: u64) -> Result<u64, String> {
        let book = catalog.clone();
        let carried = blocking(move || book.carry(head, MAX_SEGMENT_ENTRIES)).await.map_err(|e| e.to_string())?;
        let (text, Some(last)) = carried else { return Ok(head) };
        let name = Path::from(format!("{:020}.ndjson", head + 1));
        match self.store.put_opts(&name, text.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(last.seq),
            Err(object_store::Error::AlreadyExists { .. }) => match self.head().await? {
                Some(found) if Ok(Some(found.hash)) == catalog.hash_at(found.seq) => Ok(found.seq),
                _ => Err(format!("{name} in {} is of another catalog", self.place)),
            },
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Copies every change until the orchestrator stops or is dropped.
pub(crate) fn spawn(orchestrator: &Arc<Orchestrator>, export: Export) -> JoinHandle<()> {
    let (book, mut stopping) = (orchestrator.book.clone(), orchestrator.stopping.subscribe());
    tokio::spawn(async move {
        let mut exported = None;
        if export.scheduled {
            // It fails only when nobody is left to say that it stops.
            _ = stopping.wait_for(|stopping| *stopping).await;
        }
        loop {
            match step(&book, &export, exported).await {
                Ok(head) => exported = Some(head),
                Err(error) => {
                    tracing::error!(place = export.place, error, "the catalog is not copied outside; it is tried again")
                }
            }
            if *stopping.borrow() {
                return;
            }
            // A last round after the stop takes what was written meanwhile.
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => {}
                () = tokio::time::sleep(EXPORT_EVERY) => {}
            }
        }
    })
}

/// Copies what is new. `exported` is the last entry that is known to be outside.
async fn step(book: &Arc<crate::book::Book>, export: &Export, exported: Option<u64>) -> Result<u64, String> {
    let head = match exported {
        Some(head) => head,
        None => match export.head().await? {
            None => 0,
            Some(found) if Ok(Some(found.hash)) == book.hash_at(found.seq) => found.seq,
            Some(found) => return Err(format!("entry {} outside is not the one of this catalog", found.seq)),
        },
    };
    if *book.head().borrow() == head { Ok(head) } else { export.put(book, head).await }
}

impl Orchestrator {
    /// Copies what is new outside, now. Answers the last entry that is outside.
    pub(crate) async fn export_now(&self) -> Result<u64, String> {
        let export = self.export.as_ref().ok_or("`[catalog] export` is not set")?;
        let (end, mut exported) = (*self.book.head().borrow(), None);
        loop {
            let head = step(&self.book, export, exported).await?;
            if head >= end || exported == Some(head) {
                return Ok(head);
            }
            exported = Some(head);
        }
    }

    /// Compares the chain, already checked in itself, with the copy outside.
    pub(crate) async fn anchored(&self, audit: Audit) -> Audit {
        let Some(export) = &self.export else { return audit };
        let anchor = |told: String| Audit { anchor: told, ..audit.clone() };
        match export.head().await {
            Err(error) => anchor(format!("{} cannot be read: {error}", export.place)),
            Ok(None) => anchor(format!("nothing is in {} yet", export.place)),
            Ok(Some(head)) if Ok(Some(head.hash)) == self.book.hash_at(head.seq) => {
                anchor(format!("{} agrees up to entry {}", export.place, head.seq))
            }
            Ok(Some(head)) => {
                let detail = format!("entry {} is not the one that was copied to {}", head.seq, export.place);
                let broken = audit.broken.clone().or(Some(Broken { seq: head.seq, detail }));
                Audit { verdict: "broken", broken, ..anchor(format!("{} disagrees", export.place)) }
            }
        }
    }
}
