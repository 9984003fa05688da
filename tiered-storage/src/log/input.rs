//! What a job reads: typed, projected rows with their offsets, tombstones told apart and undecodable records set aside.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Int8Array, Int32Array, Int64Array, RecordBatch, RecordBatchOptions,
    new_null_array,
};
use arrow::compute::filter;
use arrow::datatypes::{FieldRef, Int64Type, Schema, SchemaRef};

use crate::cold::{TOMBSTONE, UNDECODABLE};
use crate::{DecodeFailure, Decoder, Offset, OffsetRange, Partition};

/// What to read of a slice.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    /// The decoder whose input schema the reader sees.
    pub decoder: Decoder,
    /// Which columns of [`Decoder::input_schema`] to read, in the order wanted.
    pub projection: Vec<usize>,
    /// Keep tombstones as rows whose decoded columns are NULL; otherwise they are only counted.
    pub tombstones: bool,
    /// Keep undecodable records as rows whose decoded columns are NULL; otherwise they are set apart as failures.
    pub undecodable: bool,
    /// Read on behind offsets that are lost, instead of refusing with [`LogError::Gap`](crate::LogError::Gap).
    pub accept_gap: bool,
}

/// A part of a slice, read. The batches of one read tile its range, in order.
#[derive(Debug, Clone)]
pub struct InputBatch {
    /// The partition.
    pub partition: Partition,
    /// The offsets covered: a reader goes on at `range.to`.
    pub range: OffsetRange,
    /// The rows, in the columns of the plan's projection. Undecodable records are among them only where the plan keeps them.
    pub rows: RecordBatch,
    /// The offset of each row.
    pub offsets: Int64Array,
    /// How many tombstones there are in the range, kept or not.
    pub tombstones: u64,
    /// Where tombstones are kept and there is one: which rows are tombstones.
    pub tombstone_mask: Option<BooleanArray>,
    /// The records that could not be decoded, in order; none where the plan keeps them as rows.
    pub failures: Vec<Undecodable>,
}

/// A record that the decoder refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// Its offset.
    pub offset: Offset,
    /// The stable code of the failure, as [`DecodeFailure`] has it.
    pub code: &'static str,
    /// What was found and what was expected.
    pub detail: String,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// The columns of an input's envelope, in the order in which they follow the decoded ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Envelope {
    Partition,
    Offset,
    Timestamp,
    Key,
    Value,
    Headers,
}

const ENVELOPE_ORDER: [Envelope; 6] =
    [Envelope::Partition, Envelope::Offset, Envelope::Timestamp, Envelope::Key, Envelope::Value, Envelope::Headers];

/// A column of the projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A column of the decoder, and its place among the projected ones.
    Decoded(usize),
    Envelope(Envelope),
}

/// Records of one partition with all that the plan needs of them.
pub(super) struct Records {
    pub(super) partition: Partition,
    pub(super) range: OffsetRange,
    pub(super) offsets: Int64Array,
    /// The projected columns of the decoder, in the order of [`ReadPlan::decoded`].
    pub(super) fields: Vec<ArrayRef>,
    /// The columns of the envelope that are stored; offset and partition are made here.
    pub(super) stored: BTreeMap<Envelope, ArrayRef>,
    /// What the decoder made of each record; `None`: nothing to be set apart among them.
    pub(super) status: Option<Int8Array>,
    pub(super) failures: Vec<Undecodable>,
}

impl ReadPlan {
    /// The columns that come out.
    pub fn schema(&self) -> SchemaRef {
        let all = self.decoder.input_schema();
        Arc::new(Schema::new(self.projection.iter().map(|i| all.fields()[*i].clone()).collect::<Vec<FieldRef>>()))
    }

    /// The decoder's columns that are wanted, each once.
    pub(super) fn decoded(&self) -> Vec<usize> {
        let mut columns: Vec<usize> =
            self.projection.iter().copied().filter(|i| *i < self.decoder.columns().len()).collect();
        columns.sort();
        columns.dedup();
        columns
    }

