//! `rekap actions JOB`.

use serde_json::Value;

use super::Session;
use super::failure::Failure;
use super::out::{Style, cell};

/// Every action of every version on one line, and below it what is wrong.
pub(super) async fn actions(s: &Session, job: &str) -> Result<(), Failure> {
    let answer = s.client.get(&format!("/v1/jobs/{job}/actions")).await?;
    s.out.answer(&answer, |out, answer| {
        let all: Vec<&Value> = answer["actions"].as_array().into_iter().flatten().collect();
        let head = ["action", "version", "serves", "target", "pending", "delivered", "dropped", "last delivery"];
        let fields = ["action", "version", "serving", "target", "pending", "delivered", "dropped", "last_delivery"];
        let row = |one: &&Value| fields.iter().map(|field| cell(&one[*field])).collect();
        out.table(&head, &all.iter().map(row).collect::<Vec<_>>(), "")?;
        for one in all.iter().filter(|one| one["serving"] == true) {
            let (name, error) = (out.paint(Style::Bad, cell(&one["action"])), &one["last_error"]);
            if !error.is_null() {
                let (detail, next) = (cell(&error["detail"]), cell(&error["next_attempt_at"]));
                out.line(format!("{name}: failed {} times: {detail}; next at {next}", error["attempts"]))?;
            }
            if !one["problem"].is_null() {
                out.line(format!("{name}: could not be asked {} times: {}", one["failed"], cell(&one["problem"])))?;
            }
        }
        Ok(())
    })
}
