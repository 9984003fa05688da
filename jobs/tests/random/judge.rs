//! The judge: one query of the engine over all rows, which knows nothing of ranges, state or tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use rekap_tiered_storage::timestamp_type;

use crate::data::{Body, Event, TopicModel, table};
use crate::query::{Case, Judge};
use crate::world::Letter;

/// What was appended so far: for each event its offset.
pub type Told<'a> = Vec<(i64, &'a Event)>;

type Judged<T> = Result<T, Box<dyn std::error::Error>>;

/// Compares a table and its dead letters with what they have to be. `ignored` names the inputs whose tombstones the plan ignores.
pub async fn judge(
    case: &Case,
    topics: &[TopicModel],
    told: &Told<'_>,
    ignored: &[usize],
    (rows, letters): &(RecordBatch, BTreeSet<Letter>),
    keys: &[usize],
) -> Result<(), String> {
    let expected = match expected(case, topics, told, ignored, rows.schema()).await {
        Err(error)
            if ["duplicate unqualified", "unique expression", "ambiguous"]
                .iter()
                .any(|c| error.to_string().contains(c)) =>
        {
            // The engine alone names an expression as if it held no cast, and does not plan two of one name. Jobs are planned.
            return Ok(());
        }
        expected => expected.map_err(|error| format!("the judge: {error}"))?,
    };
    same_rows(rows, &expected.0, keys)?;
    if *letters != expected.1 {
        return Err(format!("dead letters {letters:?}, and there have to be {:?}", expected.1));
    }
    Ok(())
}

async fn expected(
    case: &Case,
    topics: &[TopicModel],
    told: &Told<'_>,
    ignored: &[usize],
    schema: SchemaRef,
) -> Judged<(RecordBatch, BTreeSet<Letter>)> {
    let upsert = matches!(case.judge, Judge::Latest { .. });
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    config.options_mut().execution.time_zone = Some("UTC".into());
    let context = SessionContext::new_with_config(config);
    for (i, topic) in topics.iter().enumerate() {
        let skipped = |event: &Event| matches!(event.body, Body::Tombstone) && !upsert;
        let of: Vec<_> = told.iter().copied().filter(|(_, e)| e.topic == i && !skipped(e)).collect();
        let batch = table(topic, &of);
        context.register_table(topic.name, Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))?;
    }
    let read: &[usize] = match &case.judge {
        Judge::Rows { topics, .. } | Judge::Latest { topics, .. } => topics,
    };
    let broken = told.iter().filter(|(_, event)| matches!(event.body, Body::Broken(_)) && read.contains(&event.topic));
    let mut letters: BTreeSet<Letter> =
        broken.map(|(offset, e)| (topics[e.topic].name.to_owned(), e.partition, *offset)).collect();
    let rows = match &case.judge {
        Judge::Rows { sql, failing, .. } => {
            if let Some(failing) = failing {
                let failed = ask(&context, failing).await?;
                let (b, p, o) = (int(failed.column(0)), int(failed.column(1)), int(failed.column(2)));
                letters.extend((0..b.len()).map(|i| (topics[read[b[i] as usize]].name.to_owned(), p[i] as u32, o[i])));
            }
            ask(&context, sql).await?
        }
        Judge::Latest { sql, .. } => latest(case, &ask(&context, sql).await?, ignored)?,
    };
    let columns = rows.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<_, _>>()?;
    Ok((RecordBatch::try_new(schema, columns)?, letters))
}

async fn ask(context: &SessionContext, sql: &str) -> Judged<RecordBatch> {
    let frame = context.sql(sql).await?;
    let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await?;
    Ok(concat_batches(batches.first().map_or(&schema, |batch| batch.schema_ref()), &batches)?)
}

fn int(column: &ArrayRef) -> Vec<i64> {
    cast(column, &DataType::Int64).expect("a number").as_primitive::<Int64Type>().values().to_vec()
}

