//! Where a notification stands in the catalog, in a file of its own: `notifications/<name>.json`.
//!
//! A new file is written beside the old one, synced, and takes its place, so a crash leaves one of the two. Formats: the fields only
//! ever grow, with defaults.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use rekap_tiered_storage::Timestamp;
use serde::{Deserialize, Serialize};

/// How far a notification is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The last event that is done with.
    pub(super) seq: u64,
    /// How many events were delivered.
    pub(super) delivered: u64,
    /// How many were dropped.
    pub(super) dropped: u64,
    /// When one was last delivered.
    pub(super) last_delivery: Option<Timestamp>,
    /// The last one that was dropped.
    pub(super) last_dropped: Option<u64>,
}

impl Cursor {
    /// The cursor in a file; where there is none, one that stands at `head`, durable from now on.
    pub(super) fn open(file: &Path, head: u64) -> io::Result<Cursor> {
        match std::fs::read(file) {
            Ok(bytes) => {
                let cursor: Cursor = serde_json::from_slice(&bytes)
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {e}", file.display())))?;
                // A catalog that was brought back from an older copy ends before the cursor.
                Ok(Cursor { seq: cursor.seq.min(head), ..cursor })
            }
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => {
                let cursor = Cursor { seq: head, ..Cursor::default() };
                cursor.write(file)?;
                Ok(cursor)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes it durably.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let new = file.with_extension("new");
        let mut written = File::create(&new)?;
        written.write_all(&serde_json::to_vec(self)?)?;
        written.sync_all()?;
        std::fs::rename(&new, file)?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_cursor_stands_at_the_head_and_stays_where_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notifications/ops.json");
        let mut cursor = Cursor::open(&file, 7).unwrap();
        assert_eq!(cursor.seq, 7);
        cursor.seq = 9;
        cursor.write(&file).unwrap();
        assert_eq!(Cursor::open(&file, 100).unwrap(), cursor);
        assert_eq!(Cursor::open(&file, 3).unwrap().seq, 3, "the catalog is an older one now");
        std::fs::write(&file, "{").unwrap();
        assert!(Cursor::open(&file, 100).unwrap_err().to_string().contains("ops.json"));
    }
}
