//! Which tokens may be made and revoked.

use rekap_tiered_storage::Timestamp;

use crate::Rejection;
use crate::event::What;
use crate::state::State;
use crate::token::Token;

/// The longest name of a token: it stands in every line of the audit log.
const MAX_NAME: usize = 64;

/// The most patterns of a scope: all of them are tried with each request.
const MAX_PATTERNS: usize = 100;

/// Names of those who have no token, so that the audit log cannot be misread.
const RESERVED: [&str; 2] = ["local", "rekap"];

/// Makes a token whose name and scope mean something.
pub fn create_token(state: &State, token: Token, now: Timestamp) -> Result<What, Rejection> {
    let name = token.name.as_str();
    let visible = name.chars().all(|c| !c.is_control()) && name.trim() == name;
    if !(1..=MAX_NAME).contains(&name.chars().count()) || !visible {
        return Err(invalid(
            "name",
            format!("{name:?} is no name"),
            "name who holds it, in 1 to 64 visible characters",
        ));
    }
    if RESERVED.contains(&name) {
        return Err(invalid("name", format!("`{name}` is who acts without a token"), "name who holds it"));
    }
    for (field, patterns) in [("jobs", &token.scope.jobs), ("topics", &token.scope.topics)] {
        if patterns.len() > MAX_PATTERNS {
            return Err(invalid(
                field,
                format!("{} patterns are too many", patterns.len()),
                "use `*` in fewer of them",
            ));
        }
        if let Some(odd) = patterns.iter().find(|pattern| !pattern.chars().all(in_pattern)) {
            return Err(invalid(field, format!("{odd:?} matches no name"), "write names, with `*` for any text"));
        }
    }
    if token.expires_at.is_some_and(|at| at <= now) {
        return Err(invalid("expires_at", "it lies in the past".into(), "name a moment that lies ahead"));
    }
    if state.token(&token.id).is_ok() {
        return Err(invalid("id", format!("`{}` is another token's", token.id), "try again"));
    }
    Ok(What::TokenCreated { token: Box::new(token) })
}

/// Revokes a token; nothing is to be done about one that is revoked already.
pub fn revoke_token(state: &State, id: &str) -> Result<Option<What>, Rejection> {
    let issued = state.token(id)?;
    Ok(issued.revoked_at.is_none().then(|| What::TokenRevoked { id: id.to_owned() }))
}

fn in_pattern(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-*".contains(c)
}

fn invalid(field: &str, detail: String, remedy: &str) -> Rejection {
    let (code, detail) = ("INVALID_TOKEN".into(), format!("`{field}`: {detail}"));
    Rejection::Refused { code, place: None, detail, remedy: remedy.into() }
}
