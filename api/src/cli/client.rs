//! The REST client of the command line: JSON in, JSON out, a rejection as a [`Failure`].

use std::path::Path;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Map, Value};

use super::failure::Failure;
use crate::Problem;

/// One server, as one user.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Client {
    /// A client of the server at `url`.
    pub(crate) fn new(url: &str, token: Option<String>) -> Self {
        // Without roots of its own a client can always be made.
        let http = named().build().unwrap_or_default();
        Client { http, url: url.trim_end_matches('/').to_owned(), token }
    }

    /// The same, which also trusts the certificates in that file, beside those that the machine trusts.
    pub(crate) fn trusting(url: &str, token: Option<String>, ca: Option<&Path>) -> Result<Self, Failure> {
        let Some(ca) = ca else { return Ok(Client::new(url, token)) };
        let unusable = |reason: String| Failure::Usage(format!("--ca {}: {reason}", ca.display()));
        let pem = std::fs::read(ca).map_err(|e| unusable(e.to_string()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| unusable(e.to_string()))?;
        if certificates.is_empty() {
            return Err(unusable("there is no certificate in it".into()));
        }
        let builder = certificates.into_iter().fold(named(), reqwest::ClientBuilder::add_root_certificate);
        let http = builder.build().map_err(|e| unusable(e.to_string()))?;
        Ok(Client { http, ..Client::new(url, token) })
    }

    /// The server's URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A request to `path`, which starts with a slash.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request; a rejection is a failure.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.map_err(|e| self.unreachable(&e))?;
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => problem.into(),
            Err(_) => Failure::Failed(format!(
                "{} answered {status} and no problem+json: is that a rekap server?\n{}",
                self.url,
                String::from_utf8_lossy(&body)
            )),
        })
    }

    /// Sends a request and reads the JSON that it is answered with; nothing at all reads as null.
    pub(crate) async fn json(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let body = self.send(request).await?.bytes().await.map_err(|e| self.unreachable(&e))?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|e| Failure::Failed(format!("{} answered no JSON: {e}", self.url)))
    }

    /// Sends a request and takes the answer as text.
    pub(crate) async fn text(&self, request: RequestBuilder) -> Result<String, Failure> {
        self.send(request).await?.text().await.map_err(|e| self.unreachable(&e))
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(self.request(Method::GET, path)).await
    }

    /// `POST path` with a JSON body. It carries a fresh `Idempotency-Key`, so a retry below us does nothing twice.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.request(Method::POST, path).header("Idempotency-Key", uuid::Uuid::new_v4().to_string());
        self.json(request.json(body)).await
    }

    /// `PUT path` with a JSON body.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json(self.request(Method::PUT, path).json(body)).await
    }

    /// `DELETE path`.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.json(self.request(Method::DELETE, path)).await
    }

    /// No answer came, or it broke off.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if error.is_builder() {
            return Failure::Usage(format!("`{}` is no URL of a server as http://127.0.0.1:7480", self.url));
        }
        let mut reason: &dyn std::error::Error = error;
        while let Some(deeper) = reason.source() {
            reason = deeper;
        }
        Failure::Unreachable { url: self.url.clone(), reason: reason.to_string(), sent: !error.is_connect() }
    }
}

/// A client that says who it is: plans tell who reads a table.
fn named() -> reqwest::ClientBuilder {
    reqwest::Client::builder().user_agent(concat!("rekap/", env!("CARGO_PKG_VERSION")))
}

/// A JSON object of the given fields, those that are null left out.
pub(crate) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let said = fields.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(said.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}
