//! Writing one data file: records of one partition, in the order of their offsets, typed and raw side by side; from the hot tier, or
//! from smaller files.
//!
//! Memory: the finished row groups (at most the mirror's `max_bytes`) and the one being written (at most [`ROW_GROUP_BYTES`]
//! encoded). A process that dies here leaves nothing behind.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int8Array, RecordBatch, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::cmp::eq;
use arrow::datatypes::{DataType, Field, Fields, Int8Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use deltalake_core::kernel::Add;
use object_store::PutPayload;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use uuid::Uuid;

use super::coverage::ColdFile;
use super::layout;
use super::pieces::Pieces;
use super::schema::{DATA, DECODED, KEY, OFFSET, StoredFields, TIMESTAMP, VALUE};
use crate::{Decoder, LogBatch, LogError, Offset, OffsetRange, Partition, Timestamp, WriterSchemas};

/// Records per row group: large enough that a column's pages compress and decode well, small enough that a replay on a few cores
/// splits one file evenly.
pub(crate) const ROW_GROUP_RECORDS: u64 = 256 * 1024;

/// Encoded bytes per row group, so that wide records do not make a reader hold a whole file's worth of one column.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// The status of a record that was decoded.
pub(crate) const DECODED_OK: i8 = 1;
/// The status of a tombstone.
pub(crate) const TOMBSTONE: i8 = 2;
/// The status of a record that the decoder refused.
pub(crate) const UNDECODABLE: i8 = 3;

/// A data file in the making.
pub(crate) struct FileWriter {
    decoder: Decoder,
    stored: StoredFields,
    schema: SchemaRef,
    partition: Partition,
    range: OffsetRange,
    written: Counts,
    parquet: ArrowWriter<Pieces>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    records: u64,
    tombstones: u64,
    undecodable: u64,
    keyless: u64,
    offsets: Option<(i64, i64)>,
    times: Option<(i64, i64)>,
}

/// A data file that is made of others, which follow each other.
pub(crate) struct FileJoiner {
    partition: Partition,
    joined: ColdFile,
    schema: SchemaRef,
    written: Counts,
    parquet: ArrowWriter<Pieces>,
}

/// A finished data file that is not in the table yet.
pub(crate) struct NewFile {
    pub(crate) partition: Partition,
    pub(crate) file: ColdFile,
    pub(crate) bytes: PutPayload,
    stats: String,
}

impl FileWriter {
    /// Begins a file whose first covered offset is `from`.
    pub(crate) fn new(
        decoder: Decoder,
        stored: StoredFields,
        partition: Partition,
        from: Offset,
    ) -> Result<Self, LogError> {
        let schema = stored.file_schema(decoder.fields());
        let parquet =
            ArrowWriter::try_new(Pieces::default(), schema.clone(), Some(properties(&schema))).map_err(failed)?;
        let range = OffsetRange { from, to: from };
        Ok(FileWriter { decoder, stored, schema, partition, range, written: Counts::default(), parquet })
    }

    /// Adds a batch that begins where the file ends so far.
    pub(crate) fn write(&mut self, batch: &LogBatch, writers: &WriterSchemas) -> Result<(), LogError> {
        assert_eq!(
            (batch.partition, batch.range.from),
            (self.partition, self.range.to),
            "a file's offsets have no hole"
        );
        self.range.to = batch.range.to;
        if batch.is_empty() {
            return Ok(());
        }
        let decoded = self.decoder.decode_with(batch.values(), &self.stored.columns, writers);
        let mut columns = batch.records.columns().to_vec();
        columns.push(Arc::new(decoded.status.clone()));
        columns.extend(self.data(decoded.fields, &decoded.status));
        let rows = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|e| LogError::store("laying out records for the cold tier", e))?;
        self.written.add_rows(&rows);
        self.parquet.write(&rows).map_err(failed)
    }

    /// About how large the file is so far.
    pub(crate) fn bytes(&self) -> usize {
        self.parquet.bytes_written() + self.parquet.in_progress_size()
    }

    /// Ends the file.
    pub(crate) fn finish(self) -> Result<NewFile, LogError> {
        let (range, written) = (self.range, self.written);
        let bytes = self.parquet.into_inner().map_err(failed)?.finish();
        let file = ColdFile {
            path: layout::data_file(self.partition, range, Uuid::new_v4()),
            range,
            records: written.records,
            bytes: bytes.content_length() as u64,
            fingerprint: self.decoder.fingerprint(),
            tombstones: written.tombstones,
            undecodable: written.undecodable,
            newest: Timestamp::from_micros(written.times.map_or(0, |(_, newest)| newest)),
            oldest: written.times.map(|(oldest, _)| Timestamp::from_micros(oldest.div_euclid(1000) * 1000)),
        };
        Ok(NewFile { partition: self.partition, stats: written.stats(), file, bytes })
    }

    /// The typed fields as one struct, null where the record was not decoded.
    fn data(&self, fields: Vec<ArrayRef>, status: &Int8Array) -> Option<ArrayRef> {
        let DataType::Struct(types) = self.schema.field_with_name(DATA).ok()?.data_type() else { return None };
        let decoded = eq(status, &Int8Array::new_scalar(DECODED_OK)).expect("both are Int8");
        let valid = NullBuffer::new(decoded.values().clone());
        Some(Arc::new(StructArray::new(types.clone(), fields, Some(valid))))
    }
}

