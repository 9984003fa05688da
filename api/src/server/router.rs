//! Every route. Router and OpenAPI document come from the same declarations, so neither can know a route that the other does not.

use axum::routing::get;
use axum::{Json, Router, middleware};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{App, health, not_built};
use crate::problem::layer::problems_only;

/// The frame of the document; the paths come from the routes.
#[derive(OpenApi)]
#[openapi(info(
    title = "rekap",
    description = "Kappa for teams: replay history through new code, prove it, swap it in."
))]
struct Document;

/// The routes and their document.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(not_built::freeze))
}

/// The whole service: routes, document, and one form for every rejection.
pub(super) fn router(app: App) -> Router {
    let (router, document) = routes().split_for_parts();
    router
        .route("/openapi.json", get(move || async move { Json(document) }))
        .layer(middleware::from_fn(problems_only))
        .with_state(app)
}
