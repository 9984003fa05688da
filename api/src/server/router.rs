//! Every route. Router and OpenAPI document come from the same declarations, so neither can know a route that the other does not.

use axum::{Json, Router, middleware};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Described;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Access, access};
use super::describe::described;
use super::guard::{Guard, guard};
use super::limits::{self, Crowd};
use super::{
    App, actions, groups, health, history, jobs, metrics, notifications, once, records, runbooks, schedules, sessions,
    sql, tables, tokens, topics, trace, versions,
};
use crate::problem::layer::problems_only;
use crate::{Server, console};

/// The frame of the document; the paths come from the routes.
#[derive(OpenApi)]
#[openapi(info(
    title = "rekap",
    description = "Kappa for teams: replay history through new code, prove it, swap it in, and swap it back if it was wrong. \
        Every rejection is RFC 9457 `application/problem+json`."
))]
struct Document;

/// The routes and their document.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(topics::list_topics))
        .routes(routes!(topics::put_topic, topics::get_topic, topics::delete_topic))
        .routes(routes!(topics::mirror_topic))
        .routes(routes!(topics::schemas))
        .routes(routes!(records::append, records::read))
        .routes(routes!(jobs::list_jobs))
        .routes(routes!(jobs::get_job, jobs::delete_job))
        .routes(routes!(jobs::plan))
        .routes(routes!(versions::list_versions, jobs::deploy))
        .routes(routes!(jobs::rollback))
        .routes(routes!(jobs::freeze))
        .routes(routes!(jobs::rollback_window))
        .routes(routes!(schedules::drilled, schedules::drill))
        .routes(routes!(schedules::list_schedules))
        .routes(routes!(schedules::run_schedule))
        .routes(routes!(groups::get_group))
        .routes(routes!(groups::promote_group))
        .routes(routes!(groups::roll_back_group))
        .routes(routes!(versions::get_version))
        .routes(routes!(versions::spec))
        .routes(routes!(versions::replay))
        .routes(routes!(versions::verify))
        .routes(routes!(versions::verification))
        .routes(routes!(versions::promote))
        .routes(routes!(versions::abort))
        .routes(routes!(versions::pause))
        .routes(routes!(versions::resume))
        .routes(routes!(versions::retire))
        .routes(routes!(versions::dead_letters))
        .routes(routes!(actions::actions))
        .routes(routes!(history::history))
        .routes(routes!(history::events))
        .routes(routes!(history::audit))
        .routes(routes!(history::audit_verify))
        .routes(routes!(notifications::list_notifications))
        .routes(routes!(tables::get_table))
        .routes(routes!(tables::rows))
        .routes(routes!(sql::sql))
        .routes(routes!(tokens::create_token, tokens::list_tokens))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(sessions::whoami, sessions::login, sessions::logout))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(runbooks::runbook))
        .routes(routes!(openapi))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "server", responses((status = 200, description = "the routes, as they are", body = Object)))]
async fn openapi() -> Json<Described> {
    Json(described(routes().into_openapi()))
}

/// What stands in front of every route, the outermost first.
pub(super) struct Front {
    guard: Guard,
    crowd: Crowd,
    access: Access,
}

impl Front {
    /// As the server is told.
    pub(super) fn of(app: &App, server: &Server) -> Self {
        let access = Access::of(app.clone(), server, &routes().into_openapi());
        Front { guard: Guard::of(server), crowd: Crowd::of(&server.limits), access }
    }
}

/// The whole service: routes, the console beside them, all that stands in front, counts, and one form for every rejection.
pub(super) fn router(app: App, front: &Front) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .merge(console::routes())
        .layer(middleware::from_fn_with_state(app.clone(), once::once))
        .layer(middleware::from_fn(problems_only))
        .layer(middleware::from_fn_with_state(front.access.clone(), access))
        .layer(middleware::from_fn_with_state(front.crowd.clone(), limits::admit))
        .layer(middleware::from_fn_with_state(front.guard.clone(), guard))
        .layer(middleware::from_fn_with_state(app.clone(), metrics::count))
        .layer(middleware::from_fn(trace::traced))
        .with_state(app)
}