impl FileJoiner {
    /// Begins a file that has the columns of its first input.
    pub(crate) fn new(partition: Partition, first: &ColdFile, schema: SchemaRef) -> Result<Self, LogError> {
        let parquet =
            ArrowWriter::try_new(Pieces::default(), schema.clone(), Some(properties(&schema))).map_err(failed)?;
        let range = OffsetRange { from: first.range.from, to: first.range.from };
        let joined = ColdFile { range, ..first.clone() };
        Ok(FileJoiner { partition, joined, schema, written: Counts::default(), parquet })
    }

    /// The rows that follow are those of the next input.
    pub(crate) fn begin(&mut self, input: &ColdFile, schema: &SchemaRef) -> Result<(), LogError> {
        assert_eq!(input.range.from, self.joined.range.to, "only neighbours are joined");
        if schema.fields() != self.schema.fields() {
            let detail =
                format!("{} of the cold tier has other columns than its neighbours of one decoder", input.path);
            return Err(LogError::Invalid(detail));
        }
        self.joined.range.to = input.range.to;
        self.joined.newest = self.joined.newest.max(input.newest);
        Ok(())
    }

    /// Rows of an input, as they are.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), LogError> {
        self.written.add_rows(rows);
        self.parquet.write(rows).map_err(failed)
    }

    /// Ends the file.
    pub(crate) fn finish(self) -> Result<NewFile, LogError> {
        let FileJoiner { partition, joined, written, parquet, .. } = self;
        let bytes = parquet.into_inner().map_err(failed)?.finish();
        let file = ColdFile {
            path: layout::data_file(partition, joined.range, Uuid::new_v4()),
            records: written.records,
            bytes: bytes.content_length() as u64,
            tombstones: written.tombstones,
            undecodable: written.undecodable,
            oldest: written.times.map(|(oldest, _)| Timestamp::from_micros(oldest.div_euclid(1000) * 1000)),
            ..joined
        };
        Ok(NewFile { partition, stats: written.stats(), file, bytes })
    }
}

impl NewFile {
    /// The file as the Delta log holds it, written at `now`.
    pub(crate) fn add(&self, now: Timestamp) -> Add {
        let file = &self.file;
        let tags = [
            (layout::RANGE_TAG, format!("{}-{}", file.range.from, file.range.to)),
            (layout::DECODER_TAG, file.fingerprint.to_string()),
            (layout::TOMBSTONES_TAG, file.tombstones.to_string()),
            (layout::UNDECODABLE_TAG, file.undecodable.to_string()),
            (layout::NEWEST_TAG, file.newest.as_micros().to_string()),
        ];
        Add {
            path: file.path.clone(),
            size: file.bytes as i64,
            partition_values: HashMap::from([(super::schema::PARTITION.into(), Some(self.partition.to_string()))]),
            modification_time: now.as_micros() / 1000,
            data_change: true,
            stats: Some(self.stats.clone()),
            tags: Some(tags.into_iter().map(|(key, value)| (key.to_owned(), Some(value))).collect()),
            ..Default::default()
        }
    }
}

