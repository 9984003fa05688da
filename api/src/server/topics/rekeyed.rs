//! Another record key for a topic that is there: only while nothing goes by the present one.
//!
//! The key says which partition a record is in, and what a tombstone deletes. Over records that were keyed otherwise neither would hold any
//! more: one key would lie in two partitions, without an order between them, and versions that run would go on reading tombstones as they
//! did when they were deployed.

use axum::http::StatusCode;
use rekap_tiered_storage::{Offset, Topic, TopicConfig};

use super::refuse_while_read;
use crate::Problem;
use crate::server::App;

/// 409 for another key of a topic that has, or had, records, or that a live version reads.
pub(super) async fn refuse(app: &App, before: &Topic, newer: &TopicConfig) -> Result<(), Problem> {
    let (name, key) = (&before.name, &before.config.key);
    if newer.key == *key {
        return Ok(());
    }
    // Where others may have written before us, to name a key for the first time is to tell how they did.
    let told = key.is_empty() && app.log().hot.first_offset().is_none();
    let extents = app.log().extent(before).await?;
    let has_records = extents.values().any(|extent| extent.hot.end > Offset::ZERO || extent.mirrored.is_some());
    if !has_records || told {
        return refuse_while_read(app, name);
    }
    let keyed = if key.is_empty() { "no key".to_owned() } else { format!("the key [{}]", key.join(", ")) };
    let detail = format!(
        "`key`: topic `{name}` has records with {keyed}, by which they are ordered and deleted; it cannot become [{}]",
        newer.key.join(", ")
    );
    let remedy = "make another topic with that key and send the events there, or leave `key` out";
    Err(Problem::new(StatusCode::CONFLICT, "KEY_FIXED", detail, remedy).with("field", "key"))
}