/// The rows of the latest candidates, by the rule of the contract, one record after the other.
fn latest(case: &Case, all: &RecordBatch, ignored: &[usize]) -> Judged<RecordBatch> {
    let Judge::Latest { keys, order, outputs, in_order, topics, retain, .. } = &case.judge else {
        unreachable!("only upsert jobs have a latest record")
    };
    let (keys, order, outputs) = (*keys, *order, *outputs);
    let after = keys + order + outputs;
    let keep = all.column(after).as_boolean();
    let ts = cast(all.column(after + 1), &timestamp_type())?;
    let ts = ts.as_primitive::<TimestampMicrosecondType>();
    let (b, o) = (int(all.column(after + 2)), int(all.column(after + 4)));
    let p = cast(all.column(after + 3), &DataType::Int32)?;
    let p = p.as_primitive::<Int32Type>();
    let tomb = all.column(after + 5).as_boolean();
    let key = encoded(&all.columns()[..keys])?;
    let by = encoded(&all.columns()[keys..keys + order])?;
    let by_offset = *in_order && order == 0 && retain.is_none();
    let mut places: Vec<usize> = (0..all.num_rows()).collect();
    places.sort_by_key(|row| (b[*row], p.value(*row), o[*row]));
    let newer = |row: usize, than: usize| match by_offset {
        true => o[row] > o[than],
        false => {
            let place = |row: usize| (ts.value(row), b[row], p.value(row), o[row]);
            let by = |row: usize| by.as_ref().map(|by| by.row(row).owned());
            (by(row), place(row)) > (by(than), place(than))
        }
    };
    let mut best: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let key = key.expect("a job has a key");
    for row in places {
        if tomb.value(row) && ignored.contains(&topics[b[row] as usize]) {
            continue;
        }
        let resets = *in_order && !by_offset && tomb.value(row);
        let held = best.entry(key.row(row).as_ref().to_vec()).or_insert(row);
        if resets || newer(row, *held) {
            *held = row;
        }
    }
    let mut rows: Vec<u32> = best.into_values().map(|row| row as u32).collect();
    rows.retain(|row| keep.value(*row as usize) && keep.is_valid(*row as usize) && !tomb.value(*row as usize));
    if let Some((column, retain)) = retain {
        let times = cast(all.column(*column), &timestamp_type())?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let counted =
            (0..all.num_rows()).filter(|row| !(tomb.value(*row) && ignored.contains(&topics[b[*row] as usize])));
        let newest = counted.filter(|row| times.is_valid(*row)).map(|row| times.value(row)).max();
        let horizon = newest.map_or(i64::MIN, |newest| newest - retain);
        rows.retain(|row| times.is_null(*row as usize) || times.value(*row as usize) >= horizon);
    }
    let wanted: Vec<usize> = (keys + order..after).collect();
    Ok(take_record_batch(&all.project(&wanted)?, &rows.into_iter().collect::<arrow::array::UInt32Array>())?)
}

fn encoded(columns: &[ArrayRef]) -> Judged<Option<Rows>> {
    if columns.is_empty() {
        return Ok(None);
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    Ok(Some(RowConverter::new(fields)?.convert_columns(columns)?))
}

/// Both in the order of their keys, cell by cell.
fn same_rows(ours: &RecordBatch, wanted: &RecordBatch, keys: &[usize]) -> Result<(), String> {
    let (ours, wanted) = (sorted(ours, keys), sorted(wanted, keys));
    let shown = || format!("the table has\n{}\nand has to have\n{}", pretty(&ours), pretty(&wanted));
    if ours.num_rows() != wanted.num_rows() {
        return Err(shown());
    }
    for (i, (one, other)) in ours.columns().iter().zip(wanted.columns()).enumerate() {
        let same = match one.data_type() {
            DataType::Float64 => {
                let pairs = one.as_primitive::<Float64Type>().iter().zip(other.as_primitive::<Float64Type>());
                pairs.into_iter().all(|pair| match pair {
                    (Some(a), Some(b)) => {
                        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 * a.abs().max(1.0)
                    }
                    (a, b) => a == b,
                })
            }
            _ => one == other,
        };
        if !same {
            return Err(format!("column {i} differs: {}", shown()));
        }
    }
    Ok(())
}

fn sorted(rows: &RecordBatch, keys: &[usize]) -> RecordBatch {
    let columns: Vec<ArrayRef> = keys.iter().map(|key| rows.column(*key).clone()).collect();
    let encoded = encoded(&columns).expect("keys can be compared").expect("there is a key");
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    order.sort_by(|a, b| encoded.row(*a as usize).cmp(&encoded.row(*b as usize)));
    take_record_batch(rows, &arrow::array::UInt32Array::from(order)).expect("rows that there are")
}

fn pretty(rows: &RecordBatch) -> String {
    arrow::util::pretty::pretty_format_batches(std::slice::from_ref(rows))
        .map_or_else(|e| e.to_string(), |t| t.to_string())
}
