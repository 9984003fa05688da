//! The state of aggregates, group by group: a hash table of keys and one accumulator per aggregate.
//!
//! The accumulators are the engine's own vectorised ones ([`GroupsAccumulator`]), driven here directly: rows → state, state + state →
//! state, state → result. Because groups keep their numbers, merging with the stored state and computing the result need no second
//! hash table.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::cast::as_boolean_array;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use super::chain::true_only;

/// One aggregate of a query, over the columns of its input.
#[derive(Debug, Clone)]
pub(super) struct Aggregate {
    pub(super) function: Arc<AggregateFunctionExpr>,
    /// The arguments, and the order where it has one.
    pub(super) arguments: Vec<Arc<dyn PhysicalExpr>>,
    /// The column of its FILTER.
    pub(super) filter: Option<usize>,
    /// How many columns its state has.
    pub(super) state_columns: usize,
}

impl Aggregate {
    fn accumulator(&self) -> Result<Box<dyn GroupsAccumulator>> {
        if self.function.groups_accumulator_supported() {
            return self.function.create_groups_accumulator();
        }
        let function = self.function.clone();
        Ok(Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator())))
    }

    /// Whether it can be computed at all: makes what it is computed with, once.
    pub(super) fn try_out(&self) -> Result<()> {
        match self.function.groups_accumulator_supported() {
            true => self.function.create_groups_accumulator().map(drop),
            false => self.function.create_accumulator().map(drop),
        }
    }
}

/// Accumulators for numbered groups.
pub(super) struct Accumulators<'a> {
    aggregates: &'a [Aggregate],
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
}

impl<'a> Accumulators<'a> {
    pub(super) fn new(aggregates: &'a [Aggregate]) -> Result<Self> {
        let accumulators = aggregates.iter().map(Aggregate::accumulator).collect::<Result<_>>()?;
        Ok(Accumulators { aggregates, accumulators })
    }

    /// Takes in rows: `groups` says which group each row is of, `total` how many groups there are by now.
    pub(super) fn update(&mut self, rows: &RecordBatch, groups: &[usize], total: usize) -> Result<()> {
        for (aggregate, accumulator) in self.aggregates.iter().zip(&mut self.accumulators) {
            let argument = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(rows)?.into_array(rows.num_rows());
            let arguments: Vec<ArrayRef> = aggregate.arguments.iter().map(argument).collect::<Result<_>>()?;
            let filter =
                aggregate.filter.map(|column| as_boolean_array(rows.column(column)).map(true_only)).transpose()?;
            accumulator.update_batch(&arguments, groups, filter.as_ref(), total)?;
        }
        Ok(())
    }

    /// Takes in state columns, one row per group named in `groups`.
    pub(super) fn merge(&mut self, state: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        let mut at = 0;
        for (aggregate, accumulator) in self.aggregates.iter().zip(&mut self.accumulators) {
            let columns = &state[at..at + aggregate.state_columns];
            accumulator.merge_batch(columns, groups, total)?;
            at += aggregate.state_columns;
        }
        Ok(())
    }

    /// The state columns of all groups, in the order of their numbers.
    pub(super) fn state(mut self) -> Result<Vec<ArrayRef>> {
        let mut columns = vec![];
        for accumulator in &mut self.accumulators {
            columns.extend(accumulator.state(EmitTo::All)?);
        }
        Ok(columns)
    }

    /// The result of each aggregate for all groups, in the order of their numbers.
    pub(super) fn results(mut self) -> Result<Vec<ArrayRef>> {
        self.accumulators.iter_mut().map(|accumulator| accumulator.evaluate(EmitTo::All)).collect()
    }

    fn size(&self) -> usize {
        self.accumulators.iter().map(|accumulator| accumulator.size()).sum()
    }
}

/// Keys numbered in the order of their first appearance.
pub(super) struct Groups {
    values: Box<dyn GroupValues>,
    numbers: Vec<usize>,
}

impl Groups {
    pub(super) fn new(key: SchemaRef) -> Result<Self> {
        Ok(Groups { values: new_group_values(key, &GroupOrdering::None)?, numbers: vec![] })
    }

    /// The number of each row's group.
    pub(super) fn number(&mut self, keys: &[ArrayRef]) -> Result<&[usize]> {
        self.numbers.clear();
        self.values.intern(keys, &mut self.numbers)?;
        Ok(&self.numbers)
    }

    /// The numbers that [`Self::number`] gave last.
    pub(super) fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The keys, in the order of their numbers.
    pub(super) fn keys(mut self) -> Result<Vec<ArrayRef>> {
        self.values.emit(EmitTo::All)
    }

    pub(super) fn size(&self) -> usize {
        self.values.size() + self.numbers.capacity() * size_of::<usize>()
    }
}

/// Groups, their accumulators and the memory that both take.
pub(super) struct Grouped<'a> {
    groups: Groups,
    accumulators: Accumulators<'a>,
    memory: MemoryReservation,
}

impl<'a> Grouped<'a> {
    pub(super) fn new(key: SchemaRef, aggregates: &'a [Aggregate], memory: &Arc<dyn MemoryPool>) -> Result<Self> {
        let memory = MemoryConsumer::new("range of a job").register(memory);
        Ok(Grouped { groups: Groups::new(key)?, accumulators: Accumulators::new(aggregates)?, memory })
    }

    /// Takes in rows with their keys.
    pub(super) fn update(&mut self, keys: &[ArrayRef], rows: &RecordBatch) -> Result<()> {
        let Grouped { groups, accumulators, .. } = self;
        groups.number(keys)?;
        accumulators.update(rows, &groups.numbers, groups.values.len())?;
        self.account()
    }

    /// Takes in state with its keys.
    pub(super) fn merge(&mut self, keys: &[ArrayRef], state: &[ArrayRef]) -> Result<()> {
        let Grouped { groups, accumulators, .. } = self;
        groups.number(keys)?;
        accumulators.merge(state, &groups.numbers, groups.values.len())?;
        self.account()
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Keys and state, each key once, under the columns of `schema`.
    pub(super) fn finish(self, schema: &SchemaRef) -> Result<RecordBatch> {
        if self.groups.len() == 0 {
            return Ok(RecordBatch::new_empty(schema.clone()));
        }
        let mut columns = self.groups.keys()?;
        columns.extend(self.accumulators.state()?);
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }

    fn account(&mut self) -> Result<()> {
        self.memory.try_resize(self.groups.size() + self.accumulators.size())
    }
}

/// The schema of some columns of another one.
pub(super) fn columns_of(schema: &Schema, columns: &[usize]) -> SchemaRef {
    Arc::new(schema.project(columns).expect("these are columns of it"))
}

/// The numbers of the rows that a mask selects.
pub(super) fn selected(mask: &BooleanArray) -> Vec<usize> {
    mask.values().set_indices().collect()
}
