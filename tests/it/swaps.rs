//! Readers during promotion and rollback, under steady writes: none fails, no page mixes versions, and positions never go back
//! except as a rollback reports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rekap_tests::{Client, Job, Ledger, World, assert_same_rows, list, rows_of, until};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// How many clients read at the same time.
const READERS: usize = 3;

/// How often each version must have been read before the next swap.
const READS_BETWEEN_SWAPS: u64 = 40;

/// A page that holds the whole table, and one that holds a part of it.
const PAGES: [usize; 2] = [1000, 3];

/// By partition, the next offset.
type Positions = BTreeMap<String, u64>;

/// One answered page, as a reader noted it.
#[derive(Debug, Clone)]
struct Seen {
    version: u64,
    positions: Positions,
}

/// Reads all the time and keeps what it saw.
struct Reader {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Seen>>,
}

/// How often each version was read, by all readers.
type Counts = Arc<[AtomicU64; 3]>;

#[tokio::test(flavor = "multi_thread")]
async fn readers_notice_nothing_of_promotions_and_rollbacks_but_newer_answers() {
    let world = World::start().await;
    let ledger = Ledger::open(&world, "counters", 2).await;
    world.deploy_first(&Job::new("counts", &query(1)).reads("counters")).await;
    let writer = ledger.write(world.client());
    let counts: Counts = Arc::default();
    let readers: Vec<Reader> =
        (0..READERS).map(|n| Reader::start(world.client(), PAGES[n % 2], counts.clone())).collect();
    let second = world.deploy(&Job::new("counts", &query(2)).reads("counters")).await;
    world.until_phase("counts", second, "Ready").await;

    let mut stepped_back = Vec::new();
    for _ in 0..3 {
        until_read(&counts, 1).await;
        world.promote("counts", 2).await;
        until_read(&counts, 2).await;
        let rollback = world.roll_back("counts").await;
        assert_eq!(rollback["serving"], 1, "{rollback}");
        stepped_back.push(rollback["stepped_back"]["counters"].clone());
    }
    until_read(&counts, 1).await;

    for reader in readers {
        assert_never_back(&reader.stop().await, &stepped_back);
    }
    let ledger = writer.stop().await;
    let mut rows = world.rows_at_end("counts", "counters").await;
    rows.iter_mut().for_each(|row| drop(row.remove("made_by")));
    let key_and_count =
        ledger.rows().into_iter().map(|row| row.into_iter().filter(|(name, _)| row_has(name)).collect());
    assert_same_rows("after all swaps", &["key"], &rows, &key_and_count.collect::<Vec<_>>());
    let types: Vec<Value> =
        list(&world.get("jobs/counts/history").await.ok()["events"]).iter().map(|e| e["type"].clone()).collect();
    assert_eq!(types.iter().filter(|kind| *kind == "job.rolled_back").count(), 3, "{types:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_waits_for_positions_is_of_the_version_that_its_scan_began_on() {
    let world = World::start().await;
    world.topic("counters", &json!({"partitions": 1, "key": ["key"], "schema": schema()})).await;
    let events = |n: u64| (0..n).map(|i| format!("{{\"key\":\"{i}\",\"n\":1}}\n")).collect::<String>();
    world.post_bytes("topics/counters/records", "application/x-ndjson", events(3)).await.ok();
    world.deploy_first(&Job::new("counts", &query(1)).reads("counters")).await;
    let first = world.get("tables/counts/rows?limit=1&min_positions=counters/0=3").await;
    assert_eq!(first.header("rekap-version"), Some("1"));
    let cursor = first.ok()["next_cursor"].as_str().expect("there are more").to_owned();
    let second = world.deploy(&Job::new("counts", &query(2)).reads("counters")).await;
    world.until_phase("counts", second, "Ready").await;
    let client = world.client();
    let path = format!("tables/counts/rows?limit=1&cursor={cursor}&min_positions=counters/0=4");
    let waits = tokio::spawn(async move { client.get(&path).await });
    world.promote("counts", second).await;
    world.post_bytes("topics/counters/records", "application/x-ndjson", events(1)).await.ok();
    waits.await.expect("an answer").refused(409, "ALIAS_MOVED");
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"key": {"type": "string"}, "n": {"type": "integer"}}})
}

