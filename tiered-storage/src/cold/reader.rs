//! Reading data files back: only the columns asked for, only the rows in a range of offsets, in batches of bounded size.
//!
//! Memory per open read: the encoded column chunks of one row group and one batch of at most [`BATCH_ROWS`] rows or about
//! [`BATCH_BYTES`]; besides, the footers of the [`FOOTERS_KEPT`] files read last.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, Int8Array, Int64Array, RecordBatch};
use arrow::compute::and;
use arrow::compute::kernels::cmp::{eq, gt_eq, lt};
use arrow::datatypes::{DataType, Field, Int8Type, Int64Type, SchemaRef};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStore;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, RowFilter, RowSelection,
};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::coverage::ColdFile;
use super::file::UNDECODABLE;
use super::schema::{DATA, DECODED, OFFSET, TIMESTAMP, VALUE};
use super::source::Source;
use crate::{LogError, Offset, OffsetRange};

/// Rows per batch: enough to make per-batch costs vanish, few enough to stay in the processor's caches.
const BATCH_ROWS: usize = 64 * 1024;

/// About as many decoded bytes per batch, where records are wide.
const BATCH_BYTES: u64 = 16 << 20;

/// Footers kept, so that a replay that comes back to a file for its next range does not read them again: a few MB.
const FOOTERS_KEPT: usize = 64;

/// The footers of the files read last.
#[derive(Default)]
pub(crate) struct Footers(Mutex<VecDeque<(String, ArrowReaderMetadata)>>);

impl Footers {
    fn get(&self, path: &str) -> Option<ArrowReaderMetadata> {
        let kept = self.0.lock().expect("no holder panics");
        kept.iter().find(|(known, _)| known == path).map(|(_, footer)| footer.clone())
    }

    fn put(&self, path: &str, footer: &ArrowReaderMetadata) {
        let mut kept = self.0.lock().expect("no holder panics");
        kept.truncate(FOOTERS_KEPT - 1);
        kept.push_front((path.to_owned(), footer.clone()));
    }
}

/// The columns to read of a file: whole envelope columns, and fields of `data`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    /// Names of envelope columns.
    pub(crate) envelope: Vec<&'static str>,
    /// Names of fields of `data`.
    pub(crate) data: Vec<String>,
}

/// Rows of a file: the records at `offsets`, which are all that there are in `range`.
pub(crate) struct Rows {
    pub(crate) range: OffsetRange,
    pub(crate) offsets: Int64Array,
    columns: RecordBatch,
}

impl Rows {
    /// An envelope column that was asked for.
    pub(crate) fn envelope(&self, name: &str) -> Option<&ArrayRef> {
        self.columns.column_by_name(name)
    }

    /// A field of `data` that was asked for.
    pub(crate) fn data(&self, name: &str) -> Option<&ArrayRef> {
        self.columns.column_by_name(DATA)?.as_struct_opt()?.column_by_name(name)
    }
}

/// A data file, opened.
#[derive(Clone)]
pub(crate) struct FileReader {
    objects: Arc<dyn ObjectStore>,
    file: Arc<ColdFile>,
    footer: ArrowReaderMetadata,
}

impl FileReader {
    pub(super) async fn open(
        objects: Arc<dyn ObjectStore>,
        file: Arc<ColdFile>,
        footers: &Footers,
    ) -> Result<Self, LogError> {
        if let Some(footer) = footers.get(&file.path) {
            return Ok(FileReader { objects, file, footer });
        }
        let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let mut input = Source::new(objects.clone(), &file);
        let footer = ArrowReaderMetadata::load_async(&mut input, options).await.map_err(|e| failed(&file, e))?;
        footers.put(&file.path, &footer);
        Ok(FileReader { objects, file, footer })
    }

    /// The file.
    pub(crate) fn file(&self) -> &ColdFile {
        &self.file
    }

