//! What there is of every live version and every job.

use rekap_orchestrator::views::VersionView;

use super::text::Text;
use crate::server::App;

/// What there is of every live version.
pub(super) fn versions(app: &App, text: &mut Text) {
    let mut views = Vec::new();
    for job in app.orchestrator().jobs() {
        for n in &job.versions {
            // A job may be deleted between the two looks.
            views.extend(app.orchestrator().version(&job.job, *n).ok());
        }
    }
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&VersionView) -> Option<f64>| {
        text.family(name, "gauge", help);
        for view in &views {
            if let Some(value) = value(view) {
                text.sample(name, &[("job", &view.job), ("version", &view.version.to_string())], value);
            }
        }
    };
    gauge("lag_seconds", "How long the oldest record not passed has been there.", &|v| {
        v.lag_ms.map(|ms| ms as f64 / 1e3)
    });
    gauge("rows", "Rows of the table.", &|v| Some(v.rows as f64));
    gauge("table_bytes", "Bytes that the table takes.", &|v| Some(v.bytes as f64));
    gauge("dead_letters", "Records that could not be used.", &|v| Some(v.dead_letters as f64));
    gauge("records_done", "Records read.", &|v| Some(v.progress.records_done as f64));
    gauge("records_total", "Records that there are to read.", &|v| Some(v.progress.records_total as f64));
    gauge("records_per_second", "Records read a second, lately.", &|v| Some(v.progress.rate_per_s));
    gauge("replay_throttled_records_per_second", "The limit that a replay rests for.", &|v| {
        v.progress.throttled.as_ref().map(|limit| limit.records_per_s as f64)
    });
    gauge("freshness_timestamp_seconds", "The greatest value of the `time` column, in seconds since 1970.", &|v| {
        v.freshness.map(|time| time.as_micros() as f64 / 1e6)
    });
    gauge("late_records", "Records below the horizon when they came.", &|v| Some(v.late as f64));
    text.family("range_records", "histogram", "Offsets of the ranges committed.");
    for (view, labels) in views.iter().map(|view| (view, view.version.to_string())) {
        if let Some(ranges) = &view.ranges {
            text.histogram("range_records", &[("job", &view.job), ("version", &labels)], &ranges.offsets);
        }
    }
    text.family("range_duration_seconds", "histogram", "Time from cutting a range to its commit.");
    for (view, labels) in views.iter().map(|view| (view, view.version.to_string())) {
        if let Some(ranges) = &view.ranges {
            text.histogram("range_duration_seconds", &[("job", &view.job), ("version", &labels)], &ranges.seconds);
        }
    }
    text.family("version_phase", "gauge", "1 for the phase that a version is in.");
    for view in &views {
        let (version, phase) = (view.version.to_string(), view.phase.to_string());
        text.sample("version_phase", &[("job", &view.job), ("version", &version), ("phase", &phase)], 1.0);
    }
    text.family("position", "gauge", "The next offset that a version reads.");
    for view in &views {
        let version = view.version.to_string();
        for (topic, partition, next) in view.positions.iter() {
            let labels = [
                ("job", view.job.as_str()),
                ("version", &version),
                ("topic", topic.as_str()),
                ("partition", &partition.to_string()),
            ];
            text.sample("position", &labels, next.get() as f64);
        }
    }
}

/// How long swaps have taken, and which version each job serves.
pub(super) fn jobs(app: &App, text: &mut Text) {
    text.family("swap_duration_seconds", "histogram", "Time that promotions and rollbacks took.");
    for ((job, kind), spread) in app.orchestrator().swap_seconds() {
        text.histogram("swap_duration_seconds", &[("job", &job), ("kind", kind)], &spread);
    }
    let jobs = app.orchestrator().jobs();
    text.family("serving_version", "gauge", "The version that an alias serves.");
    for job in &jobs {
        if let Some(serving) = job.serving {
            text.sample("serving_version", &[("job", &job.job)], f64::from(serving));
        }
    }
    text.family("rollback_possible", "gauge", "1 while there is a version to roll back to.");
    for job in &jobs {
        text.sample("rollback_possible", &[("job", &job.job)], f64::from(u8::from(job.rollback.possible)));
    }
}
