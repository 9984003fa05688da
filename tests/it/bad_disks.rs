//! A data folder that is in use, cannot be written, is full, or is damaged: an error that names it and what to do, reads that go on
//! where they can, and nothing lost.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rekap_tests::{Job, Ledger, World, assert_same_rows, list, rekap, until};
use serde_json::json;

/// How large a file of the server may get while its disk is "full".
const LIMIT_BYTES: u64 = 3 << 20;

/// Runs a server that is expected to end by itself.
fn serve(folder: &Path, data: &Path) -> Output {
    let config = folder.join("other.toml");
    let toml = format!("data = {:?}\n[server]\nlisten = \"127.0.0.1:0\"\n", data.display().to_string());
    fs::write(&config, toml).expect("a file");
    Command::new(rekap())
        .args(["serve", "--config"])
        .arg(config)
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary starts")
}

/// Checks that the server ended with exit code 1 and said all of this.
fn assert_refused(output: &Output, said: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    for said in said {
        assert!(error.contains(said), "`{said}` is missing in: {error}");
    }
}

async fn check(world: &World, ledger: &Ledger) {
    let rows = world.rows_at_end("counts", "counters").await;
    assert_same_rows("counts", &["key"], &rows, &ledger.rows());
    ledger.check_log(world).await;
}

/// A server with a few events and a job that counts them.
async fn world() -> (World, Ledger) {
    let world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    ledger.append(&world, 2_000).await;
    world.deploy_first(&Job::new("counts", &ledger.query()).reads("counters")).await;
    check(&world, &ledger).await;
    (world, ledger)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let (world, mut ledger) = world().await;
    let folder = world.data().display().to_string();
    assert_refused(&serve(world.folder(), &world.data()), &[&folder, "in use", "stop that one"]);
    ledger.append(&world, 100).await;
    check(&world, &ledger).await;
}

