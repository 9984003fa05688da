//! Who may do what: every request becomes a [`Caller`] here, or is refused, before any route sees it.
//!
//! A server without tokens takes everybody who reaches it for `local`, who may do everything; it listens on loopback only. With
//! tokens, a request names one (`Authorization: Bearer rekap_…`, or the console's cookie), and [`rules`] says for each route which
//! role it takes and whose scope it lies in. A route without a rule is refused, so a forgotten one is closed and not open. What a
//! list leaves out, and which topics a deployed job may read, is decided where it is shown or deployed, by the same [`Caller`].
//!
//! Tokens are in the catalog. The console's sessions are in memory: if the process dies, people log in again.

mod caller;
mod rules;
mod secret;
mod session;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rekap_orchestrator::{Ended, Issued};
use utoipa::openapi::OpenApi;

use super::App;
use super::limits::{Rates, Sender};
use super::serving::Peer;
use crate::{Problem, Server};

pub(super) use caller::Caller;
pub(super) use secret::{Fresh, first_admin};
pub(super) use session::Sessions;

use rules::{Least, Of, Rule};
use secret::Named;

/// What is checked of each request. Cheap to clone.
#[derive(Clone)]
pub(super) struct Access(Arc<Inner>);

struct Inner {
    app: App,
    /// False where everybody is `local`.
    required: bool,
    /// How many requests each sender has left.
    rates: Rates,
    /// The rule of each route that there is; `None` where nobody has written one.
    rules: HashMap<String, Vec<(Method, Option<Rule>)>>,
}

/// Lets a request pass as its caller's, or refuses it.
pub(super) async fn access(State(access): State<Access>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let from = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let admitted = access.admit(&mut parts, from).await;
    let token = admitted.as_ref().ok().and_then(|caller| caller.token());
    let sender = || token.map_or(Sender::Address(from), |id| Sender::Token(id.to_owned()));
    match access.0.rates.take(sender).and(admitted) {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl Access {
    /// For the routes of this document.
    pub(super) fn of(app: App, server: &Server, document: &OpenApi) -> Self {
        let rules = rules::of_document(document);
        for (path, methods) in &rules {
            for (method, _) in methods.iter().filter(|(_, rule)| rule.is_none()) {
                tracing::error!("{method} {path} has no rule of access, and is refused to everybody with a token");
            }
        }
        let (required, rates) = (server.wants_tokens(), Rates::of(&server.limits));
        Access(Arc::new(Inner { app, required, rates, rules }))
    }

    async fn admit(&self, parts: &mut Parts, from: Option<IpAddr>) -> Result<Caller, Problem> {
        if !self.0.required {
            return Ok(Caller::local(from));
        }
        // What is no route is told so; there is nothing to guard.
        let Some(rule) = self.rule_of(parts) else { return Ok(Caller::stranger(from)) };
        let Some(Rule { least, of }) = rule else { return Err(no_rule(parts)) };
        let Least::Role(least) = least else { return Ok(Caller::stranger(from)) };
        let caller = Caller::holder(self.authenticate(parts)?, from);
        caller.at_least(least)?;
        self.within(&caller, of, parts).await?;
        Ok(caller)
    }

    /// The rule of the route that the request is for; `None` where there is no such route.
    fn rule_of(&self, parts: &Parts) -> Option<Option<Rule>> {
        let path = parts.extensions.get::<MatchedPath>()?;
        let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
        let (_, rule) = self.0.rules.get(path.as_str())?.iter().find(|(of, _)| of == method)?;
        Some(*rule)
    }

    /// The token of a request: in its header, or behind its cookie.
    fn authenticate(&self, parts: &Parts) -> Result<Arc<Issued>, Problem> {
        if let Some(said) = parts.headers.get(header::AUTHORIZATION) {
            let said = said.to_str().unwrap_or("");
            let scheme = said.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
            return authenticate(&self.0.app, scheme.map_or("", |_| said[7..].trim()));
        }
        let session = self.0.app.sessions().of(&parts.headers).ok_or_else(no_token)?;
        refuse_unmarked(&parts.method, &parts.headers)?;
        match self.0.app.orchestrator().issued(&session) {
            Some((issued, None)) => Ok(issued),
            _ => Err(unauthenticated("the token of this session has ended".into(), "log in again")),
        }
    }

    /// Refuses what lies beyond the scope of a token.
    async fn within(&self, caller: &Caller, of: Of, parts: &mut Parts) -> Result<(), Problem> {
        if !caller.is_scoped() {
            return Ok(());
        }
        let params = RawPathParams::from_request_parts(parts, &()).await.ok();
        let named = |name: &str| {
            let found = params.iter().flatten().find(|(param, _)| *param == name);
            found.map(|(_, value)| value.to_owned()).unwrap_or_default()
        };
        match of {
            Of::Nothing | Of::Listed => Ok(()),
            Of::Everything => Err(caller.beyond("what concerns all jobs and topics".into())),
            Of::Job => caller.may_job(&named("job")),
            Of::Topic => caller.may_topic(&named("topic")),
            Of::Table => {
                let table = named("alias");
                caller.may_job(table.split_once('@').map_or(table.as_str(), |(alias, _)| alias))
            }
            Of::Group => {
                let Ok(group) = self.0.app.orchestrator().group(&named("group")) else { return Ok(()) };
                group.jobs.iter().try_for_each(|member| caller.may_job(&member.job))
            }
        }
    }
}

/// The least role of a route, for its description; `anyone` where it takes no token.
pub(super) fn role_of(method: &Method, path: &str) -> Option<&'static str> {
    rules::rule(method, path).map(|rule| match rule.least {
        Least::Anyone => "anyone",
        Least::Role(role) => role.name(),
    })
}

/// The token behind its text, if it opens something now.
pub(crate) fn authenticate(app: &App, text: &str) -> Result<Arc<Issued>, Problem> {
    let Some(Named { id, hash }) = Named::parse(text) else {
        return Err(unauthenticated(
            "what was sent is no token".into(),
            "send the token as it was shown when it was made",
        ));
    };
    match app.orchestrator().token(&id, &hash) {
        Some((issued, None)) => Ok(issued),
        Some((_, Some(Ended::Revoked(at)))) => {
            Err(unauthenticated(format!("the token `{id}` was revoked at {at}"), "ask an admin for another one"))
        }
        Some((_, Some(Ended::Expired(at)))) => {
            Err(unauthenticated(format!("the token `{id}` expired at {at}"), "ask an admin for another one"))
        }
        None => {
            tracing::info!(id, "a token that is not known was refused");
            Err(unauthenticated("the token is not known here".into(), "is it a token of this server?"))
        }
    }
}

/// A cookie is sent by the browser itself, so a change under it has to say where it comes from; the guard has looked at that.
fn refuse_unmarked(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let marked = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    if method.is_safe() || marked { Ok(()) } else { Err(super::guard::foreign_origin(None, None)) }
}

/// 401.
fn unauthenticated(detail: String, remedy: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", detail, remedy)
}

fn no_token() -> Problem {
    unauthenticated(
        "this server wants a token".into(),
        "send `Authorization: Bearer <token>` (`rekap --token`, REKAP_TOKEN), or log in at the console",
    )
}

/// 403: nobody has said who may.
fn no_rule(parts: &Parts) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "FORBIDDEN",
        format!("{} {} has no rule of access", parts.method, parts.uri.path()),
        "this is a bug: report it; a server without tokens, on loopback, answers it",
    )
}
