//! `/v1/sql`: one SELECT over what is served and what is in the log. When the client goes away, its query ends.

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use rekap_orchestrator::{Rejection, SqlError};
use rekap_tables::csv::CsvRows;
use rekap_tables::json::JsonRows;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::access::Caller;
use super::extract::Json;
use crate::Problem;

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sql {
    /// One SELECT, or EXPLAIN of one, over `live.<alias>`, `version."<alias>@3"` or `log.<topic>`.
    query: String,
    /// How the answer is written; `json` when it is not said.
    #[serde(default)]
    format: AnswerFormat,
}

/// The formats of an answer.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AnswerFormat {
    #[default]
    Json,
    Csv,
    Arrow,
}

impl AnswerFormat {
    fn media(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            AnswerFormat::Json => "application/json",
            AnswerFormat::Csv => "text/csv; charset=utf-8",
            AnswerFormat::Arrow => "application/vnd.apache.arrow.stream",
        })
    }
}

/// Answers one SELECT; the rows are sent as they come.
#[utoipa::path(post, path = "/v1/sql", tag = "tables", request_body = Sql,
    responses((status = 200, description = "`{rows: [...]}`, CSV with a header line, or an Arrow IPC stream", body = Object),
        (status = 409, description = "offsets that the query reads were lost meanwhile", body = Problem),
        (status = 422, description = "anything but one SELECT over what there is, or one that takes too much", body = Problem)))]
pub(super) async fn sql(
    State(app): State<App>,
    caller: Caller,
    Json(Sql { query, format }): Json<Sql>,
) -> Result<Response, Problem> {
    let mut rows = app.orchestrator().sql_within(&query, &caller.scope()).await?;
    if let (AnswerFormat::Json, Some(name)) = (format, twice(&rows.schema())) {
        return Err(Problem::unprocessable(
            "DUPLICATE_COLUMN",
            format!("two columns are called `{name}`, and a JSON object holds one of a name"),
            "name them apart with AS, or ask for csv or arrow",
        ));
    }
    let mut writer = Writer::new(format, &rows.schema())?;
    // What fails at once is told as a problem; later failures can only break off the answer.
    let first = match rows.next().await {
        Some(batch) => writer.batch(&batch.map_err(failed)?)?,
        None => Bytes::new(),
    };
    let rest = stream::unfold(Some((rows, writer)), |going| async move {
        let (mut rows, mut writer) = going?;
        match rows.next().await {
            Some(batch) => {
                let part =
                    batch.map_err(std::io::Error::other).and_then(|b| writer.batch(&b).map_err(std::io::Error::other));
                let next = part.is_ok().then_some((rows, writer));
                Some((part, next))
            }
            None => Some((writer.end().map_err(std::io::Error::other), None)),
        }
    });
    let body = Body::from_stream(stream::once(async { Ok(first) }).chain(rest));
    Ok(([(header::CONTENT_TYPE, format.media())], body).into_response())
}

/// A name that two columns have.
fn twice(schema: &SchemaRef) -> Option<&str> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)).map(|(_, name)| *name)
}

/// A query that was planned and failed before its first rows, such as by a division by zero.
fn failed(error: datafusion::error::DataFusionError) -> Problem {
    Rejection::Sql(SqlError::from(error)).into()
}

/// Turns batches into the bytes of one answer.
enum Writer {
    Json { any: bool, out: Vec<u8> },
    Csv { head: bool, schema: SchemaRef },
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

impl Writer {
    fn new(format: AnswerFormat, schema: &SchemaRef) -> Result<Self, ArrowError> {
        Ok(match format {
            AnswerFormat::Json => Writer::Json { any: false, out: b"{\"rows\":[".to_vec() },
            AnswerFormat::Csv => Writer::Csv { head: true, schema: schema.clone() },
            AnswerFormat::Arrow => Writer::Arrow(Box::new(StreamWriter::try_new(Vec::new(), schema)?)),
        })
    }

    /// The bytes of one batch.
    fn batch(&mut self, batch: &RecordBatch) -> Result<Bytes, ArrowError> {
        match self {
            Writer::Json { any, out } => {
                if *any && batch.num_rows() > 0 {
                    out.push(b',');
                }
                *any |= batch.num_rows() > 0;
                JsonRows::new(batch)?.write_all(out);
                Ok(std::mem::take(out).into())
            }
            Writer::Csv { head, .. } => csv(std::mem::take(head), batch),
            Writer::Arrow(writer) => {
                writer.write(batch)?;
                Ok(std::mem::take(writer.get_mut()).into())
            }
        }
    }

    /// The bytes after the last batch.
    fn end(self) -> Result<Bytes, ArrowError> {
        match self {
            Writer::Json { mut out, .. } => {
                out.extend_from_slice(b"]}");
                Ok(out.into())
            }
            Writer::Csv { head: true, schema } => csv(true, &RecordBatch::new_empty(schema)),
            Writer::Csv { .. } => Ok(Bytes::new()),
            Writer::Arrow(writer) => writer.into_inner().map(Bytes::from),
        }
    }
}

/// One batch as CSV.
fn csv(head: bool, batch: &RecordBatch) -> Result<Bytes, ArrowError> {
    let rows = CsvRows::new(batch)?;
    let mut out = Vec::new();
    if head {
        rows.write_head(&mut out);
    }
    rows.write_all(&mut out);
    Ok(out.into())
}
