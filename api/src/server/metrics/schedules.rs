//! What became of schedules and of drills.

use rekap_orchestrator::{ScheduleOutcome, ScheduleView, Verdict};

use super::text::Text;
use crate::server::App;

/// What becomes of each schedule.
pub(super) fn schedules(app: &App, text: &mut Text) {
    let schedules = app.orchestrator().schedules();
    let mut gauge = |name: &str, help: &str, value: fn(&ScheduleView) -> Option<f64>| {
        text.family(name, "gauge", help);
        for (schedule, value) in schedules.iter().filter_map(|schedule| Some((schedule, value(schedule)?))) {
            text.sample(name, &[("schedule", &schedule.schedule)], value);
        }
    };
    gauge("schedule_failed", "1 while the last run of a schedule failed, was missed, or met the run before it.", |s| {
        s.runs.first().map(|ran| f64::from(u8::from(ran.outcome != ScheduleOutcome::Done)))
    });
    gauge("schedule_running", "1 while a schedule runs.", |s| Some(f64::from(u8::from(s.running_since.is_some()))));
    gauge("schedule_next_run_timestamp_seconds", "When a schedule runs next, in seconds since 1970.", |s| {
        s.next_run.map(|time| time.as_micros() as f64 / 1e6)
    });
    gauge(
        "schedule_last_run_timestamp_seconds",
        "The time that a schedule was due at last, in seconds since 1970.",
        |s| s.runs.first().map(|ran| ran.due.as_micros() as f64 / 1e6),
    );
    text.family(
        "schedule_runs_total",
        "counter",
        "Times of a schedule since the server started, by what became of them.",
    );
    for schedule in &schedules {
        for (outcome, count) in &schedule.counts {
            let labels = [("schedule", schedule.schedule.as_str()), ("outcome", outcome)];
            text.sample("schedule_runs_total", &labels, *count as f64);
        }
    }
}

/// What the last drill of each job found.
pub(super) fn drills(app: &App, text: &mut Text) {
    let jobs = app.orchestrator().jobs();
    let found = || jobs.iter().filter_map(|job| Some((job.job.as_str(), job.drill.as_ref()?)));
    text.family(
        "drill_differs",
        "gauge",
        "1 while the last drill of a job found that history does not give what is served.",
    );
    for (job, report) in found().filter_map(|(job, drill)| Some((job, drill.report.as_ref()?))) {
        text.sample("drill_differs", &[("job", job)], f64::from(u8::from(report.verdict == Verdict::Fail)));
    }
    text.family("drill_timestamp_seconds", "gauge", "When a job was drilled last, in seconds since 1970.");
    for (job, at) in found().filter_map(|(job, drill)| Some((job, drill.at?))) {
        text.sample("drill_timestamp_seconds", &[("job", job)], at.as_micros() as f64 / 1e6);
    }
}
