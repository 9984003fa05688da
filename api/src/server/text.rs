//! Bytes of a record as JSON text: as they are where they are UTF-8, as base64 elsewhere.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Serialize, Serializer};

/// Bytes, and whether they go out as they are. Whoever makes it has checked that plain bytes are UTF-8.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) plain: bool,
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.bytes) {
            Ok(text) if self.plain => serializer.serialize_str(text),
            _ => serializer.serialize_str(&BASE64_STANDARD.encode(self.bytes)),
        }
    }
}
