//! An upsert job: the latest record of each key.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::logical_expr::{Expr, LogicalPlan};
use rekap_tables::{TableSchema, type_name};

use super::{Planner, origin, output_column};
use crate::query::branch::{branches, unfiltered};
use crate::query::chain::Chain;
use crate::query::records::place_fields;
use crate::query::refusal::Refusal;
use crate::query::shape::Shape;
use crate::query::tombstones::TombstoneKeys;
use crate::query::upsert::{self, UpsertQuery};

/// A column of `order`.
enum OrderColumn {
    /// The output column of that number.
    Output(usize),
    /// The column of the input's record, by its place among those that are carried along.
    Input(usize),
}

/// What `order` names: output columns, or columns of the record that need not be in the output.
struct Order {
    columns: Vec<OrderColumn>,
    /// The names of the record's columns.
    carried: Vec<String>,
}

/// The ways of one branch, before it is settled which columns are read.
struct Ways {
    input: usize,
    keys: Chain,
    rows: Chain,
    /// The topic's key fields, where a tombstone's key can be told from them and `_key`.
    tombstones: Option<Vec<Option<usize>>>,
}

impl Planner<'_> {
    /// Plans an upsert job.
    pub(in crate::query) fn upsert(&mut self, shape: &Shape) -> Result<(UpsertQuery, TableSchema), Refusal> {
        let plan = &shape.below;
        let names: Vec<&str> = plan.schema().fields().iter().map(|field| field.name().as_str()).collect();
        if self.spec.key.is_empty() {
            let remedy = format!("name the output columns that identify a row: key = [{:?}]", names[0]);
            return Err(Refusal::new("NO_KEY", "a job without GROUP BY needs a `key`", remedy));
        }
        let key = self.spec.key.iter().map(|name| output_column("key", name, &names)).collect::<Result<Vec<_>, _>>()?;
        let planned: Vec<LogicalPlan> = branches(plan).map_err(Refusal::planner)?;
        let order = self.order(&names, &planned)?;
        let in_order = match planned.as_slice() {
            [one] => self.is_record_key(one, &key)?,
            _ => false,
        };
        let in_log_order = in_order && order.columns.is_empty() && self.spec.retain.is_none();
        let ways = planned.into_iter().map(|branch| self.ways(branch, &key, &order)).collect::<Result<Vec<_>, _>>()?;
        self.check_order_types(&ways)?;
        if !order.columns.is_empty() && !in_order && ways.iter().any(|ways| ways.tombstones.is_some()) {
            let remedy = match ways.len() {
                1 => "make the record key the key of the job",
                _ => "leave out `order`, or give each input a job of its own",
            };
            let detail = "a tombstone has no `order` columns, so it deletes only rows whose order is NULL too";
            self.warnings.push(format!("{detail}: {remedy}"));
        }
        self.read_ways(&ways);

        let output = ways[0].rows.schema().clone();
        self.check_names(&output)?;
        let state = state_of(ways[0].keys.schema(), key.len(), in_log_order);
        let time = self.time(&output, &key)?;
        let table = self.table(output.clone(), key.clone(), state, time)?;
        let branches = ways.into_iter().map(|ways| upsert::Branch {
            input: ways.input,
            timestamp: self.timestamp(ways.input, true),
            keys: self.placed(ways.input, ways.keys).with_key(0..key.len()),
            rows: self.placed(ways.input, ways.rows),
            tombstones: ways.tombstones.map(|fields| self.tombstone_keys(ways.input, fields)),
        });
        let query = UpsertQuery {
            branches: branches.collect(),
            keys: key.len(),
            in_log_order,
            resets: in_order && !in_log_order,
            state: table.state_schema(),
            output,
            retention: self.retention(&table)?,
        };
        Ok((query, table))
    }

    /// What `order` names: an output column, or else a column that every input read has.
    fn order(&self, names: &[&str], planned: &[LogicalPlan]) -> Result<Order, Refusal> {
        let mut order = Order { columns: vec![], carried: vec![] };
        for name in &self.spec.order {
            if let Some(column) = names.iter().position(|other| other == name) {
                order.columns.push(OrderColumn::Output(column));
                continue;
            }
            for branch in planned {
                let input = &self.inputs[self.input_of(branch)?];
                if input.column(name).is_none() {
                    let detail = format!(
                        "`order` names `{name}`, which is neither in the output (it has {}) nor a column of input `{}`",
                        names.join(", "),
                        input.name
                    );
                    let remedy = format!(
                        "SELECT … AS {name}, declare it in [inputs.{}.columns], or correct `order`",
                        input.name
                    );
                    return Err(Refusal::new("KEY_NOT_IN_OUTPUT", detail, remedy));
                }
            }
            order.columns.push(OrderColumn::Input(order.carried.len()));
            order.carried.push(name.clone());
        }
        Ok(order)
    }

    /// The ways of one branch: to key and order for every record, to the row for those that pass WHERE.
    fn ways(&mut self, branch: LogicalPlan, key: &[usize], order: &Order) -> Result<Ways, Refusal> {
        let input = self.input_of(&branch)?;
        let all = unfiltered(&branch, &order.carried).map_err(Refusal::planner)?;
        let outputs = branch.schema().fields().len();
        let of_order = order.columns.iter().map(|column| match column {
            OrderColumn::Output(column) => *column,
            OrderColumn::Input(place) => outputs + place,
        });
        let wanted: Vec<usize> = key.iter().copied().chain(of_order).collect();
        let columns = |wanted: &[usize]| -> Vec<Expr> {
            let columns = all.schema().columns();
            let wanted = wanted.iter().enumerate();
            wanted.map(|(i, column)| Expr::Column(columns[*column].clone()).alias(format!("k{i}"))).collect()
        };
        let key_alone = self.chain(columns(key), all.clone())?;
        let keys = self.chain(columns(&wanted), all.clone())?;
        let rows = self.session.optimize(&branch).and_then(|plan| Chain::of_plan(self.session, &plan));
        let rows = rows.map_err(Refusal::planner)?;
        Ok(Ways { input, keys, rows, tombstones: self.tombstone_fields(input, &key_alone) })
    }

    /// Refuses an `order` whose columns have other types in other inputs: they could not be compared.
    fn check_order_types(&self, ways: &[Ways]) -> Result<(), Refusal> {
        let first = ways[0].keys.schema().fields();
        for other in ways {
            let pairs = first.iter().zip(other.keys.schema().fields()).enumerate();
            for (i, (one, two)) in pairs.skip(self.spec.key.len()) {
                if one.data_type() != two.data_type() {
                    let name = &self.spec.order[i - self.spec.key.len()];
                    let (here, there) = (&self.inputs[ways[0].input].name, &self.inputs[other.input].name);
                    let detail = format!(
                        "`order` names `{name}`, which is {} in input `{here}` and {} in `{there}`",
                        type_name(one.data_type()),
                        type_name(two.data_type())
                    );
                    return Err(Refusal::new(
                        "UNUSABLE_COLUMNS",
                        detail,
                        format!("SELECT CAST(… AS …) AS {name} in each"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Settles what is read for these ways.
    fn read_ways(&mut self, ways: &[Ways]) {
        let record_key = |ways: &Ways| {
            let column = ways.tombstones.is_some().then(|| self.inputs[ways.input].column("_key")).flatten();
            column.map(|column| (ways.input, column))
        };
        let extra: Vec<(usize, usize)> = ways.iter().filter_map(record_key).collect();
        let chains = ways.iter().flat_map(|ways| [(ways.input, &ways.keys), (ways.input, &ways.rows)]);
        self.read(chains, true, &extra);
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
}

/// The columns of the order key, as the table keeps them: those of `order`, then the record's place.
fn state_of(keys: &SchemaRef, key: usize, in_log_order: bool) -> SchemaRef {
    let order = keys.fields()[key..].iter().map(|field| field.as_ref().clone());
    let [timestamp, branch, partition, offset] = place_fields();
    let place =
        if in_log_order { vec![timestamp, partition, offset] } else { vec![timestamp, branch, partition, offset] };
    let state = order.chain(place).enumerate().map(|(i, field)| field.with_name(format!("s{i}")));
    Arc::new(Schema::new(state.collect::<Vec<_>>()))
}
