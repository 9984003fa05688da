//! `retain`: which records are too old to count, and how the horizon moves.
//!
//! The horizon is measured in the data's own time: the greatest `time` applied so far minus `retain`. Rows below it are no part of the
//! table, whenever they came; so neither the wall clock nor the cut of ranges matters. A record whose time is more than a day after its
//! own timestamp (a broken clock) does not move it.

use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::cast::as_int64_array;
use datafusion::error::Result;

/// How far after its record's timestamp a `time` may lie and still move the horizon.
const MAX_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// The rule of one job. All times are in the unit of its time column.
#[derive(Debug, Clone)]
pub(super) struct Retention {
    /// The time column among the key columns.
    pub(super) time: usize,
    retain: i64,
    /// How many microseconds one unit has, or how many units one microsecond has.
    micros: Unit,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Micros(i64),
    PerMicro(i64),
}

impl Retention {
    /// The rule for a time column of that type; `None` when the type tells no time.
    pub(super) fn new(time: usize, ty: &DataType, retain: Duration) -> Option<Self> {
        let micros = match ty {
            DataType::Timestamp(TimeUnit::Second, _) => Unit::Micros(1_000_000),
            DataType::Timestamp(TimeUnit::Millisecond, _) => Unit::Micros(1_000),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Unit::Micros(1),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Unit::PerMicro(1_000),
            _ => return None,
        };
        let retain = i64::try_from(retain.as_micros()).unwrap_or(i64::MAX);
        Some(Retention { time, retain: micros.of_micros(retain), micros })
    }

    /// Which rows count: those at or above the horizon. `None`: all of them.
    pub(super) fn in_time(&self, times: &ArrayRef, horizon: Option<i64>) -> Result<Option<BooleanArray>> {
        let Some(horizon) = horizon else { return Ok(None) };
        let times = cast(times, &DataType::Int64)?;
        let times = as_int64_array(&times)?;
        let mask: BooleanArray = times.iter().map(|time| Some(time.is_none_or(|time| time >= horizon))).collect();
        Ok((mask.false_count() > 0).then_some(mask))
    }

    /// The greatest time that moves the horizon; `timestamps` are those of the same records.
    pub(super) fn newest(&self, times: &ArrayRef, timestamps: &ArrayRef) -> Result<Option<i64>> {
        let (times, timestamps) = (cast(times, &DataType::Int64)?, cast(timestamps, &DataType::Int64)?);
        let (times, timestamps): (&Int64Array, &Int64Array) = (as_int64_array(&times)?, as_int64_array(&timestamps)?);
        let ahead = MAX_AHEAD.as_micros() as i64;
        let latest = |timestamp: i64| self.micros.of_micros(timestamp.saturating_add(ahead));
        let both = times.iter().zip(timestamps.iter()).filter_map(|(time, timestamp)| time.zip(timestamp));
        Ok(both.filter(|(time, timestamp)| *time <= latest(*timestamp)).map(|(time, _)| time).max())
    }

    /// Where the horizon stands after the newest time was applied; it never falls.
    pub(super) fn horizon(&self, before: Option<i64>, newest: Option<i64>) -> Option<i64> {
        before.max(newest.map(|time| time.saturating_sub(self.retain)))
    }
}

impl Unit {
    fn of_micros(self, micros: i64) -> i64 {
        match self {
            Unit::Micros(unit) => micros.div_euclid(unit),
            Unit::PerMicro(units) => micros.saturating_mul(units),
        }
    }
}
