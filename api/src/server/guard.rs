//! Who may ask at all: a server without tokens must not do what a web page of somebody else's tells a browser to.
//!
//! Two checks before any route, from headers that a page cannot set. A name in `Host` that is not this machine's means that a foreign
//! name was pointed at loopback (DNS rebinding). A request that changes something and comes from another origin is a forged one.
//! Clients that are no browsers send neither `Origin` nor `Sec-Fetch-Site` and pass. Pure but for the header that it adds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::{Problem, Server};

/// Where a browser says the request comes from, seen from here.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whose pages may embed an answer.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What the checks go by. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// True where the server listens on this machine only, so that its name is known.
    loopback: bool,
    /// Names under which it is reached beside that.
    hosts: Arc<[String]>,
}

/// Lets a request pass or refuses it; no answer is taken for another kind of content, or shown in a page of another origin.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let mut response = match guard.check(request.method(), host.as_deref(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

impl Guard {
    /// For a server that is told this.
    pub(super) fn of(server: &Server) -> Self {
        Guard { loopback: server.listen.ip().is_loopback(), hosts: server.hosts.clone().into() }
    }

    /// Refuses a foreign host, and a change asked for by a foreign origin. `target` is the authority in the request line, if any.
    fn check(&self, method: &Method, target: Option<&str>, headers: &HeaderMap) -> Result<(), Problem> {
        let host = target.or_else(|| text(headers, &header::HOST));
        if let Some(host) = host.filter(|host| !self.is_ours(host)) {
            return Err(foreign_host(host));
        }
        if method.is_safe() {
            return Ok(());
        }
        let origin = text(headers, &header::ORIGIN);
        let site = text(headers, &SEC_FETCH_SITE);
        if self.is_same(origin, site, host) { Ok(()) } else { Err(foreign_origin(origin, site)) }
    }

    /// True for a name of this machine, or one that the configuration names.
    fn is_ours(&self, host: &str) -> bool {
        !self.loopback || is_loopback(name_of(host)) || self.is_named(host)
    }

    fn is_named(&self, host: &str) -> bool {
        self.hosts.iter().any(|named| named.eq_ignore_ascii_case(name_of(host)))
    }

    /// True for a request that no page of another origin has made. Browsers that say `Sec-Fetch-Site` know best.
    fn is_same(&self, origin: Option<&str>, site: Option<&str>, host: Option<&str>) -> bool {
        let from = origin.and_then(|origin| origin.split_once("://")).map(|(_, from)| from);
        if from.is_some_and(|from| self.is_named(from)) {
            return true;
        }
        match (site, origin) {
            (Some(site), _) => matches!(site, "same-origin" | "none"),
            (None, None) => true,
            (None, Some(_)) => from.zip(host).is_some_and(|(from, host)| from.eq_ignore_ascii_case(host)),
        }
    }
}

/// A header as text; one that is none counts as empty, and so as foreign.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or(""))
}

/// `localhost` of `localhost:7480`, `[::1]` of `[::1]:7480`.
fn name_of(host: &str) -> &str {
    let end = host.find(']').map_or(0, |bracket| bracket + 1);
    host[end..].find(':').map_or(host, |colon| &host[..end + colon])
}

/// True for the names and addresses that lead nowhere but to this machine.
fn is_loopback(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let address = name.parse::<Ipv4Addr>().map(IpAddr::V4).ok().or_else(|| {
        let inner = name.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().map(IpAddr::V6).ok()
    });
    name == "localhost" || name.ends_with(".localhost") || address.is_some_and(|address| address.is_loopback())
}

/// 421: the request is meant for somebody else.
fn foreign_host(host: &str) -> Problem {
    Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "FOREIGN_HOST",
        format!("the request is for `{host}`, and this server is localhost"),
        "ask it as localhost or 127.0.0.1, or name the host in `server.hosts`",
    )
}

/// 403: a web page of another origin asks for a change.
pub(super) fn foreign_origin(origin: Option<&str>, site: Option<&str>) -> Problem {
    let from = origin.or(site).unwrap_or("an unknown origin");
    Problem::new(
        StatusCode::FORBIDDEN,
        "FOREIGN_ORIGIN",
        format!("a page of `{from}` asks this server for a change"),
        "use the server's own console or a client that is no browser, or name the host of that page in `server.hosts`",
    )
}

#[cfg(test)]
mod tests;
