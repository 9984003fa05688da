//! The console: pages for people at the server's root, served from the binary.
//!
//! It owns the page's frame ([`shell`]), the files that it loads ([`files`]) and the headers under which browsers run them
//! ([`headers`]). The pages themselves are written by hand in `api/console`: HTML, CSS and small JavaScript modules without a build
//! step. They know nothing but the public REST API, so whatever the console shows or does, a script can do too; nothing of it is in
//! the API's document. There is no state here and nothing to recover: a page that loses its server says so and asks again.

mod files;
mod headers;
mod shell;
#[cfg(test)]
mod tests;

use axum::routing::get;
use axum::{Router, middleware};

/// The paths that all answer with the one page; its script shows what the path names.
const PAGES: [&str; 8] =
    ["/", "/jobs/{job}", "/topics/{topic}", "/tables/{table}", "/sql", "/history", "/deploy", "/runbooks/{page}"];

/// The console's routes.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let pages = PAGES.into_iter().fold(Router::new(), |router, path| router.route(path, get(shell::page)));
    pages.route("/console/{build}/{*file}", get(files::file)).layer(middleware::map_response(headers::strict))
}
