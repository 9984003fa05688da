//! `rekap watch` and `rekap wait`: a version's way to readiness, as a bar where a person looks, as lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::args::{Target, VersionRef};
use super::failure::Failure;
use super::jobs::phase as painted;
use super::out::{Out, cell, count};
use super::{Session, tree};

/// How often the server is asked.
const EVERY: Duration = Duration::from_millis(100);
/// The phases of a version that goes well, in their order: having come further counts as having been there.
const WAY: [&str; 6] = ["Registered", "Replaying", "CatchingUp", "Verifying", "Ready", "Serving"];
/// The phases that a version never leaves by itself.
const ENDS: [&str; 3] = ["Failed", "Aborted", "Retired"];
/// The phase of a version that has served and can again; it was ready on its way there.
const STANDBY: &str = "Standby";

/// `rekap watch`: until the version serves, is ready or has ended; a job's newest version.
pub(super) async fn watch(s: &Session, target: Target) -> Result<(), Failure> {
    let version = match target {
        Target::Version(version) => version,
        Target::Job(job) => newest(s, job).await?,
    };
    if s.out.is_live() {
        return drawn(s, &version).await;
    }
    let view = until(s, &version, "Ready", None, Told::Live).await?;
    if s.out.is_json() { s.out.line(view) } else { Ok(()) }
}

/// The job's tree, drawn anew until the version is ready or has ended.
async fn drawn(s: &Session, version: &VersionRef) -> Result<(), Failure> {
    let picture = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    picture.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
    loop {
        let job = s.client.get(&format!("/v1/jobs/{}", version.job)).await?;
        let all = s.client.get(&format!("/v1/jobs/{}/versions?limit=10000", version.job)).await?;
        let versions = all["versions"].as_array().map_or(&[][..], Vec::as_slice);
        let tree = tree::draw(&s.out, &job, versions);
        let now = versions.iter().find(|view| view["version"] == version.version).map_or(Value::Null, Clone::clone);
        let phase = cell(&now["phase"]);
        picture.set_message(tree.clone());
        if has_come_to(&phase, "Ready") || ENDS.contains(&phase.as_str()) {
            picture.finish_and_clear();
            s.out.line(tree)?;
            return match has_come_to(&phase, "Ready") {
                true => Ok(()),
                false => Err(ended(version, &phase, &now)),
            };
        }
        sleep(EVERY).await;
    }
}

/// A version that will not get any further.
fn ended(version: &VersionRef, phase: &str, view: &Value) -> Failure {
    let reason = if view["reason"].is_null() { String::new() } else { format!(": {}", cell(&view["reason"])) };
    Failure::Failed(format!("{}@{} is {phase}{reason}", version.job, version.version))
}

/// `rekap wait`.
pub(super) async fn wait(s: &Session, version: &VersionRef, phase: &str, timeout: Duration) -> Result<(), Failure> {
    let known = |name: &&str| name.eq_ignore_ascii_case(phase);
    let others = [STANDBY, "Paused"];
    let all = WAY.iter().chain(&ENDS).chain(&others);
    let Some(phase) = all.clone().copied().find(|name| known(name)) else {
        let all = all.copied().collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!("`{phase}` is no phase; phases are {all}")));
    };
    let view = until(s, version, phase, Some(timeout), Told::Live).await?;
    if s.out.is_json() { s.out.line(view) } else { Ok(()) }
}

/// The newest version of a job.
async fn newest(s: &Session, job: String) -> Result<VersionRef, Failure> {
    let view = s.client.get(&format!("/v1/jobs/{job}")).await?;
    let versions = view["versions"].as_array().into_iter().flatten().filter_map(Value::as_u64);
    let version = versions.max().ok_or_else(|| Failure::Failed(format!("job {job} has no version")))?;
    Ok(VersionRef { job, version: version as u32 })
}

