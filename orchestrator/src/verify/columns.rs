//! The columns of two versions, compared value by value.
//!
//! Doubles that lie within 1e-9 of each other, relative to the greater one, are the same, also inside structs and lists: addition
//! order differs between ranges. All else, decimals among them, is exact. A column that changed its type is compared as doubles where both are numbers, else as the old
//! type where the new values can be cast to it.

use std::collections::HashSet;
use std::slice::from_ref;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Float64Type, Schema};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use super::report::{ColumnResult, Types};

/// How far doubles may lie apart, relative to the greater one.
const RELATIVE_TOLERANCE: f64 = 1e-9;

/// The columns of both versions that are no key columns.
pub(super) struct Columns {
    shared: Vec<Shared>,
    /// The columns of one version only.
    single: Vec<ColumnResult>,
}

struct Shared {
    old: usize,
    new: usize,
    compared_as: Option<DataType>,
    is_number: bool,
    result: ColumnResult,
    relative_changes: (f64, u64),
}

impl Columns {
    pub(super) fn of(old: &Schema, new: &Schema, key: &[&str]) -> Self {
        let is_value = |name: &str| !key.contains(&name);
        let single = |schema: &Schema, other: &Schema, added: bool| {
            let other: HashSet<&str> = other.fields().iter().map(|f| f.name().as_str()).collect();
            let only_here = schema.fields().iter().filter(|f| is_value(f.name()) && !other.contains(f.name().as_str()));
            let listed = only_here.map(|f| ColumnResult {
                name: f.name().clone(),
                added,
                removed: !added,
                ..Default::default()
            });
            listed.collect::<Vec<_>>()
        };
        let shared = new.fields().iter().enumerate().filter(|(_, field)| is_value(field.name()));
        let shared = shared.filter_map(|(at, field)| {
            let old_at = old.index_of(field.name()).ok()?;
            Some(Shared::new(field.name(), (old_at, old.field(old_at).data_type()), (at, field.data_type())))
        });
        Columns { shared: shared.collect(), single: [single(new, old, true), single(old, new, false)].concat() }
    }

    /// Which rows differ; `old` and `new` hold the same keys, row by row.
    pub(super) fn compare(&mut self, old: &RecordBatch, new: &RecordBatch) -> Result<Vec<bool>, ArrowError> {
        let mut differs = vec![false; old.num_rows()];
        for column in &mut self.shared {
            let changed = column.compare(old.column(column.old), new.column(column.new))?;
            differs.iter_mut().zip(&changed).for_each(|(row, column)| *row |= column);
        }
        Ok(differs)
    }

    pub(super) fn finish(self) -> Vec<ColumnResult> {
        self.shared.into_iter().map(Shared::finish).chain(self.single).collect()
    }
}

impl Shared {
    fn new(name: &str, (old, old_type): (usize, &DataType), (new, new_type): (usize, &DataType)) -> Self {
        let is_number = old_type.is_numeric() && new_type.is_numeric();
        let compared_as = if old_type == new_type {
            Some(old_type.clone())
        } else if is_number {
            Some(DataType::Float64)
        } else {
            can_cast_types(new_type, old_type).then(|| old_type.clone())
        };
        let types = (old_type != new_type).then(|| Types { old: old_type.to_string(), new: new_type.to_string() });
        let result = ColumnResult { name: name.to_owned(), types, ..ColumnResult::default() };
        Shared { old, new, compared_as, is_number, result, relative_changes: (0.0, 0) }
    }

    fn compare(&mut self, old: &ArrayRef, new: &ArrayRef) -> Result<Vec<bool>, ArrowError> {
        let changed = match &self.compared_as {
            Some(ty) => changed(&cast(old, ty)?, &cast(new, ty)?)?,
            None => vec![true; old.len()],
        };
        self.count(old, new, &changed)?;
        Ok(changed)
    }

