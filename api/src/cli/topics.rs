//! `rekap topic …` and `rekap mirror …`.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::Session;
use super::append::{self, append};
use super::args::{MirrorVerb, TopicVerb};
use super::client::object;
use super::failure::{Failure, named};
use super::out::{Out, Style, cell, count};

/// How many records are asked for at once.
const PAGE: u64 = 1000;
/// How often a follower looks again.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

/// `rekap topic …`
pub(super) async fn topic(s: &Session, verb: TopicVerb) -> Result<(), Failure> {
    match verb {
        TopicVerb::Create { topic, partitions, key, schema, format, wire, message, retention } => {
            let mut schema = schema.as_deref().map(read_schema).transpose()?;
            if let Some(message) = message {
                schema.get_or_insert_with(|| json!({}))["message"] = json!(message);
            }
            let body = object([
                ("partitions", json!(partitions)),
                ("key", if key.is_empty() { Value::Null } else { json!(key) }),
                ("schema", schema.unwrap_or(Value::Null)),
                ("format", json!(format)),
                ("wire", json!(wire)),
                ("retention_ms", retention.map_or(Value::Null, |kept| json!(kept.as_millis() as u64))),
            ]);
            let path = format!("/v1/topics/{topic}");
            // Only to tell what became of it; who may make a topic and not see it is told that it is made.
            let before = s.client.get(&path).await.ok();
            let made = s.client.put(&path, &body).await?;
            let told = match before {
                None => "is made",
                Some(before) if settings(&before) == settings(&made) => "is there already, and stays as it is",
                Some(_) => "is changed",
            };
            s.out.answer(&made, |out, _| out.line(format!("topic {} {told}", out.paint(Style::Name, &topic))))
        }
        TopicVerb::List => list(s).await,
        TopicVerb::Show { topic } => shown(s, &topic).await,
        TopicVerb::Append { topic, file, skip, key } => {
            append(s, append::How { topic: &topic, file: &file, skip, key }).await
        }
        TopicVerb::Read { topic, partition, from, number, follow } => {
            read(s, &topic, partition, &from, number, follow).await
        }
        TopicVerb::Delete { topic } => {
            let gone = s.client.delete(&format!("/v1/topics/{topic}")).await?;
            s.out.answer(&gone, |out, _| out.line(format!("topic {topic} is deleted")))
        }
    }
}

/// `rekap mirror …`
pub(super) async fn mirror(s: &Session, verb: MirrorVerb) -> Result<(), Failure> {
    match verb {
        MirrorVerb::Status { topic: None } => list(s).await,
        MirrorVerb::Status { topic: Some(topic) } => shown(s, &topic).await,
        MirrorVerb::Flush { topic } => {
            let done = s.client.post(&format!("/v1/topics/{topic}/mirror"), &json!({})).await?;
            s.out.answer(&done, |out, _| out.line(format!("{topic} is mirrored up to its end")))
        }
    }
}

/// What of a topic's description is its configuration: not how far its partitions are, but how many there are.
fn settings(topic: &Value) -> Value {
    let mut settings = topic.clone();
    settings["partitions"] = json!(topic["partitions"].as_array().map(Vec::len));
    settings
}

/// A file with a schema: JSON, or the source of Protobuf messages.
pub(super) fn read_schema(path: &Path) -> Result<Value, Failure> {
    let name_one = "name a file with a JSON Schema, an Avro schema, or the source of Protobuf messages (.proto)";
    let text = std::fs::read_to_string(path).map_err(named(path, name_one))?;
    let text = text.trim_start_matches('\u{feff}');
    if path.extension().is_some_and(|kind| kind == "proto") {
        return Ok(json!({"proto": text}));
    }
    serde_json::from_str(text)
        .map_err(|e| Failure::Folder(format!("{} is no JSON: {e}", path.display()), "correct the schema's JSON"))
}

/// The sum of a number over a topic's partitions.
fn sum(topic: &Value, of: impl Fn(&Value) -> u64) -> u64 {
    topic["partitions"].as_array().into_iter().flatten().map(of).sum()
}

/// `end - start` of a partition, by the names of both.
fn span(partition: &Value, start: &str, end: &str) -> u64 {
    partition[end].as_u64().unwrap_or(0).saturating_sub(partition[start].as_u64().unwrap_or(0))
}

