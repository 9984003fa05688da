//! Reading a slice: typed batches from both tiers, in order, planned again when a segment is not there any more.
//!
//! From a cold file whose decoder is the plan's, only the columns named are read. From any other, and from the hot tier, records are
//! decoded from their bytes. Memory: one batch, and what an open file needs (see the cold tier's reader).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array};
use arrow::datatypes::Int8Type;
use async_stream::try_stream;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};

use super::input::{Envelope, Records, refused};
use super::{InputBatch, Log, LogSlice, ReadPlan, Segment, Undecodable};
use crate::cold::{ColdFile, Columns, DECODED, FileReader, HEADERS, KEY, Rows, TIMESTAMP, UNDECODABLE, VALUE, is_gone};
use crate::{DecodeFailure, LogBatch, LogError, OffsetRange, Partition, Topic, WriterSchemas};

/// Bytes of records in one batch of the hot tier.
const HOT_BATCH_BYTES: usize = 8 << 20;

/// How often a reader plans again without getting any further. The tiers move by whole files and by seconds, so a second look is
/// nearly always enough; a reader that is this unlucky reports what it met.
const MAX_REPLANS: u32 = 8;

impl Log {
    /// Reads a slice. The batches tile its range, in order; an error ends the stream, and reading on from the last batch's end is safe.
    pub fn read(&self, slice: LogSlice, read: Arc<ReadPlan>) -> BoxStream<'static, Result<InputBatch, LogError>> {
        let log = self.clone();
        Box::pin(try_stream! {
            let LogSlice { topic, partition, range, mut segments } = slice;
            let (mut at, mut replans) = (range.from, 0);
            while at < range.to {
                let mut moved = None;
                for segment in std::mem::take(&mut segments) {
                    let mut batches = log.read_segment(&topic, partition, segment, &read);
                    while let Some(batch) = batches.next().await {
                        match batch {
                            Ok(batch) => {
                                (at, replans) = (batch.range.to, 0);
                                yield batch;
                            }
                            Err(e) => {
                                moved = Some(e);
                                break;
                            }
                        }
                    }
                    if moved.is_some() {
                        break;
                    }
                }
                if let Some(e) = moved {
                    if !has_moved(&e) || replans == MAX_REPLANS {
                        Err(e)?;
                    }
                    replans += 1;
                    segments = log.plan_again(&topic, partition, OffsetRange { from: at, to: range.to }).await?;
                }
            }
        })
    }

    /// What is where now, of what is left to read.
    async fn plan_again(
        &self,
        topic: &Topic,
        partition: Partition,
        left: OffsetRange,
    ) -> Result<Vec<Segment>, LogError> {
        self.cold(topic).await?.refresh().await?;
        Ok(self.slice_across_gaps(topic, partition, left).await?.segments)
    }

    fn read_segment(
        &self,
        topic: &Topic,
        partition: Partition,
        segment: Segment,
        read: &Arc<ReadPlan>,
    ) -> BoxStream<'static, Result<InputBatch, LogError>> {
        let (log, topic, read) = (self.clone(), topic.clone(), read.clone());
        match segment {
            Segment::Cold { file, range } => log.read_cold(topic, partition, file, range, read),
            Segment::Hot { range } => log.read_hot(topic, partition, range, read),
            Segment::Gap { range } if read.accept_gap => {
                futures::stream::once(async move { Ok(read.nothing(partition, range)) }).boxed()
            }
            Segment::Gap { range: missing } => {
                futures::stream::once(async move { Err(LogError::Gap { topic: topic.name, partition, missing }) })
                    .boxed()
            }
        }
    }

    /// Reads on in the hot tier, in a range that it was seen to hold. As the log's own `read`, but for one that ends just there by now,
    /// since it lost its tail: that is [`LogError::OutOfRange`], not a batch that gets nobody any further.
    pub(crate) async fn read_on(
        &self,
        topic: &Topic,
        partition: Partition,
        range: OffsetRange,
        max_bytes: usize,
    ) -> Result<LogBatch, LogError> {
        let batch = self.hot.read(topic, partition, range, max_bytes).await?;
        if !batch.range.is_empty() || range.is_empty() {
            return Ok(batch);
        }
        let held = OffsetRange { from: range.from, to: range.from };
        Err(LogError::OutOfRange { topic: topic.name.clone(), partition, asked: range.from, held })
    }

    fn read_hot(
        self,
        topic: Topic,
        partition: Partition,
        range: OffsetRange,
        read: Arc<ReadPlan>,
    ) -> BoxStream<'static, Result<InputBatch, LogError>> {
        Box::pin(try_stream! {
            let mut at = range.from;
            while at < range.to {
                let left = OffsetRange { from: at, to: range.to };
                let batch = self.read_on(&topic, partition, left, HOT_BATCH_BYTES).await?;
                at = batch.range.to;
                let writers = self.writers(&read.decoder, batch.values()).await?;
                yield read.decode_hot(&batch, &writers);
            }
        })
    }

    fn read_cold(
        self,
        topic: Topic,
        partition: Partition,
        file: Arc<ColdFile>,
        range: OffsetRange,
        read: Arc<ReadPlan>,
    ) -> BoxStream<'static, Result<InputBatch, LogError>> {
        Box::pin(try_stream! {
            let reader = self.cold(&topic).await?.open_file(file).await?;
            let typed = read.reads_typed(&reader);
            let columns = read.columns(reader.file(), typed);
            let mut batches = reader.read(range, &columns)?;
            while let Some(rows) = batches.try_next().await? {
                if typed {
                    let failures = read.failures(&reader, &rows).await?;
                    yield read.take_typed(partition, rows, failures);
                } else {
                    let values = rows.envelope(VALUE).expect("asked for").as_binary();
                    let writers = self.writers(&read.decoder, values).await?;
                    yield read.decode_rows(partition, rows, &writers);
                }
            }
        })
    }
}

