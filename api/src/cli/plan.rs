//! A plan for people: what would change, what the replay reads, what to know before.

use serde_json::Value;

use super::failure::Failure;
use super::out::{Out, Style, cell, count};

/// The digits of a digest that people are shown.
const SHORT: usize = 12;

/// The beginning of a digest.
pub(super) fn short(digest: &Value) -> String {
    let text = cell(digest);
    text.rsplit(':').next().unwrap_or("").chars().take(SHORT).collect()
}

/// A plan.
pub(super) fn show(out: &Out, plan: &Value) -> Result<(), Failure> {
    out.line(headline(out, plan))?;
    // What differs from the serving version is no news of what stands by already.
    for change in list(&plan["differences"]).filter(|_| plan["changes"] != false) {
        difference(out, change)?;
    }
    for change in list(&plan["output_changes"]) {
        let breaking = change["breaking"] == true;
        let style = if breaking { Style::Bad } else { Style::Good };
        out.line(format!("  {} {}", out.paint(style, if breaking { "breaks:" } else { "adds:" }), column(change)))?;
    }
    for input in list(&plan["inputs"]) {
        let tier = |name: &str| count(input["records"][name].as_u64().unwrap_or(0));
        out.line(format!(
            "  replays {}: {} records from cold, {} from hot",
            cell(&input["topic"]),
            tier("cold"),
            tier("hot")
        ))?;
        for gap in list(&input["gaps"]) {
            out.line(format!("  {} {gap}", out.paint(Style::Bad, "gap:")))?;
        }
    }
    let figure = |name: &str| plan[name].as_u64();
    let bytes = figure("bytes").map_or(String::new(), |bytes| format!(", {:.1} MB", bytes as f64 / 1e6));
    let time = figure("time_ms").map_or(String::new(), |ms| format!(", about {:.1} s", ms as f64 / 1e3));
    let disk =
        figure("disk_bytes").map_or(String::new(), |bytes| format!(", about {:.1} MB on disk", bytes as f64 / 1e6));
    out.line(format!("  in all {} records{bytes}{time}{disk}", count(figure("records").unwrap_or(0))))?;
    if plan["changes"] == true && plan["policy_only"] != true {
        out.line(format!("  {}", way_back(&plan["rollback"])))?;
    }
    for reader in list(&plan["readers"]) {
        out.line(format!("  read by {}, last at {}", cell(&reader["reader"]), cell(&reader["last_seen"])))?;
    }
    notes(out, plan)
}

/// A change of an output column, in words.
pub(super) fn column(change: &Value) -> String {
    let name = cell(&change["column"]);
    match change["change"].as_str() {
        Some("added") => format!("column {name} {}", cell(&change["to"])),
        Some("removed") => format!("column {name} is gone"),
        Some("key") => format!("the key was ({}) and is ({})", cell(&change["from"]), cell(&change["to"])),
        _ => format!("column {name} was {} and is {}", cell(&change["from"]), cell(&change["to"])),
    }
}

/// Whether a promotion could be taken back, in words.
pub(super) fn way_back(rollback: &Value) -> String {
    match rollback["possible"].as_bool() {
        Some(true) => {
            let hours = rollback["window_ms"].as_f64().unwrap_or(0.0) / 3.6e6;
            format!("can be rolled back to version {} for {hours:.1} h after a promotion", rollback["to"])
        }
        _ => format!("no rollback after a promotion: {}", cell(&rollback["why_not"])),
    }
}

/// What a deploy would come to.
fn headline(out: &Out, plan: &Value) -> String {
    let version = out.paint(Style::Name, format!("{}@{}", cell(&plan["job"]), cell(&plan["version"])));
    let serving = match &plan["serving"] {
        Value::Null => "nothing serves yet".to_owned(),
        n => format!("version {n} serves"),
    };
    match (plan["changes"].as_bool(), plan["policy_only"].as_bool()) {
        (Some(false), _) => format!("{version} is what the folder says already; nothing would change"),
        (_, Some(true)) => format!("{version} stays; only the policy of promotion would change"),
        _ => format!("{version} would be made ({}); {serving}", short(&plan["digest"])),
    }
}

/// One thing that differs; texts of several lines are shown by their lines that differ.
fn difference(out: &Out, change: &Value) -> Result<(), Failure> {
    let field = out.paint(Style::Bold, cell(&change["field"]));
    let text = |side: &str| change[side].as_str().unwrap_or("").to_owned();
    let (from, to) = (text("from"), text("to"));
    if !from.contains('\n') && !to.contains('\n') {
        return out.line(format!("  {field}: {} → {}", cell(&change["from"]), cell(&change["to"])));
    }
    out.line(format!("  {field}:"))?;
    let (old, new) = differing(&from, &to);
    old.iter().try_for_each(|line| out.line(out.paint(Style::Bad, format!("    - {line}"))))?;
    new.iter().try_for_each(|line| out.line(out.paint(Style::Good, format!("    + {line}"))))
}

/// The lines of both texts between their common beginning and their common end.
fn differing<'a>(from: &'a str, to: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let (old, new): (Vec<_>, Vec<_>) = (from.lines().collect(), to.lines().collect());
    let begin = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[begin..], &new[begin..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    (old[..old.len() - end].to_vec(), new[..new.len() - end].to_vec())
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What an answer warns of.
pub(super) fn notes(out: &Out, answer: &Value) -> Result<(), Failure> {
    list(&answer["warnings"])
        .try_for_each(|warning| out.line(format!("  {} {}", out.paint(Style::Warn, "note:"), cell(warning))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_that_differ_are_shown() {
        assert_eq!(differing("a\nb\nc", "a\nx\ny\nc"), (vec!["b"], vec!["x", "y"]));
        assert_eq!(differing("a\na", "a"), (vec!["a"], vec![]));
    }
}
