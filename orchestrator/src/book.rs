//! The book: the catalog, the state folded from it, and the requests answered in the last 24 hours.
//!
//! One command at a time is decided, appended, folded and published. What is published last *is* the pointer that readers of an alias
//! load, so a swap is durable before anybody sees it, and there is no second copy of what serves. If the process dies after the
//! append, the next start folds the same event.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use rekap_tiered_storage::{Clock, Timestamp, steps};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::catalog::{Answered, Audit, Catalog, CatalogError, Draft, Entry};
use crate::event::{Event, What};
use crate::state::State;
use crate::{By, Rejection, RequestKey};

/// How long a request's answer is kept.
const REQUESTS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a command comes to: something to record, if anything, and the answer.
pub(crate) type Outcome<A> = Result<(Option<What>, A), Rejection>;

/// The open book.
pub(crate) struct Book {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    /// Held by whoever writes.
    requests: Mutex<HashMap<String, (Answered, Timestamp)>>,
    state: RwLock<Arc<State>>,
    head: watch::Sender<u64>,
}

impl Book {
    /// Opens the catalog in `folder` and folds it.
    pub(crate) fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, CatalogError> {
        let catalog = Catalog::open(folder)?;
        let (mut state, mut requests) = (State::default(), HashMap::new());
        for entry in catalog.entries(0) {
            let entry = entry?;
            state.apply(&entry);
            remember(&mut requests, entry);
        }
        if let Some(broken) = catalog.verify()?.broken {
            tracing::error!(seq = broken.seq, detail = broken.detail, "the catalog is not as it was written");
        }
        let (head, _) = watch::channel(state.seq);
        Ok(Book { catalog, clock, requests: Mutex::new(requests), state: RwLock::new(Arc::new(state)), head })
    }

    /// Why nothing can be recorded until the catalog is opened again.
    pub(crate) fn failure(&self) -> Option<String> {
        self.catalog.failure()
    }

    /// The present state. Waits for nothing but the copy of a pointer.
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.read().expect("no holder of this lock panics").clone()
    }

    /// Changes with every event: the seq of the last one.
    pub(crate) fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Events after `after`, in order.
    pub(crate) fn entries(&self, after: u64) -> impl Iterator<Item = Result<Entry, CatalogError>> + '_ {
        self.catalog.entries(after)
    }

    /// Entries after `after` as text, and the last of them; see [`Catalog::carry`].
    pub(crate) fn carry(&self, after: u64, limit: usize) -> Result<(String, Option<crate::Head>), CatalogError> {
        self.catalog.carry(after, limit)
    }

    /// The hash of an entry.
    pub(crate) fn hash_at(&self, seq: u64) -> Result<Option<crate::Hash>, CatalogError> {
        self.catalog.hash_at(seq)
    }

    /// Checks the whole chain.
    pub(crate) fn verify(&self) -> Result<Audit, CatalogError> {
        self.catalog.verify()
    }

    /// What this very request was answered before, if it was.
    pub(crate) fn answered<A: DeserializeOwned>(&self, by: &By) -> Result<Option<A>, Rejection> {
        answered(&mut self.requests.lock().expect("no holder of this lock panics"), by, self.clock.now())
    }

    /// Refuses a request whose key came with another one.
    pub(crate) fn refuse_other(&self, request: &RequestKey) -> Result<(), Rejection> {
        let by = By { request: Some(request.clone()), ..By::default() };
        let mut requests = self.requests.lock().expect("no holder of this lock panics");
        before(&mut requests, &by, self.clock.now()).map(drop)
    }

    /// Decides on the state as it is, records what was decided, and publishes the state after it. Blocks on the disk.
    pub(crate) fn write<A: Serialize + DeserializeOwned>(
        &self,
        by: &By,
        job: &str,
        decide: impl FnOnce(&State, Timestamp) -> Outcome<A>,
    ) -> Result<A, Rejection> {
        let mut requests = self.requests.lock().expect("no holder of this lock panics");
        let now = self.clock.now();
        if let Some(answer) = answered(&mut requests, by, now)? {
            return Ok(answer);
        }
        let state = self.state();
        let (what, answer) = decide(&state, now)?;
        let what = match (what, &by.request) {
            (Some(what), _) => what,
            (None, None) if by.note.is_none() => return Ok(answer),
            // Nothing happened, and what was said about it is kept all the same.
            (None, _) => What::Answered {},
        };
        let request = by.request.as_ref().map(|request| keep(request, &answer)).transpose()?;
        let draft = Draft {
            at: now,
            actor: by.actor.clone(),
            address: by.address.clone(),
            note: by.note.clone(),
            request,
            event: Event::new(job, what),
        };
        let entry = self.catalog.append(draft)?;
        self.publish(&state, &entry);
        steps::passed("catalog.published", &entry.event);
        remember(&mut requests, entry);
        Ok(answer)
    }

    fn publish(&self, before: &State, entry: &Entry) {
        let mut after = before.clone();
        after.apply(entry);
        *self.state.write().expect("no holder of this lock panics") = Arc::new(after);
        self.head.send_replace(entry.seq);
    }
}

fn keep<A: Serialize>(request: &RequestKey, answer: &A) -> Result<Answered, CatalogError> {
    let answer = serde_json::to_value(answer).map_err(CatalogError::encoding)?;
    Ok(Answered { key: request.key.clone(), digest: request.digest, answer })
}

fn remember(requests: &mut HashMap<String, (Answered, Timestamp)>, entry: Entry) {
    if let Some(request) = entry.request {
        requests.insert(request.key.clone(), (request, entry.at));
    }
}

/// The same request as it was answered before, if it was.
fn before<'a>(
    requests: &'a mut HashMap<String, (Answered, Timestamp)>,
    by: &By,
    now: Timestamp,
) -> Result<Option<&'a Answered>, Rejection> {
    let Some(request) = &by.request else { return Ok(None) };
    requests.retain(|_, (_, at)| now.since(*at) < REQUESTS_KEPT);
    match requests.get(&request.key) {
        Some((before, _)) if before.digest != request.digest => Err(Rejection::KeyReused(request.key.clone())),
        before => Ok(before.map(|(before, _)| before)),
    }
}

fn answered<A: DeserializeOwned>(
    requests: &mut HashMap<String, (Answered, Timestamp)>,
    by: &By,
    now: Timestamp,
) -> Result<Option<A>, Rejection> {
    let Some(before) = before(requests, by, now)? else { return Ok(None) };
    let answer = serde_json::from_value(before.answer.clone());
    answer.map(Some).map_err(|_| Rejection::KeyReused(before.key.clone()))
}

#[cfg(test)]
mod tests;
