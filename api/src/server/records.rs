//! `/v1/topics/{topic}/records`: appending events, and reading them back from both tiers.

use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rekap_orchestrator::By;
use rekap_tiered_storage::{
    AppendKey, Appended, LogBatch, NewRecord, Offset, Partition, Start, Tier, Timestamp, Topic,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::Caller;
use super::body::encoding::Encoding;
use super::body::{self, Sent};
use super::extract::{Query, drain, media_type, read_body};
use super::ingest::Held;
use super::list::page_size;
use super::once::Once;
use super::text::Text;
use crate::Problem;

/// The largest request of records.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// Bodies up to this size are prepared where they arrive; larger ones would keep other requests of the thread waiting.
const PREPARED_INLINE_BYTES: usize = 64 << 10;
/// JSON packs to a fifth or less.
const PACKED_FACTOR: u64 = 5;
/// What a body is taken for that does not say how long it is.
const UNANNOUNCED_BYTES: u64 = 1 << 20;

/// How records are sent.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AppendQuery {
    /// Records with key, headers, time and partition of their own, instead of plain events.
    #[serde(default)]
    raw: bool,
    /// Why, in the sender's words; kept in the audit log.
    note: Option<String>,
}

/// What was appended.
#[derive(Debug, Serialize, ToSchema)]
struct AppendedView {
    /// The number of records.
    appended: u64,
    /// The first and the next offset, by partition.
    offsets: BTreeMap<u32, (u64, u64)>,
}

impl From<Appended> for AppendedView {
    fn from(appended: Appended) -> Self {
        AppendedView {
            appended: appended.values().map(|range| range.len()).sum(),
            offsets: appended.iter().map(|(p, range)| (p.0, (range.from.get(), range.to.get()))).collect(),
        }
    }
}

/// Appends records, all or none, and answers once they are durable.
#[utoipa::path(post, path = "/v1/topics/{topic}/records", tag = "topics", params(("topic" = String, Path), AppendQuery),
    request_body(content((String = "application/x-ndjson"), (Value = "application/json"), (String = "text/csv"), (String = "text/plain"),
        (Object = "application/cloudevents+json"), (Vec<Object> = "application/cloudevents-batch+json")),
        description = "events, or with raw=true records: as JSON one of them or an array, as NDJSON one a line; as they are or with Content-Encoding gzip or zstd"),
    responses((status = 200, description = "how many, and where they are", body = AppendedView),
        (status = 400, description = "a body that is not packed as it says", body = Problem),
        (status = 404, description = "no such topic", body = Problem),
        (status = 413, description = "a record over 1 MiB or a request over 64 MiB, unpacked", body = Problem),
        (status = 415, description = "another media type or encoding", body = Problem),
        (status = 422, description = "records that the topic refuses, the first 20 in `errors`; nothing was appended", body = Problem),
        (status = 429, description = "too many bytes are being appended; try again after `Retry-After` seconds", body = Problem)))]
pub(super) async fn append(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(AppendQuery { raw, note }): Query<AppendQuery>,
    request: Request,
) -> Result<Answer<impl Serialize>, Problem> {
    let topic = app.topic(&name).await?;
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&parts);
    let media = media_type(&parts.headers, &body::MEDIA)?;
    let sent = Sent::new(media, raw, &parts.headers)?;
    let encoding = Encoding::of(&parts.headers)?;
    let Some(mut held) = app.ingest().admit(announced(&parts.headers, encoding)) else {
        drain(body).await;
        return Err(app.ingest().overloaded());
    };
    let body = read_body(body, MAX_REQUEST_BYTES).await?;
    held.grow_to(body.len() as u64);
    let once = parts.extensions.get::<Once>().cloned();
    let once = once.map(|once| AppendKey { key: once.key, body_digest: once.digest });
    let writer = app.writer(&topic)?;
    let inline = body.len() <= PREPARED_INLINE_BYTES && encoding == Encoding::Plain && !writer.may_wait();
    let known = topic.clone();
    let prepare = move || -> Result<(Vec<NewRecord>, Held), Problem> {
        let body = encoding.unpack(body, MAX_REQUEST_BYTES)?;
        held.grow_to(body.len() as u64);
        Ok((body::records(&body, &sent, &known, &writer)?, held))
    };
    let (records, _held) = if inline { prepare()? } else { super::blocking(prepare).await? };
    let appended = AppendedView::from(app.log().hot.append(&topic.name, records, once).await?);
    let by = By { note, address: caller.address(), ..By::actor(caller.actor()) };
    app.orchestrator().topic_appended(&topic.name, appended.appended, &by).await?;
    Ok(Answer(appended))
}

/// About how many bytes a request will take: what it announces, several times that where it is packed, and a little where it says
/// nothing.
fn announced(headers: &HeaderMap, encoding: Encoding) -> u64 {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let factor = if encoding == Encoding::Plain { 1 } else { PACKED_FACTOR };
    said.map_or(UNANNOUNCED_BYTES, |length| length.saturating_mul(factor)).min(MAX_REQUEST_BYTES as u64)
}

/// What to read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadQuery {
    /// The partition; of a topic with one partition it need not be said.
    partition: Option<u32>,
    /// An offset, `beginning`, `end`, or an RFC 3339 time; `beginning` when it is not said.
    from: Option<String>,
    /// At most this many records, 100 when it is not said.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
}

