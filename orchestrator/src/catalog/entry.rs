//! One line of the catalog: an event, who caused it, and the hash of the line before.

use std::fmt;
use std::str::FromStr;

use rekap_tiered_storage::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::Event;

/// SHA-256, as JSON and text in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first entry names as the one before it.
    pub const NONE: Hash = Hash([0; 32]);

    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Hash(Sha256::digest(bytes).into())
    }

    /// The number that its first 48 bits are: short, and exact in JSON.
    pub(crate) fn short(&self) -> u64 {
        self.0[..6].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no SHA-256 in hex");
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Hash(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The request that an entry answered, so that the same request is answered again and not done again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The client's `Idempotency-Key`.
    pub key: String,
    /// The hash of the request: method, path and body.
    pub digest: Hash,
    /// What was answered.
    pub answer: serde_json::Value,
}

/// What is to be appended.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// The address that they asked from, where they asked over the network.
    pub address: Option<String>,
    /// What they said about it.
    pub note: Option<String>,
    /// The request that is answered with it.
    pub request: Option<Answered>,
    /// What happened.
    pub event: Event,
}

/// A durable entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place, from 1 and without holes.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it: a person's token name, or `rekap` itself.
    pub actor: String,
    /// The address that they asked from, where they asked over the network.
    pub address: Option<String>,
    /// What they said about it.
    pub note: Option<String>,
    /// The request that it answered.
    pub request: Option<Answered>,
    /// What happened.
    pub event: Event,
}

/// What an entry holds beside its place in the chain. Larger ones are kept in a document of their own.
#[derive(Serialize, Deserialize)]
pub(super) struct Body {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Answered>,
    pub(super) event: Event,
}

/// An entry as its bytes stand in the store. Their hash is what the next entry names.
#[derive(Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) prev: Hash,
    pub(super) at: Timestamp,
    pub(super) actor: String,
    /// The body, where it is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<Box<serde_json::value::RawValue>>,
    /// The document that holds the body, where it is large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) document: Option<Hash>,
}
