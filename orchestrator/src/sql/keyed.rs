//! `live.<alias>` and `version."<alias>@<n>"`: one snapshot of a table, read by key where the query gives one.
//!
//! Conditions that fix the key columns from the left (`=`, `IN`) become lookups of keys or of ranges of keys with that beginning;
//! without any, all rows are read in key order.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt as _, stream};
use rekap_tables::{RowsQuery, TableSnapshot, canonical_key};

use super::source::{Batches, Open, Source, failed};

/// The rows of a batch.
const BATCH_ROWS: usize = 8192;

/// More beginnings of keys than this are not looked up one by one: from there on reading all rows in order is no slower.
const MAX_LOOKUPS: usize = 1_000;

/// A table of one snapshot.
pub(super) struct KeyedTable {
    snapshot: TableSnapshot,
}

impl KeyedTable {
    pub(super) fn new(snapshot: TableSnapshot) -> Self {
        KeyedTable { snapshot }
    }

    /// The beginnings of keys that the conditions name, one row each; `None` when they fix no key column from the left.
    fn lookups(&self, conditions: &[Expr]) -> Option<Vec<RecordBatch>> {
        let key = self.snapshot.schema().key_schema();
        let mut columns = Vec::new();
        let mut count = 1;
        for field in key.fields() {
            let mut given = conditions.iter().filter_map(|c| values(field.name(), field.data_type(), c));
            let Some(values) = given.next() else { break };
            let more = count * values.len();
            if more > MAX_LOOKUPS {
                break;
            }
            count = more;
            columns.push(values);
        }
        if columns.is_empty() {
            return None;
        }
        let mut rows: Vec<Vec<ScalarValue>> = vec![Vec::new()];
        for values in &columns {
            let with = |row: &Vec<ScalarValue>| {
                let row = row.clone();
                values.iter().map(move |value| row.iter().cloned().chain([value.clone()]).collect::<Vec<_>>())
            };
            rows = rows.iter().flat_map(with).collect();
        }
        let schema = Arc::new(key.project(&(0..columns.len()).collect::<Vec<_>>()).ok()?);
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let batch = |row: Vec<ScalarValue>| {
            let arrays = row.iter().map(|value| value.to_array()).collect::<Result<Vec<_>>>().ok()?;
            RecordBatch::try_new_with_options(schema.clone(), arrays, &options).ok()
        };
        rows.into_iter().map(batch).collect()
    }

    fn about(&self, lookups: Option<&[RecordBatch]>) -> String {
        let (id, keys) = (self.snapshot.id(), self.snapshot.schema().key().len());
        let how = match lookups {
            None => format!("all of {} rows", self.snapshot.status().rows),
            Some([]) => "no rows".to_owned(),
            Some(lookups) if lookups[0].num_columns() == keys => format!("lookup of {} keys", lookups.len()),
            Some(lookups) => {
                format!("{} ranges by {} of {keys} key columns", lookups.len(), lookups[0].num_columns())
            }
        };
        format!("{}@{}, {how}", id.job, id.version)
    }
}

/// The values of that column with which the condition can hold, each once; `None` when it names none.
fn values(column: &str, ty: &DataType, condition: &Expr) -> Option<Vec<ScalarValue>> {
    let is = |expr: &Expr| matches!(expr, Expr::Column(found) if found.name == column);
    let value = |expr: &Expr| match expr {
        Expr::Literal(value, _) if !value.is_null() => value.cast_to(ty).and_then(canonical).ok(),
        _ => None,
    };
    let mut values = match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is(left) => vec![value(right)?],
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is(right) => vec![value(left)?],
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut either = values(column, ty, left)?;
            either.extend(values(column, ty, right)?);
            either
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            values(column, ty, left).or_else(|| values(column, ty, right))?
        }
        Expr::InList(InList { expr, list, negated: false }) if is(expr) => {
            list.iter().map(value).collect::<Option<Vec<_>>>()?
        }
        _ => return None,
    };
    let mut seen = std::collections::HashSet::new();
    values.retain(|value| seen.insert(value.clone()));
    Some(values)
}

/// The value as it stands in a key: what is equal there is found once.
fn canonical(value: ScalarValue) -> Result<ScalarValue> {
    ScalarValue::try_from_array(&canonical_key(&[value.to_array()?]).remove(0), 0)
}

impl fmt::Debug for KeyedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.snapshot.id())
    }
}

#[async_trait]
impl TableProvider for KeyedTable {
    fn schema(&self) -> SchemaRef {
        self.snapshot.schema().columns().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let lookups = self.lookups(filters);
        let about = self.about(lookups.as_deref());
        let schema = match projection {
            Some(columns) => Arc::new(self.schema().project(columns)?),
            None => self.schema(),
        };
        let (snapshot, projection) = (self.snapshot.clone(), projection.cloned());
        let open: Open = Arc::new(move || -> Batches {
            let (snapshot, projection) = (snapshot.clone(), projection.clone());
            let rows: Box<dyn Iterator<Item = Result<RecordBatch>> + Send> = match &lookups {
                None => Box::new(snapshot.scan(BATCH_ROWS).map(|batch| batch.map_err(failed))),
                Some(lookups) => Box::new(Lookup { snapshot, left: lookups.clone().into(), after: None }),
            };
            let project = move |batch: RecordBatch| match &projection {
                Some(columns) => Ok(batch.project(columns)?),
                None => Ok(batch),
            };
            stream::iter(rows.map(move |batch| batch.and_then(&project))).boxed()
        });
        Ok(Arc::new(Source::new("TableScan", about, schema, vec![open])))
    }
}

/// The rows of some beginnings of keys, a page at a time.
struct Lookup {
    snapshot: TableSnapshot,
    left: VecDeque<RecordBatch>,
    after: Option<rekap_tables::Cursor>,
}

impl Iterator for Lookup {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let prefix = self.left.front()?.clone();
        let query = RowsQuery { prefix: Some(prefix), after: self.after.take(), limit: BATCH_ROWS };
        match self.snapshot.rows(&query) {
            Ok(page) => {
                self.after = page.next;
                if self.after.is_none() {
                    self.left.pop_front();
                }
                Some(Ok(page.rows))
            }
            Err(e) => {
                self.left.clear();
                Some(Err(failed(e)))
            }
        }
    }
}
