//! What a comparison means in a drill. Pure.

use rekap_jobs::PromotePolicy;

use crate::verify::{Report, Verdict};

/// Every row has to be the same: the same records went through the same query.
pub(super) fn strict() -> PromotePolicy {
    PromotePolicy { max_changed: "0%".parse().ok(), checks: vec![], ..PromotePolicy::default() }
}

/// The report of a strict comparison, told as what it means here.
pub(super) fn judged(report: Report, approximate: bool) -> Report {
    let (counts, verdict) = (report.counts, report.verdict);
    if verdict != Verdict::Fail {
        return report;
    }
    let differ = counts.changed + counts.added + counts.removed;
    match approximate {
        true => {
            let reason =
                format!("{differ} rows differ, and an aggregate of the query is approximate: look whether it is that");
            Report { verdict: Verdict::Inconclusive, reason: Some(reason), ..report }
        }
        false => {
            let reason = format!("{differ} rows of what is served are not what history gives");
            Report { reason: Some(reason), ..report }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;
    use crate::testing::verified;
    use crate::verify::Counts;

    fn report(verdict: Verdict, changed: u64) -> Report {
        let What::Verified { report, .. } = verified(1, None, verdict) else { unreachable!() };
        Report { counts: Counts { same: 3, changed, ..Counts::default() }, ..*report }
    }

    #[test]
    fn a_difference_fails_but_where_the_query_itself_is_approximate() {
        assert_eq!(judged(report(Verdict::Pass, 0), false).verdict, Verdict::Pass);
        let found = judged(report(Verdict::Fail, 2), false);
        assert_eq!((found.verdict, found.reason.unwrap().starts_with("2 rows")), (Verdict::Fail, true));
        assert_eq!(judged(report(Verdict::Fail, 2), true).verdict, Verdict::Inconclusive);
    }
}
