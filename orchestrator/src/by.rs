//! Who asks for something, and under which conditions.

use crate::catalog::Hash;

/// The name under which Rekap acts by itself.
const REKAP: &str = "rekap";

/// Who asks, what they say about it, and what keeps it from being done twice or on a false picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct By {
    /// Who asks: the name of a token.
    pub actor: String,
    /// The address that they asked from, where they asked over the network.
    pub address: Option<String>,
    /// What they say about it; kept in the catalog.
    pub note: Option<String>,
    /// Names the request, so that sending it again does not do it again.
    pub request: Option<RequestKey>,
    /// The generations of the job of which the caller saw one; none of them: whatever it is.
    pub if_match: Vec<u64>,
}

impl By {
    /// Rekap itself.
    pub fn rekap() -> Self {
        By { actor: REKAP.into(), ..By::default() }
    }

    /// Somebody, without a note or a condition.
    pub fn actor(name: impl Into<String>) -> Self {
        By { actor: name.into(), ..By::default() }
    }
}

/// Names one request of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestKey {
    /// The client's `Idempotency-Key`.
    pub key: String,
    /// The SHA-256 of the request: method, path and body. The same key with another one is refused.
    pub digest: Hash,
}
