//! `rekap quickstart`: the whole loop in half a minute, with nothing set up.
//!
//! It runs a real server on a free port and in a temporary folder, and talks to it as any client does. Every figure that it prints
//! was measured or checked in this very run; where one is not as it should be, it ends with a failure. Whatever happens to the
//! process, nothing is left behind but (after `kill -9`) a folder among the temporary ones.

mod example;
mod proof;
mod stage;
mod ticks;
mod traffic;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::cli::args::VersionRef;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::out::{Out, Style, cell, count};
use crate::cli::rows::Page;
use crate::cli::watch::Told;
use crate::cli::{Session, commands, deploy, folder, serve, watch};
use crate::{Config, Rekap, Running};
use stage::{INDENT, Stage, took};
use ticks::{Formula, Ticks};
use traffic::{Reads, Traffic};

/// The seed of the trades.
const SEED: u64 = 0x5EED_0B17_C014;
/// Trades before the story begins: about six days of three currencies.
const HISTORY: usize = 200_000;
/// Trades in one request.
const REQUEST: usize = 20_000;
/// How often the state is looked at while waiting for it.
const LOOK: Duration = Duration::from_millis(50);
/// How long retention may take to drop the hot copy; it runs at least every 5 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long each version serves under live trades, for all to see.
const SERVE: Duration = Duration::from_millis(1200);

/// Tells the story; with `keep` the server stays up afterwards.
pub(crate) async fn run(out: Out, keep: bool) -> Result<(), Failure> {
    let began = Instant::now();
    let home = tempfile::Builder::new().prefix("rekap-quickstart-").tempdir()?;
    let example = example::write(home.path())?;
    let running = start(home.path()).await?;
    let session = Session { client: Client::new(&running.url(), None), out };
    let told = tell(&session, &example).await;
    if told.is_ok() {
        closing(&session, began, keep)?;
        if keep {
            serve::stop_signal().await?;
        }
    }
    running.shutdown().await;
    told
}

/// A server of its own.
async fn start(home: &Path) -> Result<Running, Failure> {
    let mut config = Config { data: home.join("data"), ..Config::default() };
    config.server.listen.set_port(0);
    Rekap::start(config).await.map_err(|e| Failure::Failed(e.to_string()))
}

/// The story, from the first trade to the last proof.
async fn tell(s: &Session, example: &Path) -> Result<(), Failure> {
    let mut stage = Stage::new(s.out);
    stage.title("rekap quickstart", "replay history through new code, prove it, swap it in, swap it back")?;
    stage.say(format!("a server of its own listens on {}", s.client.url()))?;
    let ticks = Arc::new(Mutex::new(Ticks::new(SEED)));
    events(s, &mut stage, example, &ticks).await?;
    first_version(s, &mut stage, example).await?;
    mirror(s, &mut stage).await?;
    let traffic = Traffic::start(&s.client, ticks.clone());
    second_version(s, &mut stage, example).await?;
    compare(s, &mut stage).await?;
    let stepped_back = swap(s, &mut stage).await?;
    let reads = traffic.stop().await?;
    let ticks = ticks.lock().await;
    prove(s, &stage, &ticks, &reads, stepped_back).await
}

/// Step 1: the log takes events.
async fn events(s: &Session, stage: &mut Stage, example: &Path, ticks: &Mutex<Ticks>) -> Result<(), Failure> {
    stage.step("Events come in")?;
    for (topic, config) in folder::topics(example)? {
        let made = s.client.put(&format!("/v1/topics/{topic}"), &config).await?;
        let partitions = made["partitions"].as_array().map_or(0, Vec::len);
        stage.fact(format!(
            "topic {}: {partitions} partitions, keyed by currency, JSON Schema checked",
            s.out.paint(Style::Name, topic)
        ))?;
    }
    let mut spent = Duration::ZERO;
    for _ in 0..HISTORY / REQUEST {
        let lines = ticks.lock().await.lines(REQUEST);
        let began = Instant::now();
        traffic::append(&s.client, lines).await?;
        spent += began.elapsed();
    }
    let rate = HISTORY as f64 / spent.as_secs_f64();
    stage.fact(format!(
        "{} trades appended in {} ({}/s), each on disk before it was acknowledged",
        count(HISTORY as u64),
        took(spent),
        count(rate as u64)
    ))
}

