//! Calls that the server makes to others' machines: webhooks.
//!
//! Each is signed in the form of Standard Webhooks, ends within a bounded time, follows no redirect, uses no proxy, and reaches only
//! addresses that are [admitted](Admitted). Nothing is kept here: who has something to send remembers what was sent.

mod address;
mod backoff;
mod signature;
mod target;

use std::sync::Arc;
use std::time::Duration;

use rekap_tiered_storage::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

pub(crate) use address::Admitted;
pub(crate) use backoff::{GIVE_UP_AFTER, pause};
pub(crate) use signature::Secret;
pub(crate) use target::Target;

/// One attempt ends within this time, whatever the other side does.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection is there within this time, or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest `Retry-After` that is honoured: a receiver that names a longer one is asked again after this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why an attempt failed. The effect may have happened all the same: the receiver tells by the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotSent {
    /// What went wrong, without the target's path and query.
    pub(crate) reason: String,
    /// How long the receiver asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

/// One message: the same id and body at every attempt.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Tells receivers that it is the same one.
    pub(crate) id: String,
    /// JSON.
    pub(crate) body: Vec<u8>,
}

/// Sends messages. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    http: reqwest::Client,
    admitted: Arc<Admitted>,
}

impl Outgoing {
    /// A sender that reaches public addresses and those that are admitted by name.
    pub(crate) fn new(admitted: Admitted) -> Result<Outgoing, String> {
        let admitted = Arc::new(admitted);
        let http = reqwest::Client::builder()
            .dns_resolver(Arc::new(Resolver(admitted.clone())))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("rekap/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Outgoing { http: http.map_err(|e| e.to_string())?, admitted })
    }

    /// Sends a message once. A status of 2xx is success, all else is not.
    pub(crate) async fn send(
        &self,
        target: &Target,
        secret: Option<&Secret>,
        message: &Message,
        now: Timestamp,
    ) -> Result<(), NotSent> {
        let failed = |reason: String| NotSent { reason, retry_after: None };
        // A host that is an address is connected to without asking the resolver.
        target.literal().map_or(Ok(()), |ip| self.admitted.admit(ip)).map_err(failed)?;
        let seconds = now.as_micros().div_euclid(1_000_000);
        let mut request = self
            .http
            .post(target.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", seconds.to_string());
        if let Some(secret) = secret {
            request = request.header("webhook-signature", secret.sign(&message.id, seconds, &message.body));
        }
        let answer = request.body(message.body.clone()).send().await;
        let answer = answer.map_err(|error| failed(deepest(&error.without_url())))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let reason = format!("it answered {status}");
        Err(NotSent { reason, retry_after: retry_after(answer.headers(), now) })
    }
}

/// What lies at the bottom of an error, which is what a person can act on.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(deeper) = deepest.source() {
        deepest = deeper;
    }
    deepest.to_string()
}

/// `Retry-After`, in seconds or as a date, bounded.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
            Timestamp::from_micros(date.timestamp_micros()).since(now)
        }
    };
    Some(asked.min(MAX_RETRY_AFTER))
}

/// Resolves names as the system does, and gives the addresses that are admitted: exactly those are connected to.
struct Resolver(Arc<Admitted>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (admitted, host) = (self.0.clone(), name.as_str().to_owned());
        Box::pin(async move {
            let mut refused = format!("`{host}` has no address");
            let mut usable = vec![];
            for address in tokio::net::lookup_host((host.as_str(), 0)).await? {
                match admitted.admit(address.ip()) {
                    Ok(()) => usable.push(address),
                    Err(reason) => refused = format!("`{host}`: {reason}"),
                }
            }
            if usable.is_empty() {
                return Err(refused.into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date_and_is_bounded() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let of = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("Thu, 01 Jan 2026 00:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(of("Wed, 31 Dec 2025 00:00:30 GMT"), Some(Duration::ZERO));
        assert_eq!(of("999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(of("soon"), None);
    }

    #[tokio::test]
    async fn what_is_not_admitted_is_not_connected_to_however_it_is_written() {
        let nobody = Outgoing::new(Admitted::default()).unwrap();
        let message = Message { id: "m".into(), body: b"{}".to_vec() };
        let now = Timestamp::from_micros(0);
        for url in [
            "http://127.0.0.1:1/secret",
            "http://2130706433:1/secret",
            "http://0x7f.1:1/secret",
            "http://[::1]:1/secret",
            "http://[::ffff:10.0.0.1]:1/secret",
            "http://169.254.169.254/secret",
            "http://localhost:1/secret",
        ] {
            let target: Target = url.parse().unwrap();
            let refused = nobody.send(&target, None, &message, now).await.unwrap_err();
            assert!(refused.reason.contains("[outgoing] allow"), "{url}: {}", refused.reason);
            assert!(!refused.reason.contains("secret"), "{}", refused.reason);
        }
    }
}
