//! Raw messages into one [`LogBatch`].

use super::super::columns::{Columns, Sizes};
use super::native::Message;
use crate::{LogBatch, Offset, OffsetRange, Partition, Timestamp};

/// A batch that grows by messages.
pub(super) struct Fill {
    columns: Columns,
    /// The epochs of the leaders that took the records, each with the first offset at which it was seen.
    epochs: Vec<(i32, Offset)>,
}

impl Fill {
    /// An empty one with room for so much.
    pub(super) fn with_room(sizes: Sizes) -> Self {
        Fill { columns: Columns::with_room(sizes), epochs: Vec::new() }
    }

    /// How much it holds.
    pub(super) fn sizes(&self) -> Sizes {
        self.columns.sizes()
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The bytes of their keys and values.
    pub(super) fn bytes(&self) -> usize {
        self.columns.keys.bytes() + self.columns.values.bytes()
    }

    /// Takes a record over.
    pub(super) fn push(&mut self, message: &Message<'_>) {
        let Columns { offsets, times, keys, values, headers } = &mut self.columns;
        offsets.push(message.offset());
        times.push(micros(message.timestamp_ms()));
        keys.push(message.key());
        values.push(message.value());
        let any = message.headers(|name, value| headers.add(&String::from_utf8_lossy(name), value));
        headers.end(any);
        let epoch = message.leader_epoch();
        if epoch >= 0 && self.epochs.last().is_none_or(|(last, _)| *last != epoch) {
            self.epochs.push((epoch, Offset::from_i64(message.offset()).expect("a record has an offset")));
        }
    }

    /// The batch, which covers `range`, and the epochs seen in it.
    pub(super) fn finish(self, partition: Partition, range: OffsetRange) -> (LogBatch, Vec<(i32, Offset)>) {
        (self.columns.finish(partition, range), self.epochs)
    }
}

/// A record's time in microseconds, 0 where it has none. Producers write what they like: a time in nanoseconds is the latest that there is.
fn micros(timestamp_ms: i64) -> i64 {
    Timestamp::from_micros(timestamp_ms.max(0).saturating_mul(1000)).as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_no_calendar_has_is_the_latest_one() {
        assert_eq!([-1, 0, 1_700_000_000_000].map(micros), [0, 0, 1_700_000_000_000_000]);
        let nanoseconds = 1_700_000_000_000_000_000;
        assert_eq!([nanoseconds, i64::MAX].map(micros), [Timestamp::MAX.as_micros(); 2]);
    }
}
