//! Signatures in the form of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a secret in the form of Standard Webhooks begins with; the rest of it is base64.
const PREFIX: &str = "whsec_";

/// The key of signatures. It shows itself nowhere.
#[derive(Clone)]
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    /// Reads `whsec_` with base64; any other text is the key as it stands.
    pub(crate) fn of(text: &str) -> Result<Secret, String> {
        let text = text.trim();
        let key = match text.strip_prefix(PREFIX) {
            Some(coded) => BASE64_STANDARD.decode(coded).map_err(|_| "is no base64 after `whsec_`".to_owned())?,
            None => text.as_bytes().to_vec(),
        };
        if key.is_empty() { Err("is empty".to_owned()) } else { Ok(Secret(key)) }
    }

    /// The secret in an environment variable; what is wrong with it is told without it.
    pub(crate) fn from_env(variable: &str) -> Result<Secret, String> {
        let text = std::env::var(variable).map_err(|_| format!("the variable `{variable}` is not set"))?;
        Secret::of(&text).map_err(|wrong| format!("the variable `{variable}` {wrong}"))
    }

    /// The header `webhook-signature`.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_published_example() {
        let secret = Secret::of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_shows_itself_nowhere_and_a_wrong_one_is_told_without_it() {
        assert_eq!(format!("{:?}", Secret::of("hunter2").unwrap()), "Secret(…)");
        let wrong = Secret::of("whsec_not base64!").unwrap_err();
        assert!(wrong.contains("base64") && !wrong.contains("not base64!"), "{wrong}");
        assert!(Secret::of(" ").is_err());
        assert!(Secret::from_env("REKAP_TEST_NOT_SET").unwrap_err().contains("REKAP_TEST_NOT_SET"));
    }
}
