//! A token as users see it: all but its secret, which nobody has, and its hash.

use rekap_tiered_storage::Timestamp;
use serde::{Deserialize, Serialize};

use crate::token::{Ended, Issued, Scope, TokenRole};

/// A token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenView {
    /// Names it in commands.
    pub id: String,
    /// Who holds it.
    pub name: String,
    /// What it may do.
    pub role: TokenRole,
    /// To which jobs and topics.
    #[serde(flatten)]
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it ends; null for never.
    pub expires_at: Option<Timestamp>,
    /// `active`, `expired` or `revoked`.
    pub state: String,
}

impl TokenView {
    pub(crate) fn of(issued: &Issued, now: Timestamp) -> Self {
        let state = match issued.ended(now) {
            None => "active",
            Some(Ended::Expired(_)) => "expired",
            Some(Ended::Revoked(_)) => "revoked",
        };
        TokenView {
            id: issued.token.id.clone(),
            name: issued.token.name.clone(),
            role: issued.token.role,
            scope: issued.token.scope.clone(),
            created_at: issued.created_at,
            created_by: issued.created_by.clone(),
            expires_at: issued.token.expires_at,
            state: state.to_owned(),
        }
    }
}