/// True when the failure means that offsets are elsewhere by now.
fn has_moved(e: &LogError) -> bool {
    matches!(e, LogError::OutOfRange { .. }) || is_gone(e)
}

/// The columns of the envelope that files and batches hold, with their names in the files.
const STORED: [(Envelope, &str); 4] =
    [(Envelope::Timestamp, TIMESTAMP), (Envelope::Key, KEY), (Envelope::Value, VALUE), (Envelope::Headers, HEADERS)];

impl ReadPlan {
    /// True when the file's typed columns are just what this plan's decoder would make of its records.
    fn reads_typed(&self, reader: &FileReader) -> bool {
        if self.is_raw() {
            return true;
        }
        // What the registry did not know when the file was written it may know now.
        if self.decoder.needs_writers() && reader.file().undecodable > 0 {
            return false;
        }
        let fields = self.decoder.fields();
        reader.file().fingerprint == self.decoder.fingerprint()
            && self.decoded().iter().all(|column| reader.holds(&fields[*column]))
    }

    /// What to read of a file: typed only the columns named, else the values to decode.
    fn columns(&self, file: &ColdFile, typed: bool) -> Columns {
        let wanted = STORED.iter().filter(|(column, _)| self.wants(*column));
        let mut envelope: Vec<&'static str> = wanted.map(|(_, name)| *name).collect();
        if !typed {
            envelope.extend((!self.wants(Envelope::Value)).then_some(VALUE));
            return Columns { envelope, data: Vec::new() };
        }
        envelope.extend((!self.is_raw() && file.tombstones + file.undecodable > 0).then_some(DECODED));
        let name = |column: usize| self.decoder.columns()[column].name.clone();
        Columns { envelope, data: self.decoded().into_iter().map(name).collect() }
    }

    fn take_typed(&self, partition: Partition, rows: Rows, failures: Vec<Undecodable>) -> InputBatch {
        let name = |column: usize| &self.decoder.columns()[column].name;
        let fields = self.decoded().into_iter().map(|c| rows.data(name(c)).cloned().expect("asked for")).collect();
        let status = rows.envelope(DECODED).map(|status| status.as_primitive::<Int8Type>().clone());
        let stored = stored(&rows);
        self.assemble(Records { partition, range: rows.range, offsets: rows.offsets, fields, stored, status, failures })
    }

    /// The records among `rows` that the file's decoder refused, decoded again for the reason.
    async fn failures(&self, reader: &FileReader, rows: &Rows) -> Result<Vec<Undecodable>, LogError> {
        let status = rows.envelope(DECODED).map(|status| status.as_primitive::<Int8Type>());
        let status = status.filter(|_| !self.undecodable);
        let count = status.map_or(0, |status| status.values().iter().filter(|s| **s == UNDECODABLE).count());
        let mut failures = Vec::with_capacity(count);
        if count > 0 {
            for part in reader.undecodable(rows.range).await? {
                let values = part.envelope(VALUE).expect("asked for").as_binary();
                failures.extend(refused(&self.decoder.decode(values, &[]).failures, &part.offsets, values));
            }
        }
        if failures.len() == count {
            return Ok(failures);
        }
        let file = &reader.file().path;
        Err(LogError::Invalid(format!(
            "{file} of the cold tier says that {count} of the records {} cannot be decoded, its decoder refuses {}; \
             was the file changed?",
            rows.range,
            failures.len()
        )))
    }

    fn refused(&self, failures: &[DecodeFailure], offsets: &Int64Array, values: &BinaryArray) -> Vec<Undecodable> {
        if self.undecodable { Vec::new() } else { refused(failures, offsets, values) }
    }

    fn decode_rows(&self, partition: Partition, rows: Rows, writers: &WriterSchemas) -> InputBatch {
        let values = rows.envelope(VALUE).expect("asked for").as_binary();
        let decoded = self.decoder.decode_with(values, &self.decoded(), writers);
        let failures = self.refused(&decoded.failures, &rows.offsets, values);
        let (fields, status, stored) = (decoded.fields, Some(decoded.status), stored(&rows));
        self.assemble(Records { partition, range: rows.range, offsets: rows.offsets, fields, stored, status, failures })
    }

    fn decode_hot(&self, batch: &LogBatch, writers: &WriterSchemas) -> InputBatch {
        let decoded = (!self.is_raw()).then(|| self.decoder.decode_with(batch.values(), &self.decoded(), writers));
        let (fields, status, failures) = match decoded {
            Some(decoded) => {
                let failures = self.refused(&decoded.failures, batch.offsets(), batch.values());
                (decoded.fields, Some(decoded.status), failures)
            }
            None => (Vec::new(), None, Vec::new()),
        };
        let column = |i: usize| batch.records.column(i).clone();
        let stored = STORED.iter().enumerate().map(|(i, (name, _))| (*name, column(i + 1))).collect();
        let (partition, range, offsets) = (batch.partition, batch.range, batch.offsets().clone());
        self.assemble(Records { partition, range, offsets, fields, stored, status, failures })
    }
}

fn stored(rows: &Rows) -> BTreeMap<Envelope, ArrayRef> {
    STORED.iter().filter_map(|(column, name)| Some((*column, rows.envelope(name)?.clone()))).collect()
}
