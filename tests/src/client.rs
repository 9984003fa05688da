//! Rekap's REST API as a client sees it.

use std::fmt;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

/// What newline-delimited JSON is sent as.
pub const NDJSON: &str = "application/x-ndjson";

/// What one event or an array, and every command, is sent as.
const JSON: &str = "application/json";

/// A connection to a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    root: Url,
}

/// No answer came: whether the request took effect is unknown.
#[derive(Debug)]
pub struct Unreachable(reqwest::Error);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer: {:?}", self.0)
    }
}

/// A request that is being put together.
#[derive(Debug)]
pub struct Request(reqwest::RequestBuilder);

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    asked: String,
}

impl Client {
    /// A client of the server at `root`, for example `http://127.0.0.1:7480`.
    pub fn new(root: &str) -> Self {
        Client { http: reqwest::Client::new(), root: root.parse().expect("a server's address is a URL") }
    }

    /// A client of a server whose certificate is this one, or signed by it.
    pub fn trusting(root: &str, pem: &str) -> Self {
        let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).expect("a certificate");
        let http = reqwest::Client::builder().add_root_certificate(certificate).build().expect("a client");
        Client { http, ..Client::new(root) }
    }

    /// The same server, asked by whoever has this token.
    pub fn with_token(&self, token: &str) -> Self {
        let mut said = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header's value");
        said.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, said)]);
        let http = reqwest::Client::builder().default_headers(headers).build().expect("a client");
        Client { http, root: self.root.clone() }
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        self.root.as_str().trim_end_matches('/')
    }

    /// A request for `path`, which is below `/v1` unless it starts with a slash.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/v1/{path}") };
        Request(self.http.request(method, self.root.join(&path).expect("a path")))
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).answer().await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path).answer().await
    }

    /// `PUT` of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::PUT, path).json(body).answer().await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::POST, path).json(body).answer().await
    }

    /// `POST` of bytes as they are.
    pub async fn post_bytes(&self, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.request(Method::POST, path).body(content_type, body).answer().await
    }
}

impl Request {
    /// Sends JSON.
    pub fn json(self, body: &Value) -> Self {
        self.body(JSON, body.to_string())
    }

    /// Sends these bytes.
    pub fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Request(self.0.header(CONTENT_TYPE, content_type).body(body.into()))
    }

    /// Adds a header.
    pub fn header(self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header's value");
        Request(self.0.header(HeaderName::from_static(name), value))
    }

    /// The answer; fails the test when none comes.
    pub async fn answer(self) -> Answer {
        self.try_answer().await.unwrap_or_else(|e| panic!("{e}"))
    }

    /// The answer, where the server may be killed before it comes.
    pub async fn try_answer(self) -> Result<Answer, Unreachable> {
        let (http, request) = self.0.build_split();
        let request = request.map_err(Unreachable)?;
        let asked = format!("{} {}", request.method(), request.url());
        let response = http.execute(request).await.map_err(Unreachable)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.map_err(Unreachable)?.to_vec();
        Ok(Answer { status, headers, body, asked })
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{self}\nis not JSON: {e}"))
    }

    /// The body of a success; fails the test on any rejection, showing it.
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The body of exactly this status.
    pub fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Checks that this is a rejection as the contract words them, with this status and code, and gives it.
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let problem = self.problem(status);
        assert_eq!(problem["code"], code, "{self}");
        problem
    }

    /// Checks that this is a rejection as the contract words them, whatever its code, and gives it.
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self}");
        let problem = self.json();
        for field in ["type", "code", "title", "detail", "remedy"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "no `{field}` in {self}");
        }
        problem
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("headers are ASCII"))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {}: {}", self.asked, self.status, String::from_utf8_lossy(&self.body))
    }
}
