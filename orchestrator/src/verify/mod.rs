//! Verification: what a candidate would change, found by comparing it with the serving version at equal positions.
//!
//! Both tables are snapshots, so both runners go on meanwhile. They are merged in key order with one batch of either side in memory.
//! Nothing here is kept: if the process dies, the comparison begins again.

mod checks;
mod columns;
mod comparison;
mod diff;
mod merge;
mod report;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use rekap_jobs::PromotePolicy;
use rekap_tables::{TableError, TableSnapshot};

use columns::Columns;
use comparison::Comparison;
use diff::{Diff, diff_schema};
use merge::{Merge, SharedKey};

pub(crate) use checks::{plan as plan_checks, plan_live as plan_live_checks, run_live as run_live_checks};
pub use report::{Change, CheckResult, ColumnResult, Counts, Report, Sample, Types, Verdict};

/// The rows of one table that are in memory at a time.
const BATCH_ROWS: usize = 8192;

/// Why a comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("the tables cannot be compared: {0}")]
    Arrow(#[from] ArrowError),
    #[error("the checks cannot be asked: {0}")]
    Query(#[from] DataFusionError),
}

/// Compares `new` with `old` and asks the policy's checks. With nothing to compare it with, only those checks count that read `new`
/// alone.
pub(crate) async fn verify(
    old: Option<TableSnapshot>,
    new: TableSnapshot,
    policy: &PromotePolicy,
) -> Result<Report, VerifyError> {
    let Some(old) = old else { return first(&new, policy).await };
    let positions = old.positions().shared_with(new.positions());
    let key = match SharedKey::of(old.schema(), new.schema()) {
        Ok(key) => key,
        Err(reason) => return Ok(Report { positions, ..Report::inconclusive(reason) }),
    };
    let compared = Arc::new(Compared { old, new, key });
    let blocking = compared.clone();
    let comparison =
        tokio::task::spawn_blocking(move || blocking.compare()).await.expect("comparing does not panic")?;
    let checks = checks::run(&compared, &policy.checks).await?;
    let (counts, columns, samples) = comparison.finish();
    let (verdict, reason) = judge(&counts, policy, &checks);
    Ok(Report { verdict, reason, positions, counts, columns, checks, samples })
}

/// What follows from the counts and the checks.
fn judge(counts: &Counts, policy: &PromotePolicy, checks: &[CheckResult]) -> (Verdict, Option<String>) {
    let differing = counts.changed + counts.added + counts.removed;
    let rows = (counts.same + counts.changed + counts.removed).max(counts.same + counts.changed + counts.added);
    let share = if rows == 0 { 0.0 } else { differing as f64 / rows as f64 };
    if let Some(limit) = policy.max_changed.filter(|limit| share > limit.share()) {
        let reason =
            format!("{differing} of {rows} rows differ ({:.2} %), `max_changed` allows {limit}", share * 100.0);
        return (Verdict::Fail, Some(reason));
    }
    let worst = checks.iter().max_by_key(|check| check.verdict).filter(|check| check.verdict != Verdict::Pass);
    match worst {
        None => (Verdict::Pass, None),
        Some(check) => {
            let why = check.reason.as_deref().unwrap_or("it does not pass");
            (check.verdict, Some(format!("the check `{}`: {why}", check.name)))
        }
    }
}

async fn first(new: &TableSnapshot, policy: &PromotePolicy) -> Result<Report, VerifyError> {
    let counts = Counts { added: new.status().rows, ..Counts::default() };
    let positions = new.positions().clone();
    let (asked, checks) = checks::run_alone(new, &policy.checks).await?;
    let unlimited = PromotePolicy { max_changed: None, ..policy.clone() };
    let (verdict, reason) = judge(&counts, &unlimited, &asked);
    let reason = reason.unwrap_or_else(|| "nothing serves yet that it could be compared with".into());
    Ok(Report { verdict, counts, positions, checks, ..Report::inconclusive(reason) })
}

/// Two tables that have the same key.
struct Compared {
    old: TableSnapshot,
    new: TableSnapshot,
    key: SharedKey,
}

impl Compared {
    fn compare(&self) -> Result<Comparison, VerifyError> {
        let mut comparison = Comparison::new(self.columns());
        for stretch in self.merge()? {
            comparison.add(&stretch?)?;
        }
        Ok(comparison)
    }

    fn diff_schema(&self) -> SchemaRef {
        diff_schema(&self.key, self.old.schema().columns(), self.new.schema().columns())
    }

    fn diff(&self) -> Result<Diff, VerifyError> {
        Ok(Diff::new(self.diff_schema(), self.key.clone(), self.columns(), self.merge()?))
    }

    fn columns(&self) -> Columns {
        let key: Vec<&str> = self.key.fields.iter().map(|field| field.name().as_str()).collect();
        Columns::of(self.old.schema().columns(), self.new.schema().columns(), &key)
    }

    fn merge(&self) -> Result<Merge, VerifyError> {
        let side = |table: &TableSnapshot| -> (SchemaRef, merge::Batches) {
            (table.schema().columns().clone(), Box::new(table.scan(BATCH_ROWS)))
        };
        Merge::new(&self.key, side(&self.old), side(&self.new))
    }
}