    /// The file's columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.footer.schema()
    }

    /// All records with all columns, in order.
    pub(super) fn whole(&self) -> Result<BoxStream<'static, Result<RecordBatch, LogError>>, LogError> {
        let rows = self.batch_rows(&ProjectionMask::all());
        let stream = self.builder().with_batch_size(rows).build().map_err(|e| failed(&self.file, e))?;
        let file = self.file.clone();
        Ok(stream.map_err(move |e| failed(&file, e)).boxed())
    }

    /// True when `data` holds a field of that name and type.
    pub(crate) fn holds(&self, field: &Field) -> bool {
        let Ok(data) = self.footer.schema().field_with_name(DATA) else { return false };
        let DataType::Struct(fields) = data.data_type() else { return false };
        fields.find(field.name()).is_some_and(|(_, held)| held.data_type() == field.data_type())
    }

    /// The records in `range`, in order; the ranges of what comes out tile it.
    pub(crate) fn read(
        &self,
        range: OffsetRange,
        columns: &Columns,
    ) -> Result<BoxStream<'static, Result<Rows, LogError>>, LogError> {
        let mut roots = columns.envelope.clone();
        roots.extend((!self.file.is_dense()).then_some(OFFSET));
        let mask = self.mask(&roots, &columns.data);
        // Where records were refused their values are read besides, for those of each batch.
        let refused = self.file.undecodable > 0 && roots.contains(&DECODED);
        roots.extend(refused.then_some(VALUE));
        let stream = self
            .builder()
            .with_batch_size(self.batch_rows(&self.mask(&roots, &columns.data)))
            .with_projection(mask)
            .with_row_selection(self.selection(range))
            .build()
            .map_err(|e| failed(&self.file, e))?;
        let nothing = RecordBatch::new_empty(stream.schema().clone());
        let file = self.file.clone();
        Ok(Box::pin(async_stream::try_stream! {
            let mut batches = stream.map_err(|e| failed(&file, e));
            let mut at = range.from;
            while let Some(batch) = batches.try_next().await? {
                let rows = Rows::of(&file, OffsetRange { from: at, to: range.to }, batch);
                at = rows.range.to;
                if !rows.range.is_empty() {
                    yield rows;
                }
            }
            if at < range.to {
                let range = OffsetRange { from: at, to: range.to };
                yield Rows { range, offsets: Int64Array::from(Vec::<i64>::new()), columns: nothing };
            }
        }))
    }

    /// The smallest part of `range` that holds all records written from `from` to `to` (in microseconds, both included), as far as
    /// the statistics of the row groups tell; `None` when there is none. Reads nothing.
    pub(crate) fn written_in(&self, range: OffsetRange, from: i64, to: i64) -> Option<OffsetRange> {
        let leaves = self.footer.parquet_schema().columns().iter();
        let Some(time) = leaves.enumerate().find(|(_, leaf)| leaf.path().string() == TIMESTAMP).map(|(i, _)| i) else {
            return Some(range);
        };
        let mut hull: Option<(i64, i64)> = None;
        for group in self.footer.metadata().row_groups() {
            let Some((oldest, newest)) = bounds(group, time) else { return Some(range) };
            let Some((first, last)) = bounds(group, 0) else { return Some(range) };
            if oldest <= to && newest >= from {
                hull = Some((hull.map_or(first, |(from, _)| from), last));
            }
        }
        let (first, last) = hull?;
        range.intersect(&OffsetRange::new(Offset::from_i64(first)?, Offset::from_i64(last)?.next()))
    }

    /// The records in `range` that the file's decoder refused, with their offsets and values.
    pub(crate) async fn undecodable(&self, range: OffsetRange) -> Result<Vec<Rows>, LogError> {
        let column = |batch: &RecordBatch, name: &str| batch.column_by_name(name).expect("asked for").clone();
        let refused = ArrowPredicateFn::new(self.mask(&[OFFSET, DECODED], &[]), move |batch| {
            let (status, offsets) = (column(&batch, DECODED), column(&batch, OFFSET));
            let offsets = offsets.as_primitive::<Int64Type>();
            let from = gt_eq(offsets, &Int64Array::new_scalar(range.from.as_i64()))?;
            let to = lt(offsets, &Int64Array::new_scalar(range.to.as_i64()))?;
            let refused = eq(status.as_primitive::<Int8Type>(), &Int8Array::new_scalar(UNDECODABLE))?;
            and(&refused, &and(&from, &to)?)
        });
        let mask = self.mask(&[OFFSET, VALUE], &[]);
        let stream = self
            .builder()
            .with_batch_size(self.batch_rows(&mask))
            .with_projection(mask)
            .with_row_selection(self.selection(range))
            .with_row_filter(RowFilter::new(vec![Box::new(refused)]))
            .build()
            .map_err(|e| failed(&self.file, e))?;
        stream.map(|batch| Ok(Rows::sparse(range, batch.map_err(|e| failed(&self.file, e))?))).try_collect().await
    }

    fn builder(&self) -> ParquetRecordBatchStreamBuilder<Source> {
        let input = Source::new(self.objects.clone(), &self.file);
        ParquetRecordBatchStreamBuilder::new_with_metadata(input, self.footer.clone())
    }

    fn mask(&self, envelope: &[&str], data: &[String]) -> ProjectionMask {
        let schema = self.footer.parquet_schema();
        let wanted = |path: &[String]| match path {
            [root, field, ..] if root == DATA => data.contains(field),
            [root, ..] => envelope.contains(&root.as_str()),
            [] => false,
        };
        let leaves = schema.columns().iter().enumerate().filter(|(_, leaf)| wanted(leaf.path().parts()));
        ProjectionMask::leaves(schema, leaves.map(|(i, _)| i))
    }

    /// The names of the leaf columns that reading `columns` touches.
    #[cfg(test)]
    pub(super) fn leaves(&self, columns: &Columns) -> Vec<String> {
        let mask = self.mask(&columns.envelope, &columns.data);
        let leaves = self.footer.parquet_schema().columns().iter().enumerate();
        leaves.filter(|(i, _)| mask.leaf_included(*i)).map(|(_, leaf)| leaf.path().string()).collect()
    }

    /// The rows per batch that keep its columns within [`BATCH_BYTES`].
    fn batch_rows(&self, mask: &ProjectionMask) -> usize {
        let groups = self.footer.metadata().row_groups().iter();
        let columns = groups.flat_map(|group| group.columns().iter().enumerate());
        let bytes: u64 = columns.filter(|(i, _)| mask.leaf_included(*i)).map(|(_, leaf)| decoded_bytes(leaf)).sum();
        let fitting = (BATCH_BYTES * self.file.records).checked_div(bytes).unwrap_or(u64::MAX);
        (fitting.min(BATCH_ROWS as u64) as usize).max(1)
    }

    /// The rows that hold all records of `range`; where offsets have holes, whole row groups.
    fn selection(&self, range: OffsetRange) -> RowSelection {
        let total = self.footer.metadata().file_metadata().num_rows() as usize;
        let rows = if self.file.is_dense() {
            let row = |offset: Offset| offset.since(self.file.range.from) as usize;
            row(range.from)..row(range.to).min(total)
        } else {
            self.group_rows(range)
        };
        RowSelection::from_consecutive_ranges(std::iter::once(rows), total)
    }

    /// The rows of the row groups whose offsets reach into `range`.
    fn group_rows(&self, range: OffsetRange) -> Range<usize> {
        let (mut rows, mut first) = (0..0, 0);
        for group in self.footer.metadata().row_groups() {
            let next = first + group.num_rows() as usize;
            let apart = |(min, max): (i64, i64)| max < range.from.as_i64() || min >= range.to.as_i64();
            if !bounds(group, 0).is_some_and(apart) {
                rows = if rows.is_empty() { first..next } else { rows.start..next };
            }
            first = next;
        }
        rows
    }
}

