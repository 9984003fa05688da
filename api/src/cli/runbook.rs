//! `rekap runbook JOB`: what can be done about a job as it is now, most urgent first, with the exact commands.

use std::fmt::Write as _;

use serde_json::Value;

use super::Session;
use super::failure::Failure;
use super::out::cell;

/// Asks for the job and its versions, and prints what fits.
pub(super) async fn runbook(s: &Session, job: &str) -> Result<(), Failure> {
    let told = s.client.get(&format!("/v1/jobs/{job}")).await?;
    let versions = s.client.get(&format!("/v1/jobs/{job}/versions?limit=10000")).await?;
    let versions: Vec<Value> = versions["versions"].as_array().cloned().unwrap_or_default();
    let sections = sections(&told, &versions);
    if s.out.is_json() {
        let json =
            |section: &Section| serde_json::json!({"page": section.page, "what": section.what, "do": section.commands});
        return s.out.line(Value::Array(sections.iter().map(json).collect()));
    }
    s.out.bytes(printed(job, &sections).as_bytes())
}

/// One thing that is so, the page that tells more, and what to type.
#[derive(Debug, PartialEq)]
struct Section {
    page: String,
    what: String,
    commands: Vec<String>,
}

impl Section {
    fn new(page: &str, what: String, commands: Vec<String>) -> Self {
        Section { page: format!("runbooks/{page}.md"), what, commands }
    }
}

fn printed(job: &str, sections: &[Section]) -> String {
    if sections.is_empty() {
        return format!("`{job}`: nothing is to be done.\n");
    }
    let mut text = String::new();
    for section in sections {
        _ = writeln!(text, "{}", section.what);
        section.commands.iter().for_each(|command| _ = writeln!(text, "    {command}"));
        _ = writeln!(text, "  more: {}\n", section.page);
    }
    text
}

/// All that fits, most urgent first.
fn sections(job: &Value, versions: &[Value]) -> Vec<Section> {
    let live = |version: &&Value| matches!(version["role"].as_str(), Some("Candidate" | "Serving" | "Standby"));
    let live: Vec<&Value> = versions.iter().filter(live).collect();
    let mut all: Vec<Section> = live.iter().filter_map(|version| failed(job, version)).collect();
    all.extend(watched(job));
    all.extend(live.iter().rev().filter_map(|version| candidate(job, version)));
    all.extend(way_back(job));
    all
}

fn name(job: &Value, version: &Value) -> String {
    format!("{}@{}", cell(&job["job"]), cell(&version["version"]))
}

fn failed(job: &Value, version: &Value) -> Option<Section> {
    let reason = version["reason"].as_str()?;
    let (name, role) = (name(job, version), cell(&version["role"]));
    let what = format!("{name} ({role}) cannot go on: {reason}");
    let gap = reason.contains("--accept-gap");
    let mut commands = vec![format!("rekap resume {name}        # once the cause has gone")];
    match (gap, role.as_str()) {
        (true, "Candidate") => {
            commands.push(format!("rekap replay {name} --accept-gap   # do without what is lost"));
            commands.push(format!("rekap promote {name} --force no_gap"));
        }
        (_, "Candidate") => commands.push(format!("rekap abort {name}         # give it up")),
        (_, "Serving") if job["rollback"]["possible"] == true => {
            commands.push(format!("rekap rollback {}       # to version {}", cell(&job["job"]), job["rollback"]["to"]));
        }
        _ => commands.push("rekap deploy DIR --rebuild    # a fresh version beside it".to_owned()),
    }
    Some(Section::new(if gap { "gap" } else { "stuck-replay" }, what, commands))
}

fn watched(job: &Value) -> Option<Section> {
    let until = job["watched_until"].as_str()?;
    let what = format!("{}@{} was promoted and is watched until {until}", cell(&job["job"]), cell(&job["serving"]));
    Some(Section::new("rollback", what, vec![format!("rekap rollback {}", cell(&job["job"]))]))
}

