//! Where a webhook goes. Its path and query may hold a token, so only its host is ever shown.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// An http(s) URL without a user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target(Url);

impl Target {
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// The address, where the host is one and no name.
    pub(super) fn literal(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Ipv4(ip) => Some(ip.into()),
            Host::Ipv6(ip) => Some(ip.into()),
            Host::Domain(_) => None,
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text itself is not shown: it may hold a token.
        let url: Url = text.parse().map_err(|error| format!("is no URL ({error})"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err("is no http or https URL".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a user or a password; name a secret in `secret_env` instead".to_owned());
        }
        Ok(Target(url))
    }
}

/// Scheme, host and port; what follows is left out.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.0.path() == "/" && self.0.query().is_none() { "/" } else { "/…" };
        write!(f, "{}{more}", self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_shows_its_host_and_never_what_may_be_a_token() {
        let target: Target = "https://hooks.example.com/services/T0/SECRET?key=SECRET".parse().unwrap();
        assert_eq!(format!("{target} {target:?}"), "https://hooks.example.com/… https://hooks.example.com/…");
        assert_eq!("http://localhost:80/".parse::<Target>().unwrap().to_string(), "http://localhost/");
    }

    #[test]
    fn what_is_no_target_is_refused_without_showing_it() {
        for wrong in ["ftp://SECRET", "SECRET", "https://SECRET:x@example.com/", "file:///SECRET", "http://"] {
            let refused = wrong.parse::<Target>().unwrap_err();
            assert!(!refused.contains("SECRET"), "{refused}");
        }
    }
}
