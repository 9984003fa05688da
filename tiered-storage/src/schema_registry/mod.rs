//! The client of a schema registry: writers' schemas by id, and a subject's latest schema when a topic is made.
//!
//! ```text
//! ids ──► memory ──► a file per id below the data folder ──► GET /schemas/ids/{id}
//! ```
//! A schema never changes under its id, so what was asked once is never asked again, and a replay works while the registry is away. A
//! registry that does not answer is no reason to set records aside: whoever needs it waits, is told why, and tries again. Only its own word
//! that there is no such schema counts as that. A process that dies here asks again.

mod answer;
mod kept;
mod pause;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::{Client, StatusCode};
use tokio::time::Instant;
use url::Url;

use crate::{LogError, WriterSchema, WriterSchemas};
use answer::{Answered, Reference, Registered};
use kept::Kept;
use pause::Pause;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// Waits before each further try of a request that failed, or that did not find a schema: a registry of several nodes may be a little
/// behind the producer.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(600)];

/// Requests at a time, when records name many schemas that are not known yet.
const AT_ONCE: usize = 8;

/// The largest answer: schemas have kilobytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// How many schemas one may refer to, all levels together.
const MAX_REFERENCES: usize = 200;

/// Where a registry is, and how to be let in.
#[derive(Clone, Default)]
pub struct RegistrySettings {
    /// Its URL.
    pub url: String,
    /// The user of basic authentication.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// A bearer token, instead of a user.
    pub token: Option<String>,
    /// The folder in which schemas are kept.
    pub folder: PathBuf,
}

impl fmt::Debug for RegistrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistrySettings").field("url", &self.url).field("user", &self.user).finish_non_exhaustive()
    }
}

/// The schemas of a registry, or the want of one.
#[derive(Debug)]
pub struct SchemaRegistry(Option<Remote>);

#[derive(Debug)]
struct Remote {
    settings: RegistrySettings,
    url: Url,
    http: Client,
    kept: Kept,
    pause: Mutex<Pause>,
}

impl SchemaRegistry {
    /// No registry: whoever needs one is told how to name it.
    pub fn none() -> Self {
        SchemaRegistry(None)
    }

    /// The registry at that URL. Nothing is asked of it yet.
    pub fn open(settings: RegistrySettings) -> Result<Self, LogError> {
        let url = Url::parse(&settings.url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        let url = url.ok_or_else(|| {
            LogError::Invalid(format!("`{}` is no URL of a schema registry, as http://host:8081 is", settings.url))
        })?;
        let http = Client::builder().timeout(PATIENCE).connect_timeout(CONNECT_PATIENCE).user_agent("rekap").build();
        let http = http.map_err(|e| LogError::store("making the client of the schema registry", e))?;
        let kept = Kept::open(&settings.folder, &settings.url)?;
        Ok(SchemaRegistry(Some(Remote { settings, url, http, kept, pause: Mutex::default() })))
    }

    /// The schemas of these ids. [`LogError::Registry`] when one is not known and the registry does not answer.
    pub async fn writers(&self, ids: BTreeSet<u32>) -> Result<WriterSchemas, LogError> {
        let mut writers = WriterSchemas::default();
        if ids.is_empty() {
            return Ok(writers);
        }
        let remote = self.remote()?;
        let asked = ids.into_iter().map(|id| async move { Ok::<_, LogError>((id, remote.schema(id).await?)) });
        let mut answers = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((id, schema)) = answers.try_next().await? {
            writers.insert(id, schema);
        }
        Ok(writers)
    }

    /// The latest schema of a subject; `None` when there is no such subject.
    pub async fn latest(&self, subject: &str) -> Result<Option<WriterSchema>, LogError> {
        let remote = self.remote()?;
        match remote.ask(&["subjects", subject, "versions", "latest"], None).await? {
            Answered::Absent => Ok(None),
            Answered::Foreign(kind) => {
                Err(remote.refused(&format!("`{subject}` is of the type `{kind}`, which is not known here")))
            }
            Answered::Found(found) => match remote.whole(found).await? {
                Ok(whole) => Ok(Some(whole)),
                Err(missing) => Err(remote.refused(&missing)),
            },
        }
    }

    fn remote(&self) -> Result<&Remote, LogError> {
        let missing =
            || LogError::Registry("none is configured; set `url` in `[schema_registry]` of rekap.toml".into());
        self.0.as_ref().ok_or_else(missing)
    }
}

impl Remote {
    /// The schema of an id; `None` when the registry has none, or none that can be put together: its records cannot be read, however often
    /// one asks.
    async fn schema(&self, id: u32) -> Result<Option<Arc<WriterSchema>>, LogError> {
        if let Some(known) = self.kept.get(id) {
            return Ok(known);
        }
        let number = id.to_string();
        let mut waits = AGAIN_AFTER.iter();
        loop {
            let answer = match self.ask(&["schemas", "ids", &number], None).await {
                // Its word of then will do: a replay must not depend on whether the registry is there.
                Err(_) if self.kept.was_absent(id) => return Ok(None),
                answer => answer?,
            };
            let missing = match answer {
                Answered::Found(found) => match self.whole(found).await? {
                    Ok(whole) => return Ok(Some(self.kept.put(id, whole))),
                    Err(missing) => missing,
                },
                Answered::Foreign(kind) => format!("it is of the type `{kind}`, which is not known here"),
                Answered::Absent => "it is not there".to_owned(),
            };
            match waits.next() {
                Some(wait) => tokio::time::sleep(*wait).await,
                None => {
                    tracing::debug!(id, missing, "the registry's schema is of no use");
                    self.kept.put_absent(id);
                    return Ok(None);
                }
            }
        }
    }

