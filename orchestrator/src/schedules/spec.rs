//! What a schedule says, and what is refused of it before the server starts.

use std::fmt;

use rekap_jobs::Span;
use rekap_tiered_storage::Timestamp;
use serde::{Deserialize, Serialize};

use super::cron::When;

/// How long after its time a run that was missed is still made up, where a schedule does not say.
const GRACE: std::time::Duration = std::time::Duration::from_secs(12 * 3600);

/// No more schedules than that: each is looked at every second.
const MAX_SCHEDULES: usize = 1_000;

/// One `[[schedules]]`, as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSpec {
    /// Its name: small letters, digits, `-` and `_`.
    pub name: String,
    /// When: five fields, or six with seconds.
    pub cron: String,
    /// In which time zone: an IANA name.
    #[serde(default = "utc")]
    pub timezone: String,
    /// What: `compaction`, `clean-up`, `catalog-export` or `drill`.
    pub task: String,
    /// Of which jobs, for a drill: a name, in which `*` matches any text.
    #[serde(default)]
    pub job: Option<String>,
    /// How long after its time a run that was missed is still made up; `0s` never makes one up.
    #[serde(default)]
    pub grace: Option<Span>,
}

fn utc() -> String {
    "UTC".into()
}

/// A schedule that no server can be started with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schedule `{name}`: {reason}")]
pub struct InvalidSchedule {
    /// Its name.
    pub name: String,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Small files of the cold tier are joined.
    Compaction,
    /// What nothing refers to is deleted from the cold tier.
    CleanUp,
    /// The catalog is copied outside.
    CatalogExport,
    /// History is replayed and compared with what is served.
    Drill,
}

impl Task {
    const ALL: [Task; 4] = [Task::Compaction, Task::CleanUp, Task::CatalogExport, Task::Drill];
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Task::Compaction => "compaction",
            Task::CleanUp => "clean-up",
            Task::CatalogExport => "catalog-export",
            Task::Drill => "drill",
        })
    }
}

/// A schedule that can be kept.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    /// As it is written.
    pub(super) spec: ScheduleSpec,
    /// What is done.
    pub(super) task: Task,
    pub(super) when: When,
    pub(super) grace: std::time::Duration,
}

/// The schedules of a server, by name.
#[derive(Debug, Clone, Default)]
pub struct Schedules(pub(super) Vec<Schedule>);

impl Schedules {
    /// Reads all of them, or says which cannot be kept. `exports` says whether the catalog has a place outside.
    pub fn read(specs: &[ScheduleSpec], exports: bool, now: Timestamp) -> Result<Self, InvalidSchedule> {
        let mut schedules: Vec<Schedule> = vec![];
        for spec in specs {
            let refused = |reason: String| InvalidSchedule { name: spec.name.clone(), reason };
            if schedules.iter().any(|other| other.spec.name == spec.name) {
                return Err(refused("two schedules have this name; rename one".into()));
            }
            if schedules.len() == MAX_SCHEDULES {
                return Err(refused(format!("there are more than {MAX_SCHEDULES} schedules; join some of them")));
            }
            schedules.push(Schedule::read(spec, exports, now).map_err(refused)?);
        }
        Ok(Schedules(schedules))
    }

    /// True when one of them does that.
    pub fn have(&self, task: Task) -> bool {
        self.0.iter().any(|schedule| schedule.task == task)
    }
}

impl Schedule {
    fn read(spec: &ScheduleSpec, exports: bool, now: Timestamp) -> Result<Self, String> {
        let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if spec.name.is_empty() || spec.name.len() > 63 || !spec.name.chars().all(of_name) {
            return Err("its name is not made of 1 to 63 small letters, digits, `-` and `_`; rename it".into());
        }
        let task = Task::ALL.into_iter().find(|task| task.to_string() == spec.task);
        let task = task.ok_or_else(|| {
            let all = Task::ALL.map(|task| task.to_string()).join(", ");
            format!("there is no task `{}`; write one of {all}", spec.task)
        })?;
        let of_pattern = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '*';
        match (task, &spec.job) {
            (Task::Drill, None) => {
                return Err("a drill is of a job; write `job = \"bpi\"`, or `job = \"*\"` for all".into());
            }
            (Task::Drill, Some(job)) if job.is_empty() || !job.chars().all(of_pattern) => {
                return Err(format!("no job can be named `{job}`; write a job's name, in which `*` matches any text"));
            }
            (Task::Drill, Some(_)) | (_, None) => {}
            (_, Some(_)) => return Err(format!("`{task}` is of no job; leave `job` out")),
        }
        if task == Task::CatalogExport && !exports {
            return Err("the catalog has no place outside; set `export` in `[catalog]`".into());
        }
        let when = When::parse(&spec.cron, &spec.timezone)?;
        if when.next(now).is_none() {
            return Err(format!("`cron = \"{}\"` never comes again; name a time that does", spec.cron));
        }
        let grace = spec.grace.map_or(GRACE, |grace| grace.0);
        Ok(Schedule { spec: spec.clone(), task, when, grace })
    }

    /// What it says, in one line. Another one means another schedule.
    pub(super) fn says(&self) -> String {
        let ScheduleSpec { cron, timezone, .. } = &self.spec;
        let job = self.spec.job.as_ref().map_or(String::new(), |job| format!(" of {job}"));
        format!("{}{job} at {cron} ({timezone})", self.task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::NOON;

    fn spec(change: impl FnOnce(&mut ScheduleSpec)) -> ScheduleSpec {
        let (name, cron, timezone) = ("nightly".to_owned(), "0 3 * * *".to_owned(), "Europe/Vienna".to_owned());
        let mut spec =
            ScheduleSpec { name, cron, timezone, task: "drill".into(), job: Some("bpi".into()), grace: None };
        change(&mut spec);
        spec
    }

    #[test]
    fn what_cannot_be_kept_is_refused_by_name_with_what_to_write() {
        let refused = |change: fn(&mut ScheduleSpec), why: &str| {
            let refused = Schedules::read(&[spec(change)], false, NOON).unwrap_err().to_string();
            assert!(refused.starts_with("schedule `") && refused.contains(why), "{refused}");
        };
        refused(|s| s.name = "Nightly".into(), "schedule `Nightly`: its name");
        refused(
            |s| s.task = "sweep".into(),
            "no task `sweep`; write one of compaction, clean-up, catalog-export, drill",
        );
        refused(|s| s.job = None, "job = \"*\"");
        refused(|s| s.job = Some("bpi-2".into()), "no job can be named `bpi-2`");
        refused(|s| s.task = "compaction".into(), "leave `job` out");
        refused(|s| (s.task, s.job) = ("catalog-export".into(), None), "`[catalog]`");
        refused(|s| s.timezone = "Vienna".into(), "no time zone");
        refused(|s| s.cron = "0 0 30 2 *".into(), "never comes again");
        refused(|s| s.cron = "61 * * * *".into(), "does not read");
        let twice = Schedules::read(&[spec(|_| {}), spec(|_| {})], false, NOON).unwrap_err();
        assert_eq!(twice.to_string(), "schedule `nightly`: two schedules have this name; rename one");
    }

    #[test]
    fn what_can_be_kept_says_what_it_does_in_one_line() {
        let schedules = Schedules::read(&[spec(|_| {})], false, NOON).unwrap();
        assert_eq!(schedules.0[0].says(), "drill of bpi at 0 3 * * * (Europe/Vienna)");
        assert!(schedules.have(Task::Drill) && !schedules.have(Task::Compaction));
    }
}
