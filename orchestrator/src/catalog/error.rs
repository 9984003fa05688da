//! What can go wrong in the catalog.

use std::path::Path;

/// A failure of the catalog.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CatalogError {
    /// Another process has it open.
    #[error("the catalog in {0} is in use by another process")]
    InUse(String),
    /// It was written by a newer Rekap.
    #[error("the catalog has format {found}, this Rekap reads up to {supported}")]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest that is readable.
        supported: u32,
    },
    /// An entry cannot be read.
    #[error("catalog entry {seq} is unreadable: {detail}")]
    Unreadable {
        /// Its place.
        seq: u64,
        /// Why.
        detail: String,
    },
    /// A restore would write over another catalog.
    #[error("{0} holds a catalog already")]
    NotEmpty(String),
    /// A copy is not whole.
    #[error("the copy is not whole at entry {seq}: {detail}")]
    Torn {
        /// Its place.
        seq: u64,
        /// What is wrong.
        detail: String,
    },
    /// Entries that were acknowledged are not there any more.
    #[error("the catalog in {folder} ends at entry {found}, and entry {told} was acknowledged: its files are damaged")]
    Lost {
        /// The folder.
        folder: String,
        /// The last entry that is there.
        found: u64,
        /// The last one that was acknowledged.
        told: u64,
    },
    /// An earlier append failed, and nobody knows whether it is there.
    #[error("an earlier append to the catalog failed; whether it is there shows when the server starts again")]
    Unknown,
    /// The disk failed. The effect may have happened.
    #[error("could not {what} the catalog: {detail}")]
    Store {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        detail: String,
    },
}

impl CatalogError {
    /// What to do now.
    pub fn remedy(&self) -> &'static str {
        match self {
            CatalogError::InUse(_) => "stop the other `rekap serve`, or give this one another data folder",
            CatalogError::NewerFormat { .. } => "upgrade Rekap",
            CatalogError::Unreadable { .. } => "restore the catalog from its export",
            CatalogError::NotEmpty(_) => "restore into a new data folder, or move that one away",
            CatalogError::Torn { .. } => "use an older copy that is whole",
            CatalogError::Lost { .. } => {
                "restore that folder, or delete the file `head` in it to go on without what is lost"
            }
            CatalogError::Unknown => "start the server again",
            CatalogError::Store { .. } => "look at the disk of the data folder, then start the server again",
        }
    }

    pub(super) fn opening(folder: &Path, error: sled::Error) -> Self {
        match &error {
            sled::Error::Io(io) if io.to_string().contains("lock") => CatalogError::InUse(folder.display().to_string()),
            _ => CatalogError::Store { what: "open", detail: format!("in {}: {error}", folder.display()) },
        }
    }

    pub(super) fn damaged(folder: &Path) -> Self {
        let detail = format!("in {}: its files are damaged (the store panicked)", folder.display());
        CatalogError::Store { what: "open", detail }
    }

    pub(super) fn store(what: &'static str, error: sled::Error) -> Self {
        CatalogError::Store { what, detail: error.to_string() }
    }

    pub(super) fn io(what: &'static str, error: std::io::Error) -> Self {
        CatalogError::Store { what, detail: error.to_string() }
    }

    pub(crate) fn encoding(error: serde_json::Error) -> Self {
        CatalogError::Store { what: "encode an entry of", detail: error.to_string() }
    }
}
