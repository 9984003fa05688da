//! One `[[notify]]` of the configuration, checked.

use rekap_orchestrator::views::EventView;

use super::pattern::Pattern;
use crate::config::NotifyConfig;
use crate::outgoing::{Secret, Target};

/// What is only bookkeeping, and tells nobody anything.
const UNTOLD: &str = "request.answered";

/// A notification.
#[derive(Debug, Clone)]
pub(crate) struct Notification {
    /// Its name, which is that of its cursor too.
    pub(crate) name: String,
    /// Where it goes.
    pub(crate) target: Target,
    /// The events that it sends.
    pub(crate) events: Vec<Pattern>,
    /// The key of its signatures.
    pub(crate) secret: Option<Secret>,
}

impl Notification {
    /// Checks an entry, and takes its secret from the environment.
    pub(crate) fn of(configured: &NotifyConfig) -> Result<Notification, String> {
        let NotifyConfig { name, url, events, secret_env, .. } = configured;
        let wrong = |what: String| format!("[[notify]] `{name}`: {what}");
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
            return Err(wrong("`name` is 1 to 64 of a-z 0-9 - _".to_owned()));
        }
        if events.is_empty() {
            return Err(wrong("`events` is empty; name types of events, or \"*\"".to_owned()));
        }
        Ok(Notification {
            name: name.clone(),
            target: url.parse().map_err(|e| wrong(format!("`url` {e}")))?,
            events: events.iter().map(|event| event.parse()).collect::<Result<_, _>>().map_err(wrong)?,
            secret: secret_env.as_deref().map(Secret::from_env).transpose().map_err(wrong)?,
        })
    }

    /// True for an event that it sends.
    pub(crate) fn wants(&self, event: &EventView) -> bool {
        event.kind != UNTOLD && self.events.iter().any(|pattern| pattern.matches(&event.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, url: &str, event: &str, secret_env: Option<&str>) -> Result<Notification, String> {
        Notification::of(&NotifyConfig::new(name, url, &[event], secret_env))
    }

    #[test]
    fn a_wrong_entry_is_refused_with_its_name_and_without_its_secrets() {
        assert!(of("ops", "https://example.com/SECRET", "job.*", None).is_ok());
        for refused in [
            of("Ops!", "https://example.com", "job.*", None),
            of("ops", "example.com/SECRET", "job.*", None),
            of("ops", "https://example.com/SECRET", "promoted", None),
            of("ops", "https://example.com/SECRET", "job.*", Some("REKAP_TEST_NOT_SET")),
        ] {
            let refused = refused.unwrap_err();
            assert!(refused.to_lowercase().contains("`ops") && !refused.contains("SECRET"), "{refused}");
        }
    }
}
