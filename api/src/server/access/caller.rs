//! Whoever sent a request, and what they may see and do.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use rekap_orchestrator::{Issued, Scope, TokenRole};

use crate::Problem;

/// Who acts where nobody has a token.
const LOCAL: &str = "local";

/// Whoever sent a request. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    from: Option<IpAddr>,
    who: Who,
}

#[derive(Debug, Clone)]
enum Who {
    /// Everybody who reaches a server without tokens: may do everything.
    Local,
    /// Somebody without a token, on a route that wants none: may do nothing else.
    Stranger,
    /// The holder of a token.
    Holder(Arc<Issued>),
}

impl Caller {
    pub(super) fn local(from: Option<IpAddr>) -> Self {
        Caller { from, who: Who::Local }
    }

    pub(super) fn stranger(from: Option<IpAddr>) -> Self {
        Caller { from, who: Who::Stranger }
    }

    pub(super) fn holder(token: Arc<Issued>, from: Option<IpAddr>) -> Self {
        Caller { from, who: Who::Holder(token) }
    }

    /// The name under which the audit log knows them.
    pub(crate) fn actor(&self) -> &str {
        match &self.who {
            Who::Local => LOCAL,
            Who::Stranger => "nobody",
            Who::Holder(issued) => &issued.token.name,
        }
    }

    /// The address they asked from.
    pub(crate) fn address(&self) -> Option<String> {
        self.from.map(|address| address.to_string())
    }

    /// The id of their token.
    pub(crate) fn token(&self) -> Option<&str> {
        self.issued().map(|issued| issued.token.id.as_str())
    }

    /// Their token.
    pub(crate) fn issued(&self) -> Option<&Issued> {
        match &self.who {
            Who::Holder(issued) => Some(issued),
            Who::Local | Who::Stranger => None,
        }
    }

    /// True for somebody of whom nothing is known.
    pub(crate) fn is_stranger(&self) -> bool {
        matches!(self.who, Who::Stranger)
    }

    /// True where others may see more.
    pub(crate) fn is_scoped(&self) -> bool {
        !self.scope().is_everything()
    }

    /// What they may see.
    pub(crate) fn scope(&self) -> Scope {
        match &self.who {
            Who::Local => Scope::default(),
            Who::Stranger => Scope { jobs: vec![], topics: vec![] },
            Who::Holder(issued) => issued.token.scope.clone(),
        }
    }

    /// 403 unless they have that role or a higher one.
    pub(crate) fn at_least(&self, least: TokenRole) -> Result<(), Problem> {
        let role = match &self.who {
            Who::Local => return Ok(()),
            Who::Stranger => None,
            Who::Holder(issued) => Some(issued.token.role),
        };
        if role.is_some_and(|role| role >= least) {
            return Ok(());
        }
        let has = role.map_or("none", TokenRole::name);
        let detail = format!("`{}` has the role {has}, and this needs {}", self.actor(), least.name());
        let remedy = format!("ask somebody whose token has the role {}, or an admin for such a token", least.name());
        Err(forbidden(detail, &remedy).with("role", has).with("needs", least.name()))
    }

    /// 403 unless the job is within their scope.
    pub(crate) fn may_job(&self, job: &str) -> Result<(), Problem> {
        if self.scope().has_job(job) { Ok(()) } else { Err(self.beyond(format!("the job `{job}`"))) }
    }

    /// 403 unless the topic is within their scope.
    pub(crate) fn may_topic(&self, topic: &str) -> Result<(), Problem> {
        if self.scope().has_topic(topic) { Ok(()) } else { Err(self.beyond(format!("the topic `{topic}`"))) }
    }

    /// 403: not of their business.
    pub(super) fn beyond(&self, what: String) -> Problem {
        let Scope { jobs, topics } = self.scope();
        let detail = format!("{what} is beyond the scope of `{}`", self.actor());
        forbidden(detail, "ask an admin for a token with that scope").with("jobs", jobs).with("topics", topics)
    }
}

fn forbidden(detail: String, remedy: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN", detail, remedy)
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// The layer in front of all routes has put it there. Without that layer nobody may do anything.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Caller::of(parts))
    }
}

impl Caller {
    /// Of a request's head.
    pub(crate) fn of(parts: &Parts) -> Self {
        parts.extensions.get::<Caller>().cloned().unwrap_or_else(|| Caller::stranger(None))
    }
}