/// About how many bytes a column chunk has once it is decoded: each text of a dictionary as often as it stands there.
fn decoded_bytes(leaf: &ColumnChunkMetaData) -> u64 {
    leaf.uncompressed_size().max(leaf.unencoded_byte_array_data_bytes().unwrap_or(0)).max(0) as u64
}

/// The least and the greatest value of a column of 64 bits in a row group.
fn bounds(group: &RowGroupMetaData, column: usize) -> Option<(i64, i64)> {
    match group.column(column).statistics() {
        Some(Statistics::Int64(bounds)) => bounds.min_opt().copied().zip(bounds.max_opt().copied()),
        _ => None,
    }
}

impl Rows {
    /// The next rows of a file, which are read in order and begin at or before `range.from`.
    fn of(file: &ColdFile, range: OffsetRange, columns: RecordBatch) -> Rows {
        if !file.is_dense() {
            return Rows::sparse(range, columns);
        }
        let to = range.from.plus(columns.num_rows() as u64);
        let offsets = Int64Array::from_iter_values(range.from.as_i64()..to.as_i64());
        Rows { range: OffsetRange { from: range.from, to }, offsets, columns }
    }

    /// Those of the rows that stand in `range`; it is covered up to the last one.
    fn sparse(range: OffsetRange, columns: RecordBatch) -> Rows {
        let offsets = columns.column_by_name(OFFSET).expect("asked for").as_primitive::<Int64Type>();
        let first = offsets.values().partition_point(|o| *o < range.from.as_i64());
        let end = offsets.values().partition_point(|o| *o < range.to.as_i64());
        let offsets = offsets.slice(first, end - first);
        let last = offsets.values().last().and_then(|last| Offset::from_i64(*last));
        let to = last.map_or(range.from, Offset::next);
        Rows { range: OffsetRange { from: range.from, to }, offsets, columns: columns.slice(first, end - first) }
    }
}

/// True when the failure is that a data file is not there any more: the slice must be planned again.
pub(crate) fn is_gone(error: &LogError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(object_store::Error::NotFound { .. }) = error.downcast_ref() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn failed(file: &ColdFile, e: ParquetError) -> LogError {
    LogError::store(format!("reading {} of the cold tier", file.path), e)
}
