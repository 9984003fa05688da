//! Appends that are sent again: what each idempotency key answered, kept for 24 hours in the log itself.
//!
//! An answer is written in the very batch of its records, so after a crash both are there or neither is. Answers go a few at a time,
//! with the appends that come later.

use std::time::Duration;

use super::keys;
use super::store::{Store, failed};
use crate::{AppendKey, Appended, Incarnation, LogError, Offset, OffsetRange, Partition, Timestamp};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// At most this many old answers go with each new one: more than come in, few enough not to be felt.
const EXPIRE_PER_APPEND: usize = 4;

/// What the append of one key answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) at: Timestamp,
    pub(super) body_digest: [u8; 32],
    pub(super) appended: Appended,
}

impl Answer {
    /// The answer again, when it is to the same request.
    pub(super) fn again(&self, once: &AppendKey) -> Result<Appended, LogError> {
        match self.body_digest == once.body_digest {
            true => Ok(self.appended.clone()),
            false => Err(LogError::KeyReused(once.key.clone())),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = [&self.at.as_micros().to_be_bytes()[..], &self.body_digest].concat();
        for (partition, range) in &self.appended {
            bytes.extend_from_slice(&partition.0.to_be_bytes());
            bytes.extend_from_slice(&range.from.get().to_be_bytes());
            bytes.extend_from_slice(&range.to.get().to_be_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (at, rest) = bytes.split_first_chunk::<8>()?;
        let (body_digest, rest) = rest.split_first_chunk::<32>()?;
        let (ranges, []) = rest.as_chunks::<20>() else { return None };
        let appended = ranges.iter().map(decode_range).collect::<Option<_>>()?;
        Some(Answer { at: Timestamp::from_micros(i64::from_be_bytes(*at)), body_digest: *body_digest, appended })
    }
}

fn decode_range(bytes: &[u8; 20]) -> Option<(Partition, OffsetRange)> {
    let (partition, rest) = bytes.split_first_chunk::<4>()?;
    let (from, to) = rest.split_first_chunk::<8>()?;
    let offset = |bytes: &[u8; 8]| Offset::from_i64(i64::from_be_bytes(*bytes));
    let (from, to) = (offset(from)?, offset(to.first_chunk::<8>()?)?);
    Some((Partition(u32::from_be_bytes(*partition)), OffsetRange::new(from, to)))
}

/// What the append of that key answered in the last 24 hours.
pub(super) fn find(store: &Store, incarnation: &Incarnation, key: &str) -> Result<Option<Answer>, LogError> {
    let stored = store.log.get(keys::once(incarnation, key)).map_err(failed("looking up an idempotency key"))?;
    let answer = stored.and_then(|bytes| Answer::decode(&bytes));
    Ok(answer.filter(|answer| store.clock.now().since(answer.at) < KEPT))
}

/// The kept answers.
pub(super) struct Answers {
    /// All that expired before was removed: looking starts here, past what is gone.
    removed_to: Timestamp,
}

impl Answers {
    pub(super) fn new() -> Self {
        Answers { removed_to: Timestamp::from_micros(0) }
    }

    /// Removes a few answers that are older than 24 hours, in proportion to the appends that bring new ones.
    pub(super) fn expire(&mut self, store: &Store, appends: usize) -> Result<(), LogError> {
        let to = store.clock.now().minus(KEPT);
        if to <= self.removed_to {
            return Ok(());
        }
        let mut batch = store.db.batch();
        let old = store.log.range(keys::expiries_before(self.removed_to)..keys::expiries_before(to));
        let mut removed_to = to;
        for (i, found) in old.enumerate() {
            let expiry = found.key().map_err(failed("expiring idempotency keys"))?;
            let Some((at, once)) = keys::expiring(&expiry) else { continue };
            if i == appends * EXPIRE_PER_APPEND {
                removed_to = at;
                break;
            }
            // The key may have been used again since, and then has a newer answer.
            let stored = store.log.get(&once).map_err(failed("expiring idempotency keys"))?;
            if stored.and_then(|bytes| Answer::decode(&bytes)).is_some_and(|answer| answer.at == at) {
                batch.remove(&store.log, once);
            }
            batch.remove(&store.log, expiry);
        }
        batch.commit().map_err(|error| store.write_failed("expiring idempotency keys", error))?;
        self.removed_to = removed_to;
        Ok(())
    }
}
