//! Routes that the contract names and this build does not have: each answers 501 `NOT_BUILT`.

use crate::Problem;

/// Stops automatic promotion, clean-up and others' promotions of a job.
#[utoipa::path(post, path = "/v1/jobs/{job}/freeze", tag = "jobs", params(("job" = String, Path)),
    responses((status = 501, description = "not built yet", body = Problem)))]
pub(super) async fn freeze() -> Problem {
    Problem::not_built("freezing a job")
}