/// All topics, with what lies in which tier.
async fn list(s: &Session) -> Result<(), Failure> {
    let answer = s.client.get("/v1/topics?limit=10000").await?;
    s.out.answer(&answer, |out, answer| {
        let row = |topic: &Value| {
            let gaps = sum(topic, |p| p["gaps"].as_array().map_or(0, |gaps| gaps.len() as u64));
            vec![
                cell(&topic["topic"]),
                topic["partitions"].as_array().map_or(0, Vec::len).to_string(),
                count(sum(topic, |p| span(p, "earliest", "end"))),
                count(sum(topic, |p| span(p, "mirrored_from", "mirrored_to"))),
                gaps.to_string(),
            ]
        };
        let rows: Vec<_> = answer["topics"].as_array().into_iter().flatten().map(row).collect();
        out.table(&["TOPIC", "PARTITIONS", "HOT", "COLD", "GAPS"], &rows, "")
    })
}

/// One topic as the server has it.
async fn shown(s: &Session, topic: &str) -> Result<(), Failure> {
    let topic = s.client.get(&format!("/v1/topics/{topic}")).await?;
    s.out.answer(&topic, show)
}

/// One topic, partition by partition.
fn show(out: &Out, topic: &Value) -> Result<(), Failure> {
    out.line(format!("{}  {}", out.paint(Style::Name, cell(&topic["topic"])), cell(&topic["incarnation"])))?;
    out.line(format!("key   {}", cell(&topic["key"])))?;
    out.line(format!("cold  {}", cell(&topic["cold"]["url"])))?;
    let names = ["partition", "earliest", "end", "mirrored_from", "mirrored_to", "gaps"];
    let row = |p: &Value| names.iter().map(|name| cell(&p[*name])).collect::<Vec<_>>();
    let rows: Vec<_> = topic["partitions"].as_array().into_iter().flatten().map(row).collect();
    out.table(&["PARTITION", "EARLIEST", "END", "MIRRORED FROM", "TO", "GAPS"], &rows, "")
}

/// Prints records, partition after partition; a follower goes round them for ever.
async fn read(
    s: &Session,
    topic: &str,
    partition: Option<u32>,
    from: &str,
    number: Option<u64>,
    follow: bool,
) -> Result<(), Failure> {
    let shown = s.client.get(&format!("/v1/topics/{topic}")).await?;
    let all = shown["partitions"].as_array().into_iter().flatten();
    let mut next: Vec<(u64, String)> = all
        .filter_map(|p| p["partition"].as_u64())
        .filter(|p| partition.is_none_or(|only| u64::from(only) == *p))
        .map(|p| (p, from.to_owned()))
        .collect();
    if next.is_empty() {
        // The server says what is wrong with a partition that the topic does not have.
        next.extend(partition.map(|p| (u64::from(p), from.to_owned())));
    }
    let mut left = number.unwrap_or(u64::MAX);
    loop {
        for (partition, from) in &mut next {
            drain(s, topic, *partition, from, &mut left).await?;
        }
        if !follow || left == 0 {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
    }
}

/// Prints what one partition holds from `from` on, and moves `from` past it.
async fn drain(s: &Session, topic: &str, partition: u64, from: &mut String, left: &mut u64) -> Result<(), Failure> {
    while *left > 0 {
        let limit = PAGE.min(*left);
        let request = s.client.request(Method::GET, &format!("/v1/topics/{topic}/records"));
        let query = [("partition", partition.to_string()), ("from", from.clone()), ("limit", limit.to_string())];
        let page = s.client.json(request.query(&query)).await?;
        let records = page["records"].as_array().map_or(&[][..], Vec::as_slice);
        records.iter().try_for_each(|record| print_record(&s.out, record))?;
        *left -= (records.len() as u64).min(*left);
        *from = cell(&page["next_offset"]);
        if records.is_empty() {
            break;
        }
    }
    Ok(())
}

/// One record: its place, key and value.
fn print_record(out: &Out, record: &Value) -> Result<(), Failure> {
    if out.is_json() {
        return out.line(record);
    }
    let place = format!("{}/{}", cell(&record["partition"]), cell(&record["offset"]));
    let tier = cell(&record["tier"]);
    out.line(format!(
        "{} {}  {}",
        out.paint(Style::Dim, format!("{place} {tier}")),
        cell(&record["key"]),
        cell(&record["value"])
    ))
}