impl Counts {
    /// Counts rows that have a file's columns.
    fn add_rows(&mut self, rows: &RecordBatch) {
        let column = |name: &str| rows.column_by_name(name).expect("a data file has every column of the envelope");
        let status = column(DECODED).as_primitive::<Int8Type>().values();
        self.records += rows.num_rows() as u64;
        self.tombstones += column(VALUE).null_count() as u64;
        self.undecodable += status.iter().filter(|status| **status == UNDECODABLE).count() as u64;
        self.keyless += column(KEY).null_count() as u64;
        self.offsets = widen(self.offsets, column(OFFSET).as_primitive::<Int64Type>().values());
        self.times = widen(self.times, column(TIMESTAMP).as_primitive::<TimestampMicrosecondType>().values());
    }

    /// The statistics by which any Delta reader prunes. Timestamps have milliseconds there, so the bounds are rounded outwards.
    fn stats(&self) -> String {
        let (Some((first, last)), Some((oldest, newest))) = (self.offsets, self.times) else {
            return r#"{"numRecords":0}"#.into();
        };
        let millis = |micros: i64| Timestamp::from_micros(micros * 1000).to_string();
        serde_json::json!({
            "numRecords": self.records,
            "minValues": { OFFSET: first, TIMESTAMP: millis(oldest.div_euclid(1000)) },
            "maxValues": { OFFSET: last, TIMESTAMP: millis(newest.saturating_add(999).div_euclid(1000)) },
            "nullCount": { OFFSET: 0, TIMESTAMP: 0, KEY: self.keyless, VALUE: self.tombstones },
        })
        .to_string()
    }
}

/// The least and the greatest value seen so far.
fn widen(so_far: Option<(i64, i64)>, values: &[i64]) -> Option<(i64, i64)> {
    let (min, max) = (values.iter().min().copied()?, values.iter().max().copied()?);
    let (low, high) = so_far.unwrap_or((min, max));
    Some((low.min(min), high.max(max)))
}

/// How the columns of such files are written: whole numbers and times by their differences, which are as small as their range and quick
/// to write; all else by a dictionary, as long as that stays small, and compressed.
fn properties(schema: &Schema) -> WriterProperties {
    let column = |name: &str| ColumnPath::from(name);
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("rekap {}", env!("CARGO_PKG_VERSION")))
        .set_max_row_group_row_count(Some(ROW_GROUP_RECORDS as usize))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("1 is a zstd level")))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_statistics_enabled(column(OFFSET), EnabledStatistics::Page)
        .set_column_statistics_enabled(column(VALUE), EnabledStatistics::None)
        .set_column_dictionary_enabled(column(VALUE), false);
    for path in numbers(schema.fields(), &[]) {
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
            .set_column_compression(path, Compression::UNCOMPRESSED);
    }
    properties.build()
}

/// The columns of whole numbers and times among fields, and in structs among them.
fn numbers(fields: &Fields, above: &[String]) -> Vec<ColumnPath> {
    let of = |field: &Arc<Field>| {
        let path = [above, &[field.name().clone()]].concat();
        match field.data_type() {
            DataType::Int64 | DataType::Timestamp(..) => vec![ColumnPath::new(path)],
            DataType::Struct(fields) => numbers(fields, &path),
            _ => vec![],
        }
    };
    fields.iter().flat_map(of).collect()
}

/// Runs work on data files, which keeps a processor busy, beside the tasks that wait.
pub(crate) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| LogError::store("writing a data file of the cold tier", e))?
}

fn failed(e: parquet::errors::ParquetError) -> LogError {
    LogError::store("writing a data file of the cold tier", e)
}
