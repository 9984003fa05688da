//! The formats of everything durable, and the numbered upgrades between them.
//!
//! A server opens its data folder here before any store in it: [`DataFolder::open`] takes the folder for this process alone, refuses
//! what a newer Rekap wrote, and runs the upgrades that an older folder needs, in order. Each upgrade ends with the stamp, so a
//! process that dies in the middle runs the same upgrade again; upgrades are therefore idempotent.
//!
//! Adding version *n + 1* of a format: raise its number in [`Format::current`], add an [`Upgrade`] from *n* to [`UPGRADES`], and
//! freeze a fixture of version *n* under the room that owns the format, with a test that opens it.

mod folder;
mod format;
mod stamp;

pub use folder::{DataFolder, FolderError};
pub use format::{Format, UPGRADES, Upgrade};
pub use stamp::Stamp;
