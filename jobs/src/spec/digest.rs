//! A digest of all that decides a version's rows.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rekap_tiered_storage::Fingerprint;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{InputSpec, JobSpec};

/// The layout of the aggregate state that this engine stores. A change of it asks for a replay, so it is part of every digest.
pub const STATE_VERSION: u32 = 2;

/// The SHA-256 of what decides rows: query, inputs, key, order, time, retain, decoders and [`STATE_VERSION`]. The name of the job
/// and its promotion policy are no part of it, nor is which form a column is declared in. As text: hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    pub(super) fn of(spec: &JobSpec, decoders: &BTreeMap<String, Fingerprint>) -> Self {
        let short = spec.inputs.iter().map(|(name, input)| (name, input.short()));
        Self::over(spec, &short.collect(), decoders)
    }

    /// With columns in the form in which they are written, as digests were taken at first: versions that are there have it.
    pub(super) fn as_written(spec: &JobSpec, decoders: &BTreeMap<String, Fingerprint>) -> Self {
        Self::over(spec, &spec.inputs.iter().map(|(name, input)| (name, input.clone())).collect(), decoders)
    }

    fn over(spec: &JobSpec, inputs: &BTreeMap<&String, InputSpec>, decoders: &BTreeMap<String, Fingerprint>) -> Self {
        let decoders: BTreeMap<_, _> = decoders.iter().map(|(input, print)| (input, print.to_string())).collect();
        let parts = serde_json::json!([
            STATE_VERSION,
            spec.query,
            inputs,
            spec.key,
            spec.order,
            spec.time,
            spec.retain,
            decoders
        ]);
        Digest(Sha256::digest(parts.to_string()).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest: 64 hexadecimal digits are one")]
pub struct InvalidDigest(String);

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let wrong = || InvalidDigest(text.to_owned());
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.is_ascii() {
            return Err(wrong());
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Digest(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}