#[test]
fn a_folder_that_cannot_be_written_or_holds_something_else_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Not even root may write here.
    let sealed = Path::new("/sys/kernel/rekap");
    assert_refused(&serve(folder.path(), sealed), &["/sys/kernel/rekap", "may write there", "another folder"]);
    let file = folder.path().join("file");
    fs::write(&file, "years of work").expect("a file");
    assert_refused(&serve(folder.path(), &file), &["file", "another folder"]);
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).and_then(|()| fs::write(foreign.join("thesis.doc"), "years of work")).expect("a file");
    assert_refused(&serve(folder.path(), &foreign), &["is not empty", "new folder"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_reads_go_on_nothing_is_lost_and_with_room_the_server_goes_on_by_itself() {
    let (mut world, mut ledger) = world().await;
    limit_files(&world, &format!("{LIMIT_BYTES}:unlimited"));
    // Nothing that compresses.
    let text = std::iter::repeat_with(fastrand::alphanumeric).take(200_000).collect::<String>();
    let filler = json!(text).to_string();
    world.topic("filler", &json!({"partitions": 1})).await;
    let mut kept = 0;
    let refused = loop {
        let answer = world.post_bytes("topics/filler/records", "application/json", filler.clone()).await;
        if answer.status != 200 {
            break answer;
        }
        kept += 1;
        assert!(kept < 100, "the disk was to be full by now");
    };
    let problem = refused.refused(503, "STORE_FAILED");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains(&*world.data().join("log").display().to_string()), "the folder is named: {problem}");
    let ready = world.get("/readyz").await.refused(503, "STORE_FAILED");
    assert!(ready["remedy"].as_str().is_some_and(|text| text.contains("make room")), "{ready}");
    world.get("/healthz").await.is(200);
    let rows = world.get("tables/counts/rows?limit=1000").await.is(200);
    assert_eq!(list(&rows["rows"]).len(), ledger.rows().len(), "reads go on");
    world.get("topics/counters/records?partition=0&from=0").await.is(200);

    limit_files(&world, "unlimited:unlimited");
    world.until_ready().await;
    ledger.append(&world, 500).await;
    check(&world, &ledger).await;
    let end = world.topic_status("filler").await["partitions"][0]["end"].clone();
    assert_eq!(end, kept, "what was refused is not there, what was acknowledged is");
}

/// Sets the largest file that the server may write, soft and hard.
fn limit_files(world: &World, limit: &str) {
    let set = Command::new("prlimit").args(["--pid", &world.pid().to_string(), &format!("--fsize={limit}")]).status();
    assert!(set.expect("`prlimit` is there").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_damaged_are_set_aside_and_filled_again_by_replay_for_all_to_see() {
    let (mut world, mut ledger) = world().await;
    world.stop().await;
    damage(&newest(&world.data().join("tables"), "jnl"));
    damage_all(&world.data().join("tables/keyspaces"));
    world.restart().await;
    check(&world, &ledger).await;
    ledger.append(&world, 100).await;
    check(&world, &ledger).await;
    let aside =
        fs::read_dir(world.data()).expect("a folder").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    assert_eq!(aside.filter(|name| name.starts_with("tables.broken-")).count(), 1, "the damaged tables are kept");
    let history = world.get("jobs/counts/history").await.ok();
    let kinds: Vec<_> = list(&history["events"]).iter().map(|event| event["type"].clone()).collect();
    assert!(kinds.contains(&json!("version.table_lost")) && kinds.contains(&json!("version.rebuilt")), "{history}");
    assert!(world.log().contains("set aside"), "the log tells");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_never_opened_as_a_shorter_or_an_empty_one() {
    let (mut world, ledger) = world().await;
    world.stop().await;
    let log = world.data().join("log");
    let whole = copy(&log);
    let journal = newest(&log, "jnl");
    let damages: [(&str, &dyn Fn()); 3] = [
        ("a byte is wrong", &|| damage(&journal)),
        ("the file is cut short", &|| cut_in_half(&journal)),
        ("the file is gone", &|| fs::remove_file(&journal).expect("it was there")),
    ];
    for (what, damage) in damages {
        damage();
        let output = serve(world.folder(), &world.data());
        eprintln!("{what}: {}", String::from_utf8_lossy(&output.stderr));
        assert_refused(&output, &[&log.display().to_string(), "damaged", "restore"]);
        fs::remove_dir_all(&log).and_then(|()| fs::rename(copy(&whole), &log)).expect("the log is put back");
    }
    world.restart().await;
    check(&world, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_gone_is_told_and_its_readers_stop() {
    let (mut world, _) = world().await;
    world.stop().await;
    fs::remove_dir_all(world.data().join("log")).expect("it was there");
    world.restart().await;
    let audit = world.get("audit").await.ok();
    let lost = list(&audit["events"]).iter().find(|event| event["type"] == "topic.lost");
    assert_eq!(lost.expect("the loss is told")["topic"], "counters", "{audit}");
    let failed = world.until_phase("counts", 1, "Serving").await;
    until("the reader has stopped", async || {
        let seen = world.version("counts", 1).await;
        if seen["run"] == "Failed" { Ok(()) } else { Err(seen) }
    })
    .await;
    assert_eq!(failed["role"], "Serving", "it goes on serving what it has");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_catalog_is_never_opened_as_a_shorter_or_an_empty_one() {
    let (mut world, ledger) = world().await;
    world.stop().await;
    let catalog = world.data().join("catalog");
    let whole = copy(&catalog);
    let db = catalog.join("db");
    let damages: [(&str, &dyn Fn()); 3] = [
        ("its end is gone", &|| cut_in_half(&db)),
        ("zeros", &|| fs::write(&db, vec![0; 1 << 20]).expect("a file")),
        ("the file is gone", &|| fs::remove_file(&db).expect("it was there")),
    ];
    for (what, damage) in damages {
        damage();
        let output = serve(world.folder(), &world.data());
        eprintln!("{what}: {}", String::from_utf8_lossy(&output.stderr));
        assert_refused(&output, &["the catalog", &catalog.display().to_string()]);
        fs::remove_dir_all(&catalog)
            .and_then(|()| fs::rename(copy(&whole), &catalog))
            .expect("the catalog is put back");
    }
    world.restart().await;
    check(&world, &ledger).await;
}

/// The newest file of that kind in a folder.
fn newest(folder: &Path, extension: &str) -> PathBuf {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.extension().is_some_and(|e| e == extension)).max().expect("there is one")
}

/// How much of a file holds something: it may end in a long hole.
fn used(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("a file");
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// Spoils some bytes in the middle of what a file holds.
fn damage(path: &Path) {
    let at = used(path) / 2;
    let file = fs::File::options().write(true).open(path).expect("a file");
    file.write_all_at(&[0xff; 64], at).expect("it is written");
}

fn cut_in_half(path: &Path) {
    let half = used(path) / 2;
    fs::File::options().write(true).open(path).and_then(|file| file.set_len(half)).expect("it is cut");
}

/// Spoils every file below a folder.
fn damage_all(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { damage_all(&path) } else { damage(&path) }
    }
}

/// A copy of a folder, beside it.
fn copy(folder: &Path) -> PathBuf {
    let copy = folder.with_file_name(format!("copy-{}", fastrand::u64(..)));
    copy_into(folder, &copy);
    copy
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_into(&path, &target)
        } else {
            let _ = fs::copy(&path, &target).expect("a copy");
        }
    }
}
