//! From the shape of a query to what runs: which columns are read, which are the key, which state is kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment};
use datafusion::logical_expr::{Aggregate as AggregateNode, Expr, LogicalPlan, Projection};
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::aggregates::{AggregateMode, aggregate_expressions};
use rekap_tables::TableSchema;

use super::aggregate::{self, AggregateQuery};
use super::aggregates::{Accuracy, mergeable};
use super::branch::{branches, unfiltered};
use super::chain::Chain;
use super::grouped::Aggregate;
use super::inputs::JobInput;
use super::records::{PLACE_COLUMNS, place_fields};
use super::refusal::Refusal;
use super::retention::Retention;
use super::session::Session;
use super::shape::Shape;
use super::syntax::Syntax;
use super::tombstones::TombstoneKeys;
use super::upsert::{self, UpsertQuery};
use crate::spec::JobSpec;

/// Plans one job. What is found on the way is collected in `inputs` and `warnings`.
pub(super) struct Planner<'a> {
    pub(super) spec: &'a JobSpec,
    pub(super) session: &'a Session,
    pub(super) syntax: &'a Syntax,
    pub(super) inputs: &'a mut Vec<JobInput>,
    pub(super) warnings: &'a mut Vec<String>,
}

/// The distinct expressions that an aggregate takes from its input, numbered.
#[derive(Default)]
struct Taken(Vec<Expr>);

impl Taken {
    fn number(&mut self, expr: &Expr) -> usize {
        let expr = expr.clone().unalias();
        let known = self.0.iter().position(|other| *other == expr);
        known.unwrap_or_else(|| {
            self.0.push(expr);
            self.0.len() - 1
        })
    }
}

