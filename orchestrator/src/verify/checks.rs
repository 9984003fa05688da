//! The policy's own checks: SQL over `old`, `new` and `diff`, at the same positions.
//!
//! The tables are streamed, so a check is bounded by the memory of the query engine and by [`TIME_LIMIT`], not by their size. A check
//! that cannot be answered is inconclusive: a person decides.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use rekap_jobs::Check;
use rekap_tables::{TableSchema, TableSnapshot, json};
use serde_json::Value;

use super::diff::diff_schema;
use super::merge::SharedKey;
use super::report::{CheckResult, Verdict};
use super::{Compared, VerifyError};
use crate::sql;

/// How long one check may take; past it, it is inconclusive.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Asks the checks that read `new` alone, for there is no `old`. Answers those, and all of them in their order: one that was not asked
/// is inconclusive and says so.
pub(super) async fn run_alone(
    new: &TableSnapshot,
    checks: &[Check],
) -> Result<(Vec<CheckResult>, Vec<CheckResult>), VerifyError> {
    let (mut asked, mut all) = (vec![], vec![]);
    let session = sql::check_session();
    session.register_table("new", sql::scan(new))?;
    for check in checks {
        let result = match sql::plan(&session, &check.sql).await {
            Ok(_) => one(&session, check, TIME_LIMIT).await,
            Err(_) => {
                let reason = Some("not asked: it reads `old` or `diff`, and nothing serves yet".into());
                let (verdict, measured) = (Verdict::Inconclusive, Value::Null);
                all.push(CheckResult { name: check.name.clone(), verdict, measured, reason });
                continue;
            }
        };
        asked.push(result.clone());
        all.push(result);
    }
    Ok((asked, all))
}

/// Asks checks over `live`, what is served.
pub(crate) async fn run_live(live: &TableSnapshot, checks: &[Check]) -> Result<Vec<CheckResult>, VerifyError> {
    let session = sql::check_session();
    session.register_table("live", sql::scan(live))?;
    let mut results = vec![];
    for check in checks {
        results.push(one(&session, check, TIME_LIMIT).await);
    }
    Ok(results)
}

/// What to do about a check that cannot be asked.
const REMEDY: &str = "write one SELECT over `old` and `new` (the job's output columns) and `diff` (the key columns, `change`, and the structs \
                      `old` and `new`)";

/// What to do about a check after the swap that cannot be asked.
const LIVE_REMEDY: &str = "write one SELECT over `live`, which has the job's output columns";

/// What to do about a check that is never true or false.
const TRUE_OR_FALSE: &str = "give one column that is true or false, as in SELECT count(*) = 0 FROM …";

/// Plans a check, which gives one column that can be true or false; NULL always is a way to leave it to a person.
async fn admit(session: &SessionContext, check: &Check, remedy: &str) -> Result<(), (String, String)> {
    let plan = sql::plan(session, &check.sql).await.map_err(|error| (error.to_string(), remedy.to_owned()))?;
    let detail = match plan.schema().fields().iter().collect::<Vec<_>>().as_slice() {
        [only] if matches!(only.data_type(), DataType::Boolean | DataType::Null) => return Ok(()),
        [only] => format!(
            "it gives `{}` of type {}, which is neither true nor false",
            only.name(),
            rekap_tables::type_name(only.data_type())
        ),
        columns => format!("it gives {} columns", columns.len()),
    };
    Err((detail, TRUE_OR_FALSE.to_owned()))
}

/// Plans checks over `live`, and tells the first that could never be asked.
pub(crate) async fn plan_live<'a>(
    live: &TableSchema,
    checks: impl Iterator<Item = &'a Check>,
) -> Result<(), (usize, String, String)> {
    let session = sql::check_session();
    let registered = session.register_table("live", Arc::new(EmptyTable::new(live.columns().clone())));
    registered.expect("a session without tables takes one");
    for (i, check) in checks.enumerate() {
        admit(&session, check, LIVE_REMEDY).await.map_err(|(detail, remedy)| (i, detail, remedy))?;
    }
    Ok(())
}

/// Asks all checks, one after the other.
pub(super) async fn run(compared: &Arc<Compared>, checks: &[Check]) -> Result<Vec<CheckResult>, VerifyError> {
    let mut results = Vec::new();
    if !checks.is_empty() {
        let session = session(compared)?;
        for check in checks {
            results.push(one(&session, check, TIME_LIMIT).await);
        }
    }
    Ok(results)
}

