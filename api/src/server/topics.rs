//! `/v1/topics`: making, changing, showing and deleting topics.

mod registered;
mod rekeyed;

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use rekap_orchestrator::Rejection;
use rekap_tiered_storage::{
    Compatibility, Extent, Format, HeldBack, InvalidTopicConfig, LogError, Offset, OffsetRange, Partition, Positions,
    Timestamp, Topic, TopicConfig, TopicName, TopicSchema, Wire, to_the_end,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::App;
use super::access::Caller;
use super::describe::shapes;
use super::extract::{Command, NoQuery, Nothing, Query};
use super::list::{ListQuery, listing, page};
use crate::Problem;

/// What a topic is to be. On an existing topic only the fields that are named change.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PutTopic {
    /// They may only grow.
    #[schema(minimum = 1, maximum = 10_000)]
    partitions: Option<u32>,
    /// How long the hot tier keeps a record; null keeps it for ever.
    #[serde(deserialize_with = "named")]
    #[schema(value_type = Option<u64>)]
    retention_ms: Option<Option<u64>>,
    /// How many bytes the hot tier keeps per partition; null sets no bound.
    #[serde(deserialize_with = "named")]
    #[schema(value_type = Option<u64>)]
    retention_bytes: Option<Option<u64>>,
    /// The top-level fields that make up the record key. They stay once the topic has records.
    key: Option<Vec<String>>,
    /// The schema of every event: a JSON Schema, an Avro schema, or `{proto, message, imports}`. On a topic of Confluent's wire format,
    /// `"latest"` (or nothing, on a new topic) takes the latest one of the subject `{topic}-value` in the schema registry.
    #[serde(deserialize_with = "named")]
    #[schema(schema_with = shapes::topic_schema)]
    schema: Option<Option<Value>>,
    /// How values are written; `json` when nothing is said.
    #[schema(schema_with = shapes::format)]
    format: Option<Format>,
    /// What stands around a value.
    #[schema(schema_with = shapes::wire)]
    wire: Option<Wire>,
    /// What a newer schema has to keep.
    #[schema(schema_with = shapes::compatibility)]
    compatibility: Option<Compatibility>,
}

/// A field that was named, with null as a value of its own.
fn named<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// A topic as users see it.
#[derive(Debug, Serialize, ToSchema)]
struct TopicView {
    topic: String,
    incarnation: String,
    key: Vec<String>,
    retention_ms: Option<u64>,
    retention_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    schema: Option<TopicSchema>,
    /// The number of that schema, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<usize>,
    #[schema(value_type = String)]
    compatibility: Compatibility,
    #[schema(value_type = String)]
    format: Format,
    #[schema(value_type = String)]
    wire: Wire,
    #[schema(value_type = Object)]
    cold: Value,
    partitions: Vec<PartitionView>,
}

/// A partition of a topic as users see it.
#[derive(Debug, Serialize, ToSchema)]
struct PartitionView {
    partition: u32,
    earliest: u64,
    end: u64,
    mirrored_from: Option<u64>,
    mirrored_to: Option<u64>,
    gaps: Vec<(u64, u64)>,
    mirror_headroom_ms: Option<u64>,
    /// An open transaction that ends what readers see before the partition's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_back: Option<HeldBackView>,
}

/// An open transaction as users see it: readers wait at the partition's `end` until it ends.
#[derive(Debug, Serialize, ToSchema)]
struct HeldBackView {
    /// Where the partition ends, open transactions included.
    high_watermark: u64,
    /// Since when the readable end stands.
    #[schema(value_type = String)]
    since: Timestamp,
}

impl PartitionView {
    fn new(partition: Partition, extent: &Extent, headroom: Option<&Duration>, held: Option<&HeldBack>) -> Self {
        let pair = |range: &OffsetRange| (range.from.get(), range.to.get());
        PartitionView {
            partition: partition.0,
            earliest: extent.hot.earliest.get(),
            end: extent.hot.end.get(),
            mirrored_from: extent.mirrored.map(|range| range.from.get()),
            mirrored_to: extent.mirrored.map(|range| range.to.get()),
            gaps: extent.gaps.iter().map(pair).collect(),
            mirror_headroom_ms: headroom.map(|left| left.as_millis() as u64),
            held_back: held.map(|held| HeldBackView { high_watermark: held.high_watermark.get(), since: held.since }),
        }
    }
}

