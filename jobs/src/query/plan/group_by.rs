//! A GROUP BY job: its group columns are the key, its aggregates the state.

use std::sync::Arc;

use arrow::datatypes::{Fields, Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate as AggregateNode, Expr, LogicalPlan};
use rekap_tables::{TableSchema, type_name};

use super::calls::{Taken, aggregate_of, arguments, function, state_columns};
use super::{Planner, origin, output_column, place_in};
use crate::query::aggregate::{self, AggregateQuery};
use crate::query::aggregates::{Accuracy, mergeable};
use crate::query::branch::branches;
use crate::query::chain::Chain;
use crate::query::grouped::Aggregate;
use crate::query::records::place_fields;
use crate::query::refusal::Refusal;
use crate::query::shape::Shape;

impl Planner<'_> {
    /// Plans a GROUP BY job.
    pub(in crate::query) fn aggregate(
        &mut self,
        shape: &Shape,
        node: &AggregateNode,
    ) -> Result<(AggregateQuery, TableSchema), Refusal> {
        if !self.spec.order.is_empty() {
            let detail = "`order` says which record of a key is newest, and a GROUP BY job uses all of them";
            return Err(Refusal::new(
                "ORDER_IN_GROUP_BY",
                detail,
                "remove `order`, or use last_value(x ORDER BY time)",
            ));
        }
        let node = &without_repeats(node);
        let mut taken = Taken::default();
        let groups: Vec<usize> = node.group_expr.iter().map(|expr| taken.number(expr)).collect();
        let calls: Vec<AggregateFunction> = node.aggr_expr.iter().map(function).collect();
        let arguments: Vec<_> = calls.iter().map(|call| arguments(call, &mut taken)).collect();
        let ordered = calls.iter().any(|call| mergeable(call.func.name()).is_some_and(|entry| entry.ordered));
        let needs_place = ordered || self.spec.retain.is_some();
        for name in calls.iter().map(|call| call.func.name()) {
            if mergeable(name).is_some_and(|entry| entry.accuracy == Accuracy::Approximate) {
                self.warnings.push(format!("`{name}` is approximate: two versions may differ within its error"));
            }
        }

        let above = Chain::of_nodes(self.session, &shape.above, &node.schema).map_err(Refusal::planner)?;
        let output = above.schema().clone();
        self.check_names(&output)?;
        let (key, group_of_key) = self.group_key(shape, node, &output)?;
        let (branches, columns) = self.aggregate_branches(&shape.below, &taken.0, needs_place)?;
        let input = with_place(&columns, needs_place);
        let aggregates = calls.iter().zip(arguments).enumerate();
        let aggregates: Vec<Aggregate> = aggregates
            .map(|(i, (call, taken))| aggregate_of(i, call, taken, &input))
            .collect::<PlanResult<_>>()
            .map_err(Refusal::planner)?;
        calls.iter().zip(&aggregates).try_for_each(|(call, aggregate)| self.check_runs(call, aggregate, &input))?;

        let state = state_columns(&aggregates).map_err(Refusal::planner)?;
        let time = self.time(&output, &key)?;
        let table = self.table(output, key, state, time)?;
        let key: Vec<usize> = group_of_key.iter().map(|group| groups[*group]).collect();
        let with_key = |branch: aggregate::Branch| {
            let chain = branch.chain.with_key(key.iter().copied());
            aggregate::Branch { chain, ..branch }
        };
        let query = AggregateQuery {
            branches: branches.into_iter().map(with_key).collect(),
            input,
            needs_place,
            key: key.clone(),
            aggregates,
            state: table.state_schema(),
            groups: (0..groups.len()).map(|group| place_in(&group_of_key, group)).collect(),
            result: Arc::new(node.schema.as_arrow().clone()),
            above,
            retention: self.retention(&table)?,
        };
        Ok((query, table))
    }

    /// Refuses an aggregate that the engine plans and cannot run: some say so only when they are to begin.
    fn check_runs(&self, call: &AggregateFunction, aggregate: &Aggregate, input: &SchemaRef) -> Result<(), Refusal> {
        let Err(error) = aggregate.try_out() else { return Ok(()) };
        let name = call.func.name();
        let types = aggregate.arguments.iter().take(call.params.args.len());
        let types = types.filter_map(|argument| argument.data_type(input).ok()).map(|ty| type_name(&ty));
        let types = types.collect::<Vec<_>>().join(", ");
        let (detail, remedy) = match error.find_root() {
            DataFusionError::NotImplemented(_) => (
                format!("`{name}` cannot be computed over {types}"),
                format!("cast what it takes to another type, as in {name}({})", cast_of(name)),
            ),
            _ => (format!("`{name}` cannot be computed: {}", error.strip_backtrace()), "correct what it takes".into()),
        };
        let names = std::iter::once(name).chain(call.func.aliases().iter().map(String::as_str));
        let place = names.filter_map(|name| self.syntax.place_of_function(name)).next();
        Err(Refusal::new("INVALID_SQL", detail, remedy).at(place))
    }

    /// The branches down to the inputs, each giving the taken expressions as columns.
    fn aggregate_branches(
        &mut self,
        below: &LogicalPlan,
        taken: &[Expr],
        needs_place: bool,
    ) -> Result<(Vec<aggregate::Branch>, SchemaRef), Refusal> {
        let mut chains = vec![];
        for branch in branches(below).map_err(Refusal::planner)? {
            let columns = taken.iter().enumerate().map(|(i, expr)| expr.clone().alias(format!("c{i}")));
            chains.push((self.input_of(&branch)?, self.chain(columns.collect(), branch)?));
        }
        self.read(chains.iter().map(|(input, chain)| (*input, chain)), needs_place, &[]);
        let columns = chains[0].1.schema().clone();
        let branches = chains.into_iter().map(|(input, chain)| aggregate::Branch {
            input,
            timestamp: self.timestamp(input, needs_place),
            chain: self.placed(input, chain),
        });
        Ok((branches.collect(), columns))
    }

    /// The output columns that are the key, and for each the group column that it shows.
    fn group_key(
        &self,
        shape: &Shape,
        node: &AggregateNode,
        output: &SchemaRef,
    ) -> Result<(Vec<usize>, Vec<usize>), Refusal> {
        let groups = node.group_expr.len();
        let shown = |column: usize| origin(&shape.above, column).filter(|group| *group < groups);
        let names: Vec<&str> = output.fields().iter().map(|field| field.name().as_str()).collect();
        let key: Vec<usize> = if self.spec.key.is_empty() {
            let column = |group| (0..names.len()).find(|column| shown(*column) == Some(group));
            (0..groups)
                .map(|group| column(group).ok_or_else(|| self.not_shown(node, group)))
                .collect::<Result<_, _>>()?
        } else {
            self.spec.key.iter().map(|name| output_column("key", name, &names)).collect::<Result<_, _>>()?
        };
        let of_key = key.iter().map(|column| {
            shown(*column).ok_or_else(|| {
                let detail = format!("`{}` is in the key and is no column of GROUP BY", names[*column]);
                let refusal =
                    Refusal::new("KEY_NOT_GROUPED", detail, "group by that expression, or take it out of `key`");
                refusal.at(self.syntax.place_of_output(names[*column]))
            })
        });
        let of_key = of_key.collect::<Result<Vec<_>, _>>()?;
        match (0..groups).find(|group| !of_key.contains(group)) {
            Some(group) => Err(self.not_shown(node, group)),
            None if of_key.len() > groups => Err(Refusal::new(
                "KEY_NOT_GROUPED",
                "the key names one column of GROUP BY twice",
                "name each column of GROUP BY once",
            )),
            None => Ok((key, of_key)),
        }
    }

    fn not_shown(&self, node: &AggregateNode, group: usize) -> Refusal {
        let written = self.syntax.groups();
        let known = (written.len() == node.group_expr.len()).then(|| written[group].clone());
        let (expr, place) = known.unwrap_or_else(|| (node.group_expr[group].to_string(), None));
        let detail = format!("the query groups by `{expr}`, which is not a key column of the output");
        let remedy = format!("SELECT {expr} AS a column of its own, and name it in `key` if that is given");
        Refusal::new("KEY_NOT_IN_OUTPUT", detail, remedy).at(place)
    }
}

/// An argument over which an aggregate can be computed.
fn cast_of(aggregate: &str) -> &'static str {
    if aggregate == "approx_distinct" { "CAST(x AS TEXT)" } else { "CAST(x AS BIGINT)" }
}

fn with_place(columns: &SchemaRef, needs_place: bool) -> SchemaRef {
    let place = place_fields().map(Arc::new);
    let place = if needs_place { &place[..] } else { &[] };
    Arc::new(Schema::new(columns.fields().iter().chain(place).cloned().collect::<Fields>()))
}

/// The node with each expression of GROUP BY once: `GROUP BY a, a` has one column in the node's schema.
fn without_repeats(node: &AggregateNode) -> AggregateNode {
    let mut node = node.clone();
    let mut seen: Vec<Expr> = vec![];
    for expr in std::mem::take(&mut node.group_expr) {
        if !seen.contains(&expr) {
            seen.push(expr);
        }
    }
    node.group_expr = seen;
    node
}