/// Each row says which version made it.
fn query(version: u64) -> String {
    format!("SELECT key, count(*) AS events, sum(n) AS total, {version} AS made_by FROM counters GROUP BY key")
}

fn row_has(name: &str) -> bool {
    ["key", "events", "total"].contains(&name)
}

/// Waits until the version has been read some times from now on.
async fn until_read(counts: &Counts, version: usize) {
    let before = counts[version].load(Ordering::Relaxed);
    until(&format!("version {version} is read"), async || {
        let read = counts[version].load(Ordering::Relaxed) - before;
        if read >= READS_BETWEEN_SWAPS { Ok(()) } else { Err(format!("{read} times")) }
    })
    .await;
}

impl Reader {
    fn start(client: Client, page: usize, counts: Counts) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            while !told.load(Ordering::Relaxed) {
                for page in read_scan(&client, page).await {
                    counts[page.version as usize].fetch_add(1, Ordering::Relaxed);
                    seen.push(page);
                }
            }
            seen
        });
        Reader { stop, task }
    }

    async fn stop(self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("no read failed")
    }
}

/// Reads the table page by page; ends early when the alias moved between two pages.
async fn read_scan(client: &Client, limit: usize) -> Vec<Seen> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = client.get(&format!("tables/counts/rows?limit={limit}{cursor}")).await;
        if answer.status == 409 && !cursor.is_empty() {
            answer.refused(409, "ALIAS_MOVED");
            return pages;
        }
        let (body, version) = (answer.ok(), answer.header("rekap-version").expect("a version"));
        let seen = Seen {
            version: version.parse().expect("an integer"),
            positions: parse_positions(answer.header("rekap-positions").expect("positions")),
        };
        let rows = rows_of(&body);
        assert!(rows.iter().all(|row| row["made_by"] == seen.version), "a page mixes versions: {answer}");
        let whole = cursor.is_empty() && body["next_cursor"].is_null();
        if whole {
            let events: u64 = rows.iter().map(|row| row["events"].as_u64().expect("a count")).sum();
            assert_eq!(events, seen.positions.values().sum::<u64>(), "a page is one snapshot: {answer}");
        }
        pages.push(seen);
        match body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

/// `counters/0=120,counters/1=98`
fn parse_positions(header: &str) -> Positions {
    let pair = |text: &str| {
        text.split_once('=').map(|(partition, next)| (partition.to_owned(), next.parse().expect("a number")))
    };
    header.split(',').filter_map(pair).collect()
}

