//! How many bytes are being appended at once: bounded, so that many senders cannot fill the memory.
//!
//! A request is admitted before its body is read, by what it announces. Whoever is not admitted gets 429 with `Retry-After`; a sender
//! that waits and sends again loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

use crate::Problem;

/// When to send again: most appends take far less than a second.
const RETRY_AFTER_S: u64 = 1;

/// The bytes of all requests that append records now.
#[derive(Debug)]
pub(super) struct Ingest {
    limit: u64,
    held: Arc<AtomicU64>,
}

/// Some of these bytes, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    all: Arc<AtomicU64>,
    bytes: u64,
}

impl Ingest {
    pub(super) fn new(limit: u64) -> Self {
        Ingest { limit, held: Arc::default() }
    }

    /// Room for a request of that many bytes; `None` when there is not enough now. One request alone is always admitted.
    pub(super) fn admit(&self, bytes: u64) -> Option<Held> {
        let fits = |held: u64| (held == 0 || held + bytes <= self.limit).then_some(held + bytes);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Held { all: self.held.clone(), bytes })
    }

    /// How many bytes are held now.
    pub(super) fn bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// 429.
    pub(super) fn overloaded(&self) -> Problem {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "OVERLOADED",
            format!("more than {} bytes of records are being appended", self.limit),
            "send it again after `Retry-After` seconds, or send fewer requests at once",
        )
        .retry_after(RETRY_AFTER_S)
    }
}

impl Held {
    /// A request turned out to be larger than it announced: it is already here, so it is counted and goes on.
    pub(super) fn grow_to(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.all.fetch_add(bytes - self.bytes, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_outside_and_what_ends_makes_room() {
        let ingest = Ingest::new(100);
        let mut first = ingest.admit(500).expect("one request alone is always admitted");
        assert!(ingest.admit(1).is_none());
        drop(first);
        first = ingest.admit(60).unwrap();
        let second = ingest.admit(40).unwrap();
        assert!(ingest.admit(1).is_none());
        drop(second);
        first.grow_to(99);
        assert!(ingest.admit(2).is_none());
        assert_eq!(ingest.bytes(), 99);
        drop(first);
        assert_eq!(ingest.bytes(), 0);
    }

    #[test]
    fn the_refusal_says_when_to_come_back() {
        let problem = Ingest::new(1).overloaded();
        assert_eq!((problem.status, &problem.facts["retry_after_s"]), (429, &1.into()));
    }
}
