//! The console's sessions: a cookie in place of the token, so that no script of a page ever holds a secret.
//!
//! A session names a token and ends with it, with a logout, after half a day, or with the process. Only the hash of a session's name
//! is kept.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use rekap_orchestrator::Hash;
use tokio::time::Instant;

use super::secret;

/// How long one is good for: a day's work.
const LASTS: Duration = Duration::from_secs(12 * 60 * 60);

/// How many there are at most, far more than a team has browsers; the oldest goes first.
const MAX: usize = 10_000;

const NAME_BYTES: usize = 32;

/// All sessions of this process.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// The cookie's name. Browsers keep the cookies of all ports of a host together, so it names the port.
    cookie: String,
    /// Only sent over TLS.
    secure: bool,
    all: Mutex<HashMap<Hash, LoggedIn>>,
}

/// Who is logged in.
#[derive(Debug, Clone)]
pub(crate) struct LoggedIn {
    /// The id of their token.
    pub(crate) token: String,
    since: Instant,
}

impl Sessions {
    /// Of a server on that port.
    pub(crate) fn new(port: u16, secure: bool) -> Self {
        // A cookie of this prefix is only taken from the host itself, over TLS, for all of its paths.
        let prefix = if secure { "__Host-" } else { "" };
        Sessions { cookie: format!("{prefix}rekap-{port}"), secure, all: Mutex::default() }
    }

    /// Begins one for the holder of a token; the cookie for the browser.
    pub(crate) fn begin(&self, token: &str) -> io::Result<HeaderValue> {
        let name = secret::hex(NAME_BYTES)?;
        let mut all = self.all.lock().expect("no holder of this lock panics");
        all.retain(|_, session| session.since.elapsed() < LASTS);
        if all.len() >= MAX {
            let oldest = all.iter().min_by_key(|(_, session)| session.since).map(|(name, _)| *name);
            oldest.map(|name| all.remove(&name));
        }
        all.insert(Hash::of(name.as_bytes()), LoggedIn { token: token.to_owned(), since: Instant::now() });
        Ok(self.set(&name, LASTS.as_secs()))
    }

    /// The id of the token behind a request's cookie.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<String> {
        self.of_at(headers, Instant::now())
    }

    fn of_at(&self, headers: &HeaderMap, now: Instant) -> Option<String> {
        let all = self.all.lock().expect("no holder of this lock panics");
        let session = all.get(&self.name(headers)?)?;
        (now.duration_since(session.since) < LASTS).then(|| session.token.clone())
    }

    /// Ends one; the cookie that takes the place of its cookie.
    pub(crate) fn end(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(name) = self.name(headers) {
            self.all.lock().expect("no holder of this lock panics").remove(&name);
        }
        self.set("", 0)
    }

    fn name(&self, headers: &HeaderMap) -> Option<Hash> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.cookie).map(|(_, value)| Hash::of(value.as_bytes()))
    }

    fn set(&self, value: &str, seconds: u64) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie = format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", self.cookie);
        HeaderValue::try_from(cookie).expect("hex and plain words are a header's value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::try_from(format!("other=1; {pair}")).unwrap())])
    }

    #[test]
    fn a_session_names_its_token_until_it_is_ended_or_over() {
        let sessions = Sessions::new(7480, false);
        let (first, second) = (sessions.begin("a").unwrap(), sessions.begin("b").unwrap());
        assert_eq!(sessions.of(&with(&first)).as_deref(), Some("a"));
        sessions.end(&with(&first));
        assert_eq!(sessions.of(&with(&first)), None);
        assert_eq!(sessions.of(&with(&second)).as_deref(), Some("b"));
        assert_eq!(sessions.of_at(&with(&second), Instant::now() + LASTS), None);
        assert_eq!(Sessions::new(7480, false).of(&with(&second)), None, "a session is of one process");
    }

    #[test]
    fn no_script_and_no_other_site_gets_to_see_the_cookie() {
        let cookie = Sessions::new(7480, true).begin("a").unwrap();
        let cookie = cookie.to_str().unwrap();
        for said in ["__Host-rekap-7480=", "HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
            assert!(cookie.contains(said), "{cookie}");
        }
    }
}
