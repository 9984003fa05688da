//! The console's answers, without a browser.

use axum::Router;
use tokio::net::TcpListener;

use super::*;

async fn server() -> String {
    let router: Router = routes();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// The addresses in a page's `href="…"` and `src="…"`.
fn addresses(html: &str) -> Vec<String> {
    let after = ["href=\"", "src=\""].into_iter().flat_map(|name| html.split(name).skip(1));
    after
        .filter_map(|rest| rest.split('"').next())
        .filter(|to| to.starts_with("/console/"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_page_is_the_frame_and_every_file_that_it_names_is_there() {
    let url = server().await;
    let html = reqwest::get(format!("{url}/jobs/bpi")).await.unwrap().text().await.unwrap();
    assert_eq!(html, reqwest::get(&url).await.unwrap().text().await.unwrap());
    let files = addresses(&html);
    assert!(files.iter().any(|file| file.ends_with("/main.js")), "{files:?}");
    for file in files {
        let answer = reqwest::get(format!("{url}{file}")).await.unwrap();
        assert_eq!(answer.status(), 200, "{file}");
        assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"), "{file}");
    }
}

#[tokio::test]
async fn a_browser_that_has_the_page_is_told_so() {
    let url = server().await;
    let first = reqwest::get(&url).await.unwrap();
    let again =
        reqwest::Client::new().get(&url).header("if-none-match", &first.headers()["etag"]).send().await.unwrap();
    assert_eq!(again.status(), 304);
}

#[tokio::test]
async fn the_page_runs_nothing_that_is_written_into_it() {
    let answer = reqwest::get(server().await).await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = answer.text().await.unwrap();
    assert!(!html.contains("style=\"") && !html.contains("<style") && !html.contains(" on"), "{html}");
    assert!(html.split("<script").skip(1).all(|script| script.contains("src=\"/console/")), "{html}");
}

#[tokio::test]
async fn a_file_of_another_build_is_not_served_under_its_name() {
    let answer = reqwest::get(format!("{}/console/000000000000/main.js", server().await)).await.unwrap();
    assert_eq!(answer.status(), 404);
}
