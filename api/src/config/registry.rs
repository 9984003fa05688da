//! `[schema_registry]`: where the schemas of Avro and Protobuf records are.

use std::fmt;
use std::path::Path;

use rekap_tiered_storage::RegistrySettings;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// `[schema_registry]`.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchemaRegistry {
    /// Its URL, as `http://registry:8081`.
    pub url: Option<String>,
    /// The user of basic authentication.
    #[serde(deserialize_with = "text")]
    pub user: Option<String>,
    /// The user's password; better in `REKAP__SCHEMA_REGISTRY__PASSWORD` than in the file.
    #[serde(deserialize_with = "text")]
    pub password: Option<String>,
    /// A bearer token, instead of a user.
    #[serde(deserialize_with = "text")]
    pub token: Option<String>,
}

/// Secrets are not shown.
impl fmt::Debug for SchemaRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaRegistry").field("url", &self.url).field("user", &self.user).finish_non_exhaustive()
    }
}

impl SchemaRegistry {
    pub(super) fn settings(&self, folder: &Path) -> Option<RegistrySettings> {
        let SchemaRegistry { url, user, password, token } = self.clone();
        Some(RegistrySettings { url: url?, user, password, token, folder: folder.join("schemas") })
    }
}

/// Text; a variable of digits only is read as a number, and is meant as text.
fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    match toml::Value::deserialize(value)? {
        toml::Value::String(text) => Ok(Some(text)),
        toml::Value::Integer(number) => Ok(Some(number.to_string())),
        other => Err(D::Error::custom(format!("a {} is no text", other.type_str()))),
    }
}
