//! `rekap notifications`.

use serde_json::Value;

use super::Session;
use super::failure::Failure;
use super::out::{Style, cell};

/// Every notification on one line, and below it why it cannot be sent.
pub(super) async fn notifications(s: &Session) -> Result<(), Failure> {
    let answer = s.client.get("/v1/notifications").await?;
    s.out.answer(&answer, |out, answer| {
        let all: Vec<&Value> = answer["notifications"].as_array().into_iter().flatten().collect();
        let head = ["name", "target", "pending", "delivered", "dropped", "last delivery"];
        let fields = ["name", "url", "pending", "delivered", "dropped", "last_delivery"];
        let row = |one: &&Value| fields.iter().map(|field| cell(&one[*field])).collect();
        out.table(&head, &all.iter().map(row).collect::<Vec<_>>(), "")?;
        for (one, error) in all.iter().map(|one| (one, &one["last_error"])).filter(|(_, error)| !error.is_null()) {
            let name = out.paint(Style::Bad, cell(&one["name"]));
            let (detail, next) = (cell(&error["detail"]), cell(&error["next_attempt_at"]));
            out.line(format!(
                "{name}: event {} failed {} times: {detail}; next at {next}",
                error["seq"], error["attempts"]
            ))?;
        }
        Ok(())
    })
}
