//! The conditions of promotion by name, each with what it rests on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Judgement;
use crate::state::Version;
use crate::verify::Verdict;

/// One condition of promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// It holds.
    pub met: bool,
    /// What that rests on.
    pub detail: String,
}

impl Condition {
    /// A condition that holds.
    pub fn met(detail: impl Into<String>) -> Self {
        Condition { met: true, detail: detail.into() }
    }

    /// A condition that does not hold.
    pub fn unmet(detail: impl Into<String>) -> Self {
        Condition { met: false, detail: detail.into() }
    }
}

/// Every condition by its name.
pub type Conditions = BTreeMap<String, Condition>;

/// The conditions that may be waived. Without `caught_up` readers would go back in time.
pub const FORCIBLE: [&str; 6] = ["lag", "ready_for", "verified", "no_gap", "schema", "computed"];

impl Judgement {
    /// All conditions of a version's promotion. `schema` and `gap` tell what is wrong, if anything.
    pub fn conditions(
        &self,
        version: &Version,
        serving: Option<u32>,
        schema: Option<String>,
        gap: Option<String>,
    ) -> Conditions {
        let all = [
            ("caught_up", halted(version).unwrap_or_else(|| self.caught_up.clone())),
            ("lag", self.lag.clone()),
            ("ready_for", self.ready_for.clone()),
            ("verified", verified(version, serving)),
            ("no_gap", gap.map_or(Condition::met("no offset is missing"), Condition::unmet)),
            ("schema", schema.map_or(Condition::met("readers find every column that they have now"), Condition::unmet)),
        ];
        all.into_iter().map(|(name, condition)| (name.to_owned(), condition)).collect()
    }
}

/// What does not read does not keep up, wherever it stands.
fn halted(version: &Version) -> Option<Condition> {
    match &version.failure {
        Some(reason) => Some(Condition::unmet(format!("it failed: {reason}"))),
        None => version.paused.then(|| Condition::unmet("it is paused")),
    }
}

fn verified(version: &Version, serving: Option<u32>) -> Condition {
    if version.passed_against(serving) {
        return Condition::met(match (&version.verified, serving) {
            (None, _) => "it served before".to_owned(),
            (_, Some(serving)) if serving == version.number => "it serves".to_owned(),
            (_, Some(serving)) => format!("it passed against version {serving}"),
            (_, None) => "it passed; nothing serves to compare it with".to_owned(),
        });
    }
    Condition::unmet(match &version.verified {
        None => "not verified yet".to_owned(),
        Some(verified) if verified.against != serving => "verified against a version that no longer serves".to_owned(),
        Some(verified) => {
            let reason = verified.report.reason.as_deref().unwrap_or("see the verification");
            match verified.report.verdict {
                Verdict::Fail => format!("it failed: {reason}"),
                _ => format!("a person has to decide: {reason}"),
            }
        }
    })
}

/// The conditions that do not hold, each with what that rests on.
pub(crate) fn unmet(conditions: Conditions) -> BTreeMap<String, String> {
    let unmet = conditions.into_iter().filter(|(_, condition)| !condition.met);
    unmet.map(|(name, condition)| (name, condition.detail)).collect()
}
