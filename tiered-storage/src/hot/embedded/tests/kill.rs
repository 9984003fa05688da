//! `kill -9` at any moment: what was acknowledged is there, whole appends only, and nothing twice.
//!
//! The test starts its own executable as the process that is killed: the ignored test below, told a folder by an environment variable.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::open;
use crate::hot::conformance::{at, name, partitions, read_all};
use crate::{AppendKey, HotLog, Partition};

const FOLDER: &str = "REKAP_KILL_TEST_FOLDER";
const PARTITIONS: u32 = 3;

/// Each append has one record of its own number for every partition.
async fn append(log: &dyn HotLog, i: u64) {
    let records = (0..PARTITIONS).map(|p| at(p, &i.to_string())).collect();
    let once = AppendKey { key: i.to_string(), body_digest: [0; 32] };
    log.append(&name("t"), records, Some(once)).await.unwrap();
}

#[tokio::test]
#[ignore = "the process that `acknowledged_appends_survive_a_kill` kills"]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let log = open(Path::new(&folder));
    let topic = log.topic(&name("t")).await.unwrap();
    for i in log.ranges(&topic.name).await.unwrap()[&Partition(0)].end.get().saturating_sub(1).. {
        append(&*log, i).await;
        println!("acknowledged {i}");
        if i % 16 == 15 {
            log.trim(&topic, Partition(PARTITIONS - 1), crate::Offset::new(i - 8)).await.unwrap();
        }
    }
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "hot::embedded::tests::kill::child"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets the process run until it has acknowledged some more, kills it and answers the last number that it acknowledged.
fn run_and_kill(folder: &Path, appends: usize) -> u64 {
    let mut child = start(folder);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut numbers = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok());
    let seen = numbers.by_ref().take(appends).last();
    child.kill().unwrap();
    child.wait().unwrap();
    // What it still said before it died counts as well.
    numbers.last().or(seen).expect("the process appends")
}

#[tokio::test]
async fn acknowledged_appends_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).create_topic(&name("t"), partitions(PARTITIONS)).await.unwrap();
    for appends in [1, 7, 20, 50, 3] {
        let acknowledged = run_and_kill(folder.path(), appends);
        let log = open(folder.path());
        let topic = log.topic(&name("t")).await.unwrap();
        let ends: Vec<_> = log.ranges(&topic.name).await.unwrap().values().map(|range| range.end.get()).collect();
        assert!(ends[0] > acknowledged, "{acknowledged} was acknowledged, {} are there", ends[0]);
        assert_eq!(ends, [ends[0]; PARTITIONS as usize], "an append is there whole or not at all");
        for (p, range) in log.ranges(&topic.name).await.unwrap() {
            let expected: Vec<_> = (range.earliest.get()..ends[0]).map(|i| i.to_string()).collect();
            assert_eq!(read_all(&*log, &topic, p).await, expected, "partition {p}");
        }
    }
}
