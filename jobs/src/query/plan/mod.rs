//! From the shape of a query to what runs: which columns are read, which are the key, which state is kept.
//!
//! [`group_by`] plans the one kind of job and [`upsert`] the other; what both need is here.

mod calls;
mod group_by;
mod upsert;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use rekap_tables::TableSchema;

use super::chain::Chain;
use super::inputs::JobInput;
use super::refusal::Refusal;
use super::retention::Retention;
use super::session::Session;
use super::syntax::Syntax;
use crate::spec::JobSpec;

/// Plans one job. What is found on the way is collected in `inputs` and `warnings`.
pub(super) struct Planner<'a> {
    pub(super) spec: &'a JobSpec,
    pub(super) session: &'a Session,
    pub(super) syntax: &'a Syntax,
    pub(super) inputs: &'a mut Vec<JobInput>,
    pub(super) warnings: &'a mut Vec<String>,
}

impl Planner<'_> {
    /// A chain that gives `columns` over a branch.
    fn chain(&self, columns: Vec<Expr>, branch: LogicalPlan) -> Result<Chain, Refusal> {
        let plan = Projection::try_new(columns, Arc::new(branch)).map(LogicalPlan::Projection);
        let plan = plan.and_then(|plan| self.session.optimize(&plan));
        plan.and_then(|plan| Chain::of_plan(self.session, &plan)).map_err(Refusal::planner)
    }

    /// The number of the input that a branch reads.
    fn input_of(&self, branch: &LogicalPlan) -> Result<usize, Refusal> {
        let mut node = branch;
        while let Some(below) = node.inputs().first() {
            node = below;
        }
        let name = match node {
            LogicalPlan::TableScan(scan) => scan.table_name.table(),
            _ => "",
        };
        self.inputs.iter().position(|input| input.name == name).ok_or_else(|| {
            Refusal::new("NO_INPUT", "a SELECT reads no input of the job", "name an input of the job in FROM")
        })
    }

    /// Settles which columns of each input are read.
    fn read<'c>(
        &mut self,
        chains: impl Iterator<Item = (usize, &'c Chain)>,
        timestamps: bool,
        extra: &[(usize, usize)],
    ) {
        let mut columns = vec![BTreeSet::new(); self.inputs.len()];
        let mut used = BTreeSet::new();
        for (input, chain) in chains {
            columns[input].extend(chain.columns());
            used.insert(input);
        }
        extra.iter().for_each(|(input, column)| _ = columns[*input].insert(*column));
        for (number, (input, mut columns)) in self.inputs.iter_mut().zip(columns).enumerate() {
            if !used.contains(&number) {
                self.warnings.push(format!("input `{}` is declared and not read by the query", input.name));
            }
            columns.extend(input.column("_timestamp").filter(|_| timestamps));
            input.read(columns);
        }
    }

    fn timestamp(&self, input: usize, needed: bool) -> Option<usize> {
        let input = &self.inputs[input];
        input.column("_timestamp").filter(|_| needed).map(|column| input.place(column))
    }

    fn placed(&self, input: usize, mut chain: Chain) -> Chain {
        chain.remap(|column| self.inputs[input].place(column));
        chain
    }

    fn check_names(&self, output: &SchemaRef) -> Result<(), Refusal> {
        let fields = output.fields();
        match fields.iter().enumerate().find(|(i, field)| fields[..*i].iter().any(|other| other.name() == field.name()))
        {
            None => Ok(()),
            Some((_, field)) => {
                let detail = format!("two output columns are called `{}`", field.name());
                let refusal = Refusal::new("DUPLICATE_COLUMN", detail, "give one of them another name with AS");
                Err(refusal.at(self.syntax.place_of_output(field.name())))
            }
        }
    }

    fn time(&self, output: &SchemaRef, key: &[usize]) -> Result<Option<usize>, Refusal> {
        let Some(time) = &self.spec.time else { return Ok(None) };
        let column = key.iter().copied().find(|column| output.field(*column).name() == time);
        let column = column.ok_or_else(|| {
            let remedy = format!("group by `{time}` and add it to `key`, or name another column");
            Refusal::new("TIME_NOT_IN_KEY", format!("`time` names `{time}`, which is no key column"), remedy)
        })?;
        match output.field(column).data_type() {
            DataType::Timestamp(..) => Ok(Some(column)),
            other => {
                let detail = format!("`time` names `{time}`, which is of type {}", rekap_tables::type_name(other));
                Err(Refusal::new(
                    "TIME_NOT_A_TIMESTAMP",
                    detail,
                    "make it a timestamp, as date_bin(INTERVAL '1 minute', ts) is",
                ))
            }
        }
    }

    fn retention(&self, table: &TableSchema) -> Result<Option<Retention>, Refusal> {
        let (Some(retain), Some(time)) = (self.spec.retain, table.time()) else { return Ok(None) };
        let in_key = place_in(table.key(), time);
        Ok(Retention::new(in_key, table.columns().field(time).data_type(), retain.0))
    }

    fn table(
        &self,
        columns: SchemaRef,
        key: Vec<usize>,
        state: SchemaRef,
        time: Option<usize>,
    ) -> Result<TableSchema, Refusal> {
        TableSchema::new(columns, key, state, time)
            .map_err(|e| Refusal::new("UNUSABLE_COLUMNS", e.to_string(), "cast the column to a plain type"))
    }
}

/// Which column below the nodes (given from the top down) an output column shows unchanged.
fn origin(nodes: &[LogicalPlan], column: usize) -> Option<usize> {
    nodes.iter().try_fold(column, |column, node| match node {
        LogicalPlan::Projection(node) => match node.expr[column].clone().unalias_nested().data {
            Expr::Column(below) => node.input.schema().maybe_index_of_column(&below),
            _ => None,
        },
        _ => Some(column),
    })
}

fn output_column(field: &str, name: &str, names: &[&str]) -> Result<usize, Refusal> {
    names.iter().position(|other| *other == name).ok_or_else(|| {
        let detail = format!("`{field}` names `{name}`, which is not in the output (it has {})", names.join(", "));
        Refusal::new("KEY_NOT_IN_OUTPUT", detail, format!("SELECT … AS {name}, or correct `{field}`"))
    })
}

fn place_in(list: &[usize], wanted: usize) -> usize {
    list.iter().position(|item| *item == wanted).expect("each is in the list once")
}