/// Positions only rise, but when the version fell they may step back by no more than some rollback reported.
fn assert_never_back(seen: &[Seen], stepped_back: &[Value]) {
    for pair in seen.windows(2) {
        for (partition, before) in &pair[0].positions {
            let after = pair[1].positions[partition];
            let number = partition.rsplit('/').next().expect("a partition's number");
            let reported = stepped_back.iter().filter_map(|steps| steps[number].as_u64()).max().unwrap_or(0);
            let allowed = if pair[1].version < pair[0].version { reported } else { 0 };
            assert!(after + allowed >= *before, "{partition} went back: {:?} then {:?}", pair[0], pair[1]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rollback_finds_nothing_to_roll_back_to() {
    let world = World::start().await;
    Ledger::open(&world, "counters", 1).await.append(&world, 100).await;
    world.deploy_first(&Job::new("counts", &query(1)).reads("counters")).await;
    world.post("jobs/counts/rollback", &json!({})).await.refused(409, "NOTHING_TO_ROLL_BACK");
    world.deploy_and_promote(&Job::new("counts", &query(2)).reads("counters")).await;
    assert_eq!(world.job("counts").await["rollback"]["possible"], true);
    world.roll_back("counts").await;
    world.post("jobs/counts/rollback", &json!({})).await.refused(409, "NOTHING_TO_ROLL_BACK");
    let rolled_back = world.version("counts", 2).await;
    assert_eq!(
        (&rolled_back["phase"], &rolled_back["rolled_back"]),
        (&json!("Standby"), &json!(true)),
        "{rolled_back}"
    );
    assert_eq!(world.promote("counts", 2).await["serving"], 2, "what was rolled back can be promoted by hand");
}

/// How often the alias moves forward and back again.
const SWAPS: usize = 25;

/// How many pages are read between two promotions.
const READS_BEFORE_A_SWAP: u64 = 200;

/// How many readers there are, and how often each asks.
const CLIENTS: usize = 8;
const ASK_EVERY: std::time::Duration = std::time::Duration::from_millis(4);

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_reads_a_second_see_fifty_swaps_in_a_row_without_a_failure() {
    let world = World::start().await;
    let ledger = Ledger::open(&world, "counters", 2).await;
    world.deploy_first(&Job::new("counts", &query(1)).reads("counters")).await;
    let second = world.deploy(&Job::new("counts", &query(2)).reads("counters")).await;
    world.until_phase("counts", second, "Ready").await;
    let writer = ledger.write(world.client());
    let stop = Arc::new(AtomicBool::new(false));
    let begun = tokio::time::Instant::now();
    let pages = Arc::new(AtomicU64::new(0));
    let reader = || paced(world.client(), stop.clone(), pages.clone());
    let readers: Vec<JoinHandle<Vec<Seen>>> = (0..CLIENTS).map(|_| reader()).collect();

    let (mut forward, mut back, mut stepped_back) = (vec![], vec![], vec![]);
    for _ in 0..SWAPS {
        let promoted = until("it is promoted again", async || {
            let answer = world.post("jobs/counts/versions/2/promote", &json!({})).await;
            if answer.status == 200 { Ok(answer.ok()) } else { Err(answer.to_string()) }
        });
        let before = pages.load(Ordering::Relaxed);
        until("readers have read on", async || {
            let read = pages.load(Ordering::Relaxed) - before;
            if read >= READS_BEFORE_A_SWAP { Ok(()) } else { Err(read) }
        })
        .await;
        forward.push(promoted.await["swap_ms"].as_u64().expect("a time"));
        let rollback = world.roll_back("counts").await;
        back.push(rollback["swap_ms"].as_u64().expect("a time"));
        stepped_back.push(rollback["stepped_back"]["counters"].clone());
    }
    stop.store(true, Ordering::Relaxed);
    let mut reads = 0;
    for reader in readers {
        let seen = reader.await.expect("no read failed");
        reads += seen.len();
        assert_never_back(&seen, &stepped_back);
    }
    writer.stop().await;
    let worst = |times: &mut Vec<u64>| {
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    };
    let per_s = reads as f64 / begun.elapsed().as_secs_f64();
    println!("{reads} reads ({per_s:.0} a second) during {} swaps", 2 * SWAPS);
    println!("promotion p50, p99 in ms: {:?}; rollback: {:?}", worst(&mut forward), worst(&mut back));
    assert!(back.iter().all(|ms| *ms < 250), "{back:?}");
}

/// One client of many: a page every few milliseconds.
fn paced(client: Client, stop: Arc<AtomicBool>, pages: Arc<AtomicU64>) -> JoinHandle<Vec<Seen>> {
    tokio::spawn(async move {
        let (mut seen, mut pace) = (Vec::new(), tokio::time::interval(ASK_EVERY));
        while !stop.load(Ordering::Relaxed) {
            pace.tick().await;
            seen.extend(read_scan(&client, PAGES[0]).await);
            pages.fetch_add(1, Ordering::Relaxed);
        }
        seen
    })
}
