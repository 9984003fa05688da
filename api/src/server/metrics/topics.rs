//! What both tiers hold of every partition.

use std::time::Duration;

use rekap_tiered_storage::{Extent, MirrorCounts};

use super::text::Text;
use crate::Problem;
use crate::server::App;

/// How long a topic is waited for whose store does not answer: scrapers give up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// One partition.
struct Seen {
    topic: String,
    partition: String,
    extent: Extent,
    headroom_s: Option<f64>,
    hot_bytes: Option<u64>,
    /// Offsets that an open transaction holds back from readers.
    held_back: u64,
    /// Files, records and bytes of the cold tier.
    cold: Option<(u64, u64, u64)>,
}

/// What both tiers hold of every partition, and which topics are not being mirrored.
pub(super) async fn topics(app: &App, text: &mut Text) -> Result<(), Problem> {
    let mut all = Vec::new();
    for topic in app.log().hot.topics().await? {
        let headroom = app.mirror().headroom(&topic).await;
        let bytes = app.log().hot.bytes(&topic).await?;
        let held = app.log().hot.held_back(&topic.name).await?;
        // A store that does not answer keeps its own topics' numbers from being shown, never the others'.
        let Ok(Ok(extents)) = tokio::time::timeout(PATIENCE, app.log().extent(&topic)).await else { continue };
        let coverage = app.log().cold.topic(&topic).await?.coverage();
        for (partition, extent) in extents {
            let cold = coverage.partition(partition).map(|covered| {
                let files = covered.files().iter();
                files.fold((0, 0, 0), |(n, records, bytes), file| (n + 1, records + file.records, bytes + file.bytes))
            });
            all.push(Seen {
                topic: topic.name.to_string(),
                partition: partition.to_string(),
                extent,
                headroom_s: headroom.get(&partition).map(Duration::as_secs_f64),
                hot_bytes: bytes.get(&partition).copied(),
                held_back: held.get(&partition).map_or(0, |held| held.high_watermark.since(held.end)),
                cold,
            });
        }
    }
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&Seen) -> Option<f64>| {
        text.family(name, "gauge", help);
        for seen in &all {
            if let Some(value) = value(seen) {
                text.sample(name, &[("topic", &seen.topic), ("partition", &seen.partition)], value);
            }
        }
    };
    let held = |seen: &Seen| seen.extent.hot.end.since(seen.extent.hot.earliest) as f64;
    gauge("log_end_offset", "The next offset to be written.", &|s| Some(s.extent.hot.end.get() as f64));
    gauge("hot_records", "Offsets that the hot tier holds.", &|s| Some(held(s)));
    gauge("hot_bytes", "Bytes of records that the hot tier holds, where it knows.", &|s| s.hot_bytes.map(|b| b as f64));
    gauge("cold_records", "Records that the cold tier holds.", &|s| s.cold.map(|(_, records, _)| records as f64));
    gauge("cold_bytes", "Bytes of the cold tier's data files.", &|s| s.cold.map(|(_, _, bytes)| bytes as f64));
    gauge("cold_files", "Data files of the cold tier.", &|s| s.cold.map(|(files, _, _)| files as f64));
    gauge("gap_records", "Offsets lost before they were mirrored.", &|s| {
        Some(s.extent.gaps.iter().map(|gap| gap.len()).sum::<u64>() as f64)
    });
    gauge("mirror_lag_records", "Offsets that are not mirrored yet.", &|s| {
        let mirrored = s.extent.mirrored.map_or(s.extent.hot.earliest, |range| range.to);
        Some(s.extent.hot.end.get().saturating_sub(mirrored.get()) as f64)
    });
    gauge("mirror_headroom_seconds", "Time until retention reaches what is not mirrored.", &|s| s.headroom_s);
    gauge("held_back_records", "Offsets that readers do not see because a transaction is open before them.", &|s| {
        Some(s.held_back as f64)
    });
    text.family("mirror_failing", "gauge", "1 for a topic whose last mirror round failed.");
    for topic in app.mirror().problems().keys() {
        text.sample("mirror_failing", &[("topic", topic.as_str())], 1.0);
    }
    mirror(app, text);
    Ok(())
}

/// What the mirror has done since the server started.
fn mirror(app: &App, text: &mut Text) {
    let counts = app.mirror().counts();
    let mut counter = |name: &str, help: &str, value: fn(&MirrorCounts) -> u64| {
        text.family(name, "counter", help);
        for (topic, counts) in &counts {
            text.sample(name, &[("topic", topic.as_str())], value(counts) as f64);
        }
    };
    counter("mirror_rounds_total", "Rounds that moved records to the cold tier.", |c| c.rounds);
    counter("mirror_lost_rounds_total", "Rounds that another writer was faster than.", |c| c.lost_rounds);
    counter("mirror_failures_total", "Looks at a topic that failed.", |c| c.failures);
    counter("mirror_files_total", "Data files written to the cold tier.", |c| c.files_written);
    counter("mirror_bytes_total", "Bytes of data files written to the cold tier.", |c| c.bytes_written);
    counter("compaction_files_total", "Small files that were joined to larger ones.", |c| c.files_joined);
    counter("cold_deleted_total", "Data files and log entries that clean-up deleted.", |c| c.objects_deleted);
}