    /// A schema with all that it refers to, or what of that is missing.
    async fn whole(&self, found: Registered) -> Result<Result<WriterSchema, String>, LogError> {
        let mut references = BTreeMap::new();
        let mut left: Vec<Reference> = found.references;
        while let Some(Reference { name, subject, version }) = left.pop() {
            if references.contains_key(&name) {
                continue;
            }
            if references.len() == MAX_REFERENCES {
                return Ok(Err(format!("a schema refers to more than {MAX_REFERENCES} others")));
            }
            // Records outlive subjects: one that was deleted softly is there for those who still refer to it.
            match self.ask(&["subjects", &subject, "versions", &version.to_string()], Some("deleted=true")).await? {
                Answered::Found(found) => {
                    left.extend(found.references);
                    references.insert(name, found.schema);
                }
                Answered::Absent | Answered::Foreign(_) => {
                    return Ok(Err(format!(
                        "a schema refers to version {version} of subject `{subject}`, which is not there"
                    )));
                }
            }
        }
        Ok(Ok(WriterSchema { format: found.format, schema: found.schema, references }))
    }

    /// Asks, some times if need be; then leaves the registry alone for a while.
    async fn ask(&self, path: &[&str], query: Option<&str>) -> Result<Answered, LogError> {
        if let Some(reason) = self.pause.lock().expect("no holder panics").reason(Instant::now()) {
            return Err(self.refused(&reason));
        }
        let mut waits = AGAIN_AFTER.iter();
        loop {
            let failure = match self.ask_once(path, query).await {
                Ok(outcome) => {
                    self.pause.lock().expect("no holder panics").end();
                    return Ok(outcome);
                }
                Err(failure) => failure,
            };
            match waits.next().filter(|_| failure.passes) {
                Some(wait) => tokio::time::sleep(*wait).await,
                None => {
                    self.pause.lock().expect("no holder panics").begin(Instant::now(), failure.detail.clone());
                    return Err(self.refused(&failure.detail));
                }
            }
        }
    }

    async fn ask_once(&self, path: &[&str], query: Option<&str>) -> Result<Answered, Failure> {
        let mut url = self.url.clone();
        url.path_segments_mut().expect("http URLs have paths").pop_if_empty().extend(path);
        url.set_query(query);
        let mut request = self.http.get(url.clone());
        if let Some(token) = &self.settings.token {
            request = request.bearer_auth(token);
        } else if let Some(user) = &self.settings.user {
            request = request.basic_auth(user, self.settings.password.as_deref());
        }
        let mut response = request.send().await.map_err(|e| Failure::passing(causes(&e)))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| Failure::passing(causes(&e)))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                return Err(Failure::lasting(format!(
                    "an answer of more than {MAX_ANSWER_BYTES} bytes to GET {}",
                    url.path()
                )));
            }
        }
        match Answered::of(status.as_u16(), &body) {
            Ok(answered) => Ok(answered),
            Err(detail) => {
                let detail = format!("GET {} was answered with {detail}", url.path());
                let passes = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                Err(Failure { detail, passes })
            }
        }
    }

    fn refused(&self, detail: &str) -> LogError {
        LogError::Registry(format!("{}: {detail}", self.url.host_str().unwrap_or_default()))
    }
}

/// A request that was not answered as it should be.
struct Failure {
    detail: String,
    /// Whether asking again at once may help.
    passes: bool,
}

impl Failure {
    fn passing(detail: String) -> Self {
        Failure { detail, passes: true }
    }

    fn lasting(detail: String) -> Self {
        Failure { detail, passes: false }
    }
}

/// An error with what caused it.
fn causes(error: &reqwest::Error) -> String {
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