    fn count(&mut self, old: &ArrayRef, new: &ArrayRef, changed: &[bool]) -> Result<(), ArrowError> {
        let rows = || (0..changed.len()).filter(|row| changed[*row]);
        self.result.changed += rows().count() as u64;
        self.result.nulls_vanished += rows().filter(|row| old.is_null(*row) && new.is_valid(*row)).count() as u64;
        self.result.nulls_appeared += rows().filter(|row| old.is_valid(*row) && new.is_null(*row)).count() as u64;
        if self.is_number && rows().next().is_some() {
            let (old, new) = (doubles(old)?, doubles(new)?);
            for row in rows().filter(|row| old.is_valid(*row) && new.is_valid(*row)) {
                self.count_relative(old.value(row), new.value(row));
            }
        }
        Ok(())
    }

    fn count_relative(&mut self, old: f64, new: f64) {
        let relative = ((new - old) / old).abs();
        if relative.is_finite() {
            let largest = self.result.largest_relative_change.unwrap_or(0.0);
            self.result.largest_relative_change = Some(largest.max(relative));
            self.relative_changes.0 += relative;
            self.relative_changes.1 += 1;
        }
    }

    fn finish(mut self) -> ColumnResult {
        let (sum, count) = self.relative_changes;
        self.result.mean_relative_change = (count > 0).then(|| sum / count as f64);
        self.result
    }
}

fn doubles(array: &ArrayRef) -> Result<Float64Array, ArrowError> {
    Ok(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// Which values differ; both arrays are of one type.
fn changed(old: &ArrayRef, new: &ArrayRef) -> Result<Vec<bool>, ArrowError> {
    Ok(match old.data_type() {
        DataType::Float64 | DataType::Float32 | DataType::Float16 => {
            let (old, new) = (doubles(old)?, doubles(new)?);
            old.iter().zip(&new).map(|(old, new)| !is_same(old, new)).collect()
        }
        ty if ty.is_nested() => {
            let converter = RowConverter::new(vec![SortField::new(ty.clone())])?;
            let (a, b) = (converter.convert_columns(from_ref(old))?, converter.convert_columns(from_ref(new))?);
            let tolerant = holds_doubles(ty);
            let differs = |(row, (a, b))| Ok(a != b && !(tolerant && is_same_nested(old, new, row)?));
            a.iter().zip(&b).enumerate().map(differs).collect::<Result<_, ArrowError>>()?
        }
        _ => {
            let distinct: BooleanArray = distinct(old, new)?;
            distinct.values().iter().collect()
        }
    })
}

/// True when values of that type may hold doubles somewhere inside.
fn holds_doubles(ty: &DataType) -> bool {
    match ty {
        DataType::Struct(fields) => fields.iter().any(|field| holds_doubles(field.data_type())),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            holds_doubles(item.data_type())
        }
        ty => ty.is_floating(),
    }
}

/// True when the nested values of a row are the same but for doubles within their tolerance.
fn is_same_nested(old: &ArrayRef, new: &ArrayRef, row: usize) -> Result<bool, ArrowError> {
    match (old.is_null(row), new.is_null(row)) {
        (true, true) => return Ok(true),
        (false, false) => {}
        _ => return Ok(false),
    }
    let all_same = |old: &ArrayRef, new: &ArrayRef| Ok(old.len() == new.len() && !changed(old, new)?.contains(&true));
    match old.data_type() {
        DataType::Struct(_) => {
            for (old, new) in old.as_struct().columns().iter().zip(new.as_struct().columns()) {
                if !all_same(&old.slice(row, 1), &new.slice(row, 1))? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        DataType::List(_) => all_same(&old.as_list::<i32>().value(row), &new.as_list::<i32>().value(row)),
        DataType::LargeList(_) => all_same(&old.as_list::<i64>().value(row), &new.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => {
            all_same(&old.as_fixed_size_list().value(row), &new.as_fixed_size_list().value(row))
        }
        _ => Ok(false),
    }
}

fn is_same(old: Option<f64>, new: Option<f64>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => {
            let greater = old.abs().max(new.abs());
            let is_near = greater.is_finite() && (old - new).abs() <= RELATIVE_TOLERANCE * greater;
            is_near || old == new || (old.is_nan() && new.is_nan())
        }
        (old, new) => old.is_none() && new.is_none(),
    }
}
