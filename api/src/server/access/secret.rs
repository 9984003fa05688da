//! The text of a token, `rekap_<id>_<secret>`: how it is made, read, and handed over for the first time.

use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rekap_orchestrator::{By, Hash, Scope, Token, TokenRole};
use tokio_rustls::rustls::crypto::ring;

use super::super::{App, StartError, blocking};

/// By this, those who look for lost secrets know it for one.
const PREFIX: &str = "rekap_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

/// Where the first admin token is left.
const FIRST_TOKEN: &str = "admin-token";

/// What a text says of a token.
pub(super) struct Named {
    pub(super) id: String,
    pub(super) hash: Hash,
}

impl Named {
    /// Reads `rekap_<id>_<secret>`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_hex = |text: &str, bytes: usize| text.len() == 2 * bytes && text.bytes().all(|b| b.is_ascii_hexdigit());
        let whole = is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES);
        whole.then(|| Named { id: id.to_owned(), hash: Hash::of(secret.as_bytes()) })
    }
}

/// A token that nobody has seen yet.
pub(in super::super) struct Fresh {
    /// Its id.
    pub(in super::super) id: String,
    /// What is kept of its secret.
    pub(in super::super) hash: Hash,
    /// The whole token.
    pub(in super::super) text: String,
}

impl Fresh {
    /// One made by chance. Fails where the system gives none.
    pub(in super::super) fn new() -> io::Result<Self> {
        let (id, secret) = (hex(ID_BYTES)?, hex(SECRET_BYTES)?);
        let text = format!("{PREFIX}{id}_{secret}");
        Ok(Fresh { hash: Hash::of(secret.as_bytes()), id, text })
    }
}

/// So many bytes of chance, in hex.
pub(super) fn hex(bytes: usize) -> io::Result<String> {
    let mut chance = vec![0; bytes];
    let filled = ring::default_provider().secure_random.fill(&mut chance);
    filled.map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(chance.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Sees to it that somebody can make tokens: where nobody can, a first admin token is made, and left in a file that only the user
/// of the server can read. The file comes first: a token that the catalog knows and nobody has would lock everybody out.
pub(in super::super) async fn first_admin(app: &App) -> Result<(), StartError> {
    if app.orchestrator().has_admin() {
        return Ok(());
    }
    let cannot = |reason: String| StartError::Open { what: "the first admin token", reason };
    let Fresh { id, hash, text } = Fresh::new().map_err(|e| cannot(e.to_string()))?;
    let file = app.folder().join(FIRST_TOKEN);
    let path = file.clone();
    blocking(move || leave(&path, &text)).await.map_err(|e| cannot(format!("{}: {e}", file.display())))?;
    let scope = Scope::default();
    let token = Token { id, name: "admin".into(), role: TokenRole::Admin, scope, hash, expires_at: None };
    let by = By { note: Some("no admin token was there".into()), ..By::rekap() };
    app.orchestrator().create_token(token, &by).await.map_err(|rejection| cannot(rejection.to_string()))?;
    tracing::warn!(
        "the first admin token is in {}; make tokens of people with it, then delete the file",
        file.display()
    );
    Ok(())
}

/// Writes the token where only this user can read it.
fn leave(path: &Path, text: &str) -> io::Result<()> {
    let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // The mode of an open counts for new files only.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
