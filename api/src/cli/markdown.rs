//! A plan as Markdown, for a comment on a pull request.

use std::fmt::Write as _;

use serde_json::Value;

use super::out::{cell, count};
use super::plan::{column, list, short, way_back};

/// The whole plan.
pub(super) fn plan(plan: &Value) -> String {
    let mut text = format!("### rekap plan: `{}`\n\n{}\n", cell(&plan["job"]), headline(plan));
    differences(&mut text, plan);
    bullets(&mut text, "Output", list(&plan["output_changes"]).map(output));
    replay(&mut text, plan);
    bullets(&mut text, "Notes", list(&plan["warnings"]).map(cell));
    bullets(
        &mut text,
        "Seen readers",
        list(&plan["readers"]).map(|r| format!("`{}`, last {}", cell(&r["reader"]), cell(&r["last_seen"]))),
    );
    text
}

fn headline(plan: &Value) -> String {
    let version = format!("version {}", cell(&plan["version"]));
    let serving = plan["serving"].as_u64().map_or("nothing serves yet".to_owned(), |n| format!("version {n} serves"));
    match (plan["changes"].as_bool(), plan["policy_only"].as_bool()) {
        (Some(false), _) => format!("No changes: {version} is what the folder says."),
        (_, Some(true)) => format!("Only the policy of promotion changes; {version} stays."),
        _ => format!("Makes **{version}** (`{}`); {serving}. {}.", short(&plan["digest"]), way_back(&plan["rollback"])),
    }
}

fn differences(text: &mut String, plan: &Value) {
    let diff: Vec<String> = list(&plan["query_diff"]).map(cell).collect();
    if !diff.is_empty() {
        // A fence longer than any in the query.
        let fence = "`"
            .repeat(diff.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or(0).max(2) + 1);
        _ = write!(text, "\n{fence}diff\n{}\n{fence}\n", diff.join("\n"));
    }
    let others = list(&plan["differences"]).filter(|change| change["field"] != "query" || diff.is_empty());
    let told = |change: &Value| {
        let side = |side: &Value| match cell(side) {
            long if long.chars().count() > 80 => "…".to_owned(),
            short => format!("`{}`", short.replace('`', "'")),
        };
        format!("`{}`: {} → {}", cell(&change["field"]), side(&change["from"]), side(&change["to"]))
    };
    if plan["serving"].is_u64() {
        bullets(text, "Changes", others.map(told));
    }
}

fn output(change: &Value) -> String {
    let mark = if change["breaking"] == true { "**breaking**" } else { "compatible" };
    format!("{mark}: {}", column(change))
}

fn replay(text: &mut String, plan: &Value) {
    let inputs: Vec<&Value> = list(&plan["inputs"]).collect();
    if inputs.is_empty() {
        return;
    }
    *text += "\n| replays | from cold | from hot | gaps |\n|---|--:|--:|--:|\n";
    for input in inputs {
        let tier = |name: &str| count(input["records"][name].as_u64().unwrap_or(0));
        let gaps = list(&input["gaps"]).count();
        _ = writeln!(text, "| `{}` | {} | {} | {gaps} |", cell(&input["topic"]), tier("cold"), tier("hot"));
    }
    let figure = |name: &str, unit: f64, after: &str| {
        plan[name].as_f64().map_or("not measured yet".to_owned(), |n| format!("{:.1} {after}", n / unit))
    };
    let records = count(plan["records"].as_u64().unwrap_or(0));
    let (time, disk) = (figure("time_ms", 1e3, "s"), figure("disk_bytes", 1e6, "MB"));
    _ = writeln!(text, "\nIn all {records} records; time: {time}; disk: {disk}.");
}

fn bullets(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.map(|line| format!("- {line}\n")).collect();
    if !lines.is_empty() {
        _ = write!(text, "\n**{title}**\n\n{}", lines.concat());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_reads_as_a_comment() {
        let text = plan(&json!({
            "job": "bpi", "version": 2, "digest": "sha256:0123456789abcdef", "serving": 1, "changes": true, "policy_only": false,
            "query_diff": [" SELECT", "-  avg(price)", "+  sum(price)"],
            "differences": [{"field": "query", "from": "a", "to": "b"}, {"field": "retain", "from": null, "to": "30 days"}],
            "output_changes": [{"column": "price", "change": "removed", "from": "Float64", "to": null, "breaking": true}],
            "inputs": [{"topic": "ticks", "records": {"cold": 1200, "hot": 3}, "gaps": []}],
            "records": 1203, "time_ms": 1500, "disk_bytes": null, "warnings": ["mind the gap"], "readers": [],
            "rollback": {"possible": true, "to": 1, "window_ms": 86_400_000, "why_not": null},
        }));
        for part in [
            "Makes **version 2** (`0123456789ab`); version 1 serves. can be rolled back to version 1 for 24.0 h",
            "```diff\n SELECT\n-  avg(price)\n+  sum(price)\n```",
            "- `retain`: `-` → `30 days`",
            "- **breaking**: column price is gone",
            "| `ticks` | 1,200 | 3 | 0 |",
            "In all 1,203 records; time: 1.5 s; disk: not measured yet.",
            "**Notes**\n\n- mind the gap",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }
}
