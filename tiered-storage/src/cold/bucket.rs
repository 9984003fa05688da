//! A bucket of an S3-compatible server: how it is reached, how long requests may take, and how often they are tried again.
//!
//! Every write that may not replace anything carries `If-None-Match: *`, so the server must honour it; `rekap doctor` checks that.
//! Requests are tried again after 5xx, 429 and lost connections. A create that is tried again may meet its own success: whoever
//! creates must look (see `store.rs` for data files, `commit.rs` for log entries).

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use url::Url;

use super::ColdLocation;
use super::credentials::ProfileCredentials;
use crate::LogError;

/// The most time for one request with its body. The largest is a part of an upload of 16 MiB, or a column of a row group.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The most time until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a request is tried again, and for how long in all: then the caller hears of it, tells the operator, and goes on trying.
const RETRIES: usize = 8;
const RETRY_TIMEOUT: Duration = Duration::from_secs(40);

/// Waits between two tries: random, from the first value towards the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The bucket that a location names. Nothing is sent yet.
pub(super) fn open(bucket: &str, location: &ColdLocation) -> Result<AmazonS3, LogError> {
    location.check()?;
    let options = ClientOptions::new()
        .with_timeout(REQUEST_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_allow_http(location.is_plain());
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_client_options(options)
        .with_retry(retries())
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_virtual_hosted_style_request(!location.path_style);
    if let Some(region) = &location.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &location.endpoint {
        builder = builder.with_endpoint(host_of(bucket, endpoint, location.path_style));
    }
    if let Some(keys) = &location.keys {
        builder = builder.with_access_key_id(&keys.id).with_secret_access_key(&keys.secret);
    } else if let Some(credentials) = ProfileCredentials::find()? {
        builder = builder.with_credentials(Arc::new(credentials));
    }
    builder.build().map_err(|e| LogError::store(format!("opening the bucket `{bucket}`"), e))
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: BACKOFF.0, max_backoff: BACKOFF.1, base: 2.0 };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT }
}

/// The endpoint as the client wants it: with the bucket in the host name, unless it goes into the path.
fn host_of(bucket: &str, endpoint: &str, path_style: bool) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    match Url::parse(endpoint) {
        Ok(mut url) if !path_style => {
            let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
            match url.set_host(Some(&host)) {
                Ok(()) => url.as_str().trim_end_matches('/').to_owned(),
                Err(_) => endpoint.to_owned(),
            }
        }
        _ => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_is_in_the_path_or_in_the_host() {
        assert_eq!(host_of("lake", "http://127.0.0.1:9000/", true), "http://127.0.0.1:9000");
        assert_eq!(host_of("lake", "https://s3.example.com:9000", false), "https://lake.s3.example.com:9000");
    }
}
