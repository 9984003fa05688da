//! A disk that refused a write: telling when it takes writes again.
//!
//! The stores take no write after one that failed, since nobody knows what of it is there; opening them anew tells. Until then reads
//! go on, and every write is refused. Whoever runs the server starts it anew when [`mended`] comes: a start is safe at any time.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::{App, blocking};

/// How often the rooms, and then the disk, are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the disk must take before it counts as mended: more than a store writes at its start.
const PROBE_BYTES: usize = 4 << 20;

/// The file that is written to try the disk.
const PROBE: &str = "probe";

/// Comes when the disk has refused a write to a room, and takes writes again.
pub(super) async fn mended(app: &App) {
    let refused = loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(refused) = app.refused_by_disk().await {
            break refused;
        }
    };
    tracing::error!("{refused}; reads go on, nothing is written until the disk takes writes again");
    loop {
        let folder = app.folder().to_owned();
        match blocking(move || probe(&folder)).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "the disk does not take writes yet"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Writes some megabytes durably, and removes them.
fn probe(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(PROBE);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0xa5; PROBE_BYTES])?;
        file.sync_all()
    });
    // Removed in any case: half a probe takes room as well.
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}
