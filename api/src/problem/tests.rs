//! The layer, in front of a router that fails in every way a framework can.

use axum::routing::{get, post};
use axum::{Router, middleware};
use reqwest::{Method, Response};
use tokio::net::TcpListener;

use super::*;

async fn breaks() -> &'static str {
    panic!("a bug")
}

/// The address of a server with a few routes behind the layer.
async fn server() -> String {
    let router = Router::new()
        .route("/there", get(|| async { "here" }))
        .route("/number/{n}", get(|_: axum::extract::Path<u32>| async { "a number" }))
        .route("/breaks", post(breaks))
        .layer(middleware::from_fn(layer::problems_only));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn ask(method: Method, path: &str) -> Response {
    reqwest::Client::new().request(method, server().await + path).send().await.unwrap()
}

async fn refused(method: Method, path: &str) -> Problem {
    let response = ask(method, path).await;
    let status = response.status();
    assert_eq!(response.headers()["content-type"], PROBLEM_JSON);
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status.as_u16());
    problem
}

#[tokio::test]
async fn a_path_that_is_no_route_is_a_problem() {
    let problem = refused(Method::GET, "/nowhere").await;
    assert_eq!((problem.status, problem.code.as_str()), (404, "NO_SUCH_ROUTE"));
    assert!(problem.detail.contains("GET /nowhere"), "{problem}");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_a_problem_that_keeps_the_allowed_ones() {
    assert_eq!(refused(Method::DELETE, "/there").await.code, "METHOD_NOT_ALLOWED");
    assert_eq!(ask(Method::DELETE, "/there").await.headers()["allow"], "GET,HEAD");
}

#[tokio::test]
async fn a_path_that_does_not_parse_is_a_problem_that_says_why() {
    let problem = refused(Method::GET, "/number/x").await;
    assert!(problem.status == 400 && problem.detail.contains('x'), "{problem}");
}

#[tokio::test]
async fn a_panic_is_a_problem_and_does_not_tell_of_the_inside() {
    let problem = refused(Method::POST, "/breaks").await;
    assert_eq!((problem.status, problem.code.as_str()), (500, "INTERNAL"));
    assert!(!problem.to_string().contains("a bug"), "{problem}");
}

#[tokio::test]
async fn an_answer_passes_as_it_is() {
    assert_eq!(ask(Method::GET, "/there").await.text().await.unwrap(), "here");
}

#[test]
fn a_problem_names_its_page_and_reads_back_with_its_facts() {
    let problem = Problem::unprocessable("NOT_READY", "it is not", "wait").with("index", 3);
    assert_eq!((problem.page.as_str(), problem.title.as_str()), ("/docs/runbooks/not-ready.md", "Not ready"));
    let json = serde_json::to_string(&problem).unwrap();
    assert_eq!(serde_json::from_str::<Problem>(&json).unwrap(), problem);
}
