//! `[[notify]]` and `[outgoing]`: which events are told to whom, and which machines may be called.

use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Config;
use crate::notify::Notifications;
use crate::outgoing::Admitted;

/// `[[notify]]`.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyConfig {
    /// Its name, which is that of its place in the events too: under another one it begins anew.
    pub name: String,
    /// Where events are posted to.
    pub url: String,
    /// Which events: types, `job.*`, or `*`.
    pub events: Vec<String>,
    /// The environment variable that holds the key of the signatures; without one calls are not signed.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// Taken only to be refused: as an unknown field it would be shown with its value.
    #[serde(default)]
    secret: Option<IgnoredAny>,
}

/// Without the path of the URL, which may hold a token.
impl fmt::Debug for NotifyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyConfig").field("name", &self.name).field("events", &self.events).finish_non_exhaustive()
    }
}

impl NotifyConfig {
    /// An entry; see the fields.
    pub fn new(name: &str, url: &str, events: &[&str], secret_env: Option<&str>) -> Self {
        NotifyConfig {
            name: name.to_owned(),
            url: url.to_owned(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            secret_env: secret_env.map(str::to_owned),
            secret: None,
        }
    }
}

/// `[outgoing]`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutgoingConfig {
    /// Addresses, beside public ones, that webhooks may go to: `10.0.0.0/8`, `127.0.0.1`.
    pub allow: Vec<String>,
}

/// Refuses entries that could never be sent.
pub(super) fn check(config: &Config) -> Result<(), String> {
    if let Some(entry) = config.notify.iter().find(|entry| entry.secret.is_some()) {
        let name = &entry.name;
        return Err(format!(
            "[[notify]] `{name}`: `secret` does not belong in a file; put it into a variable and name that in `secret_env`"
        ));
    }
    Admitted::of(&config.outgoing.allow).map_err(|wrong| format!("[outgoing] allow: {wrong}"))?;
    Notifications::of(&config.notify).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        toml::from_str::<Config>(text).unwrap().check().unwrap_err().to_string()
    }

    #[test]
    fn a_secret_in_the_file_is_refused_without_being_shown() {
        let entry = "[[notify]]\nname = \"ops\"\nurl = \"https://example.com/hook\"\nevents = [\"*\"]\n";
        let said = refused(&format!("{entry}secret = \"hunter2\""));
        assert!(said.contains("secret_env") && said.contains("`ops`") && !said.contains("hunter2"), "{said}");
        toml::from_str::<Config>(entry).unwrap().check().unwrap();
        assert!(refused(&format!("{entry}{entry}")).contains("another one of that name"));
    }

    #[test]
    fn what_is_no_range_of_addresses_is_refused() {
        assert!(refused("[outgoing]\nallow = [\"intranet\"]").contains("intranet"));
    }

    #[test]
    fn a_configuration_shows_no_path_of_a_url() {
        let config = NotifyConfig::new("ops", "https://example.com/T0KEN", &["*"], None);
        assert!(!format!("{config:?}").contains("T0KEN"));
    }
}
