//! Schemas that were asked for: in memory, and one file each below the data folder.
//!
//! A file is `{id}.json` of a [`WriterSchema`], in a folder of its registry (ids of another one mean other schemas). It is written beside and
//! renamed; one that does not read is as good as absent, since the registry has it still. An empty `{id}.absent` keeps the registry's word
//! that it has no such schema, for when it cannot be asked again.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::{LogError, WriterSchema};

/// How many schemas are held in memory: kilobytes each.
const MAX_HELD: usize = 10_000;

/// How long the registry's word is taken that it does not have a schema. It may be registered later, under the very id, where a backup of
/// the registry is restored.
const ABSENT_FOR: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    schemas: HashMap<u32, Arc<WriterSchema>>,
    absent: HashMap<u32, Instant>,
}

impl Kept {
    pub(super) fn open(folder: &Path, url: &str) -> Result<Self, LogError> {
        let name: String =
            Sha256::digest(url.trim_end_matches('/')).iter().take(8).map(|b| format!("{b:02x}")).collect();
        let folder = folder.join(name);
        fs::create_dir_all(&folder).map_err(|e| LogError::store(format!("making {}", folder.display()), e))?;
        Ok(Kept { folder, held: Mutex::default() })
    }

    /// What is known of an id: a schema, or that there is none.
    pub(super) fn get(&self, id: u32) -> Option<Option<Arc<WriterSchema>>> {
        let mut held = self.held.lock().expect("no holder panics");
        if let Some(schema) = held.schemas.get(&id) {
            return Some(Some(schema.clone()));
        }
        if held.absent.get(&id).is_some_and(|since| since.elapsed() < ABSENT_FOR) {
            return Some(None);
        }
        let schema = Arc::new(serde_json::from_slice(&fs::read(self.file(id)).ok()?).ok()?);
        Some(held.hold(id, schema))
    }

    /// Keeps a schema.
    pub(super) fn put(&self, id: u32, schema: WriterSchema) -> Arc<WriterSchema> {
        let text = serde_json::to_vec(&schema).expect("a schema is plain data");
        let beside = self.folder.join(format!("{id}.{}.new", uuid::Uuid::new_v4()));
        // Without the file the schema is asked for again after a start: nothing is lost.
        if let Err(e) = fs::write(&beside, text).and_then(|()| fs::rename(&beside, self.file(id))) {
            tracing::warn!(id, "a schema is not kept in {}: {e}", self.folder.display());
        }
        _ = fs::remove_file(self.absence(id));
        let schema = Arc::new(schema);
        self.held.lock().expect("no holder panics").hold(id, schema.clone());
        schema
    }

    /// Remembers for a while that there is no such schema.
    pub(super) fn put_absent(&self, id: u32) {
        let mut held = self.held.lock().expect("no holder panics");
        if held.absent.len() == MAX_HELD {
            held.absent.clear();
        }
        held.absent.insert(id, Instant::now());
        drop(held);
        if let Err(e) = fs::write(self.absence(id), b"") {
            tracing::warn!(id, "that a schema is absent is not kept in {}: {e}", self.folder.display());
        }
    }

    /// True when the registry said at some time that there is no such schema, and was not heard to say otherwise since.
    pub(super) fn was_absent(&self, id: u32) -> bool {
        self.absence(id).exists()
    }

    fn absence(&self, id: u32) -> PathBuf {
        self.folder.join(format!("{id}.absent"))
    }

    fn file(&self, id: u32) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

impl Held {
    fn hold(&mut self, id: u32, schema: Arc<WriterSchema>) -> Option<Arc<WriterSchema>> {
        if self.schemas.len() == MAX_HELD {
            self.schemas.clear();
        }
        self.absent.remove(&id);
        self.schemas.insert(id, schema.clone());
        Some(schema)
    }
}
