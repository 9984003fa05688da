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

/// How many events are read at once on the way back.
const STRIDE: u64 = 1_000;

impl Orchestrator {
    /// A page of what happened to a job, after the event with that seq.
    pub async fn history(&self, job: &str, after: u64, limit: usize) -> Result<EventsPage, Rejection> {
        self.state().job(job)?;
        self.happened_to(job, after, limit).await
    }

    /// The same, also of a job that was deleted since.
    pub async fn happened_to(&self, job: &str, after: u64, limit: usize) -> Result<EventsPage, Rejection> {
        self.state().ever(job).ok_or_else(|| Rejection::UnknownJob(job.to_owned()))?;
        let job = job.to_owned();
        let happened = |entry: &Entry| !matches!(entry.event.what, What::Answered {});
        self.events_page(after, limit, move |entry| entry.event.concerns(&job) && happened(entry)).await
    }

    /// A page of all that happened, after the event with that seq.
    pub async fn audit(&self, after: u64, limit: usize) -> Result<EventsPage, Rejection> {
        self.events_page(after, limit, |_| true).await
    }

    /// A page of what happened, to one job or to all, the newest first: before the event with that seq, or from the end.
    pub async fn latest(&self, job: Option<&str>, before: Option<u64>, limit: usize) -> Result<EventsPage, Rejection> {
        if let Some(job) = job {
            self.state().job(job)?;
        }
        let wanted = {
            let job = job.map(str::to_owned);
            move |entry: &Entry| {
                job.as_ref()
                    .is_none_or(|job| entry.event.concerns(job) && !matches!(entry.event.what, What::Answered {}))
            }
        };
        let (book, limit) = (self.book.clone(), limit.clamp(1, MAX_PAGE));
        blocking(move || {
            let mut before = before.unwrap_or(u64::MAX).min(*book.head().borrow() + 1);
            let mut events = vec![];
            while before > 1 && events.len() < limit {
                let after = (before - 1).saturating_sub(STRIDE);
                let stride: Vec<Entry> = book
                    .entries(after)
                    .take_while(|entry| entry.as_ref().is_ok_and(|entry| entry.seq < before))
                    .collect::<Result<_, _>>()?;
                let kept = stride.iter().rev().filter(|entry| wanted(entry)).take(limit - events.len());
                for entry in kept {
                    events.push(EventView::of(entry)?);
                }
                before = after + 1;
            }
            let last = events.last().map(|event| event.seq).filter(|seq| events.len() == limit && *seq > 1);
            Ok(EventsPage { next_cursor: last.map(|seq| seq.to_string()), events })
        })
        .await
    }

    /// Checks the whole catalog, also against its copy outside where there is one.
    pub async fn audit_verify(&self) -> Result<Audit, Rejection> {
        let book = self.book.clone();
        let audit = blocking(move || book.verify()).await?;
        Ok(self.anchored(audit).await)
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
                    return Ok(EventsPage { next_cursor: Some(entry.seq.to_string()), events });
                }
            }
            Ok(EventsPage { events, next_cursor: None })
        })
        .await
    }
}
