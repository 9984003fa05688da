//! Tokens: who may ask for what. Made and revoked by events, so the audit trail tells of them and a restored catalog has them.
//!
//! The catalog holds the hash of a token's secret, never the secret: who reads the catalog, a backup or the audit log can ask for
//! nothing. A token is known by its id; what it may do is a [`TokenRole`] within a [`Scope`]. What role each request needs is not
//! known here.

use std::sync::Arc;

use rekap_tiered_storage::{Timestamp, matches_pattern};
use serde::{Deserialize, Serialize};

use crate::catalog::Hash;
use crate::decide;
use crate::event::{Event, What};
use crate::state::State;
use crate::views::TokenView;
use crate::{By, Orchestrator, Rejection};

/// What a token may do; each may all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenRole {
    /// Look at everything.
    Viewer,
    /// Write records, make topics, and deploy versions that serve nobody yet.
    Developer,
    /// Decide what is served.
    Operator,
    /// Say who may do what, and delete.
    Admin,
}

impl TokenRole {
    /// All of them, the least one first.
    pub const ALL: [TokenRole; 4] = [TokenRole::Viewer, TokenRole::Developer, TokenRole::Operator, TokenRole::Admin];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            TokenRole::Viewer => "viewer",
            TokenRole::Developer => "developer",
            TokenRole::Operator => "operator",
            TokenRole::Admin => "admin",
        }
    }
}

/// Which jobs and topics: patterns of their names, with `*` for any text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Of jobs and their tables.
    pub jobs: Vec<String>,
    /// Of topics.
    pub topics: Vec<String>,
}

impl Default for Scope {
    fn default() -> Self {
        Scope { jobs: vec!["*".into()], topics: vec!["*".into()] }
    }
}

impl Scope {
    /// True when the job is within it.
    pub fn has_job(&self, job: &str) -> bool {
        self.jobs.iter().any(|pattern| matches_pattern(pattern, job))
    }

    /// True when the topic is within it.
    pub fn has_topic(&self, topic: &str) -> bool {
        self.topics.iter().any(|pattern| matches_pattern(pattern, topic))
    }

    /// True when everything is within it.
    pub fn is_everything(&self) -> bool {
        let all = |patterns: &[String]| patterns.iter().any(|pattern| pattern == "*");
        all(&self.jobs) && all(&self.topics)
    }
}

/// A token, as it is recorded when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Names it in commands and in the token itself; no secret.
    pub id: String,
    /// Who holds it: the actor of all that is done with it.
    pub name: String,
    /// What it may do.
    pub role: TokenRole,
    /// To which jobs and topics.
    #[serde(flatten)]
    pub scope: Scope,
    /// The SHA-256 of its secret. The secret is 256 bits of chance, so nobody finds it by trying.
    pub hash: Hash,
    /// When it ends; never when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A token with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The token.
    pub token: Token,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Issued {
    /// Why it opens nothing any more, if so.
    pub fn ended(&self, now: Timestamp) -> Option<Ended> {
        let expired = self.token.expires_at.filter(|at| *at <= now).map(Ended::Expired);
        self.revoked_at.map(Ended::Revoked).or(expired)
    }
}

/// Why a token opens nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Somebody revoked it.
    Revoked(Timestamp),
    /// Its time is over.
    Expired(Timestamp),
}

impl Orchestrator {
    /// Makes a token. The answer of a repeated request names the token that was made first.
    pub async fn create_token(&self, token: Token, by: &By) -> Result<TokenView, Rejection> {
        let actor = by.actor.clone();
        self.write(by, "", move |state, now| {
            let what = decide::create_token(state, token, now)?;
            let after = state.after(Some(Event::new("", what.clone())), &actor, now);
            let made = view_of(&after, &what, now)?;
            Ok((Some(what), made))
        })
        .await
    }

    /// Revokes a token: the next request with it is refused.
    pub async fn revoke_token(&self, id: &str, by: &By) -> Result<(), Rejection> {
        let id = id.to_owned();
        self.write(by, "", move |state, _| Ok((decide::revoke_token(state, &id)?, ()))).await
    }

    /// All tokens there ever were, by id.
    pub fn tokens(&self) -> Vec<TokenView> {
        let now = self.clock.now();
        self.state().tokens().map(|issued| TokenView::of(issued, now)).collect()
    }

    /// The token with that id and secret, and why it opens nothing any more, if so. `None` for an unknown id as for a wrong secret.
    pub fn token(&self, id: &str, hash: &Hash) -> Option<(Arc<Issued>, Option<Ended>)> {
        self.issued(id).filter(|(issued, _)| issued.token.hash == *hash)
    }

    /// The token with that id, and why it opens nothing any more, if so.
    pub fn issued(&self, id: &str) -> Option<(Arc<Issued>, Option<Ended>)> {
        let issued = self.state().token(id).ok()?.clone();
        let ended = issued.ended(self.clock.now());
        Some((issued, ended))
    }

    /// True while the token opens what it opened when it was made.
    pub fn token_holds(&self, id: &str) -> bool {
        self.issued(id).is_some_and(|(_, ended)| ended.is_none())
    }

    /// True when somebody could still make tokens.
    pub fn has_admin(&self) -> bool {
        let now = self.clock.now();
        let is_admin = |issued: &Arc<Issued>| {
            issued.token.role == TokenRole::Admin && issued.token.scope.is_everything() && issued.ended(now).is_none()
        };
        self.state().tokens().any(is_admin)
    }
}

/// The token that was just made, as users see it.
fn view_of(after: &State, what: &What, now: Timestamp) -> Result<TokenView, Rejection> {
    let What::TokenCreated { token } = what else { return Err(Rejection::UnknownToken(String::new())) };
    Ok(TokenView::of(after.token(&token.id)?, now))
}

#[cfg(test)]
mod tests;
