//! Filters and projections, evaluated batch by batch.
//!
//! A chain never multiplies rows, so each row that comes out stands for one row that went in; [`Kept`] says which. That is how a
//! failing expression is traced to its record, and how a record's own place (timestamp, partition, offset) stays at hand without
//! being carried through the SQL. Pure: nothing here knows where batches come from.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, filter, filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DFSchema, DataFusionError, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;

use rekap_tables::canonical_key;
use rekap_tiered_storage::timestamp_type;

use super::session::Session;

/// A row of steps from an input's columns to output columns.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    /// The columns to start from, as indices into the batch that comes in.
    columns: Vec<usize>,
    steps: Vec<Step>,
    schema: SchemaRef,
    /// Which of the columns that come out are the key; none where that is not known.
    key: Vec<usize>,
}

#[derive(Debug, Clone)]
enum Step {
    Filter(Arc<dyn PhysicalExpr>),
    Project(Vec<Arc<dyn PhysicalExpr>>, SchemaRef),
    /// No row passes.
    Nothing,
}

/// Rows that came through a chain.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// The output columns.
    pub(super) batch: RecordBatch,
    /// For each row, which row of the batch that went in it stands for. They rise.
    pub(super) rows: UInt32Array,
}

/// A row on which an expression failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailedRow {
    /// Which row of the batch that went in.
    pub(super) row: usize,
    /// What the expression said.
    pub(super) detail: String,
}

impl Chain {
    /// The steps of an optimized linear plan. `columns` of the chain are those of the scanned input.
    pub(super) fn of_plan(session: &Session, plan: &LogicalPlan) -> Result<Self> {
        let mut chain =
            Chain { columns: vec![], steps: vec![], schema: Arc::new(plan.schema().as_arrow().clone()), key: vec![] };
        chain.collect(session, plan)?;
        chain.schema = plain_schema(&chain.schema);
        Ok(chain)
    }

    fn collect(&mut self, session: &Session, plan: &LogicalPlan) -> Result<()> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let all = 0..scan.source.schema().fields().len();
                self.columns = scan.projection.clone().unwrap_or(all.collect());
                for filter in &scan.filters {
                    self.steps.push(Step::Filter(session.physical(filter, &scan.projected_schema)?));
                }
            }
            LogicalPlan::Filter(node) => {
                self.collect(session, &node.input)?;
                self.steps.push(Step::Filter(session.physical(&node.predicate, node.input.schema())?));
            }
            LogicalPlan::Projection(node) => {
                self.collect(session, &node.input)?;
                self.project(session, &node.expr, node.input.schema(), &node.schema)?;
            }
            LogicalPlan::SubqueryAlias(node) => self.collect(session, &node.input)?,
            LogicalPlan::EmptyRelation(_) => self.steps.push(Step::Nothing),
            other => return plan_err!("unexpected in a branch: {}", other.display()),
        }
        Ok(())
    }

    /// The steps from the result of an aggregate upwards; `above` are the plan's nodes from the top down.
    pub(super) fn of_nodes(session: &Session, above: &[LogicalPlan], from: &DFSchema) -> Result<Self> {
        let top = above.first().map_or(from, |node| node.schema());
        let columns = (0..from.fields().len()).collect();
        let mut chain = Chain { columns, steps: vec![], schema: plain_schema(top.as_arrow()), key: vec![] };
        for node in above.iter().rev() {
            match node {
                LogicalPlan::Filter(node) => {
                    chain.steps.push(Step::Filter(session.physical(&node.predicate, node.input.schema())?))
                }
                LogicalPlan::Projection(node) => {
                    chain.project(session, &node.expr, node.input.schema(), &node.schema)?;
                }
                _ => {}
            }
        }
        Ok(chain)
    }

    fn project(&mut self, session: &Session, exprs: &[Expr], input: &DFSchema, output: &DFSchema) -> Result<()> {
        let exprs = exprs.iter().map(|expr| session.physical(expr, input)).collect::<Result<_>>()?;
        self.steps.push(Step::Project(exprs, nullable(output.as_arrow())));
        Ok(())
    }

    /// The chain with a key in these columns of what comes out: equal keys come out equal bit for bit, and a row whose key is too long to be
    /// stored fails.
    pub(super) fn with_key(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.key = columns.into_iter().collect();
        self
    }

    /// The columns that come out.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The input's columns that it reads.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Tells where the columns that it reads stand in the batches that will come in.
    pub(super) fn remap(&mut self, place: impl Fn(usize) -> usize) {
        self.columns.iter_mut().for_each(|column| *column = place(*column));
    }

    /// Runs a batch through, or fails when an expression fails on any of its rows.
    fn apply(&self, batch: &RecordBatch) -> Result<Kept> {
        let mut rows = None;
        let mut batch = batch.project(&self.columns)?;
        for step in &self.steps {
            match step {
                Step::Project(exprs, schema) => batch = project(&batch, exprs, schema)?,
                Step::Filter(predicate) => {
                    let mask = predicate.evaluate(&batch)?.into_array(batch.num_rows())?;
                    let mask = true_only(as_boolean_array(&mask)?);
                    if mask.true_count() == mask.len() {
                        continue;
                    }
                    batch = filter_record_batch(&batch, &mask)?;
                    let before = rows.unwrap_or_else(|| all_rows(mask.len()));
                    rows = Some(
                        filter(&before, &mask)?.as_any().downcast_ref::<UInt32Array>().expect("rows are u32").clone(),
                    );
                }
                Step::Nothing => {
                    batch = RecordBatch::new_empty(self.schema.clone());
                    rows = Some(UInt32Array::from(Vec::<u32>::new()));
                }
            }
        }
        let rows = rows.unwrap_or_else(|| all_rows(batch.num_rows()));
        let batch = with_canonical_key(plain(batch, &self.schema)?, &self.key)?;
        check_key(&batch.project(&self.key)?)?;
        Ok(Kept { batch, rows })
    }

    /// Runs a batch through. Where an expression fails, the rows at fault are found by halving and left out; the others come through
    /// as if they had been alone. What comes out depends on each row only, never on the batch that it travels in.
    pub(super) fn run(&self, batch: &RecordBatch) -> Result<(Vec<Kept>, Vec<FailedRow>)> {
        let (mut kept, mut failed) = (vec![], vec![]);
        self.halve(batch, 0, &mut kept, &mut failed)?;
        Ok((kept, failed))
    }

    fn halve(
        &self,
        batch: &RecordBatch,
        first: usize,
        kept: &mut Vec<Kept>,
        failed: &mut Vec<FailedRow>,
    ) -> Result<()> {
        match self.apply(batch) {
            Ok(mut whole) => {
                if first > 0 {
                    whole.rows = whole.rows.unary(|row| row + first as u32);
                }
                kept.push(whole);
            }
            Err(error) if is_environment(&error) => return Err(error),
            Err(error) if batch.num_rows() <= 1 => {
                failed.push(FailedRow { row: first, detail: error.strip_backtrace() });
            }
            Err(_) => {
                let half = batch.num_rows() / 2;
                self.halve(&batch.slice(0, half), first, kept, failed)?;
                self.halve(&batch.slice(half, batch.num_rows() - half), first + half, kept, failed)?;
            }
        }
        Ok(())
    }
}

