//! Many small entries, or a few large ones, into one [`LogBatch`].

use super::super::columns::{Binary, Columns};
use super::entry::{Entry, Values, decode_headers};
use crate::{LogBatch, Offset, OffsetRange, Partition};

/// A batch that grows by parts of entries.
pub(super) struct BatchBuilder {
    partition: Partition,
    from: Offset,
    columns: Columns,
}

impl BatchBuilder {
    pub(super) fn new(partition: Partition, from: Offset) -> Self {
        BatchBuilder { partition, from, columns: Columns::default() }
    }

    /// The first offset not in the batch yet.
    pub(super) fn next(&self) -> Offset {
        self.from.plus(self.columns.len() as u64)
    }

    /// Takes over the records `[from, to)` of an entry; the first of them stands at [`BatchBuilder::next`].
    pub(super) fn push(&mut self, entry: &Entry<'_>, from: usize, to: usize) {
        let next = self.next().as_i64();
        let Columns { offsets, times, keys, values, headers } = &mut self.columns;
        offsets.extend(next..next + (to - from) as i64);
        times.extend((from..to).map(|i| entry.time(i).as_micros()));
        extend(keys, entry.keys, from, to);
        extend(values, Some(entry.values), from, to);
        match entry.headers {
            None => headers.push_nulls(to - from),
            Some(stored) => {
                for stored in stored.slices(from, to) {
                    for (name, value) in stored.into_iter().flat_map(decode_headers) {
                        headers.add(name, value);
                    }
                    headers.end(stored.is_some());
                }
            }
        }
    }

    pub(super) fn finish(self) -> LogBatch {
        let range = OffsetRange::new(self.from, self.next());
        self.columns.finish(self.partition, range)
    }
}

fn extend(column: &mut Binary, values: Option<Values<'_>>, from: usize, to: usize) {
    let Some(values) = values else { return column.push_nulls(to - from) };
    column.push_all((from..to).map(|i| values.length(i)), &values.bytes[values.start_of(from)..]);
}
