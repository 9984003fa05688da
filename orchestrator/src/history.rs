//! What happened: pages of events, and the check of the chain that they form.
//!
//! Read from the catalog each time. Whoever follows events asks for a page after the last one seen, and waits on
//! [`Orchestrator::head`] when there is none.

use tokio::sync::watch;

use crate::catalog::{Audit, Entry};
use crate::event::What;
use crate::orchestrator::blocking;
use crate::views::{EventView, EventsPage};
use crate::{Orchestrator, Rejection};

/// The longest page, so that a long history does not hold a thread and memory for long.
const MAX_PAGE: usize = 10_000;

impl Orchestrator {
    /// A page of what happened to a job, after the event with that seq.
    pub async fn history(&self, job: &str, after: u64, limit: usize) -> Result<EventsPage, Rejection> {
        self.state().job(job)?;
        let job = job.to_owned();
        let happened = |entry: &Entry| !matches!(entry.event.what, What::Answered {});
        self.events_page(after, limit, move |entry| entry.event.job == job && happened(entry)).await
    }

    /// A page of all that happened, after the event with that seq.
    pub async fn audit(&self, after: u64, limit: usize) -> Result<EventsPage, Rejection> {
        self.events_page(after, limit, |_| true).await
    }

    /// Checks the whole catalog.
    pub async fn audit_verify(&self) -> Result<Audit, Rejection> {
        let book = self.book.clone();
        Ok(blocking(move || book.verify()).await?)
    }

    /// Changes with every event: the seq of the last one.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.book.head()
    }

    async fn events_page(
        &self,
        after: u64,
        limit: usize,
        wanted: impl Fn(&Entry) -> bool + Send + 'static,
    ) -> Result<EventsPage, Rejection> {
        let (book, limit) = (self.book.clone(), limit.clamp(1, MAX_PAGE));
        blocking(move || {
            let mut events = vec![];
            for entry in book.entries(after) {
                let entry = entry?;
                if wanted(&entry) {
                    events.push(EventView::of(&entry)?);
                }
                if events.len() == limit {
                    return Ok(EventsPage { next_cursor: Some(entry.seq), events });
                }
            }
            Ok(EventsPage { events, next_cursor: None })
        })
        .await
    }
}