impl TopicView {
    /// How far the cold tier reaches.
    fn mirrored_to(&self, topic: &TopicName) -> Positions {
        let mut positions = Positions::new();
        for partition in &self.partitions {
            if let Some(to) = partition.mirrored_to {
                positions.set(topic, Partition(partition.partition), Offset::new(to));
            }
        }
        positions
    }
}

/// A topic with what both tiers hold of it.
async fn view(app: &App, topic: Topic) -> Result<TopicView, LogError> {
    let headroom = app.mirror().headroom(&topic).await;
    let extents = app.log().extent(&topic).await?;
    let held = app.log().hot.held_back(&topic.name).await?;
    let partition = |(p, extent): (&Partition, &Extent)| PartitionView::new(*p, extent, headroom.get(p), held.get(p));
    let partitions = extents.iter().map(partition).collect();
    let schema_version = topic.config.schema_version();
    Ok(TopicView {
        topic: topic.name.to_string(),
        incarnation: topic.incarnation.to_string(),
        cold: json!({"url": app.log().cold.url_of(&topic), "format": "delta"}),
        key: topic.config.key,
        retention_ms: topic.config.retention_ms,
        retention_bytes: topic.config.retention_bytes,
        schema_version,
        compatibility: topic.config.compatibility,
        schema: topic.config.schema,
        format: topic.config.format,
        wire: topic.config.wire,
        partitions,
    })
}

/// Makes a topic, or changes it.
#[utoipa::path(put, path = "/v1/topics/{topic}", tag = "topics", params(("topic" = String, Path)), request_body = PutTopic,
    responses((status = 201, description = "made", body = TopicView), (status = 200, description = "changed", body = TopicView),
        (status = 409, description = "the new schema does not fit the old events, or the records have keys of another kind", body = Problem),
        (status = 422, description = "not a possible topic", body = Problem)))]
pub(super) async fn put_topic(
    State(app): State<App>,
    Path(name): Path<String>,
    command: Command<PutTopic>,
) -> Result<(StatusCode, Answer<impl Serialize>), Problem> {
    let name: TopicName = name.parse()?;
    let (by, wanted) = (command.by(), command.body);
    let _one_at_a_time = app.altering().await;
    let (status, topic) = match app.log().hot.topic(&name).await {
        Ok(before) => {
            let wanted = registered::with_schema(app.log(), &name, &before.config, wanted).await?;
            let newer = altered(&before.config, wanted)?;
            rekeyed::refuse(&app, &before, &newer).await?;
            let topic = app.log().hot.alter_topic(&name, newer).await?;
            if topic != before {
                app.orchestrator().topic_changed(&topic, &by).await?;
            }
            (StatusCode::OK, topic)
        }
        Err(LogError::UnknownTopic(_)) => {
            let wanted = registered::with_schema(app.log(), &name, &TopicConfig::default(), wanted).await?;
            let topic = app.log().hot.create_topic(&name, initial(wanted)?).await?;
            app.orchestrator().topic_created(&topic, &by).await?;
            (StatusCode::CREATED, topic)
        }
        Err(e) => return Err(e.into()),
    };
    Ok((status, Answer(view(&app, topic).await?)))
}

/// The configuration of a new topic.
fn initial(wanted: PutTopic) -> Result<TopicConfig, Problem> {
    let partitions = wanted.partitions.ok_or_else(|| {
        let remedy = "say how many, as in {\"partitions\": 4}";
        Problem::unprocessable("INVALID_TOPIC", "`partitions` is missing", remedy).with("field", "partitions")
    })?;
    let nothing = TopicConfig { partitions, ..TopicConfig::default() };
    let config = changed(&nothing, wanted)?;
    let checked = config.check().and_then(|()| config.check_names()).and_then(|()| config.check_key_fields());
    checked.map_err(|e| invalid(StatusCode::UNPROCESSABLE_ENTITY, &e))?;
    Ok(config)
}

