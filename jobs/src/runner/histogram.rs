//! How values are spread: counts below fixed bounds, as monitoring systems gather them.

/// Counts of values below fixed bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    below: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Histogram {
    /// No value yet; the bounds rise.
    pub fn new(bounds: &'static [f64]) -> Self {
        Histogram { bounds, below: vec![0; bounds.len()], count: 0, sum: 0.0 }
    }

    /// Adds one value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        for (below, bound) in self.below.iter_mut().zip(self.bounds) {
            *below += u64::from(value <= *bound);
        }
    }

    /// Each bound with the number of values that are not above it.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds.iter().copied().zip(self.below.iter().copied())
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All values together.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

/// The ranges that a runner has committed since it started.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeStats {
    /// Offsets of a range.
    pub offsets: Histogram,
    /// Seconds from cutting a range to its commit.
    pub seconds: Histogram,
}

/// From single records to a replay's largest ranges.
const OFFSETS: [f64; 8] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7];

/// From a live range on an idle machine to a replay's on a busy one.
const SECONDS: [f64; 9] = [0.001, 0.005, 0.02, 0.1, 0.25, 1.0, 5.0, 20.0, 60.0];

impl Default for RangeStats {
    fn default() -> Self {
        RangeStats { offsets: Histogram::new(&OFFSETS), seconds: Histogram::new(&SECONDS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_below_every_bound_that_it_does_not_pass() {
        let mut spread = Histogram::new(&[1.0, 10.0]);
        [0.5, 1.0, 7.0, 100.0].into_iter().for_each(|value| spread.add(value));
        assert_eq!(spread.buckets().collect::<Vec<_>>(), [(1.0, 2), (10.0, 3)]);
        assert_eq!((spread.count(), spread.sum()), (4, 108.5));
    }
}