/// Step 2: a job turns them into a table.
async fn first_version(s: &Session, stage: &mut Stage, example: &Path) -> Result<(), Failure> {
    stage.step("A job turns them into a table")?;
    stage.say(format!("bpi@1, the price of a bitcoin by minute: {}", example::formula(1)))?;
    let began = Instant::now();
    deploy::quietly(s, &example.join("v1")).await?;
    let version = watch::until(s, &bpi(1), "Serving", None, Told::AtTheEnd).await?;
    stage.fact(format!(
        "{} serves {} rows, {} after its deploy",
        s.out.paint(Style::Name, "bpi@1"),
        count(version["rows"].as_u64().unwrap_or(0)),
        took(began.elapsed())
    ))?;
    let sample = "/v1/tables/bpi/rows?currency=EUR&limit=3";
    let page = Page::read(&s.client.text(s.client.request(Method::GET, sample)).await?)?;
    if s.out.is_json() { Ok(()) } else { page.show(&s.out, INDENT) }
}

/// Step 3: history moves to the cold tier, and the hot copy goes.
async fn mirror(s: &Session, stage: &mut Stage) -> Result<(), Failure> {
    stage.step("The mirror carries history to Parquet")?;
    let began = Instant::now();
    let topic = s.client.post("/v1/topics/ticks/mirror", &json!({})).await?;
    let mirrored = sum(&topic, |p| number(p, "mirrored_to") - number(p, "mirrored_from"));
    stage.fact(format!(
        "{} trades mirrored in {}, exactly once, as a Delta Lake table:",
        count(mirrored),
        took(began.elapsed())
    ))?;
    stage.say(cell(&topic["cold"]["url"]))?;
    s.client.put("/v1/topics/ticks", &json!({"retention_ms": 1})).await?;
    let began = Instant::now();
    loop {
        let topic = s.client.get("/v1/topics/ticks").await?;
        if sum(&topic, |p| number(p, "end") - number(p, "earliest")) == 0 {
            break;
        }
        if began.elapsed() > PATIENCE {
            return Err(Failure::TimedOut("retention did not drop the hot copy".to_owned()));
        }
        sleep(LOOK).await;
    }
    s.client.put("/v1/topics/ticks", &json!({"retention_ms": 604_800_000_u64})).await?;
    stage.fact(format!("retention has dropped the hot copy: hot 0, cold {}", count(mirrored)))
}

/// Step 4: a corrected formula is replayed beside the serving one.
async fn second_version(s: &Session, stage: &mut Stage, example: &Path) -> Result<(), Failure> {
    stage.step("The formula was wrong")?;
    stage.say("a trade of ten euros counted as much as one of a million; bpi@2 weighs by volume:")?;
    stage.say(example::formula(2))?;
    stage.say(
        "it replays all history from Parquet into a table of its own, while trades keep coming and bpi@1 keeps serving",
    )?;
    let began = Instant::now();
    deploy::quietly(s, &example.join("v2")).await?;
    let version = watch::until(s, &bpi(2), "Ready", None, Told::AtTheEnd).await?;
    stage.fact(format!(
        "{} has replayed {} records and is ready, {} after its deploy",
        s.out.paint(Style::Name, "bpi@2"),
        count(number(&version["progress"], "records_done")),
        took(began.elapsed())
    ))
}

/// Step 5: old and new, at the same positions.
async fn compare(s: &Session, stage: &mut Stage) -> Result<(), Failure> {
    stage.step("Verification, at the same positions")?;
    let result = s.client.get("/v1/jobs/bpi/versions/2/verification").await?;
    stage.say(format!("both tables as of {}", positions(&result["positions"])))?;
    s.out.answer(&result, |out, result| commands::show_verification(out, result, INDENT))?;
    let changed = result["counts"]["changed"].as_u64().unwrap_or(0);
    stage.proof(
        result["verdict"] == "pass" && changed > 0,
        format!("{} prices are corrected; for instance", count(changed)),
    )?;
    let samples = result["samples"].as_array().map_or(&[][..], Vec::as_slice);
    let row = |sample: &Value| {
        let (old, new) = (&sample["old"], &sample["new"]);
        let price = |row: &Value| row["price"].as_f64().map_or("-".to_owned(), |price| format!("{price:.2}"));
        let key = |name: &str| {
            [&sample["key"], new, old]
                .map(|part| &part[name])
                .into_iter()
                .find(|v| !v.is_null())
                .map_or("-".to_owned(), cell)
        };
        vec![key("currency"), key("minute"), price(old), price(new)]
    };
    let rows: Vec<_> = samples.iter().take(3).map(row).collect();
    if s.out.is_json() { Ok(()) } else { s.out.table(&["currency", "minute", "bpi@1", "bpi@2"], &rows, INDENT) }
}

