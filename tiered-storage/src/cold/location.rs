//! Where a cold tier lies, as an operator says it: a URL, and for S3 how to reach the bucket.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use url::Url;

use super::store::ColdStore;
use crate::LogError;

/// Where the cold tier lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColdLocation {
    /// `file:` and a folder, or `s3://bucket/prefix`.
    pub url: String,
    /// The URL of an S3 server other than AWS's.
    pub endpoint: Option<String>,
    /// The S3 region; `None` takes `AWS_REGION` or `us-east-1`.
    pub region: Option<String>,
    /// The bucket is in the path of a request, not in its host name.
    pub path_style: bool,
    /// Talk to an endpoint on another machine without TLS.
    pub allow_http: bool,
    /// Keys to use instead of those that the environment has; for programs that hold several.
    pub keys: Option<BucketKeys>,
}

/// The keys to a bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketKeys {
    /// The access key's id.
    pub id: String,
    /// The secret.
    pub secret: String,
}

impl std::fmt::Debug for BucketKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketKeys").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The kinds of places.
pub(super) enum Place {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A bucket, and the URL of the folder in it.
    Bucket { bucket: String, url: Url },
}

impl From<&str> for ColdLocation {
    fn from(url: &str) -> Self {
        let url = url.to_owned();
        ColdLocation { url, endpoint: None, region: None, path_style: true, allow_http: false, keys: None }
    }
}

impl From<&String> for ColdLocation {
    fn from(url: &String) -> Self {
        ColdLocation::from(url.as_str())
    }
}

impl ColdLocation {
    /// Refuses what no cold tier can lie at, without touching anything.
    pub fn check(&self) -> Result<(), LogError> {
        self.place()?;
        self.check_endpoint()
    }

    /// The store at this place, for what is no topic and lies beside the cold tier: the catalog's copy. A folder is made if need be;
    /// nothing is sent to a bucket yet.
    pub fn open(&self) -> Result<Arc<dyn ObjectStore>, LogError> {
        Ok(ColdStore::open(self)?.objects())
    }

    /// What the URL names.
    pub(super) fn place(&self) -> Result<Place, LogError> {
        if let Some(path) = self.url.strip_prefix("file://").or_else(|| self.url.strip_prefix("file:")) {
            return Ok(Place::Folder(path.into()));
        }
        let refused = |why: &str| LogError::Invalid(format!("the URL `{}` {why}", self.url));
        if !self.url.starts_with("s3://") {
            return Err(refused("is not supported: use `file:` and a folder's path, or `s3://bucket/prefix`"));
        }
        let mut url = Url::parse(&self.url).map_err(|e| refused(&format!("is no URL: {e}")))?;
        let bucket = url.host_str().filter(|bucket| !bucket.is_empty());
        let bucket = bucket.ok_or_else(|| refused("names no bucket: write `s3://bucket/prefix`"))?.to_owned();
        if url.query().is_some() || url.fragment().is_some() || url.port().is_some() || !url.username().is_empty() {
            return Err(refused("says more than `s3://bucket/prefix`; the server's address is `endpoint`"));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Place::Bucket { bucket, url })
    }

    /// Refuses an endpoint to which events would go in the clear over a network, unless that was said aloud.
    fn check_endpoint(&self) -> Result<(), LogError> {
        let Some(endpoint) = &self.endpoint else { return Ok(()) };
        let refused = |why: &str| LogError::Invalid(format!("the endpoint `{endpoint}` {why}"));
        let url = Url::parse(endpoint).map_err(|e| refused(&format!("is no URL: {e}")))?;
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.allow_http || is_loopback(&url) => Ok(()),
            "http" => {
                Err(refused("has no TLS and is on another machine: use https, or say `allow_http = true` in `[cold]`"))
            }
            _ => Err(refused("is neither http nor https")),
        }
    }

    /// True when requests may go without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http:"))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(location: &ColdLocation) -> String {
        location.check().unwrap_err().to_string()
    }

    #[test]
    fn a_bucket_is_named_with_or_without_a_folder() {
        for (text, folder) in
            [("s3://lake", "s3://lake/"), ("s3://lake/a/b", "s3://lake/a/b/"), ("s3://lake/a/", "s3://lake/a/")]
        {
            let Place::Bucket { bucket, url } = ColdLocation::from(text).place().unwrap() else { panic!("{text}") };
            assert_eq!((bucket.as_str(), url.as_str()), ("lake", folder));
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_to_write() {
        for (url, why) in [
            ("gs://lake", "use `file:`"),
            ("s3:///a", "names no bucket"),
            ("s3://lake/a?x=1", "says more than"),
            ("lake", "use `file:`"),
        ] {
            let said = refused(&ColdLocation::from(url));
            assert!(said.contains(why) && said.contains(url), "{said}");
        }
    }

    #[test]
    fn an_endpoint_without_tls_is_for_this_machine_or_said_aloud() {
        let at = |endpoint: &str| ColdLocation { endpoint: Some(endpoint.into()), ..ColdLocation::from("s3://lake") };
        at("https://s3.example.com").check().unwrap();
        at("http://127.0.0.1:9000").check().unwrap();
        at("http://localhost:9000").check().unwrap();
        assert!(refused(&at("http://s3.example.com")).contains("allow_http"));
        assert!(refused(&at("s3.example.com")).contains("is no URL"));
        ColdLocation { allow_http: true, ..at("http://s3.example.com") }.check().unwrap();
    }
}