impl Planner<'_> {
    /// Plans a GROUP BY job.
    pub(super) fn aggregate(
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

        let state = state_columns(&aggregates).map_err(Refusal::planner)?;
        let time = self.time(&output, &key)?;
        let table = self.table(output, key, state, time)?;
        let query = AggregateQuery {
            branches,
            input,
            needs_place,
            key: group_of_key.iter().map(|group| groups[*group]).collect(),
            aggregates,
            state: table.state_schema(),
            groups: (0..groups.len()).map(|group| place_in(&group_of_key, group)).collect(),
            result: Arc::new(node.schema.as_arrow().clone()),
            above,
            retention: self.retention(&table)?,
        };
        Ok((query, table))
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

    /// Plans an upsert job.
    pub(super) fn upsert(&mut self, shape: &Shape) -> Result<(UpsertQuery, TableSchema), Refusal> {
        let plan = &shape.below;
        let names: Vec<&str> = plan.schema().fields().iter().map(|field| field.name().as_str()).collect();
        if self.spec.key.is_empty() {
            let remedy = format!("name the output columns that identify a row: key = [{:?}]", names[0]);
            return Err(Refusal::new("NO_KEY", "a job without GROUP BY needs a `key`", remedy));
        }
        let key = self.spec.key.iter().map(|name| output_column("key", name, &names)).collect::<Result<Vec<_>, _>>()?;
        let order =
            self.spec.order.iter().map(|name| output_column("order", name, &names)).collect::<Result<Vec<_>, _>>()?;
        let planned: Vec<LogicalPlan> = branches(plan).map_err(Refusal::planner)?;
        let in_order = match planned.as_slice() {
            [one] => self.is_record_key(one, &key)?,
            _ => false,
        };
        let by_offset = in_order && order.is_empty() && self.spec.retain.is_none();
        let mut chains = vec![];
        for branch in planned {
            let input = self.input_of(&branch)?;
            let all = unfiltered(&branch).map_err(Refusal::planner)?;
            let columns = |wanted: &[usize]| -> Vec<Expr> {
                let columns = all.schema().columns();
                wanted
                    .iter()
                    .enumerate()
                    .map(|(i, column)| Expr::Column(columns[*column].clone()).alias(format!("k{i}")))
                    .collect()
            };
            let key_alone = self.chain(columns(&key), all.clone())?;
            let keys = self.chain(columns(&[key.as_slice(), &order].concat()), all.clone())?;
            let rows = self
                .session
                .optimize(&branch)
                .and_then(|plan| Chain::of_plan(self.session, &plan))
                .map_err(Refusal::planner)?;
            let tombstones = self.tombstone_fields(input, &key_alone);
            chains.push((input, keys, rows, tombstones));
        }
        if !order.is_empty() && !in_order && chains.iter().any(|(_, _, _, fields)| fields.is_some()) {
            let warning = "a tombstone has no `order` columns, so it deletes only rows whose order is NULL too: \
                           make the record key the key of the job";
            self.warnings.push(warning.to_owned());
        }
        let needs_place = !by_offset;
        let extra: Vec<(usize, usize)> = chains
            .iter()
            .flat_map(|(input, _, _, fields)| {
                let key = fields.is_some().then(|| self.inputs[*input].column("_key")).flatten();
                key.map(|key| (*input, key))
            })
            .collect();
        self.read(
            chains.iter().flat_map(|(input, keys, rows, _)| [(*input, keys), (*input, rows)]),
            needs_place,
            &extra,
        );

        let output = chains[0].2.schema().clone();
        self.check_names(&output)?;
        let order_fields = chains[0].1.schema().fields()[key.len()..].iter().map(|field| field.as_ref().clone());
        let place = place_fields();
        let place = if by_offset { &place[PLACE_COLUMNS - 1..] } else { &place[..] };
        let state =
            order_fields.chain(place.iter().cloned()).enumerate().map(|(i, field)| field.with_name(format!("s{i}")));
        let state = Arc::new(Schema::new(state.collect::<Vec<_>>()));
        let time = self.time(&output, &key)?;
        let table = self.table(output.clone(), key.clone(), state, time)?;
        let branches = chains.into_iter().map(|(input, keys, rows, fields)| upsert::Branch {
            input,
            timestamp: self.timestamp(input, needs_place),
            keys: self.placed(input, keys),
            rows: self.placed(input, rows),
            tombstones: fields.map(|fields| self.tombstone_keys(input, fields)),
        });
        let query = UpsertQuery {
            branches: branches.collect(),
            keys: key.len(),
            by_offset,
            resets: in_order && !by_offset,
            state: table.state_schema(),
            output,
            retention: self.retention(&table)?,
        };
        Ok((query, table))
    }

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

    /// True when the key is the topic's record key, so that all records of a key stand in one partition.
    fn is_record_key(&self, branch: &LogicalPlan, key: &[usize]) -> Result<bool, Refusal> {
        let input = &self.inputs[self.input_of(branch)?];
        let mut nodes = vec![];
        let mut node = branch;
        while let Some(below) = node.inputs().first() {
            nodes.push(node.clone());
            node = below;
        }
        let schema = input.schema();
        let of_key =
            key.iter().map(|column| origin(&nodes, *column).map(|column| schema.field(column).name().as_str()));
        let Some(of_key) = of_key.collect::<Option<BTreeSet<&str>>>() else { return Ok(false) };
        let declared = &self.spec.inputs[&input.name].columns;
        let fields: BTreeSet<&str> = input.topic.config.key.iter().map(String::as_str).collect();
        let is_fields =
            !fields.is_empty() && of_key == fields && !fields.iter().any(|field| declared.contains_key(*field));
        Ok(is_fields || of_key == BTreeSet::from(["_key"]))
    }

    /// The topic's key fields as columns of the input, when the job's key can be told from them and `_key` alone.
    fn tombstone_fields(&mut self, input: usize, key_alone: &Chain) -> Option<Vec<Option<usize>>> {
        let input = &self.inputs[input];
        let fields: Vec<Option<usize>> = input.topic.config.key.iter().map(|field| input.column(field)).collect();
        let record_key = input.column("_key");
        let tells = |column: &usize| record_key == Some(*column) || fields.contains(&Some(*column));
        if key_alone.columns().iter().all(tells) {
            return Some(fields);
        }
        self.warnings.push(format!(
            "tombstones of input `{}` are ignored: the key is not told by `_key` or the key fields of topic `{}`",
            input.name, input.topic.name
        ));
        None
    }

    fn tombstone_keys(&mut self, input: usize, fields: Vec<Option<usize>>) -> TombstoneKeys {
        self.inputs[input].tombstones = true;
        let input = &self.inputs[input];
        let read = |column: usize| input.columns.binary_search(&column).ok();
        TombstoneKeys {
            record_key: input.place(input.column("_key").expect("every input has `_key`")),
            fields: fields.into_iter().map(|column| column.and_then(read)).collect(),
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
                let detail = format!("`time` names `{time}`, which has type {other}");
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

/// The plain call behind an alias.
fn function(expr: &Expr) -> AggregateFunction {
    match expr.clone().unalias_nested().data {
        Expr::AggregateFunction(call) => call,
        other => unreachable!("the shape holds aggregate functions only, not {other}"),
    }
}

/// Where the arguments, the order and the filter of a call stand among the taken columns. Literals stay literals: a percentile
/// is read from the expression.
struct Arguments {
    arguments: Vec<Result<usize, Expr>>,
    order: Vec<(usize, arrow::compute::SortOptions)>,
    filter: Option<usize>,
}

fn arguments(call: &AggregateFunction, taken: &mut Taken) -> Arguments {
    let argument = |expr: &Expr, taken: &mut Taken| match expr.clone().unalias() {
        literal @ Expr::Literal(..) => Err(literal),
        other => Ok(taken.number(&other)),
    };
    Arguments {
        arguments: call.params.args.iter().map(|expr| argument(expr, taken)).collect(),
        order: (call.params.order_by.iter())
            .map(|sort| {
                let options = arrow::compute::SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
                (taken.number(&sort.expr), options)
            })
            .collect(),
        filter: call.params.filter.as_ref().map(|expr| taken.number(expr)),
    }
}

fn aggregate_of(number: usize, call: &AggregateFunction, taken: Arguments, input: &SchemaRef) -> PlanResult<Aggregate> {
    let column = |i: usize| Arc::new(Column::new(input.field(i).name(), i)) as Arc<dyn PhysicalExpr>;
    let argument = |argument: Result<usize, Expr>| match argument {
        Ok(i) => column(i),
        Err(Expr::Literal(value, _)) => Arc::new(Literal::new(value)),
        Err(other) => unreachable!("only literals are not taken, and {other} is none"),
    };
    let sort = |(i, options)| PhysicalSortExpr { expr: column(i), options };
    let mut order: Vec<_> = taken.order.into_iter().map(sort).collect();
    if mergeable(call.func.name()).is_some_and(|entry| entry.ordered) {
        let place = input.fields().len() - PLACE_COLUMNS..input.fields().len();
        order.extend(place.map(|i| PhysicalSortExpr { expr: column(i), options: Default::default() }));
    }
    let ignore_nulls = call.params.null_treatment == Some(NullTreatment::IgnoreNulls);
    let function: AggregateFunctionExpr =
        AggregateExprBuilder::new(call.func.clone(), taken.arguments.into_iter().map(argument).collect())
            .order_by(order)
            .schema(input.clone())
            .alias(format!("a{number}"))
            .with_ignore_nulls(ignore_nulls)
            .build()?;
    let function = Arc::new(function);
    let arguments = aggregate_expressions(std::slice::from_ref(&function), &AggregateMode::Partial, 0)?.remove(0);
    let state_columns = function.state_fields()?.len();
    Ok(Aggregate { function, arguments, filter: taken.filter, state_columns })
}

/// The state columns of all aggregates, named by number: the engine's own names may repeat.
fn state_columns(aggregates: &[Aggregate]) -> PlanResult<SchemaRef> {
    let mut fields = vec![];
    for aggregate in aggregates {
        for field in aggregate.function.state_fields()? {
            fields.push(Field::new(format!("s{}", fields.len()), field.data_type().clone(), true));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn with_place(columns: &SchemaRef, needs_place: bool) -> SchemaRef {
    let place = place_fields().map(Arc::new);
    let place = if needs_place { &place[..] } else { &[] };
    Arc::new(Schema::new(columns.fields().iter().chain(place).cloned().collect::<Fields>()))
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
