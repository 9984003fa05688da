//! Credentials from the files that AWS's own tools write, for machines where no variable holds them.
//!
//! Variables come first, as everywhere: keys, a web identity, a container's role. Without any of them the profile `AWS_PROFILE`
//! (or `default`) of `AWS_SHARED_CREDENTIALS_FILE` (or `~/.aws/credentials`) is used, and without that the instance's role. The file is read
//! again every minute, so that keys can be changed under a running server.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::time::Instant;

use crate::LogError;

/// How long keys are used until the file is looked at again.
const READ_EVERY: Duration = Duration::from_secs(60);

/// Variables that say where credentials come from; any of them goes before a file.
const OTHER_SOURCES: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// The keys of one profile of a file.
#[derive(Debug)]
pub(super) struct ProfileCredentials {
    file: PathBuf,
    profile: String,
    read: Mutex<Option<(Instant, Arc<AwsCredential>)>>,
}

impl ProfileCredentials {
    /// The profile to use; `None` where variables hold credentials, or there is no file. A profile that was named must be there.
    pub(super) fn find() -> Result<Option<Self>, LogError> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if OTHER_SOURCES.iter().any(|name| set(name).is_some()) {
            return Ok(None);
        }
        let named = set("AWS_PROFILE");
        let home = || Some(Path::new(&set("HOME")?).join(".aws/credentials"));
        let Some(file) = set("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or_else(home) else { return Ok(None) };
        if !file.exists() && named.is_none() {
            return Ok(None);
        }
        let profile = named.clone().unwrap_or_else(|| "default".into());
        let found = ProfileCredentials { file, profile, read: Mutex::default() };
        match found.load() {
            Ok(_) => Ok(Some(found)),
            Err(_) if named.is_none() => Ok(None),
            Err(reason) => Err(LogError::Invalid(reason)),
        }
    }

    fn load(&self) -> Result<AwsCredential, String> {
        let text = std::fs::read_to_string(&self.file).map_err(|e| format!("{}: {e}", self.file.display()))?;
        parse(&text, &self.profile).ok_or_else(|| {
            format!(
                "{} has no keys for the profile `{}`; set AWS_PROFILE to one that it has",
                self.file.display(),
                self.profile
            )
        })
    }
}

#[async_trait]
impl CredentialProvider for ProfileCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut read = self.read.lock().expect("no holder panics");
        if let Some((at, keys)) = &*read
            && at.elapsed() < READ_EVERY
        {
            return Ok(keys.clone());
        }
        let failed = |reason: String| object_store::Error::Generic { store: "S3", source: reason.into() };
        let keys = Arc::new(self.load().map_err(failed)?);
        *read = Some((Instant::now(), keys.clone()));
        Ok(keys)
    }
}

/// The keys of a profile in the text of a credentials file.
fn parse(text: &str, profile: &str) -> Option<AwsCredential> {
    let mut within = false;
    let (mut key_id, mut secret_key, mut token) = (None, None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            within = name.trim().trim_start_matches("profile ").trim() == profile;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| within) {
            let value = Some(value.trim().to_owned());
            match name.trim() {
                "aws_access_key_id" => key_id = value,
                "aws_secret_access_key" => secret_key = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(AwsCredential { key_id: key_id?, secret_key: secret_key?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[default]\naws_access_key_id = A\naws_secret_access_key=a=b\n# a comment\n\n\
                        [other]\naws_access_key_id=B\naws_secret_access_key=b\naws_session_token = t\n[half]\naws_access_key_id=C\n";

    #[test]
    fn a_profile_has_its_own_keys() {
        let keys = |profile| parse(FILE, profile).map(|keys| (keys.key_id, keys.secret_key, keys.token));
        assert_eq!(keys("default"), Some(("A".into(), "a=b".into(), None)));
        assert_eq!(keys("other"), Some(("B".into(), "b".into(), Some("t".into()))));
        assert_eq!(keys("half"), None);
        assert_eq!(keys("absent"), None);
    }
}