/// Steps 6 and 7: forward, and back. Answers whether the rollback said that it stepped back.
async fn swap(s: &Session, stage: &mut Stage) -> Result<bool, Failure> {
    stage.step("Promotion")?;
    let done = s.client.post("/v1/jobs/bpi/versions/2/promote", &json!({"note": "weigh by volume"})).await?;
    stage.fact(format!("bpi@2 is promoted: swapped in {} ms, bpi@1 stays warm behind it", cell(&done["swap_ms"])))?;
    sleep(SERVE).await;
    let job = s.client.get("/v1/jobs/bpi").await?;
    let back = &job["rollback"];
    stage.proof(
        back["possible"] == true,
        format!("a rollback to bpi@{} is possible until {}", cell(&back["to"]), cell(&back["until"])),
    )?;
    stage.step("Rollback, under live writes")?;
    let done = s.client.post("/v1/jobs/bpi/rollback", &json!({"note": "see how fast that is"})).await?;
    stage.fact(format!(
        "bpi@1 serves again, rolled back in {} ms, with every trade up to now",
        cell(&done["swap_ms"])
    ))?;
    sleep(SERVE).await;
    Ok(!done["stepped_back"].is_null())
}

/// What all this has shown.
async fn prove(s: &Session, stage: &Stage, ticks: &Ticks, reads: &Reads, stepped_back: bool) -> Result<(), Failure> {
    stage.heading("What this has proved")?;
    let ledger = &ticks.ledger;
    for (version, formula, name) in [(1, Formula::Mean, "mean"), (2, Formula::Weighed, "weighed")] {
        let table = proof::count(&s.client, version, ledger, formula).await?;
        let right = table.right == ledger.rows() && table.rows == ledger.rows() && table.trades == ledger.trades;
        stage.proof(
            right,
            format!(
                "bpi@{version}: {} of {} rows are the {name} price computed on the side; {} of {} trades counted, each once",
                count(table.right as u64),
                count(ledger.rows() as u64),
                count(table.trades),
                count(ledger.trades)
            ),
        )?;
    }
    let versions = reads.versions.iter().map(|n| format!("bpi@{n}")).collect::<Vec<_>>().join(", ");
    stage.proof(
        reads.failed == 0 && (reads.backwards == 0 || stepped_back),
        format!(
            "{} pages were read meanwhile, from {versions}: {} failed, {} went back in time",
            count(reads.pages),
            reads.failed,
            reads.backwards
        ),
    )?;
    let history = s.client.get("/v1/jobs/bpi/history?limit=1000").await?;
    let events = history["events"].as_array().map_or(0, Vec::len);
    let chain = s.client.get("/v1/audit/verify").await?;
    stage.proof(
        chain["broken"].is_null(),
        format!("{events} events tell who did what, in a chain of hashes that is whole"),
    )
}

/// Where to go from here.
fn closing(s: &Session, began: Instant, keep: bool) -> Result<(), Failure> {
    let stage = Stage::new(s.out);
    stage.heading("Where to look next")?;
    if keep {
        let url = s.client.url();
        stage.line("the server stays up; Ctrl-C ends it and removes its folder. In another terminal:")?;
        for verb in [
            "jobs",
            "versions bpi",
            "rows bpi currency=EUR",
            "history bpi",
            "sql 'SELECT currency, max(price) FROM live.bpi GROUP BY currency'",
        ] {
            stage.line(format!("  rekap --url {url} {verb}"))?;
        }
    } else {
        for (verb, what) in [
            ("rekap quickstart --keep", "the same, and the server stays up to play with"),
            ("rekap serve", "a server of your own; its data goes to ./rekap-data"),
            ("rekap apply docs/examples/bitcoin-price-index", "this example, on that server"),
            ("docs/guide.md", "how to write a job"),
        ] {
            stage.line(format!(
                "{}  {}",
                s.out.paint(Style::Name, format!("{verb:<46}")),
                s.out.paint(Style::Dim, what)
            ))?;
        }
    }
    stage.say(format!("all of it took {}", took(began.elapsed())))
}

/// A version of the example's job.
fn bpi(version: u32) -> VersionRef {
    VersionRef { job: "bpi".to_owned(), version }
}

/// A count in a JSON object.
fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or(0)
}

/// The sum over a topic's partitions.
fn sum(topic: &Value, of: impl Fn(&Value) -> u64) -> u64 {
    topic["partitions"].as_array().into_iter().flatten().map(of).sum()
}

/// Positions as text: `ticks/0=120,ticks/1=98`.
fn positions(json: &Value) -> String {
    serde_json::from_value::<rekap_tiered_storage::Positions>(json.clone()).map_or("-".to_owned(), |at| at.to_string())
}
