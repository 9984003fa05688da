//! When a schedule is due: a cron expression in a time zone. Pure.
//!
//! The expression speaks of the clock on the wall. A time that the wall's clock jumps over is due at the moment after the jump; one that
//! it shows twice is due the first time only. Where every hour is named (`0 * * * *`), the clock's jumps take no run away and add none:
//! an hour that comes twice is two hours.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use cron::TimeUnitSpec;
use rekap_tiered_storage::Timestamp;

/// The days of a week, as cron numbers them: 0 and 7 are Sunday. Three letters name one, or more of them.
const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// No clock is set back or forward by more than that.
const LARGEST_JUMP: Duration = Duration::hours(26);

/// Times in a time zone.
#[derive(Debug, Clone)]
pub(super) struct When {
    times: cron::Schedule,
    zone: Tz,
    /// Every hour of the day is named.
    hourly: bool,
}

impl When {
    /// Reads an expression of five fields (minute, hour, day, month, day of the week), six (a second before them) or seven (a year
    /// after them), and the IANA name of a time zone.
    pub(super) fn parse(expression: &str, zone: &str) -> Result<When, String> {
        let zone = Tz::from_str(zone).map_err(|_| {
            format!("`timezone = \"{zone}\"` is no time zone; write an IANA name, as \"Europe/Vienna\" or \"UTC\"")
        })?;
        let fields: Vec<&str> = expression.split_whitespace().collect();
        let (seconds, rest) = match fields.as_slice() {
            rest @ [_, _, _, _, _] => ("0", rest),
            [seconds, rest @ ..] if (5..=6).contains(&rest.len()) => (*seconds, rest),
            _ => {
                return Err(format!(
                    "`cron = \"{expression}\"` has {} fields; write five, or six with seconds",
                    fields.len()
                ));
            }
        };
        let days = days_of_week(rest[4]).ok_or_else(|| {
            format!(
                "`cron = \"{expression}\"`: `{}` is no day of the week; write 0-7 (0 and 7 are Sunday) or MON-SUN",
                rest[4]
            )
        })?;
        let text = [&[seconds][..], &rest[..4], &[days.as_str()], &rest[5..]].concat().join(" ");
        let times = cron::Schedule::from_str(&text);
        let times = times.map_err(|e| format!("`cron = \"{expression}\"` does not read: {e}"))?;
        let hourly = times.hours().is_all();
        Ok(When { times, zone, hourly })
    }

    /// The first time after `after`; `None` when there is none for ever.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = DateTime::from_timestamp_micros(after.as_micros())?;
        let next = if self.hourly { self.next_of_every_hour(after) } else { self.next_by_the_wall(after) };
        next.map(|next| Timestamp::from_micros(next.timestamp_micros()))
    }

    /// The last time after `after` and not after `now`.
    pub(super) fn last(&self, after: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let mut last = self.next(after).filter(|first| *first <= now)?;
        // From the nearest window in which there is one: the server may have been down for a year.
        for seconds in [60, 3_600, 86_400, 8 * 86_400, 40 * 86_400] {
            let begin = now.minus(std::time::Duration::from_secs(seconds)).max(after);
            if let Some(first) = self.next(begin).filter(|first| *first <= now) {
                last = first;
                break;
            }
        }
        while let Some(next) = self.next(last).filter(|next| *next <= now) {
            last = next;
        }
        Some(last)
    }

    fn next_by_the_wall(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut walls = self.times.after(&as_utc(self.wall(after)));
        walls.find_map(|wall| {
            let wall = wall.naive_utc();
            let moment = match self.zone.from_local_datetime(&wall) {
                LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => moment.with_timezone(&Utc),
                LocalResult::None => self.jump_over(wall),
            };
            (moment > after).then_some(moment)
        })
    }

    fn next_of_every_hour(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (mut after, mut offset) = (after, self.offset(after));
        loop {
            let wall = self.times.after(&as_utc((after + offset).naive_utc())).next()?;
            let moment = wall - offset;
            if self.offset(moment) == offset {
                return Some(moment);
            }
            // The clock is set in between: go on from there, by the new one. The search is for a moment that may be the first itself.
            let jump = self.jump_between(after, moment);
            (after, offset) = (jump - Duration::microseconds(1), self.offset(jump));
        }
    }

    /// What the clock on the wall shows.
    fn wall(&self, moment: DateTime<Utc>) -> NaiveDateTime {
        moment.with_timezone(&self.zone).naive_local()
    }

    /// How far the wall's clock is before UTC's.
    fn offset(&self, moment: DateTime<Utc>) -> Duration {
        Duration::seconds(self.zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc().into())
    }

    /// The moment at which the clock is set past `wall`, which it never shows.
    fn jump_over(&self, wall: NaiveDateTime) -> DateTime<Utc> {
        let about = as_utc(wall);
        let (mut before, mut after) = (about - LARGEST_JUMP, about + LARGEST_JUMP);
        while after - before > Duration::seconds(1) {
            let middle = before + (after - before) / 2;
            if self.wall(middle) < wall { before = middle } else { after = middle }
        }
        whole_second(after)
    }

    /// The first moment after `from` at which the clock is another than at `from`; it is by `to`.
    fn jump_between(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> DateTime<Utc> {
        let (mut before, mut after, offset) = (from, to, self.offset(from));
        while after - before > Duration::seconds(1) {
            let middle = before + (after - before) / 2;
            if self.offset(middle) == offset { before = middle } else { after = middle }
        }
        whole_second(after)
    }
}

/// Clocks are set at whole seconds; `moment` is less than one after such a one.
fn whole_second(moment: DateTime<Utc>) -> DateTime<Utc> {
    moment - Duration::nanoseconds(i64::from(moment.timestamp_subsec_nanos()))
}

/// A wall's clock as if it stood in Greenwich, where none is ever set.
fn as_utc(wall: NaiveDateTime) -> DateTime<Utc> {
    wall.and_utc()
}

/// Days of the week by their names, since the number of a day differs between kinds of cron. `None` when it is none.
fn days_of_week(field: &str) -> Option<String> {
    if field == "*" || field == "?" {
        return Some("*".into());
    }
    let mut days = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step: usize = step.map_or(Some(1), |step| step.parse().ok()).filter(|step| (1..=7).contains(step))?;
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None if range == "*" => (0, 6),
            None if part.contains('/') => (day(range)?, 6),
            None => (day(range)?, day(range)?),
        };
        let last = if last < first { last + 7 } else { last };
        days.extend((first..=last).step_by(step).map(|day| day % 7));
    }
    Some(days.into_iter().map(|day| &DAYS[day][..3]).collect::<Vec<_>>().join(","))
}

fn day(text: &str) -> Option<usize> {
    let named = || DAYS.iter().position(|name| text.len() >= 3 && name.starts_with(&text.to_ascii_lowercase()));
    text.parse().ok().filter(|day| *day <= 7).or_else(named)
}

#[cfg(test)]
mod tests;