/// Plans all checks over tables of these columns, and tells the first that could never be asked: its number, what is wrong, and the
/// remedy. Checks over tables with other keys cannot be planned and are let pass: they will not be asked.
pub(crate) async fn plan(
    old: &TableSchema,
    new: &TableSchema,
    checks: &[Check],
) -> Result<(), (usize, String, String)> {
    let mut names = HashSet::new();
    if let Some(i) = checks.iter().position(|check| !names.insert(&check.name)) {
        let detail = format!("there is another check with the name `{}`", checks[i].name);
        return Err((i, detail, "give each check a name of its own".into()));
    }
    let Ok(key) = SharedKey::of(old, new) else { return Ok(()) };
    let session = sql::check_session();
    let tables = [
        ("old", old.columns().clone()),
        ("new", new.columns().clone()),
        ("diff", diff_schema(&key, old.columns(), new.columns())),
    ];
    for (name, schema) in tables {
        let registered = session.register_table(name, Arc::new(EmptyTable::new(schema)));
        registered.expect("a session without tables takes three");
    }
    for (i, check) in checks.iter().enumerate() {
        admit(&session, check, REMEDY).await.map_err(|(detail, remedy)| (i, detail, remedy))?;
    }
    Ok(())
}

fn session(compared: &Arc<Compared>) -> Result<SessionContext, DataFusionError> {
    let session = sql::check_session();
    session.register_table("old", sql::scan(&compared.old))?;
    session.register_table("new", sql::scan(&compared.new))?;
    let open = compared.clone();
    let diff = sql::stream(compared.diff_schema(), move || {
        let diff = open.diff().map_err(external)?;
        Ok(Box::new(diff.map(|batch| batch.map_err(external))))
    });
    session.register_table("diff", diff?)?;
    Ok(session)
}

fn external(error: VerifyError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

async fn one(session: &SessionContext, check: &Check, limit: Duration) -> CheckResult {
    let (verdict, measured, reason) = match tokio::time::timeout(limit, only_value(session, &check.sql)).await {
        Ok(Ok(Some(Value::Bool(true)))) => (Verdict::Pass, Value::Bool(true), None),
        Ok(Ok(Some(Value::Bool(false)))) => (Verdict::Fail, Value::Bool(false), Some("it is false".into())),
        Ok(Ok(Some(Value::Null))) => (Verdict::Inconclusive, Value::Null, Some("it is NULL".into())),
        Ok(Ok(Some(other))) => (Verdict::Inconclusive, other, Some("it is neither true nor false".into())),
        Ok(Ok(None)) => (Verdict::Inconclusive, Value::Null, Some("it gave no row".into())),
        Ok(Err(error)) => (Verdict::Inconclusive, Value::Null, Some(error)),
        Err(_) => {
            let reason = format!("it took longer than {} s", limit.as_secs());
            (Verdict::Inconclusive, Value::Null, Some(reason))
        }
    };
    CheckResult { name: check.name.clone(), verdict, measured, reason }
}

/// The first column of the only row that a check gives; `None` without a row.
async fn only_value(session: &SessionContext, query: &str) -> Result<Option<Value>, String> {
    let mut rows = sql::select(session, query).await.map_err(|error| error.to_string())?;
    let mut only = None;
    while let Some(batch) = rows.try_next().await.map_err(|error| error.strip_backtrace())? {
        match batch.num_rows() {
            0 => {}
            1 if only.is_none() => only = Some(value(&batch)?),
            _ => return Err("it gave more than one row; a check is true or false of the whole".into()),
        }
    }
    Ok(only)
}

fn value(row: &RecordBatch) -> Result<Value, String> {
    let first = row.project(&[0]).map_err(|error| error.to_string())?;
    let rows = json::values(&first).map_err(|error| error.to_string())?;
    let row = rows.into_iter().next().and_then(|row| Some(row.as_object()?.values().next()?.clone()));
    Ok(row.unwrap_or(Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_that_runs_too_long_is_inconclusive() {
        let session = sql::check_session();
        let sql = "SELECT count(*) > 0 FROM generate_series(1, 9000000000) AS a, generate_series(1, 9000000000) AS b";
        let check = Check { name: "endless".into(), sql: sql.into() };
        let result = one(&session, &check, Duration::from_millis(200)).await;
        assert_eq!(result.verdict, Verdict::Inconclusive, "{result:?}");
    }
}
