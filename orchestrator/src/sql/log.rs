//! `log.<topic>`: both tiers of a topic as one table, in the shape that a job's input has.
//!
//! A query sees what there was when it first named the topic. Conditions on `_partition`, `_offset` and `_timestamp` decide which
//! files and offsets are read at all; of a file only the columns that the query names. A record that cannot be decoded is a row whose
//! columns are NULL and whose `_value` is there; so is a tombstone, whose `_value` is NULL too. Offsets that were lost before they were
//! mirrored are no rows; EXPLAIN counts them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rekap_tiered_storage::{
    Decoder, Extent, Log, LogError, LogSlice, Offset, OffsetRange, Partition, ReadPlan, Segment, Timestamp, Topic,
    Written,
};

use super::SqlError;
use super::source::{Batches, Open, Source, failed};
use super::spans::{Span, Spans};

/// Slices shorter than this are not split further: opening a file costs as much as reading some ten thousand records.
const MIN_SPLIT: u64 = 50_000;

/// A topic as a table.
pub(super) struct LogTable {
    log: Arc<Log>,
    topic: Topic,
    decoder: Decoder,
    extents: BTreeMap<Partition, Extent>,
}

impl LogTable {
    /// The topic as it is now; `None` when there is none of that name.
    pub(super) async fn open(log: Arc<Log>, name: &str) -> Result<Option<LogTable>> {
        let Ok(name) = name.parse() else { return Ok(None) };
        let topic = match log.hot.topic(&name).await {
            Err(LogError::UnknownTopic(_)) => return Ok(None),
            found => found.map_err(unreadable)?,
        };
        let decoder = topic.config.decoder().map_err(|e| failed(SqlError::Invalid(format!("topic `{name}`: {e}"))))?;
        let extents = log.extent(&topic).await.map_err(unreadable)?;
        Ok(Some(LogTable { log, topic, decoder, extents }))
    }

    /// What there is to read under these conditions.
    async fn find(&self, conditions: &[Expr]) -> std::result::Result<Found, LogError> {
        let partitions = Spans::of("_partition", conditions);
        let offsets = Spans::of("_offset", conditions);
        let mut found = Found::default();
        let Some(Span { from, to }) = Spans::of("_timestamp", conditions).hull() else { return Ok(found) };
        let written = Written { from: Timestamp::from_micros(from), to: Timestamp::from_micros(to) };
        for (partition, extent) in self.extents.iter().filter(|(p, _)| partitions.contain(i64::from(p.0))) {
            let end = extent.mirrored.map_or(extent.hot.end, |mirrored| mirrored.to.max(extent.hot.end));
            let held = OffsetRange::new(extent.start.min(end), end);
            found.gap += extent.gaps.iter().map(OffsetRange::len).sum::<u64>();
            for span in offsets.iter() {
                let Some(range) = asked(span).and_then(|asked| asked.intersect(&held)) else { continue };
                let slice = self.log.slice_across_gaps(&self.topic, *partition, range).await?;
                found.slices.extend(self.log.within(slice, written).await?);
            }
        }
        Ok(found)
    }

    /// What EXPLAIN says of a read.
    fn about(&self, found: &Found, schema: &SchemaRef) -> String {
        let mut files = BTreeSet::new();
        let (mut cold, mut hot) = (0, 0);
        for segment in found.slices.iter().flat_map(|slice| slice.segments()) {
            match segment {
                Segment::Cold { file, range } => {
                    files.insert(file.path.as_str());
                    cold += range.len();
                }
                Segment::Hot { range } => hot += range.len(),
                Segment::Gap { .. } => {}
            }
        }
        let partitions: BTreeSet<Partition> = found.slices.iter().map(LogSlice::partition).collect();
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        format!(
            "log.{}, partitions={} of {}, cold_files={}, cold_offsets={cold}, hot_offsets={hot}, lost_offsets={}, columns=[{}]",
            self.topic.name,
            partitions.len(),
            self.extents.len(),
            files.len(),
            found.gap,
            columns.join(", "),
        )
    }
}

/// What a query reads of a topic.
#[derive(Default)]
struct Found {
    slices: Vec<LogSlice>,
    /// Offsets of the partitions asked for that are lost.
    gap: u64,
}

impl Found {
    /// The slices in `n` shares of about equal length.
    fn shares(self, n: usize) -> Vec<Vec<LogSlice>> {
        let total: u64 = self.slices.iter().map(|slice| slice.range().len()).sum();
        let fair = (total / n as u64).max(MIN_SPLIT);
        let mut shares: Vec<(u64, Vec<LogSlice>)> = vec![(0, Vec::new()); n];
        for slice in self.slices {
            let parts = slice.range().len().div_ceil(fair).clamp(1, n as u64) as usize;
            for part in slice.split(parts) {
                let (length, share) = shares.iter_mut().min_by_key(|(length, _)| *length).expect("there is a share");
                *length += part.range().len();
                share.push(part);
            }
        }
        shares.into_iter().map(|(_, share)| share).collect()
    }
}

/// A span of offsets as a range; `None` when no offset can be in it.
fn asked(span: Span) -> Option<OffsetRange> {
    let from = Offset::from_i64(span.from.max(0))?;
    let to = if span.to == i64::MAX { span.to } else { span.to + 1 };
    let to = Offset::from_i64(to)?;
    (from < to).then_some(OffsetRange { from, to })
}

impl fmt::Debug for LogTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log.{}", self.topic.name)
    }
}

#[async_trait]
impl TableProvider for LogTable {
    fn schema(&self) -> SchemaRef {
        self.decoder.input_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema().fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let schema = Arc::new(self.schema().project(wanted)?);
        let found = self.find(filters).await.map_err(unreadable)?;
        let about = self.about(&found, &schema);
        // A batch has to have some column to have rows at all.
        let offset = self.schema().index_of("_offset")?;
        let read = Arc::new(ReadPlan {
            decoder: self.decoder.clone(),
            projection: if wanted.is_empty() { vec![offset] } else { wanted.clone() },
            tombstones: true,
            undecodable: true,
            accept_gap: false,
        });
        let shares = found.shares(state.config().target_partitions().max(1));
        let shares = shares.into_iter().map(|slices| self.open_share(slices, &read, wanted.is_empty()));
        Ok(Arc::new(Source::new("LogScan", about, schema, shares.collect())))
    }
}

impl LogTable {
    fn open_share(&self, slices: Vec<LogSlice>, read: &Arc<ReadPlan>, bare: bool) -> Open {
        let (log, read) = (self.log.clone(), read.clone());
        Arc::new(move || -> Batches {
            let (log, read) = (log.clone(), read.clone());
            let each = stream::iter(slices.clone()).flat_map(move |slice| log.read(slice, read.clone()));
            let rows = each.map_err(unreadable).try_filter_map(move |batch| async move {
                let rows = if bare { batch.rows.project(&[])? } else { batch.rows };
                Ok((rows.num_rows() > 0).then_some(rows))
            });
            rows.boxed()
        })
    }
}

/// A failure of the log, with its own code.
fn unreadable(error: LogError) -> datafusion::common::DataFusionError {
    failed(SqlError::Log(Arc::new(error)))
}
