//! Two tables side by side: a merge of both in key order, which holds one batch of either side.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use rekap_tables::{TableError, TableSchema};

use super::VerifyError;

/// The batches of one side, in key order.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, TableError>> + Send>;

/// The key that both sides have.
#[derive(Clone)]
pub(super) struct SharedKey {
    pub(super) fields: Vec<FieldRef>,
    old: Vec<usize>,
    new: Vec<usize>,
}

impl SharedKey {
    /// The key of both; what is different when they have not the same.
    pub(super) fn of(old: &TableSchema, new: &TableSchema) -> Result<Self, String> {
        let fields = |schema: &TableSchema| schema.key_schema().fields().iter().cloned().collect::<Vec<_>>();
        let names_and_types =
            |fields: &[FieldRef]| fields.iter().map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>();
        let (old_fields, new_fields) = (fields(old), fields(new));
        if names_and_types(&old_fields) == names_and_types(&new_fields) {
            return Ok(SharedKey { fields: new_fields, old: old.key().to_vec(), new: new.key().to_vec() });
        }
        let shown = |fields: &[FieldRef]| {
            fields
                .iter()
                .map(|f| format!("{} {}", f.name(), rekap_tables::type_name(f.data_type())))
                .collect::<Vec<_>>()
                .join(", ")
        };
        Err(format!(
            "KEY_CHANGED: the key was ({}) and is ({}), so rows cannot be matched",
            shown(&old_fields),
            shown(&new_fields)
        ))
    }

    pub(super) fn of_old(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.old.iter().map(|column| rows.column(*column).clone()).collect()
    }

    pub(super) fn of_new(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.new.iter().map(|column| rows.column(*column).clone()).collect()
    }
}

/// What a stretch of both tables has in common. Indices are into the two batches.
pub(super) struct Stretch {
    pub(super) old: RecordBatch,
    pub(super) new: RecordBatch,
    /// Rows whose key both have: their index on either side.
    pub(super) both: (Vec<u32>, Vec<u32>),
    pub(super) removed: Vec<u32>,
    pub(super) added: Vec<u32>,
}

/// The stretches of two tables, in key order.
pub(super) struct Merge {
    converter: RowConverter,
    old: Side,
    new: Side,
}

struct Side {
    batches: Batches,
    key: Vec<usize>,
    /// The batch that is being read, its keys, and the next row of it.
    current: RecordBatch,
    keys: Rows,
    next: usize,
}

impl Merge {
    pub(super) fn new(
        key: &SharedKey,
        old: (SchemaRef, Batches),
        new: (SchemaRef, Batches),
    ) -> Result<Self, VerifyError> {
        let converter = RowConverter::new(key.fields.iter().map(|f| SortField::new(f.data_type().clone())).collect())?;
        let side = |(schema, batches), key: &[usize]| Side {
            batches,
            key: key.to_vec(),
            current: RecordBatch::new_empty(schema),
            keys: converter.empty_rows(0, 0),
            next: 0,
        };
        Ok(Merge { old: side(old, &key.old), new: side(new, &key.new), converter })
    }

    fn stretch(&mut self) -> Result<Option<Stretch>, VerifyError> {
        let (old, new) = (self.old.fill(&self.converter)?, self.new.fill(&self.converter)?);
        if !old && !new {
            return Ok(None);
        }
        let mut stretch = Stretch {
            old: self.old.current.clone(),
            new: self.new.current.clone(),
            both: Default::default(),
            removed: Vec::new(),
            added: Vec::new(),
        };
        while (self.old.has_row() && self.new.has_row()) || (self.old.has_row() && !new) || (self.new.has_row() && !old)
        {
            self.step(&mut stretch);
        }
        Ok(Some(stretch))
    }

    /// Takes the row of the lesser key, or both rows when the keys are equal.
    fn step(&mut self, stretch: &mut Stretch) {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (self.old.has_row(), self.new.has_row()) {
            (true, true) => self.old.keys.row(self.old.next).cmp(&self.new.keys.row(self.new.next)),
            (true, false) => Less,
            _ => Greater,
        };
        match order {
            Less => stretch.removed.push(self.old.take()),
            Greater => stretch.added.push(self.new.take()),
            Equal => {
                stretch.both.0.push(self.old.take());
                stretch.both.1.push(self.new.take());
            }
        }
    }
}

impl Iterator for Merge {
    type Item = Result<Stretch, VerifyError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.stretch().transpose()
    }
}

impl Side {
    fn has_row(&self) -> bool {
        self.next < self.current.num_rows()
    }

    fn take(&mut self) -> u32 {
        self.next += 1;
        (self.next - 1) as u32
    }

    /// Reads the next batch where this one is at its end. False when there is no row any more.
    fn fill(&mut self, converter: &RowConverter) -> Result<bool, VerifyError> {
        while !self.has_row() {
            let Some(batch) = self.batches.next().transpose()? else { return Ok(false) };
            let keys: Vec<ArrayRef> = self.key.iter().map(|column| batch.column(*column).clone()).collect();
            (self.keys, self.current, self.next) = (converter.convert_columns(&keys)?, batch, 0);
        }
        Ok(true)
    }
}

/// The columns of `batch` at `rows`.
pub(super) fn pick(batch: &RecordBatch, rows: &[u32]) -> Result<RecordBatch, ArrowError> {
    arrow::compute::take_record_batch(batch, &arrow::array::UInt32Array::from(rows.to_vec()))
}
