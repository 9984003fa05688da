//! From a file and the environment to a [`Config`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, TlsFiles};

/// Variables of this prefix override the file: `REKAP__LOG__KIND` is `kind` of `[log]`.
const PREFIX: &str = "REKAP__";

/// The file that is read when none is named; it may be absent.
const DEFAULT_FILE: &str = "rekap.toml";

/// A configuration that no server can be started with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that is no configuration.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// A variable says something that is no configuration.
    #[error("the variables {variables} do not fit: {reason}")]
    InvalidVariables {
        /// The variables that were applied.
        variables: String,
        /// What is wrong.
        reason: String,
    },
    /// Listening beyond loopback without protection.
    #[error(
        "server.listen = \"{0}\" is reachable from other machines: give it a certificate ([server.tls] with cert and key) and do not \
         turn tokens off, listen on 127.0.0.1, or say --insecure"
    )]
    OpenServer(SocketAddr),
    /// A schedule that cannot be kept.
    #[error(transparent)]
    InvalidSchedule(#[from] rekap_orchestrator::InvalidSchedule),
    /// `[catalog] export` names no place that there can be.
    #[error("catalog.export: {0}")]
    InvalidExport(String),
    /// Postgres clients from beyond loopback without protection.
    #[error(
        "postgres.listen = \"{0}\" is reachable from other machines, and its clients' passwords are tokens: give it a certificate \
         ([server.tls] with cert and key) and do not turn tokens off, listen on 127.0.0.1, or say --insecure"
    )]
    OpenPostgres(SocketAddr),
    /// `[cold]` names no place that there can be.
    #[error("{0}")]
    InvalidCold(String),
    /// `[[notify]]` or `[outgoing]` says what cannot be.
    #[error("{0}")]
    InvalidNotify(String),
    /// Kafka without an address.
    #[error("log.kind = \"kafka\" needs log.bootstrap: the brokers to ask first, as \"host:9092,host:9092\"")]
    NoBootstrap,
}

impl Config {
    /// Reads `file`, or `./rekap.toml` if that is there, and applies `variables` (name and value) over it.
    pub fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Err(absent) if file.is_none() && absent.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?,
        };
        let invalid = |e: toml::de::Error| ConfigError::Invalid { path: path.to_owned(), reason: e.to_string() };
        let from_file: Config = toml::from_str(&text).map_err(invalid)?;
        let overrides: Vec<_> =
            variables.into_iter().filter_map(|(n, v)| Some((n.strip_prefix(PREFIX)?.to_lowercase(), v))).collect();
        let config = if overrides.is_empty() {
            from_file
        } else {
            overridden(toml::from_str(&text).map_err(invalid)?, &overrides)?
        };
        Ok(config.anchored(path.parent().unwrap_or(Path::new(""))))
    }

    /// Makes relative paths start at `folder`.
    fn anchored(mut self, folder: &Path) -> Config {
        self.data = folder.join(self.data);
        if let Some(TlsFiles { cert, key }) = &mut self.server.tls {
            (*cert, *key) = (folder.join(&*cert), folder.join(&*key));
        }
        if let Some(path) = self.cold.url.as_deref().and_then(|url| url.strip_prefix("file:")) {
            let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
            self.cold.url = Some(format!("file:{}", folder.join(path).display()));
        }
        if let Some(path) = self.catalog.export.as_deref().and_then(|url| url.strip_prefix("file:")) {
            let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
            self.catalog.export = Some(format!("file:{}", folder.join(path).display()));
        }
        self
    }
}

/// Puts each variable in its place in `table`; what it says is read as a TOML value, or else as text.
fn overridden(mut table: Table, variables: &[(String, String)]) -> Result<Config, ConfigError> {
    let names = || variables.iter().map(|(name, _)| format!("{PREFIX}{}", name.to_uppercase())).collect::<Vec<_>>();
    let invalid = |reason: String| ConfigError::InvalidVariables { variables: names().join(", "), reason };
    for (name, value) in variables {
        let value = value.parse::<Value>().unwrap_or_else(|_| Value::String(value.clone()));
        put(&mut table, name, value).map_err(|part| invalid(format!("`{part}` holds no fields")))?;
    }
    Config::deserialize(table).map_err(|e| invalid(e.to_string()))
}