/// The batch with one NaN and one zero in its key, so that equal keys are one group.
fn with_canonical_key(batch: RecordBatch, key: &[usize]) -> Result<RecordBatch> {
    let (schema, mut columns, rows) = batch.into_parts();
    for column in key {
        columns[*column] = canonical_key(&columns[*column..=*column]).remove(0);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

fn check_key(key: &RecordBatch) -> Result<()> {
    match rekap_tables::too_long_key(key.columns())? {
        None => Ok(()),
        Some(bytes) => {
            exec_err!("its key takes {bytes} bytes, and at most {} can be stored", rekap_tables::MAX_ROW_KEY_BYTES)
        }
    }
}

/// True when trying again later may help: no record is at fault.
pub(crate) fn is_environment(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_) | DataFusionError::IoError(_))
}

/// A mask in which NULL is false.
pub(super) fn true_only(mask: &BooleanArray) -> BooleanArray {
    if mask.null_count() == 0 { mask.clone() } else { prep_null_mask_filter(mask) }
}

fn all_rows(n: usize) -> UInt32Array {
    UInt32Array::from_iter_values(0..n as u32)
}

fn project(batch: &RecordBatch, exprs: &[Arc<dyn PhysicalExpr>], schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let columns: Vec<ArrayRef> = exprs
        .iter()
        .map(|expr| expr.evaluate(batch).and_then(|value| value.into_array(rows)))
        .collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// The type under which a column is stored: views and dictionaries become what they stand for, and every timestamp is one in
/// microseconds and UTC, as those of the records are, whatever unit the functions that made it count in.
fn plain_type(ty: &DataType) -> DataType {
    let inner = |field: &Arc<Field>| Arc::new(Field::new(field.name(), plain_type(field.data_type()), true));
    match ty {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::Timestamp(..) => timestamp_type(),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::List(item) | DataType::LargeList(item) => DataType::List(inner(item)),
        other => other.clone(),
    }
}

/// The schema with plain types; every column may be NULL.
fn plain_schema(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| Field::new(field.name(), plain_type(field.data_type()), true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn nullable(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| Field::new(field.name(), field.data_type().clone(), true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn plain(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match column.data_type() == field.data_type() {
        true => Ok(column.clone()),
        false => cast(column, field.data_type()),
    });
    let columns = columns.collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