/// A record as users see it.
#[derive(Debug, Serialize, ToSchema)]
struct RecordView<'a> {
    partition: u32,
    offset: i64,
    #[schema(value_type = String)]
    timestamp: Timestamp,
    #[schema(value_type = Option<String>)]
    key: Option<Text<'a>>,
    /// Null is a tombstone.
    #[schema(value_type = Option<String>)]
    value: Option<Text<'a>>,
    /// How key, value and header values are written: `utf8`, or `base64` where one of them is no UTF-8.
    encoding: &'static str,
    headers: Vec<HeaderView<'a>>,
    #[schema(value_type = String)]
    tier: Tier,
}

/// A header of a record.
#[derive(Debug, Serialize, ToSchema)]
struct HeaderView<'a> {
    key: &'a str,
    #[schema(value_type = Option<String>)]
    value: Option<Text<'a>>,
}

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
struct RecordsView<'a> {
    records: Vec<RecordView<'a>>,
    /// Where the next page begins.
    next_offset: u64,
}

/// Records of one partition over both tiers.
#[utoipa::path(get, path = "/v1/topics/{topic}/records", tag = "topics", params(("topic" = String, Path), ReadQuery),
    responses((status = 200, description = "`{records: [...], next_offset}`", body = RecordsView),
        (status = 404, description = "no such topic or partition", body = Problem),
        (status = 409, description = "the records were lost before they were mirrored", body = Problem),
        (status = 422, description = "a topic of several partitions, and none is named", body = Problem)))]
pub(super) async fn read(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<ReadQuery>,
) -> Result<Response, Problem> {
    let topic = app.topic(&name).await?;
    let limit = page_size(query.limit)?;
    let from = ReadFrom::parse(query.from.as_deref().unwrap_or("beginning"))?;
    let partition = partition(&topic, query.partition)?;
    let from = start(&app, &topic, partition, from).await?;
    let (batches, next) = app.log().records(&topic, partition, from, limit).await?;
    let records = batches.iter().flat_map(|(tier, batch)| views(*tier, batch)).collect();
    Ok(Answer(RecordsView { records, next_offset: next.get() }).into_response())
}

/// The partition that is read: the one that is named, or the only one that there is.
fn partition(topic: &Topic, named: Option<u32>) -> Result<Partition, Problem> {
    match (named, topic.config.partitions) {
        (Some(partition), _) => Ok(Partition(partition)),
        (None, ..=1) => Ok(Partition(0)),
        (None, partitions) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "PARTITION_NEEDED",
            format!("`partition` is missing, and topic `{}` has {partitions}", topic.name),
            format!("read one after the other, from partition=0 to partition={}", partitions - 1),
        )
        .with("field", "partition")),
    }
}

/// Where a read begins, as it is asked for.
enum ReadFrom {
    At(Offset),
    By(Start),
}

impl ReadFrom {
    fn parse(from: &str) -> Result<Self, Problem> {
        if let Some(offset) = from.parse().ok().and_then(Offset::from_i64) {
            return Ok(ReadFrom::At(offset));
        }
        serde_json::from_value(Value::String(from.to_owned())).map(ReadFrom::By).map_err(|_| {
            Problem::unprocessable(
                "INVALID_START",
                format!("`from={from}` is no place in the log"),
                "write an offset, `beginning`, `end`, or an RFC 3339 time",
            )
        })
    }
}

/// The offset that `from` comes to.
async fn start(app: &App, topic: &Topic, partition: Partition, from: ReadFrom) -> Result<Offset, Problem> {
    let start = match from {
        ReadFrom::At(offset) => return Ok(offset),
        ReadFrom::By(start) => start,
    };
    let positions = app.log().resolve_start(topic, start).await?;
    positions.get(&topic.name, partition).ok_or_else(|| {
        Problem::not_found(
            "UNKNOWN_PARTITION",
            format!("topic `{}` has no partition {partition}", topic.name),
            match topic.config.partitions {
                1 => "it has one partition, 0".to_owned(),
                partitions => format!("it has partitions 0 to {}", partitions - 1),
            },
        )
    })
}

/// The records of a batch.
fn views(tier: Tier, batch: &LogBatch) -> impl Iterator<Item = RecordView<'_>> {
    (0..batch.len()).map(move |row| record(tier, batch, row))
}

/// One record of a batch.
fn record(tier: Tier, batch: &LogBatch, row: usize) -> RecordView<'_> {
    use arrow::array::{Array, AsArray, BinaryArray};
    let bytes = |column: &'_ BinaryArray| column.is_valid(row);
    let key = bytes(batch.keys()).then(|| batch.keys().value(row));
    let value = bytes(batch.values()).then(|| batch.values().value(row));
    let offsets = batch.headers().value_offsets();
    let entries = batch.headers().values().as_struct();
    let (names, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_binary::<i32>());
    let span = if batch.headers().is_valid(row) { offsets[row] as usize..offsets[row + 1] as usize } else { 0..0 };
    let headers: Vec<(&str, Option<&[u8]>)> =
        span.map(|at| (names.value(at), values.is_valid(at).then(|| values.value(at)))).collect();
    let all = [key, value].into_iter().chain(headers.iter().map(|(_, value)| *value)).flatten();
    let plain = all.into_iter().all(|bytes| std::str::from_utf8(bytes).is_ok());
    let text = |bytes| Text { bytes, plain };
    RecordView {
        partition: batch.partition.0,
        offset: batch.offsets().value(row),
        timestamp: Timestamp::from_micros(batch.timestamps().value(row)),
        key: key.map(text),
        value: value.map(text),
        encoding: if plain { "utf8" } else { "base64" },
        headers: headers.into_iter().map(|(key, value)| HeaderView { key, value: value.map(text) }).collect(),
        tier,
    }
}
