//! Life on the side of the story: a writer that goes on appending, and a reader that goes on reading, each keeping count.

use std::sync::Arc;
use std::time::Duration;

use rekap_tiered_storage::Positions;
use reqwest::Method;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ticks::Ticks;
use crate::cli::client::Client;
use crate::cli::failure::Failure;

/// Trades in one request of the writer.
const BATCH: usize = 25;
/// The writer's pause between two requests: with the batch above about a thousand trades a second.
const PAUSE: Duration = Duration::from_millis(25);
/// The reader's pause between two reads.
const READ_PAUSE: Duration = Duration::from_millis(2);

/// Both, running.
pub(super) struct Traffic {
    stop: CancellationToken,
    writer: JoinHandle<Result<(), Failure>>,
    reader: JoinHandle<Reads>,
}

/// What the reader saw.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Pages read.
    pub(super) pages: u64,
    /// Pages that were refused or never came.
    pub(super) failed: u64,
    /// Pages older than one before.
    pub(super) backwards: u64,
    /// The versions that answered, in the order in which they came.
    pub(super) versions: Vec<u32>,
}

impl Traffic {
    /// Sets both to work on the table `bpi` and the topic `ticks`.
    pub(super) fn start(client: &Client, ticks: Arc<Mutex<Ticks>>) -> Self {
        let stop = CancellationToken::new();
        let writer = tokio::spawn(write(client.clone(), ticks, stop.clone()));
        let reader = tokio::spawn(read(client.clone(), stop.clone()));
        Traffic { stop, writer, reader }
    }

    /// Stops both; every trade that the writer made is acknowledged then.
    pub(super) async fn stop(self) -> Result<Reads, Failure> {
        self.stop.cancel();
        let gone = |e: tokio::task::JoinError| Failure::Failed(format!("the quickstart's traffic broke off: {e}"));
        self.writer.await.map_err(gone)??;
        self.reader.await.map_err(gone)
    }
}

/// Appends trades, `lines` of JSON.
pub(super) async fn append(client: &Client, lines: String) -> Result<Value, Failure> {
    let request = client
        .request(Method::POST, "/v1/topics/ticks/records")
        .header("Content-Type", "application/x-ndjson")
        .header("Idempotency-Key", uuid::Uuid::new_v4().to_string());
    client.json(request.body(lines)).await
}

async fn write(client: Client, ticks: Arc<Mutex<Ticks>>, stop: CancellationToken) -> Result<(), Failure> {
    while !stop.is_cancelled() {
        let lines = ticks.lock().await.lines(BATCH);
        append(&client, lines).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn read(client: Client, stop: CancellationToken) -> Reads {
    let (mut reads, mut last) = (Reads::default(), Positions::new());
    while !stop.is_cancelled() {
        reads.pages += 1;
        match page(&client).await {
            Some((version, positions)) => {
                reads.backwards += u64::from(!positions.reached(&last));
                last = positions;
                if reads.versions.last() != Some(&version) {
                    reads.versions.push(version);
                }
            }
            None => reads.failed += 1,
        }
        tokio::time::sleep(READ_PAUSE).await;
    }
    reads
}

/// Which version answered a page, and where it stood.
async fn page(client: &Client) -> Option<(u32, Positions)> {
    let request = client.request(Method::GET, "/v1/tables/bpi/rows?currency=EUR&limit=20");
    let response = client.send(request).await.ok()?;
    let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    let told = (header("rekap-version")?.parse().ok()?, header("rekap-positions")?.parse().ok()?);
    response.bytes().await.ok()?;
    Some(told)
}