fn candidate(job: &Value, version: &Value) -> Option<Section> {
    if version["role"] != "Candidate" || version["reason"].is_string() {
        return None;
    }
    let name = name(job, version);
    let unmet = version["ready"].as_object().into_iter().flatten().filter(|(_, condition)| condition["met"] != true);
    let unmet: Vec<(&String, String)> = unmet.map(|(name, condition)| (name, cell(&condition["detail"]))).collect();
    let phase = cell(&version["phase"]);
    match phase.as_str() {
        "Ready" => {
            let commands = vec![format!("rekap verify {name}"), format!("rekap promote {name}")];
            Some(Section::new("promote", format!("{name} is ready"), commands))
        }
        "Paused" => {
            let commands = vec![format!("rekap resume {name}"), format!("rekap abort {name}")];
            Some(Section::new("replay", format!("{name} is paused"), commands))
        }
        _ => {
            let told: Vec<String> = unmet.iter().map(|(name, detail)| format!("{name} ({detail})")).collect();
            let mut commands =
                vec![format!("rekap wait {name} --for Ready"), format!("rekap promote {name} --when-ready")];
            let only_forcible =
                !unmet.is_empty() && unmet.iter().all(|(name, _)| *name != "caught_up" && *name != "lag");
            if only_forcible {
                let force: String = unmet.iter().map(|(name, _)| format!(" --force {name}")).collect();
                commands.push(format!("rekap promote {name}{force}"));
            }
            let page = if phase == "Replaying" { "stuck-replay" } else { "not-ready" };
            Some(Section::new(page, format!("{name} is {phase}; not met: {}", told.join(", ")), commands))
        }
    }
}

fn way_back(job: &Value) -> Option<Section> {
    let (name, rollback) = (cell(&job["job"]), &job["rollback"]);
    if job["serving"].is_null() {
        return None;
    }
    if rollback["possible"] == true {
        let (to, until) = (&rollback["to"], cell(&rollback["until"]));
        let lag = rollback["lag_ms"].as_u64().map_or(String::new(), |ms| format!(", {ms} ms behind the log"));
        let what = format!("{name} can be rolled back to version {to} until {until}{lag}");
        let longer = format!(
            "curl -X POST $REKAP_URL/v1/jobs/{name}/rollback-window -H 'Content-Type: application/json' -d '{{\"until\": \"…\"}}'"
        );
        return Some(Section::new("rollback", what, vec![format!("rekap rollback {name}"), longer]));
    }
    let why = cell(&rollback["why_not"]);
    let older = job["versions"].as_array().into_iter().flatten().filter_map(Value::as_u64);
    let older = older.filter(|n| Some(*n) < job["serving"].as_u64()).max()?;
    let commands = vec![
        format!("rekap replay {name}@{older}     # its spec is kept: build its table again"),
        format!("rekap wait {name}@{older} --for Ready"),
        format!("rekap promote {name}@{older}"),
    ];
    Some(Section::new("rollback", format!("{name} cannot be rolled back: {why}; what can still be done:"), commands))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_page_that_fits_comes_with_ids_and_deadline() {
        let job = json!({"job": "bpi", "serving": 2, "versions": [1, 2, 3],
            "rollback": {"possible": true, "to": 1, "until": "2026-11-22T10:00:00Z", "lag_ms": 12, "why_not": null}});
        let ready = json!({"version": 3, "role": "Candidate", "phase": "Ready", "ready": {}});
        let text = printed("bpi", &sections(&job, &[ready]));
        for part in ["rekap promote bpi@3", "rekap rollback bpi\n", "until 2026-11-22T10:00:00Z, 12 ms behind"] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        let failed = json!({"version": 3, "role": "Candidate", "phase": "Failed", "ready": {},
            "reason": "offsets 0..4 were deleted; replay with `--accept-gap` to do without it"});
        let text = printed("bpi", &sections(&job, &[failed]));
        assert!(text.starts_with("bpi@3 (Candidate) cannot go on"), "{text}");
        assert!(text.contains("rekap replay bpi@3 --accept-gap") && text.contains("runbooks/gap.md"), "{text}");
    }

    #[test]
    fn after_the_window_it_says_what_can_still_be_done() {
        let job = json!({"job": "bpi", "serving": 2, "versions": [1, 2],
            "rollback": {"possible": false, "why_not": "no version of `bpi` served before"}});
        let text = printed("bpi", &sections(&job, &[]));
        assert!(text.contains("rekap replay bpi@1") && text.contains("rekap promote bpi@1"), "{text}");
    }
}
