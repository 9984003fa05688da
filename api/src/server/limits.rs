//! How many requests are answered at once, and how many of one sender in a second.
//!
//! Who is beyond a bound is told when to come again; nothing of the request was done. Senders are tokens, or addresses where there is
//! no token. All of it is in memory and begins anew with the process.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::{Problem, config};

/// When to come again.
const RETRY_AFTER_S: u64 = 1;

/// How many senders are remembered; beyond it those are forgotten who have been quiet for longest.
const MAX_SENDERS: usize = 10_000;

/// The paths that answer however many others are being answered, so that a busy server is not taken for a dead one.
const ALWAYS: [&str; 2] = ["/healthz", "/readyz"];

/// The requests that are answered now. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Crowd(Arc<Semaphore>);

/// Answers a request unless too many are being answered.
pub(super) async fn admit(State(Crowd(room)): State<Crowd>, request: Request, next: Next) -> Response {
    if ALWAYS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let Ok(_held) = room.try_acquire() else { return too_many().into_response() };
    next.run(request).await
}

impl Crowd {
    pub(super) fn of(limits: &config::Limits) -> Self {
        Crowd(Arc::new(Semaphore::new(limits.requests)))
    }
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Sender {
    /// The holder of the token with that id.
    Token(String),
    /// Whoever sends from there.
    Address(Option<IpAddr>),
}

/// How many requests each sender has left in this second.
#[derive(Debug)]
pub(super) struct Rates {
    /// Requests a second, and as many at once; 0 sets no bound.
    per_second: u32,
    senders: Mutex<HashMap<Sender, Left>>,
}

/// What a sender has left: it fills up with time.
#[derive(Debug, Clone, Copy)]
struct Left {
    requests: f64,
    at: Instant,
}

impl Rates {
    pub(super) fn of(limits: &config::Limits) -> Self {
        Rates { per_second: limits.requests_per_second, senders: Mutex::default() }
    }

    /// Counts one request of that sender; 429 when it has none left.
    pub(super) fn take(&self, sender: impl FnOnce() -> Sender) -> Result<(), Problem> {
        self.take_at(sender, Instant::now())
    }

    fn take_at(&self, sender: impl FnOnce() -> Sender, now: Instant) -> Result<(), Problem> {
        if self.per_second == 0 {
            return Ok(());
        }
        let full = f64::from(self.per_second);
        let mut senders = self.senders.lock().expect("no holder of this lock panics");
        if senders.len() >= MAX_SENDERS {
            forget(&mut senders, full, now);
        }
        let left = senders.entry(sender()).or_insert(Left { requests: full, at: now });
        *left = Left { requests: left.at_moment(full, now), at: now };
        if left.requests < 1.0 {
            return Err(too_fast(self.per_second));
        }
        left.requests -= 1.0;
        Ok(())
    }
}

impl Left {
    fn at_moment(&self, full: f64, now: Instant) -> f64 {
        (self.requests + full * (now - self.at).as_secs_f64()).min(full)
    }
}

/// Forgets who has all of it left, which is as if they had never sent; if that is nobody, everybody.
fn forget(senders: &mut HashMap<Sender, Left>, full: f64, now: Instant) {
    senders.retain(|_, left| left.at_moment(full, now) < full);
    if senders.len() >= MAX_SENDERS {
        senders.clear();
    }
}

/// 503.
fn too_many() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "OVERLOADED",
        "as many requests are being answered as `requests` of [server.limits] allows",
        "send it again after `Retry-After` seconds, or send fewer requests at once",
    )
    .retry_after(RETRY_AFTER_S)
}

/// 429.
fn too_fast(per_second: u32) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "RATE_LIMITED",
        format!("more than {per_second} requests a second came from this sender"),
        "send it again after `Retry-After` seconds; several records or rows go into one request",
    )
    .retry_after(RETRY_AFTER_S)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rates(requests_per_second: u32) -> Rates {
        Rates::of(&config::Limits { requests_per_second, ..config::Limits::default() })
    }

    fn takes(rates: &Rates, token: &str, now: Instant) -> bool {
        rates.take_at(|| Sender::Token(token.to_owned()), now).is_ok()
    }

    #[test]
    fn each_sender_has_so_many_requests_in_a_second_and_no_more() {
        let (rates, now) = (rates(2), Instant::now());
        assert!(takes(&rates, "a", now) && takes(&rates, "a", now) && !takes(&rates, "a", now));
        assert!(takes(&rates, "b", now), "another sender has its own");
        let later = now + Duration::from_millis(500);
        assert!(takes(&rates, "a", later) && !takes(&rates, "a", later));
        let later = later + Duration::from_secs(3600);
        assert!(
            takes(&rates, "a", later) && takes(&rates, "a", later) && !takes(&rates, "a", later),
            "nobody saves up"
        );
    }

    #[test]
    fn a_flood_of_senders_does_not_fill_the_memory() {
        let (rates, now) = (rates(1), Instant::now());
        for i in 0..3 * MAX_SENDERS {
            assert!(takes(&rates, &i.to_string(), now));
        }
        assert!(rates.senders.lock().unwrap().len() <= MAX_SENDERS);
    }

    #[test]
    fn without_a_bound_nobody_is_counted() {
        let (rates, now) = (rates(0), Instant::now());
        assert!((0..100).all(|_| takes(&rates, "a", now)) && rates.senders.lock().unwrap().is_empty());
    }
}
