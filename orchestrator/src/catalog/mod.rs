//! The catalog: the append-only, hash-chained log of all that happened to jobs. State is a fold over it.
//!
//! ```text
//! seq       1            2            3
//!        ┌───────┐    ┌───────┐    ┌───────┐
//!        │ event │    │ event │    │ event │   head = {seq 3, hash of entry 3}
//!        │ prev 0│◄───│ prev ●│◄───│ prev ●│   written in one batch with entry 3
//!        └───────┘    └───────┘    └───────┘
//! ```
//!
//! An append answers once the entry is on the disk: sled's own flush is only `sync_file_range`, so its `db` file is synced after it.
//! If the process dies before that, the entry is there whole or not at all. After a failed append the catalog takes no other until
//! it is opened again, since nobody knows whether the failed one is there.
//!
//! Formats: 1 (2026).

mod carry;
mod documents;
mod entry;
mod error;
mod head;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rekap_tiered_storage::steps;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use carry::head_of;
pub use entry::{Answered, Draft, Entry, Hash};
pub use error::CatalogError;

use documents::{Documents, sync_folder};
use entry::{Body, Line};

/// The format that this Rekap writes.
pub const FORMAT_VERSION: u32 = 1;

/// A larger body goes into a document. sled writes up to 17 neighbours as one page, and a page over 128 KiB into a blob file that
/// it does not sync; 17 entries of this size, with their frame, stay well below.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// The catalog is read once at start and appended to: it needs next to no cache.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;

/// Whoever rewrites the whole chain is found only by a copy of its head elsewhere.
const NO_ANCHOR: &str = "no outside anchor";

const FORMAT_KEY: &[u8] = b"format";
const HEAD_KEY: &[u8] = b"head";
const ENTRY_PREFIX: &[u8] = b"e";

/// The last entry and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its place; 0 when there is none.
    pub seq: u64,
    /// The hash of its bytes.
    pub hash: Hash,
}

/// What a check of the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// `intact` or `broken`.
    pub verdict: &'static str,
    /// How many entries are there.
    pub entries: u64,
    /// The hash that stands for all of them.
    pub head: Hash,
    /// The first entry that is not as it was written.
    pub broken: Option<Broken>,
    /// What outside of this machine the head was compared with.
    pub anchor: String,
}

/// An entry that was changed, taken out, or put elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Its place.
    pub seq: u64,
    /// What is wrong with it.
    pub detail: String,
}

/// The open catalog. One process has it at a time.
#[derive(Debug)]
pub struct Catalog {
    db: sled::Db,
    /// sled's data file, held open to be synced.
    file: File,
    documents: Documents,
    folder: PathBuf,
    /// The head, or `None` after an append of which nobody knows whether it is there.
    head: Mutex<Option<Head>>,
}

