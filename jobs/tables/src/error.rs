//! What can go wrong in a table, by what one does about it.

use rekap_tiered_storage::Positions;

use crate::{Cursor, InvalidTableSchema, TableId};

/// A failure of the tables. Losing the right to write, or a commit that is there already, is a [`crate::CommitOutcome`] instead.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The disk failed. The effect may have happened; a commit may be tried again as it is.
    #[error("{what}: {source}")]
    Store {
        /// What was being done, to what.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The tables were written by a newer Rekap.
    #[error("the tables have format {found}, this Rekap reads up to {supported}; upgrade Rekap")]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest format that is readable.
        supported: u32,
    },
    /// What is stored cannot be read: the table has to be filled again by a replay.
    #[error("table `{table}`: {detail}; replay the version to fill its table again")]
    Damaged {
        /// The table.
        table: TableId,
        /// What is wrong.
        detail: String,
    },
    /// The table is there, with other columns.
    #[error("table `{0}` exists with other columns; replay the version into a new attempt")]
    SchemaDiffers(TableId),
    /// The columns cannot be kept in a table.
    #[error(transparent)]
    Schema(#[from] InvalidTableSchema),
    /// A commit that starts neither where the table is nor behind it. Nothing was written.
    #[error("table `{table}` is at {at}, the commit starts at {from}; gather again from where the table is")]
    NotAt {
        /// The table.
        table: TableId,
        /// Where the table is.
        at: Positions,
        /// Where the commit starts.
        from: Positions,
    },
    /// A commit that contradicts itself, which is a bug of its writer. Nothing was written.
    #[error("table `{table}`: {detail}")]
    Contradiction {
        /// The table.
        table: TableId,
        /// The contradiction.
        detail: String,
    },
    /// A key is too long to be stored. Nothing was written.
    #[error(
        "table `{table}`: a key takes {bytes} bytes, at most {max} can be stored; shorten its text in the query, as in `left(name, 1000)`"
    )]
    KeyTooLong {
        /// The table.
        table: TableId,
        /// The length of that key.
        bytes: usize,
        /// The most that can be stored.
        max: usize,
    },
    /// A cursor that was not given by the list that it is used in.
    #[error("the cursor `{0}` is not of this list; start again without a cursor")]
    ForeignCursor(Cursor),
}

impl TableError {
    /// True when what is stored is at fault, and trying again will not help. A disk that is full, read-only or forbidden may hold good
    /// tables all the same.
    pub fn is_damage(&self) -> bool {
        match self {
            TableError::Damaged { .. } | TableError::SchemaDiffers(_) => true,
            TableError::Store { source, .. } => match source.downcast_ref::<fjall::Error>() {
                Some(fjall::Error::Locked | fjall::Error::Poisoned) => false,
                Some(fjall::Error::Io(io) | fjall::Error::Storage(fjall::LsmError::Io(io))) => !refuses(io),
                _ => true,
            },
            _ => false,
        }
    }

    /// A failure of the store below, told with what was being done.
    pub(crate) fn store(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> TableError {
        TableError::Store { what: what.into(), source: source.into() }
    }
}

/// True when the operating system would not do it now, whatever is stored.
fn refuses(io: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        FileTooLarge, Interrupted, OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy,
        StorageFull, TimedOut,
    };
    /// Too many open files, of the process and of the machine.
    const TOO_MANY: [i32; 2] = [24, 23];
    let kinds = [
        FileTooLarge,
        Interrupted,
        OutOfMemory,
        PermissionDenied,
        QuotaExceeded,
        ReadOnlyFilesystem,
        ResourceBusy,
        StorageFull,
        TimedOut,
    ];
    kinds.contains(&io.kind()) || io.raw_os_error().is_some_and(|code| TOO_MANY.contains(&code))
}
