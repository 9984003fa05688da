//! How large a range is: the one number between latency and throughput.
//!
//! A range is all there is to read, up to a bound. Live that is a few records at once; in a replay it is the bound, which shrinks when
//! a range does not fit into memory and grows back while ranges do.

/// The least bound: below it a range costs more than its records.
const MIN_RECORDS: u64 = 4_096;

/// Ranges below this are run by one worker: splitting costs more than it gives.
const PARALLEL_FROM: u64 = 65_536;

/// Parts of this many records are handed to workers: enough that beginning one costs nothing, few enough that a range with many keys
/// ends close to its bound.
const PART_RECORDS: u64 = 131_072;

/// The bounds of a runner's ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The most records of one range. More give throughput, until the keys of a range no longer fit into memory and caches.
    pub max_records: u64,
    /// How many keys a range may touch before no further part of it is begun: what a range keeps in memory grows with its keys. A key
    /// that several workers meet counts for each.
    pub max_keys: usize,
    /// The most workers of one range.
    pub workers: usize,
}

impl Default for Pace {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Pace { max_records: 4 << 20, max_keys: 512 << 10, workers: cores }
    }
}

impl Pace {
    /// The pace of a replay that may take so many cores; all of them where nothing is said.
    pub fn of_replay(cores: Option<usize>) -> Self {
        let whole = Pace::default();
        Pace { workers: cores.map_or(whole.workers, |cores| cores.clamp(1, whole.workers)), ..whole }
    }
}

/// The bound as it is now.
#[derive(Debug)]
pub(super) struct Bound {
    pace: Pace,
    records: u64,
}

impl Bound {
    pub(super) fn new(pace: Pace) -> Self {
        Bound { pace, records: pace.max_records.max(1) }
    }

    /// The most records of the next range.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// How many workers a range of so many records gets.
    pub(super) fn workers(&self, records: u64) -> usize {
        if records < PARALLEL_FROM { 1 } else { self.pace.workers.max(1) }
    }

    /// After so many keys no further part of a range is begun.
    pub(super) fn keys(&self) -> usize {
        self.pace.max_keys
    }

    /// Into how many parts a slice of so many records is split.
    pub(super) fn parts(&self, records: u64, workers: usize) -> usize {
        workers.max(records.div_ceil(PART_RECORDS) as usize)
    }

    /// A range of so many records was too large; false when there is no smaller one.
    pub(super) fn shrink(&mut self, records: u64) -> bool {
        let smaller = (records / 2).max(MIN_RECORDS.min(self.pace.max_records.max(1)));
        let shrinks = smaller < records;
        self.records = smaller;
        shrinks
    }

    /// A range went through.
    pub(super) fn grow(&mut self) {
        self.records = self.records.saturating_mul(2).min(self.pace.max_records.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_shrinks_to_what_fits_and_grows_back() {
        let mut bound = Bound::new(Pace { max_records: 100_000, max_keys: 1_000, workers: 2 });
        assert!(bound.shrink(60_000));
        assert_eq!(bound.records(), 30_000);
        bound.grow();
        assert_eq!(bound.records(), 60_000);
        bound.grow();
        assert_eq!(bound.records(), 100_000);
        while bound.shrink(bound.records()) {}
        assert_eq!(bound.records(), MIN_RECORDS);
    }
}