/// The configuration of a topic that is there, with the named fields changed: it may only grow.
fn altered(config: &TopicConfig, wanted: PutTopic) -> Result<TopicConfig, Problem> {
    let newer = changed(config, wanted)?;
    let (same_schema, same_key) = (newer.schema == config.schema, newer.key == config.key);
    let checked = newer.check().and_then(|()| if same_schema { Ok(()) } else { newer.check_names() });
    let checked = checked.and_then(|()| if same_schema && same_key { Ok(()) } else { newer.check_key_fields() });
    checked.map_err(|e| invalid(StatusCode::UNPROCESSABLE_ENTITY, &e))?;
    let refused =
        |status, field: &str, detail| invalid(status, &InvalidTopicConfig { field: field.to_owned(), detail });
    if newer.partitions < config.partitions {
        let detail = format!("{} is fewer than the {} there are", newer.partitions, config.partitions);
        return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, "partitions", detail));
    }
    config.check_evolution(&newer).map_err(|e| {
        let detail = format!("not {}: {e}", rule(newer.compatibility));
        refused(StatusCode::CONFLICT, "schema", detail).with("field", e.field)
    })?;
    Ok(newer)
}

/// A configuration with the named fields put in.
fn changed(config: &TopicConfig, wanted: PutTopic) -> Result<TopicConfig, Problem> {
    let PutTopic { partitions, retention_ms, retention_bytes, key, schema, format, wire, compatibility } = wanted;
    for (name, bound) in [("retention_ms", retention_ms), ("retention_bytes", retention_bytes)] {
        if let Some(bound) = bound.flatten().filter(|bound| i64::try_from(*bound).is_err()) {
            return Err(Problem::unprocessable(
                "INVALID_TOPIC",
                format!("`{name}` is {bound}, at most {} is possible", i64::MAX),
                "leave it out, or say null to keep records for ever",
            ));
        }
    }
    let format = format.unwrap_or(config.format);
    let schema = match schema {
        // The same schema with its fields written in another order changes nothing.
        Some(Some(raw)) if config.schema.as_ref().is_some_and(|held| *held.raw() == raw) => config.schema.clone(),
        Some(Some(raw)) if format != Format::Json => Some(TopicSchema::given(raw)),
        Some(raw) => raw.map(TopicSchema::parse).transpose()?,
        None => config.schema.clone(),
    };
    let mut past_schemas = config.past_schemas.clone();
    past_schemas.extend(config.schema.clone().filter(|older| Some(older) != schema.as_ref()));
    Ok(TopicConfig {
        partitions: partitions.unwrap_or(config.partitions),
        retention_ms: retention_ms.unwrap_or(config.retention_ms),
        retention_bytes: retention_bytes.unwrap_or(config.retention_bytes),
        key: key.unwrap_or_else(|| config.key.clone()),
        format,
        wire: wire.unwrap_or(config.wire),
        schema,
        compatibility: compatibility.unwrap_or(config.compatibility),
        past_schemas,
    })
}

/// The rule by its name.
fn rule(compatibility: Compatibility) -> &'static str {
    match compatibility {
        Compatibility::Backward => "backward compatible",
        Compatibility::Forward => "forward compatible",
        Compatibility::Full => "fully compatible",
        Compatibility::None => "compatible",
    }
}

/// A configuration that no topic, or not this one, can have.
fn invalid(status: StatusCode, error: &InvalidTopicConfig) -> Problem {
    let code = if status == StatusCode::CONFLICT { "INCOMPATIBLE_SCHEMA" } else { "INVALID_TOPIC" };
    let remedy = "change the field that is named, or make another topic";
    Problem::new(status, code, error.to_string(), remedy).with("field", error.field.as_str())
}

/// All topics.
#[utoipa::path(get, path = "/v1/topics", tag = "topics", params(ListQuery),
    responses((status = 200, description = "`{topics: [...], next_cursor?}`", body = Object)))]