    /// True when nothing has to be decoded: no decoded column is wanted, and no record is told apart from another.
    pub(super) fn is_raw(&self) -> bool {
        self.tombstones && self.undecodable && self.decoded().is_empty()
    }

    /// True when that column of the envelope is wanted.
    pub(super) fn wants(&self, column: Envelope) -> bool {
        self.wanted().any(|wanted| wanted == Wanted::Envelope(column))
    }

    fn wanted(&self) -> impl Iterator<Item = Wanted> {
        let decoded = self.decoded();
        let count = self.decoder.columns().len();
        self.projection.iter().map(move |i| match decoded.binary_search(i) {
            Ok(place) => Wanted::Decoded(place),
            Err(_) => Wanted::Envelope(ENVELOPE_ORDER[i - count]),
        })
    }

    /// A batch that covers `range` and holds no row.
    pub(super) fn nothing(&self, partition: Partition, range: OffsetRange) -> InputBatch {
        InputBatch {
            partition,
            range,
            rows: RecordBatch::new_empty(self.schema()),
            offsets: Int64Array::from(Vec::<i64>::new()),
            tombstones: 0,
            tombstone_mask: None,
            failures: Vec::new(),
        }
    }

    /// Sets tombstones and undecodable records apart and lays out the columns as wanted.
    pub(super) fn assemble(&self, records: Records) -> InputBatch {
        let keep = records.status.as_ref().and_then(|status| self.kept(status));
        let kept = |column: &ArrayRef| match &keep {
            Some(keep) => filter(column, keep).expect("a mask as long as the column"),
            None => column.clone(),
        };
        let offsets = kept(&(Arc::new(records.offsets.clone()) as ArrayRef)).as_primitive::<Int64Type>().clone();
        let schema = self.schema();
        let column = |(wanted, field): (Wanted, &FieldRef)| match wanted {
            Wanted::Decoded(place) => kept(&records.fields[place]),
            Wanted::Envelope(Envelope::Offset) => Arc::new(offsets.clone()),
            Wanted::Envelope(Envelope::Partition) => {
                Arc::new(Int32Array::from(vec![records.partition.0 as i32; offsets.len()]))
            }
            Wanted::Envelope(stored) => match records.stored.get(&stored) {
                Some(column) => kept(column),
                None => new_null_array(field.data_type(), offsets.len()),
            },
        };
        let columns = self.wanted().zip(schema.fields()).map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(offsets.len()));
        let rows = RecordBatch::try_new_with_options(schema, columns, &options).expect("columns as the schema says");
        let tombstones = records.status.as_ref().map(|status| mask_of(status, TOMBSTONE));
        let count = tombstones.as_ref().map_or(0, BooleanArray::true_count);
        let tombstone_mask = tombstones
            .filter(|_| self.tombstones && count > 0)
            .map(|mask| kept(&(Arc::new(mask) as ArrayRef)).as_boolean().clone());
        InputBatch {
            partition: records.partition,
            range: records.range,
            rows,
            offsets,
            tombstones: count as u64,
            tombstone_mask,
            failures: records.failures,
        }
    }

    /// Which rows stay; `None` when all do.
    fn kept(&self, status: &Int8Array) -> Option<BooleanArray> {
        let dropped = |s: i8| (s == UNDECODABLE && !self.undecodable) || (s == TOMBSTONE && !self.tombstones);
        let any = status.values().iter().any(|s| dropped(*s));
        any.then(|| BooleanArray::from_unary(status, |s| !dropped(s)))
    }
}

/// The refused records of a decode, with their bytes.
pub(super) fn refused(failures: &[DecodeFailure], offsets: &Int64Array, values: &BinaryArray) -> Vec<Undecodable> {
    let record = |failure: &DecodeFailure| Undecodable {
        offset: Offset::from_i64(offsets.value(failure.row)).expect("offsets are not negative"),
        code: failure.code,
        detail: failure.to_string(),
        value: values.value(failure.row).to_vec(),
    };
    failures.iter().map(record).collect()
}

fn mask_of(status: &Int8Array, wanted: i8) -> BooleanArray {
    BooleanArray::from_unary(status, |s| s == wanted)
}
