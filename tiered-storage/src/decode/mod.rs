//! Records' bytes to typed Arrow columns.
//!
//! ```text
//! BinaryArray of JSON ──► Plan (a trie of JSON Pointers) ──► Sinks (one growing Arrow column each) ──► Decoded
//! ```
//!
//! One pass over the bytes of each record, straight into the columns: no tree of values is built in between. Everything here is
//! pure; a [`Fingerprint`] names what a decoder does, so that stored results of one decoder are never taken for another's.

mod column;
mod decoder;
mod fingerprint;
mod plan;
mod sink;
mod visit;

#[cfg(test)]
mod tests;

pub use column::{Column, ColumnPlace, ColumnSpec, ColumnType, InvalidColumns};
pub(crate) use decoder::DecodeCheck;
pub use decoder::{DecodeFailure, DecodeStatus, Decoded, Decoder};
pub use fingerprint::{Fingerprint, InvalidFingerprint};