pub(super) async fn list_topics(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Value>, Problem> {
    let (mut topics, scope) = (app.log().hot.topics().await?, caller.scope());
    topics.retain(|topic| scope.has_topic(topic.name.as_str()));
    let (topics, next_cursor) = page(topics, &query, |topic| topic.name.as_str())?;
    let mut views = Vec::with_capacity(topics.len());
    for topic in topics {
        views.push(view(&app, topic).await?);
    }
    Ok(listing("topics", views, next_cursor))
}

/// One topic.
#[utoipa::path(get, path = "/v1/topics/{topic}", tag = "topics", params(("topic" = String, Path)),
    responses((status = 200, description = "the topic, partition by partition", body = TopicView),
        (status = 404, description = "no such topic", body = Problem)))]
pub(super) async fn get_topic(
    State(app): State<App>,
    Path(name): Path<String>,
    _query: NoQuery,
) -> Result<Answer<impl Serialize>, Problem> {
    let topic = app.topic(&name).await?;
    Ok(Answer(view(&app, topic).await?))
}

/// Every schema that a topic has had, the first one first; the last one is checked now.
#[utoipa::path(get, path = "/v1/topics/{topic}/schemas", tag = "topics", params(("topic" = String, Path)),
    responses((status = 200, description = "`{compatibility, schemas: [{version, schema}]}`", body = Object),
        (status = 404, description = "no such topic", body = Problem)))]
pub(super) async fn schemas(
    State(app): State<App>,
    Path(name): Path<String>,
    _query: NoQuery,
) -> Result<Answer<Value>, Problem> {
    let config = app.topic(&name).await?.config;
    let all = config.past_schemas.iter().chain(&config.schema).enumerate();
    let all: Vec<Value> = all.map(|(i, schema)| json!({"version": i + 1, "schema": schema})).collect();
    Ok(Answer(json!({"compatibility": config.compatibility, "schemas": all})))
}

/// Deletes a topic with its hot records. Refused while a job reads it.
#[utoipa::path(delete, path = "/v1/topics/{topic}", tag = "topics", params(("topic" = String, Path)), request_body = Nothing,
    responses((status = 204, description = "deleted"), (status = 409, description = "a job reads it", body = Problem)))]
pub(super) async fn delete_topic(
    State(app): State<App>,
    Path(name): Path<String>,
    command: Command<Nothing>,
) -> Result<StatusCode, Problem> {
    let _one_at_a_time = app.altering().await;
    let topic = app.topic(&name).await?;
    app.orchestrator().delete_topic(&topic, &command.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// 409 while a live version reads the topic.
fn refuse_while_read(app: &App, topic: &TopicName) -> Result<(), Problem> {
    let readers = app.orchestrator().topic_readers(topic);
    match readers.is_empty() {
        true => Ok(()),
        false => Err(Rejection::TopicInUse { topic: topic.clone(), readers }.into()),
    }
}

/// Mirrors a topic up to its present end, and answers when that is done.
#[utoipa::path(post, path = "/v1/topics/{topic}/mirror", tag = "topics", params(("topic" = String, Path)), request_body = Nothing,
    responses((status = 200, description = "the topic, mirrored", body = TopicView), (status = 404, description = "no such topic", body = Problem)))]
pub(super) async fn mirror_topic(
    State(app): State<App>,
    Path(name): Path<String>,
    command: Command<Nothing>,
) -> Result<Answer<impl Serialize>, Problem> {
    let topic = app.topic(&name).await?;
    let by = command.by();
    // A client that goes away neither ends the round under way nor keeps it out of the audit trail.
    let mirrored = async move {
        app.mirror().flush(&topic.name).await?;
        let (of, topic) = (topic.name.clone(), view(&app, topic).await?);
        app.orchestrator().topic_mirrored(&of, topic.mirrored_to(&of), &by).await?;
        Ok::<_, Problem>(Answer(topic))
    };
    to_the_end(mirrored).await
}
