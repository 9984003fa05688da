//! Versioned tables: rows, state and positions that commit together.
//!
//! A [`Table`] belongs to one attempt of one version of one job. A writer reads the state of the keys that a range touched
//! ([`Table::gather`]) and hands back what became of them ([`Table::commit`]); rows, state, positions, horizon and dead letters land
//! in one atomic step, or not at all. A reader takes a [`TableSnapshot`], which is one such step and never anything between two.
//!
//! This room knows Arrow and positions. It does not know what SQL, an alias or a deployment is.

mod canonical;
mod changes;
mod codec;
mod commit;
pub mod csv;
mod cursor;
mod dead_letter;
mod error;
mod gather;
mod id;
pub mod json;
mod key_length;
mod layout;
mod outbox;
mod parallel;
mod row_changes;
mod schema;
mod snapshot;
mod status;
mod store;
mod table;
mod type_name;
mod write;

pub use canonical::canonical_key;
pub use commit::{Commit, CommitOutcome};
pub use cursor::{Cursor, InvalidCursor};
pub use dead_letter::DeadLetter;
pub use error::TableError;
pub use gather::Gathered;
pub use id::{InvalidTableId, TableId};
pub use key_length::{MAX_ROW_KEY_BYTES, too_long_key};
pub use layout::FORMAT_VERSION;
pub use outbox::{MAX_OUTBOX_BYTES, MAX_OUTBOX_MESSAGES, OutboxPlace, OutboxSize, Outgoing, Waiting};
pub use row_changes::RowChanges;
pub use schema::{InvalidTableSchema, TableSchema, UnusableFilter};
pub use snapshot::{DeadLetterPage, Page, RowsQuery, Scan, TableSnapshot};
pub use status::{TableStatus, WriterEpoch};
pub use store::Tables;
pub use table::Table;
pub use type_name::type_name;
