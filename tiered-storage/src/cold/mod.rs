//! The cold tier: every event for ever, as one Delta Lake table per life of a topic, which any engine can query and a replay can read
//! back byte for byte.
//!
//! ```text
//! mirror ──► data files (create-only) ──► one commit: files + progress + gaps ──► coverage ──► slices
//!                                            ▲ compaction: small neighbours out, one file in
//! ```
//! A commit is a compare-and-swap on the table's version, and the only moment at which anything changes: whoever dies before it
//! leaves files that nothing refers to, whoever dies after it finds the progress there. What is read is a [`Coverage`], a value.

mod bucket;
mod clean;
mod commit;
mod coverage;
mod credentials;
mod exam;
mod file;
mod join;
mod layout;
mod location;
mod merge;
mod pieces;
mod reader;
mod schema;
mod snapshot;
mod source;
mod store;
mod topic;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell};

pub(crate) use commit::{Commit, CommitOutcome, PlannedOn};
pub use coverage::{ColdFile, Coverage, PartitionCoverage};
pub(crate) use file::{FileWriter, NewFile, ROW_GROUP_RECORDS, TOMBSTONE, UNDECODABLE, off_the_runtime};
pub(crate) use join::Joined;
pub use location::{BucketKeys, ColdLocation};
pub(crate) use merge::{Merge, plan as plan_merges};
pub(crate) use reader::{Columns, FileReader, Rows, is_gone};
pub(crate) use schema::{DECODED, HEADERS, KEY, StoredFields, TIMESTAMP, VALUE};
pub use topic::ColdTopic;

use crate::{Clock, Incarnation, LogError, Topic};

/// The cold tier of all topics.
pub struct ColdTier {
    store: store::ColdStore,
    clock: Arc<dyn Clock>,
    /// One entry per life of a topic that was asked for: small, and topics are few.
    topics: Mutex<HashMap<Incarnation, Arc<OnceCell<Arc<ColdTopic>>>>>,
}

impl ColdTier {
    /// The cold tier at a location: a folder, which is made if need be, or a bucket, to which nothing is sent yet.
    pub fn open(location: impl Into<ColdLocation>, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        Ok(ColdTier { store: store::ColdStore::open(&location.into())?, clock, topics: Mutex::default() })
    }

    /// A cold tier over a store of a test's own.
    #[cfg(test)]
    pub(crate) fn over(objects: Arc<dyn object_store::ObjectStore>, clock: Arc<dyn Clock>) -> Self {
        ColdTier { store: store::ColdStore::over(objects), clock, topics: Mutex::default() }
    }

    /// The cold table of a topic, as it is now; it is made by the first mirror round. The answer is shared and kept.
    pub async fn topic(&self, topic: &Topic) -> Result<Arc<ColdTopic>, LogError> {
        let cell = self.topics.lock().await.entry(topic.incarnation).or_default().clone();
        let open = || async {
            let store = self.store.folder(&layout::table_folder(topic));
            ColdTopic::open(topic, store, self.clock.clone()).await.map(Arc::new)
        };
        cell.get_or_try_init(open).await.cloned()
    }

    /// The cold table of a topic, if it was asked for before. Waits for no store.
    pub(crate) async fn opened(&self, topic: &Topic) -> Option<Arc<ColdTopic>> {
        self.topics.lock().await.get(&topic.incarnation)?.get().cloned()
    }

    /// Where a topic's table is, for other engines.
    pub fn url_of(&self, topic: &Topic) -> String {
        self.store.folder(&layout::table_folder(topic)).url().to_string()
    }
}
