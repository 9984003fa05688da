//! What a schedule does when its time comes. Each is safe to begin anew, and to be cut off by the end of the process.

use std::sync::Arc;

use rekap_tiered_storage::{Mirror, matches_pattern};

use super::{Schedule, Task};
use crate::verify::Verdict;
use crate::{By, Orchestrator, Rejection};

impl Orchestrator {
    /// Does it. Answers what was done, or why it was not, in words; `None` when the server stops.
    pub(super) async fn do_task(
        &self,
        schedule: &Schedule,
        mirror: &Arc<Mirror>,
        by: By,
    ) -> Option<Result<String, String>> {
        if schedule.task == Task::Drill {
            return self.drill_all(schedule.spec.job.as_deref().unwrap_or("*"), by).await;
        }
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            done = self.keep_house(schedule.task, mirror) => Some(done),
            _ = stopping.wait_for(|stopping| *stopping) => None,
        }
    }

    async fn keep_house(&self, task: Task, mirror: &Mirror) -> Result<String, String> {
        match task {
            Task::Compaction => {
                mirror.compact().await.map(|files| format!("{files} files joined")).map_err(|e| e.to_string())
            }
            Task::CleanUp => {
                mirror.clean_up().await.map(|objects| format!("{objects} objects deleted")).map_err(|e| e.to_string())
            }
            Task::CatalogExport => self.export_now().await.map(|head| format!("copied up to entry {head}")),
            Task::Drill => Err("a drill is no work on the house".into()),
        }
    }

    /// Drills every job of that pattern that serves, one after the other. A job that fails keeps no other from its drill.
    async fn drill_all(&self, pattern: &str, by: By) -> Option<Result<String, String>> {
        let state = self.state();
        let jobs = state.jobs().filter(|job| matches_pattern(pattern, &job.name));
        let jobs: Vec<(String, bool)> = jobs.map(|job| (job.name.clone(), job.serving().is_some())).collect();
        if jobs.is_empty() {
            return Some(Err(format!("no job is named `{pattern}`")));
        }
        let (mut told, mut all_pass) = (vec![], true);
        for (job, serves) in jobs {
            if !serves {
                told.push(format!("{job}: nothing serves yet"));
                continue;
            }
            let found = self.drill_now(&job, by.clone()).await;
            let found = match found.transpose()? {
                Ok(report) if report.verdict == Verdict::Pass => format!("pass, {} rows", report.counts.same),
                Ok(report) => {
                    all_pass = false;
                    let verdict = if report.verdict == Verdict::Fail { "fail" } else { "inconclusive" };
                    format!("{verdict}, {}", report.reason.unwrap_or_default())
                }
                // It was deleted a moment ago.
                Err(Rejection::UnknownJob(_)) => continue,
                // Somebody asked for the very thing: nothing is wrong, and its result is kept as any other.
                Err(rejection @ Rejection::DrillRunning(_)) => format!("skipped, {rejection}"),
                Err(rejection) => {
                    all_pass = false;
                    rejection.to_string()
                }
            };
            told.push(format!("{job}: {found}"));
        }
        let told = told.join("; ");
        Some(if all_pass { Ok(told) } else { Err(told) })
    }
}