impl Catalog {
    /// Opens the catalog in `folder`, making it where there is none.
    pub fn open(folder: &Path) -> Result<Self, CatalogError> {
        std::fs::create_dir_all(folder).map_err(|e| CatalogError::io("open", e))?;
        let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        // sled panics at some kinds of damage.
        let opened =
            std::panic::catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|_| CatalogError::damaged(folder))?;
        let db = opened.map_err(|e| CatalogError::opening(folder, e))?;
        let documents = Documents::open(folder.join("documents")).map_err(|e| CatalogError::io("open", e))?;
        let file = File::open(db_file(folder)).map_err(|e| CatalogError::io("open", e))?;
        sync_folder(folder).map_err(|e| CatalogError::io("sync", e))?;
        let head = read_format(&db)?.map_or(Ok(None), |()| read_head(&db))?;
        head::compare(folder, head.as_ref())?;
        let catalog = Catalog { db, file, documents, folder: folder.to_owned(), head: Mutex::new(head) };
        if head.is_none() {
            catalog.stamp()?;
        }
        Ok(catalog)
    }

    /// The last entry; `None` after a failed append.
    pub fn head(&self) -> Option<Head> {
        *self.head.lock().expect("no holder of this lock panics")
    }

    /// Why nothing can be appended until the catalog is opened again. An append that is under way is no failure.
    pub fn failure(&self) -> Option<String> {
        let head = self.head.lock().expect("no holder of this lock panics");
        head.is_none().then(|| format!("the disk refused a write to the catalog in `{}`", self.folder.display()))
    }

    /// Appends an entry and answers once it is durable.
    pub fn append(&self, draft: Draft) -> Result<Entry, CatalogError> {
        let mut head = self.head.lock().expect("no holder of this lock panics");
        let last = head.ok_or(CatalogError::Unknown)?;
        let Draft { at, actor, address, note, request, event } = draft;
        let body = Body { address, note, request, event };
        let (inline, document) = self.hold(&body)?;
        let line = Line { seq: last.seq + 1, prev: last.hash, at, actor: actor.clone(), body: inline, document };
        let bytes = serde_json::to_vec(&line).map_err(CatalogError::encoding)?;
        let next = Head { seq: line.seq, hash: Hash::of(&bytes) };
        *head = None;
        steps::passed("catalog.decided", &body.event);
        self.write(&next, Some(bytes), &body.event)?;
        steps::passed("catalog.synced", &body.event);
        *head = Some(next);
        head::tell(&self.folder, &next);
        let Body { address, note, request, event } = body;
        Ok(Entry { seq: next.seq, at, actor, address, note, request, event })
    }

    /// The entries after `after`, in order.
    pub fn entries(&self, after: u64) -> impl Iterator<Item = Result<Entry, CatalogError>> + '_ {
        self.lines(after).map(|line| line.and_then(|(seq, bytes)| self.read(seq, &bytes)))
    }

    /// Walks the whole chain and tells the first entry that is not as it was written.
    pub fn verify(&self) -> Result<Audit, CatalogError> {
        let (mut last, mut broken) = (Head { seq: 0, hash: Hash::NONE }, None);
        for line in self.lines(0) {
            let (seq, bytes) = line?;
            if broken.is_none() {
                broken = self.check(last, seq, &bytes).err().map(|(seq, detail)| Broken { seq, detail });
            }
            last = Head { seq, hash: Hash::of(&bytes) };
        }
        let head = read_head(&self.db)?.unwrap_or(last);
        if broken.is_none() && head != last {
            let detail = format!("entry {} is the last one, the head names entry {}", last.seq, head.seq);
            broken = Some(Broken { seq: head.seq, detail });
        }
        let verdict = if broken.is_none() { "intact" } else { "broken" };
        Ok(Audit { verdict, entries: last.seq, head: head.hash, broken, anchor: NO_ANCHOR.into() })
    }

    fn check(&self, last: Head, seq: u64, bytes: &[u8]) -> Result<(), (u64, String)> {
        if seq != last.seq + 1 {
            return Err((last.seq + 1, format!("entry {} is missing", last.seq + 1)));
        }
        let line: Line = serde_json::from_slice(bytes).map_err(|e| (seq, format!("entry {seq} is unreadable: {e}")))?;
        if line.seq != seq {
            return Err((seq, format!("in place of entry {seq} stands entry {}", line.seq)));
        }
        if line.prev != last.hash {
            return Err((last.seq.max(1), format!("entry {} was changed after it was written", last.seq.max(1))));
        }
        self.read(seq, bytes).map(drop).map_err(|e| (seq, e.to_string()))
    }

    fn lines(&self, after: u64) -> impl Iterator<Item = Result<(u64, sled::IVec), CatalogError>> + use<> {
        self.db.range(entry_key(after + 1)..=entry_key(u64::MAX)).map(|pair| {
            let (key, bytes) = pair.map_err(|e| CatalogError::store("read", e))?;
            let seq = key[ENTRY_PREFIX.len()..].try_into().map(u64::from_be_bytes);
            Ok((seq.map_err(|_| CatalogError::Unreadable { seq: 0, detail: "its key is no number".into() })?, bytes))
        })
    }

    fn read(&self, seq: u64, bytes: &[u8]) -> Result<Entry, CatalogError> {
        let unreadable = |detail: String| CatalogError::Unreadable { seq, detail };
        let Line { at, actor, body, document, .. } =
            serde_json::from_slice(bytes).map_err(|e| unreadable(e.to_string()))?;
        let body = match (body, document) {
            (Some(body), _) => serde_json::from_str(body.get()),
            (None, Some(hash)) => {
                serde_json::from_slice(&self.documents.get(&hash).map_err(|e| unreadable(e.to_string()))?)
            }
            (None, None) => return Err(unreadable("it has no body".into())),
        };
        let Body { address, note, request, event } = body.map_err(|e| unreadable(e.to_string()))?;
        Ok(Entry { seq, at, actor, address, note, request, event })
    }

    /// The body for the entry itself or, where it is too large, the hash of the document that now holds it.
    fn hold(&self, body: &Body) -> Result<(Option<Box<RawValue>>, Option<Hash>), CatalogError> {
        let body = serde_json::value::to_raw_value(body).map_err(CatalogError::encoding)?;
        if body.get().len() <= MAX_BODY_BYTES {
            return Ok((Some(body), None));
        }
        let hash = self.documents.put(body.get().as_bytes()).map_err(|e| CatalogError::io("write a document of", e))?;
        Ok((None, Some(hash)))
    }

    fn stamp(&self) -> Result<(), CatalogError> {
        let head = Head { seq: 0, hash: Hash::NONE };
        self.write(&head, None, &"stamp")?;
        *self.head.lock().expect("no holder of this lock panics") = Some(head);
        Ok(())
    }

    /// Writes the head, with its entry, in one batch, and syncs it.
    fn write(&self, head: &Head, entry: Option<Vec<u8>>, of: &dyn Display) -> Result<(), CatalogError> {
        let mut batch = sled::Batch::default();
        batch.insert(FORMAT_KEY, &FORMAT_VERSION.to_be_bytes());
        batch.insert(HEAD_KEY, serde_json::to_vec(head).map_err(CatalogError::encoding)?);
        if let Some(bytes) = entry {
            batch.insert(entry_key(head.seq), bytes);
        }
        self.db.apply_batch(batch).map_err(|e| CatalogError::store("append to", e))?;
        self.db.flush().map_err(|e| CatalogError::store("append to", e))?;
        steps::passed("catalog.flushed", of);
        self.file.sync_all().map_err(|e| CatalogError::io("sync", e))
    }
}

fn db_file(folder: &Path) -> PathBuf {
    folder.join("db")
}

fn entry_key(seq: u64) -> Vec<u8> {
    [ENTRY_PREFIX, &seq.to_be_bytes()].concat()
}

/// `None` for a new store; refuses one of a newer format.
fn read_format(db: &sled::Db) -> Result<Option<()>, CatalogError> {
    let Some(stamp) = db.get(FORMAT_KEY).map_err(|e| CatalogError::store("read", e))? else { return Ok(None) };
    let found = <[u8; 4]>::try_from(&*stamp).map_or(u32::MAX, u32::from_be_bytes);
    if found > FORMAT_VERSION {
        return Err(CatalogError::NewerFormat { found, supported: FORMAT_VERSION });
    }
    Ok(Some(()))
}

fn read_head(db: &sled::Db) -> Result<Option<Head>, CatalogError> {
    let Some(bytes) = db.get(HEAD_KEY).map_err(|e| CatalogError::store("read", e))? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(CatalogError::encoding)
}
