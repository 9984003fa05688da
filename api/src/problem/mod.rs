//! How a rejection looks: RFC 9457 `application/problem+json`, for every rejection, the framework's own included.
//!
//! [`Problem`] is what handlers answer with and what the command line reads back. [`map`] is the one place where the errors of the
//! inner rooms become status codes; [`layer`] turns what the framework rejects by itself (no such route, wrong method, a panic)
//! into the same form. Nothing here has state, so there is nothing to recover.

pub(crate) mod layer;
mod map;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Deref;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The media type of a rejection.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The fact that says after how many seconds to try again.
const RETRY_AFTER: &str = "retry_after_s";

/// A rejection.
// It is boxed, since it is the error of nearly every function of the server and rarely comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Problem(Box<Case>);

/// What happened to what, and what to do now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Case {
    /// The path of the runbook page of this code.
    #[serde(rename = "type")]
    pub page: String,
    /// The HTTP status, again.
    pub status: u16,
    /// The stable name of the case, for programs.
    pub code: String,
    /// The case in words.
    pub title: String,
    /// What happened here: the thing and the value.
    pub detail: String,
    /// What to do now.
    pub remedy: String,
    /// Further facts of the case, such as `index` and `field` of a record that was refused.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub facts: Map<String, Value>,
}

impl Problem {
    /// A rejection with the code's own title and page.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Problem(Box::new(Case {
            page: format!("/docs/runbooks/{}.md", code.to_lowercase().replace('_', "-")),
            status: status.as_u16(),
            code: code.to_owned(),
            title: title_of(code),
            detail: detail.into(),
            remedy: remedy.into(),
            facts: Map::new(),
        }))
    }

    /// The same with one more fact.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.facts.insert(name.to_owned(), value.into());
        self
    }

    /// The same, to be tried again after so many seconds: `Retry-After` of the answer.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with(RETRY_AFTER, seconds)
    }

    /// 422: the request is well formed and cannot be done as it is.
    pub fn unprocessable(code: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail, remedy)
    }

    /// 404: there is no such thing.
    pub fn not_found(code: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, code, detail, remedy)
    }

    /// 501: the contract names it, this build does not have it.
    pub fn not_built(what: &str) -> Self {
        Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "NOT_BUILT",
            format!("{what} is not built yet"),
            "see the changelog for what this version can do",
        )
    }
}

impl Case {
    /// The status as a type; a status that is none (only a foreign server sends that) counts as 500.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// A code in words: `NOT_READY` is "Not ready".
fn title_of(code: &str) -> String {
    let words = code.to_lowercase().replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

impl Deref for Problem {
    type Target = Case;

    fn deref(&self) -> &Case {
        &self.0
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.title, self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("a problem is plain JSON");
        let media = [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))];
        let mut response = (self.status(), media, body).into_response();
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"rekap\""));
        }
        if let Some(seconds) = self.facts.get(RETRY_AFTER).and_then(Value::as_u64) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
