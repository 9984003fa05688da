//! Reading one version of a cold table: its format, its typed fields, its gaps, its files. What is not ours is refused, not guessed.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Fields};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow as _;
use deltalake_core::kernel::{Add, StructType};
use deltalake_core::table::state::DeltaTableState;

use super::coverage::{ColdFile, Coverage, PartitionCoverage};
use super::store::ColdStore;
use super::{layout, schema};
use crate::{LogError, OffsetRange, Partition, Timestamp};

/// Where a file's statistics say when its oldest record was written.
const OLDEST: &str = "/minValues/_timestamp";

/// The fields of the table's `data` column.
pub(super) fn data_fields(state: &DeltaTableState) -> Result<Fields, LogError> {
    let columns: &StructType = &state.schema();
    let Some(data) = columns.field(schema::DATA) else { return Ok(Fields::empty()) };
    let data_type: Result<DataType, _> = data.data_type().try_into_arrow();
    match data_type.map_err(|e| LogError::store("reading a cold table's columns", e))? {
        DataType::Struct(fields) => Ok(fields),
        _ => Ok(Fields::empty()),
    }
}

pub(super) fn gaps_of(
    state: &DeltaTableState,
    store: &ColdStore,
) -> Result<BTreeMap<Partition, Vec<OffsetRange>>, LogError> {
    let Some(text) = state.metadata().configuration().get(layout::GAPS_PROPERTY) else { return Ok(BTreeMap::new()) };
    layout::parse_gaps(text)
        .ok_or_else(|| broken(store, format!("its property `{}` is `{text}`", layout::GAPS_PROPERTY)))
}

fn check_format(state: &DeltaTableState, store: &ColdStore) -> Result<(), LogError> {
    let format = state.metadata().configuration().get(layout::FORMAT_PROPERTY);
    let found = format.and_then(|format| u32::from_str(format).ok());
    match found {
        None => Err(broken(store, format!("it has no number in its property `{}`", layout::FORMAT_PROPERTY))),
        Some(found) if found > layout::FORMAT => Err(LogError::NewerFormat {
            what: format!("the cold table {}", store.url()),
            found,
            supported: layout::FORMAT,
        }),
        Some(_) => Ok(()),
    }
}

pub(super) fn read_coverage(state: &DeltaTableState, store: &ColdStore) -> Result<Coverage, LogError> {
    check_format(state, store)?;
    let mut gaps = gaps_of(state, store)?;
    let mut files: BTreeMap<Partition, Vec<Arc<ColdFile>>> = BTreeMap::new();
    files.extend(gaps.keys().map(|partition| (*partition, Vec::new())));
    for view in state.log_data().iter() {
        #[allow(deprecated, reason = "the only public way to a file's tags")]
        let add = view.add_action();
        let (partition, file) = read_file(&add)
            .ok_or_else(|| broken(store, format!("its file `{}` was not written by Rekap", add.path)))?;
        files.entry(partition).or_default().push(Arc::new(file));
    }
    let mut partitions = BTreeMap::new();
    for (partition, files) in files {
        let gaps = gaps.remove(&partition).unwrap_or_default();
        let covered = PartitionCoverage::new(files, gaps)
            .map_err(|at| broken(store, format!("partition {partition} overlaps or breaks off at offset {at}")))?;
        partitions.insert(partition, covered);
    }
    Ok(Coverage { version: Some(state.version()), partitions })
}

fn read_file(add: &Add) -> Option<(Partition, ColdFile)> {
    let (partition, range) = layout::parse_data_file(&add.path)?;
    let tags = add.tags.as_ref()?;
    let tag = |name: &str| tags.get(name)?.as_deref();
    let count = |name: &str| tag(name)?.parse::<u64>().ok();
    let stats: serde_json::Value = serde_json::from_str(add.stats.as_deref()?).ok()?;
    let file = ColdFile {
        path: add.path.clone(),
        range,
        records: stats.get("numRecords")?.as_u64()?,
        bytes: u64::try_from(add.size).ok()?,
        fingerprint: tag(layout::DECODER_TAG)?.parse().ok()?,
        tombstones: count(layout::TOMBSTONES_TAG)?,
        undecodable: count(layout::UNDECODABLE_TAG)?,
        newest: Timestamp::from_micros(tag(layout::NEWEST_TAG)?.parse().ok()?),
        oldest: stats.pointer(OLDEST).and_then(serde_json::Value::as_str).and_then(|time| time.parse().ok()),
    };
    Some((partition, file))
}

fn broken(store: &ColdStore, detail: String) -> LogError {
    LogError::Invalid(format!(
        "the cold table {} was changed by someone else: {detail}; restore the table to the version before that change",
        store.url()
    ))
}
