use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn vienna(cron: &str) -> When {
    When::parse(cron, "Europe/Vienna").unwrap()
}

/// The next times after that one, in UTC.
fn next(when: &When, after: &str, count: usize) -> Vec<String> {
    let mut last = at(after);
    let mut times = vec![];
    for _ in 0..count {
        let Some(next) = when.next(last) else { break };
        assert!(next > last, "{next} after {last}");
        last = next;
        times.push(next.to_string());
    }
    times
}

#[test]
fn a_time_is_that_of_the_zone_in_winter_and_in_summer() {
    let nightly = vienna("0 3 * * *");
    assert_eq!(next(&nightly, "2026-01-10T12:00:00Z", 2), ["2026-01-11T02:00:00Z", "2026-01-12T02:00:00Z"]);
    assert_eq!(next(&nightly, "2026-07-10T12:00:00Z", 1), ["2026-07-11T01:00:00Z"]);
    assert_eq!(next(&vienna("15 0 3 * * *"), "2026-01-10T12:00:00Z", 1), ["2026-01-11T02:00:15Z"]);
    assert_eq!(next(&nightly, "2026-01-11T02:00:00Z", 1), ["2026-01-12T02:00:00Z"], "after that moment, not at it");
}

#[test]
fn a_time_that_the_clock_jumps_over_is_due_right_after_the_jump() {
    // At 01:00 UTC on that day Vienna's clock goes from 02:00 to 03:00.
    let spring = next(&vienna("30 2 * * *"), "2026-03-28T12:00:00Z", 2);
    assert_eq!(spring, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    let merged = next(&vienna("0,20,40 2,3 * * *"), "2026-03-29T00:59:59Z", 4);
    let after = ["2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z", "2026-03-29T01:40:00Z", "2026-03-30T00:00:00Z"];
    assert_eq!(merged, after, "three times that are jumped over are one");
    let wide = When::parse("30 12 * * *", "Pacific/Apia").unwrap();
    // Samoa left out the whole 30th of December 2011.
    assert_eq!(next(&wide, "2011-12-29T23:00:00Z", 2), ["2011-12-30T10:00:00Z", "2011-12-30T22:30:00Z"]);
}

#[test]
fn a_time_that_comes_twice_is_due_once() {
    // At 01:00 UTC on that day Vienna's clock goes from 03:00 back to 02:00.
    let autumn = next(&vienna("30 2 * * *"), "2026-10-24T12:00:00Z", 2);
    assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    assert_eq!(next(&vienna("30 2 * * *"), "2026-10-25T01:10:00Z", 1), ["2026-10-26T01:30:00Z"]);
}

#[test]
fn where_every_hour_is_named_no_jump_of_the_clock_takes_a_run_away_or_adds_one() {
    let half = vienna("30 * * * *");
    let hours = |from: &str| next(&half, from, 4);
    let spring = ["2026-03-28T23:30:00Z", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"];
    assert_eq!(hours("2026-03-28T23:00:00Z"), spring);
    let autumn = ["2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"];
    assert_eq!(hours("2026-10-24T23:00:00Z"), autumn);
    let new_year = next(&vienna("0 * 1 1 *"), "2026-06-01T00:00:00Z", 2);
    assert_eq!(new_year, ["2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"]);
    assert_eq!(next(&vienna("0 * * * *"), "2026-10-25T00:30:00Z", 2), ["2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]);
}

#[test]
fn days_of_the_week_are_those_of_cron() {
    for (field, days) in [
        ("0", "sun"),
        ("7", "sun"),
        ("1-5", "mon,tue,wed,thu,fri"),
        ("5-7", "sun,fri,sat"),
        ("FRI-MON", "sun,mon,fri,sat"),
        ("*/2", "sun,tue,thu,sat"),
        ("mon,Wednesday", "mon,wed"),
        ("?", "*"),
    ] {
        assert_eq!(days_of_week(field).as_deref(), Some(days), "{field}");
    }
    // The 1st of February 2026 is a Sunday.
    assert_eq!(next(&vienna("0 12 * * 1"), "2026-02-01T00:00:00Z", 1), ["2026-02-02T11:00:00Z"]);
    assert_eq!(next(&vienna("0 0 12 * * 0"), "2026-02-01T00:00:00Z", 1), ["2026-02-01T11:00:00Z"]);
}

#[test]
fn what_never_comes_has_no_next_time() {
    for never in ["0 0 30 2 *", "0 0 0 1 1 * 2020"] {
        assert_eq!(vienna(never).next(at("2026-01-01T00:00:00Z")), None, "{never}");
    }
    assert_eq!(next(&vienna("0 0 29 2 *"), "2026-01-01T00:00:00Z", 1), ["2028-02-28T23:00:00Z"]);
}

#[test]
fn what_is_no_time_is_refused_with_what_to_write() {
    for (cron, zone, why) in [
        ("0 3 * *", "UTC", "has 4 fields"),
        ("0 3 * * * * * *", "UTC", "has 8 fields"),
        ("0 3 * * 8", "UTC", "`8` is no day of the week"),
        ("0 25 * * *", "UTC", "does not read"),
        ("0 3 * * *", "Vienna", "Europe/Vienna"),
        ("", "UTC", "has 0 fields"),
    ] {
        let refused = When::parse(cron, zone).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn the_last_time_is_found_at_once_after_a_year() {
    let now = at("2026-06-01T12:00:30Z");
    let of = |cron: &str, after: &str| vienna(cron).last(at(after), now).map(|time| time.to_string());
    assert_eq!(of("* * * * * *", "2025-06-01T00:00:00Z").unwrap(), "2026-06-01T12:00:30Z");
    assert_eq!(of("0 3 * * *", "2025-06-01T00:00:00Z").unwrap(), "2026-06-01T01:00:00Z");
    assert_eq!(of("0 3 1 1 *", "2025-06-01T00:00:00Z").unwrap(), "2026-01-01T02:00:00Z");
    assert_eq!(of("0 3 1 1 *", "2026-02-01T00:00:00Z"), None);
    assert_eq!(of("0 3 * * *", "2026-06-01T01:00:00Z"), None, "it was due then");
}
