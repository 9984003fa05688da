//! The table of access: for every route the least role, and in whose scope it lies. A new route gets its line here.

use std::collections::HashMap;

use axum::http::Method;
use rekap_orchestrator::TokenRole::{self, Admin, Developer, Operator, Viewer};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

/// The least that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Least {
    /// No token at all: nothing of anybody's data is in the answer.
    Anyone,
    /// A token of that role or a higher one.
    Role(TokenRole),
}

/// What of the scope of a token a route is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Of no job and no topic.
    Nothing,
    /// The handler leaves out what is beyond the scope.
    Listed,
    /// Of all jobs and topics: a token with a narrower scope is refused.
    Everything,
    /// `{job}` in the path.
    Job,
    /// `{topic}` in the path.
    Topic,
    /// `{alias}` in the path, which is `job` or `job@n`.
    Table,
    /// Every job of `{group}` in the path.
    Group,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) least: Least,
    pub(super) of: Of,
}

/// The rule of a route, by its method and its path as the document writes it.
pub(super) fn rule(method: &Method, path: &str) -> Option<Rule> {
    let lines: &[(&str, Least, Of)] = match *method {
        Method::GET => LOOK,
        Method::POST => DO,
        Method::PUT => MAKE,
        Method::DELETE => DELETE,
        _ => &[],
    };
    lines.iter().find(|(of, ..)| *of == path).map(|(_, least, of)| Rule { least: *least, of: *of })
}

const VIEWER: Least = Least::Role(Viewer);
const DEVELOPER: Least = Least::Role(Developer);
const OPERATOR: Least = Least::Role(Operator);
const ADMIN: Least = Least::Role(Admin);

/// The routes of GET.
const LOOK: &[(&str, Least, Of)] = &[
    ("/healthz", Least::Anyone, Of::Nothing),
    ("/readyz", Least::Anyone, Of::Nothing),
    ("/openapi.json", Least::Anyone, Of::Nothing),
    ("/docs/runbooks/{page}", Least::Anyone, Of::Nothing),
    ("/metrics", VIEWER, Of::Everything),
    ("/v1/session", VIEWER, Of::Nothing),
    ("/v1/topics", VIEWER, Of::Listed),
    ("/v1/topics/{topic}", VIEWER, Of::Topic),
    ("/v1/topics/{topic}/schemas", VIEWER, Of::Topic),
    ("/v1/topics/{topic}/records", VIEWER, Of::Topic),
    ("/v1/jobs", VIEWER, Of::Listed),
    ("/v1/jobs/{job}", VIEWER, Of::Job),
    ("/v1/jobs/{job}/actions", VIEWER, Of::Job),
    ("/v1/jobs/{job}/history", VIEWER, Of::Job),
    ("/v1/jobs/{job}/events", VIEWER, Of::Job),
    ("/v1/jobs/{job}/drill", VIEWER, Of::Job),
    ("/v1/jobs/{job}/versions", VIEWER, Of::Job),
    ("/v1/jobs/{job}/versions/{n}", VIEWER, Of::Job),
    ("/v1/jobs/{job}/versions/{n}/spec", VIEWER, Of::Job),
    ("/v1/jobs/{job}/versions/{n}/verification", VIEWER, Of::Job),
    ("/v1/jobs/{job}/versions/{n}/dead-letters", VIEWER, Of::Job),
    ("/v1/tables/{alias}", VIEWER, Of::Table),
    ("/v1/tables/{alias}/rows", VIEWER, Of::Table),
    ("/v1/groups/{group}", VIEWER, Of::Group),
    ("/v1/notifications", VIEWER, Of::Everything),
    ("/v1/schedules", VIEWER, Of::Everything),
    ("/v1/audit", VIEWER, Of::Everything),
    ("/v1/audit/verify", VIEWER, Of::Everything),
    ("/v1/tokens", ADMIN, Of::Everything),
];

/// The routes of POST.
const DO: &[(&str, Least, Of)] = &[
    ("/v1/session", Least::Anyone, Of::Nothing),
    ("/v1/sql", VIEWER, Of::Listed),
    ("/v1/jobs/{job}/plan", VIEWER, Of::Job),
    ("/v1/topics/{topic}/records", DEVELOPER, Of::Topic),
    ("/v1/topics/{topic}/mirror", DEVELOPER, Of::Topic),
    ("/v1/jobs/{job}/versions", DEVELOPER, Of::Job),
    ("/v1/jobs/{job}/drill", DEVELOPER, Of::Job),
    ("/v1/jobs/{job}/versions/{n}/replay", DEVELOPER, Of::Job),
    ("/v1/jobs/{job}/versions/{n}/verify", DEVELOPER, Of::Job),
    ("/v1/jobs/{job}/versions/{n}/pause", DEVELOPER, Of::Job),
    ("/v1/jobs/{job}/versions/{n}/resume", DEVELOPER, Of::Job),
    ("/v1/jobs/{job}/versions/{n}/promote", OPERATOR, Of::Job),
    ("/v1/jobs/{job}/versions/{n}/abort", OPERATOR, Of::Job),
    ("/v1/jobs/{job}/versions/{n}/retire", OPERATOR, Of::Job),
    ("/v1/jobs/{job}/rollback", OPERATOR, Of::Job),
    ("/v1/jobs/{job}/freeze", OPERATOR, Of::Job),
    ("/v1/jobs/{job}/rollback-window", OPERATOR, Of::Job),
    ("/v1/schedules/{schedule}/run", OPERATOR, Of::Everything),
    ("/v1/groups/{group}/promote", OPERATOR, Of::Group),
    ("/v1/groups/{group}/rollback", OPERATOR, Of::Group),
    ("/v1/tokens", ADMIN, Of::Everything),
];

/// The routes of PUT.
const MAKE: &[(&str, Least, Of)] = &[("/v1/topics/{topic}", DEVELOPER, Of::Topic)];

/// The routes of DELETE.
const DELETE: &[(&str, Least, Of)] = &[
    ("/v1/session", Least::Anyone, Of::Nothing),
    ("/v1/topics/{topic}", ADMIN, Of::Topic),
    ("/v1/jobs/{job}", ADMIN, Of::Job),
    ("/v1/tokens/{id}", ADMIN, Of::Everything),
];

/// Every route of the document with its rule, if it has one.
pub(super) fn of_document(document: &OpenApi) -> HashMap<String, Vec<(Method, Option<Rule>)>> {
    let of_path = |path: &String, item: &PathItem| {
        let ruled = methods(item).into_iter().map(|method| (method.clone(), rule(&method, path)));
        (path.clone(), ruled.collect())
    };
    document.paths.paths.iter().map(|(path, item)| of_path(path, item)).collect()
}

/// The methods of a path.
pub(super) fn methods(item: &PathItem) -> Vec<Method> {
    let all = [
        (Method::GET, item.get.is_some()),
        (Method::POST, item.post.is_some()),
        (Method::PUT, item.put.is_some()),
        (Method::DELETE, item.delete.is_some()),
        (Method::PATCH, item.patch.is_some()),
        (Method::OPTIONS, item.options.is_some()),
    ];
    all.into_iter().filter(|(_, there)| *there).map(|(method, _)| method).collect()
}