/// Sets `a__b__c`; the error names the part that is no table.
fn put(table: &mut Table, name: &str, value: Value) -> Result<(), String> {
    match name.split_once("__") {
        None => {
            table.insert(name.to_owned(), value);
            Ok(())
        }
        Some((part, rest)) => {
            let inner = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            put(inner.as_table_mut().ok_or_else(|| part.to_owned())?, rest, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rekap.toml");
        std::fs::write(&file, text).unwrap();
        let own = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let mut config = Config::load(Some(&file), variables.iter().map(own))?;
        config.data = config.data.strip_prefix(folder.path()).unwrap_or(&config.data).to_owned();
        Ok(config)
    }

    #[test]
    fn an_empty_file_gives_the_defaults_below_its_own_folder() {
        assert_eq!(load("", &[]).unwrap(), Config { data: "rekap-data".into(), ..Config::default() });
    }

    #[test]
    fn a_field_that_there_is_not_is_refused_with_its_place() {
        let refused = load("[server]\nlistne = \"127.0.0.1:1\"\n", &[]).unwrap_err().to_string();
        assert!(refused.contains("line 2") && refused.contains("listne"), "{refused}");
    }

    #[test]
    fn a_variable_overrides_the_file() {
        let variables = [("REKAP__MIRROR__MAX_AGE", "2s"), ("REKAP__LOG__RETENTION_WAITS_FOR_MIRROR", "false")];
        let config = load("[mirror]\nmax_age = \"9s\"\nmax_bytes = \"1MiB\"", &variables).unwrap();
        assert_eq!(config.mirror.max_age, Duration::from_secs(2));
        assert_eq!(config.mirror.max_bytes, 1 << 20);
        assert!(!config.log.retention_waits_for_mirror);
    }

    #[test]
    fn a_variable_that_does_not_fit_is_named() {
        let refused = load("", &[("REKAP__SERVER__LISTEN", "nowhere")]).unwrap_err().to_string();
        assert!(refused.contains("REKAP__SERVER__LISTEN"), "{refused}");
    }

    #[test]
    fn a_bucket_is_a_cold_tier_and_what_is_no_place_is_refused() {
        let config = load("[cold]\nurl = \"s3://lake/rekap\"\nendpoint = \"http://127.0.0.1:9000\"", &[]).unwrap();
        config.check().unwrap();
        assert_eq!(config.cold_location().url, "s3://lake/rekap");
        let refused = load("[cold]\nurl = \"gs://lake\"", &[]).unwrap().check().unwrap_err().to_string();
        assert!(refused.contains("gs://lake") && refused.contains("s3://bucket/prefix"), "{refused}");
    }

    #[test]
    fn a_server_beyond_loopback_is_refused_unless_it_is_said_aloud() {
        let mut config = load("[server]\nlisten = \"0.0.0.0:7480\"", &[]).unwrap();
        assert!(matches!(config.check(), Err(ConfigError::OpenServer(_))));
        config.server.insecure = true;
        assert!(config.check().is_ok());
        assert!(!config.server.wants_tokens());
    }

    #[test]
    fn a_server_beyond_loopback_needs_both_a_certificate_and_tokens() {
        let beyond = |more: &str| load(&format!("[server]\nlisten = \"0.0.0.0:7480\"\n{more}"), &[]).unwrap();
        let tls = "[server.tls]\ncert = \"c.pem\"\nkey = \"k.pem\"";
        assert!(beyond(tls).check().is_ok() && beyond(tls).server.wants_tokens());
        assert!(beyond(tls).server.tls.unwrap().cert.is_absolute(), "it lies beside the configuration");
        assert!(matches!(beyond("tokens = true").check(), Err(ConfigError::OpenServer(_))));
        assert!(matches!(beyond(&format!("tokens = false\n{tls}")).check(), Err(ConfigError::OpenServer(_))));
        assert!(!load("", &[]).unwrap().server.wants_tokens(), "loopback needs none");
    }
}