/// Watches a version until it has come to `phase`; answers it as it is then.
pub(crate) async fn until(
    s: &Session,
    version: &VersionRef,
    phase: &str,
    timeout: Option<Duration>,
    told: Told,
) -> Result<Value, Failure> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let path = format!("/v1/jobs/{}/versions/{}", version.job, version.version);
    let mut shown = Shown::new(s.out, told);
    loop {
        let view = s.client.get(&path).await?;
        let now = cell(&view["phase"]);
        shown.show(version, &now, &view)?;
        if has_come_to(&now, phase) {
            shown.done(version)?;
            return Ok(view);
        }
        // A standby serves again when somebody rolls back to it, which is nothing to wait for without a time.
        if ENDS.contains(&now.as_str()) || (now == STANDBY && deadline.is_none()) {
            shown.done(version)?;
            return Err(ended(version, &now, &view));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            shown.done(version)?;
            return Err(Failure::TimedOut(format!("{}@{} is still {now}, not {phase}", version.job, version.version)));
        }
        sleep(EVERY).await;
    }
}

/// How phases are told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Told {
    /// Each in its line as it comes.
    Live,
    /// All in one line at the end.
    AtTheEnd,
}

/// True when a version in phase `now` has been, or is, in `wanted`.
fn has_come_to(now: &str, wanted: &str) -> bool {
    let rank = |phase: &str| WAY.iter().position(|step| *step == if phase == STANDBY { "Ready" } else { phase });
    now == wanted || matches!((rank(now), rank(wanted)), (Some(now), Some(wanted)) if now >= wanted)
}

/// What the person sees while waiting.
struct Shown {
    out: Out,
    bar: ProgressBar,
    phases: Vec<String>,
    told: Told,
}

impl Shown {
    fn new(out: Out, told: Told) -> Self {
        let bar = ProgressBar::with_draw_target(
            Some(0),
            if out.is_live() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
        );
        let style = ProgressStyle::with_template("   {msg:24} {bar:32.cyan/dim} {percent:>3} %  {prefix}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("━╸─"));
        Shown { out, bar, phases: Vec::new(), told }
    }

    /// The bar moves with every look; a line is printed when the phase changes.
    fn show(&mut self, version: &VersionRef, phase: &str, view: &Value) -> Result<(), Failure> {
        let progress = &view["progress"];
        let (done, total) = (progress["records_done"].as_u64(), progress["records_total"].as_u64());
        self.bar.set_length(total.unwrap_or(0));
        self.bar.set_position(done.unwrap_or(0));
        self.bar.set_message(format!("{}@{} {phase}", version.job, version.version));
        let rate = progress["rate_per_s"].as_f64().map_or(String::new(), |rate| format!("{}/s", count(rate as u64)));
        self.bar.set_prefix(format!("{} of {} records  {rate}", count(done.unwrap_or(0)), count(total.unwrap_or(0))));
        if self.phases.last().is_none_or(|last| last != phase) {
            self.phases.push(phase.to_owned());
            if self.told == Told::Live && !self.out.is_json() {
                let line = format!("{}@{} is {}", version.job, version.version, painted(&self.out, phase));
                self.bar.suspend(|| self.out.line(line))?;
            }
        }
        Ok(())
    }

    fn done(&self, version: &VersionRef) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        match self.told {
            Told::Live => Ok(()),
            Told::AtTheEnd => self.out.line(self.in_one_line(version)),
        }
    }

    /// All phases at once: for a program an object, as every line is.
    fn in_one_line(&self, version: &VersionRef) -> String {
        if self.out.is_json() {
            return json!({"job": version.job, "version": version.version, "phases": self.phases}).to_string();
        }
        let phases: Vec<_> = self.phases.iter().map(|phase| painted(&self.out, phase)).collect();
        format!("   {}", phases.join(" → "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_serves_has_been_ready() {
        assert!(has_come_to("Serving", "Ready") && has_come_to("Ready", "Ready") && has_come_to("Standby", "Standby"));
        assert!(has_come_to("Standby", "Ready") && !has_come_to("Standby", "Serving"));
        assert!(!has_come_to("Verifying", "Ready") && !has_come_to("Failed", "Ready"));
    }

    #[test]
    fn phases_told_at_the_end_are_json_for_a_program() {
        let version = VersionRef { job: "bpi".into(), version: 1 };
        let line = |out: Out| {
            let mut shown = Shown::new(out, Told::AtTheEnd);
            shown.phases = vec!["Replaying".into(), "Ready".into()];
            shown.in_one_line(&version)
        };
        let told: Value = serde_json::from_str(&line(Out::new(true))).unwrap();
        assert_eq!(told, json!({"job": "bpi", "version": 1, "phases": ["Replaying", "Ready"]}));
        assert_eq!(line(Out::plain()), "   Replaying → Ready");
    }
}
