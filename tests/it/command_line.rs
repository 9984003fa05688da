//! The command line: every verb goes through the API, and its exit code says how it went.

use std::fs;
use std::path::Path;

use rekap_tests::{Cli, World};
use serde_json::{Value, json};

const EVENTS: &str = "{\"currency\":\"EUR\",\"price\":1.5}\n{\"currency\":\"USD\",\"price\":2.5}\n{\"currency\":\"EUR\",\"price\":2.5}\n";

const FIRST: &str = "SELECT currency, count(*) AS n, avg(price) AS price FROM ticks GROUP BY currency";

const SECOND: &str = "SELECT currency, count(*) AS n, max(price) AS price FROM ticks GROUP BY currency";

const SPEC: &str =
    "name = \"bpi\"\n\n[inputs.ticks]\ntopic = \"ticks\"\n\n[promote]\nmax_lag = \"5s\"\nready_for = \"100ms\"\n";

/// Runs a verb that must go well, and gives what it printed as JSON.
async fn done(world: &World, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    world.cli(&arguments).run().await.exits(0).json()
}

/// Writes a job folder.
fn job_folder(folder: &Path, query: &str) -> String {
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("job.toml"), SPEC).expect("a file");
    fs::write(folder.join("query.sql"), query).expect("a file");
    folder.to_str().expect("UTF-8").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_loop_is_walked_from_the_command_line() {
    let world = World::start().await;
    let events = world.folder().join("events.ndjson");
    fs::write(&events, EVENTS).expect("a file");
    let schema = world.folder().join("schema.json");
    let properties = json!({"currency": {"type": "string"}, "price": {"type": "number"}});
    fs::write(&schema, json!({"type": "object", "properties": properties}).to_string()).expect("a file");
    let (events, schema) = (events.to_str().expect("UTF-8"), schema.to_str().expect("UTF-8"));

    done(&world, &["topic", "create", "ticks", "--partitions", "2", "--key", "currency", "--schema", schema]).await;
    assert_eq!(done(&world, &["topic", "append", "ticks", events]).await["appended"], 3);
    assert_eq!(done(&world, &["topic", "show", "ticks"]).await["topic"], "ticks");
    let read = world.cli(&["topic", "read", "ticks"]).run().await.exits(0);
    assert_eq!(read.stdout.lines().count(), 3, "{}", read.stdout);

    let job = job_folder(&world.folder().join("bpi"), FIRST);
    world.cli(&["plan", &job, "--exit-code"]).run().await.exits(10);
    assert_eq!(done(&world, &["deploy", &job]).await["version"], 1);
    world.cli(&["wait", "bpi@1", "--for", "Serving", "--timeout", "30s"]).run().await.exits(0);
    world.cli(&["plan", &job, "--exit-code"]).run().await.exits(0);
    let rows = done(&world, &["rows", "bpi"]).await;
    assert_eq!(
        rows["rows"],
        json!([{"currency": "EUR", "n": 2, "price": 2.0}, {"currency": "USD", "n": 1, "price": 2.5}])
    );

    let second = job_folder(&world.folder().join("bpi"), SECOND);
    assert_eq!(done(&world, &["deploy", &second]).await["version"], 2);
    world.cli(&["wait", "bpi@2", "--for", "Ready", "--timeout", "30s"]).run().await.exits(0);
    assert_eq!(done(&world, &["promote", "bpi@2"]).await["serving"], 2);
    assert_eq!(done(&world, &["rows", "bpi", "currency=EUR"]).await["rows"][0]["price"], 2.5);
    assert_eq!(done(&world, &["rollback", "bpi", "--note", "wrong formula"]).await["serving"], 1);
    assert_eq!(done(&world, &["jobs"]).await["jobs"][0]["serving"], 1);
    done(&world, &["mirror", "flush", "ticks"]).await;
    let history = done(&world, &["history", "bpi"]).await;
    assert!(history.to_string().contains("wrong formula"), "the note is kept: {history}");
    let sql = done(&world, &["sql", "SELECT sum(n) AS n FROM live.bpi"]).await;
    assert_eq!(sql["rows"], json!([{"n": 3}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_prints_something_a_person_can_read() {
    let world = World::start().await;
    let events = world.folder().join("events.ndjson");
    fs::write(&events, EVENTS).expect("a file");
    world.cli(&["topic", "create", "ticks", "--key", "currency"]).run().await.exits(0);
    world.cli(&["topic", "append", "ticks", events.to_str().expect("UTF-8")]).run().await.exits(0);
    let columns = "[inputs.ticks.columns]\ncurrency = \"text\"\nprice = \"double\"\n";
    let folder = world.folder().join("bpi");
    let job = job_folder(&folder, FIRST);
    fs::write(folder.join("job.toml"), format!("{SPEC}\n{columns}")).expect("a file");
    world.cli(&["deploy", &job]).run().await.exits(0);
    world.cli(&["wait", "bpi@1", "--for", "Serving"]).run().await.exits(0);
    let verbs: [(&[&str], &str); 8] = [
        (&["topic", "list"], "ticks"),
        (&["topic", "show", "ticks"], "ticks"),
        (&["topic", "read", "ticks", "-n", "1"], "currency"),
        (&["jobs"], "bpi"),
        (&["versions", "bpi"], "Serving"),
        (&["rows", "bpi"], "EUR"),
        (&["history", "bpi"], "version.deployed"),
        (&["mirror", "status"], "ticks"),
    ];
    for (verb, said) in verbs {
        let called = world.cli(verb).run().await.exits(0);
        assert!(
            called.stdout.contains(said),
            "`rekap {}` says nothing of `{said}`:\n{}",
            verb.join(" "),
            called.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_a_script_how_it_went() {
    let world = World::start().await;
    let job =
        job_folder(&world.folder().join("bpi"), "SELECT _key, now() AS at, count(*) AS n FROM ticks GROUP BY _key");
    world.cli(&["topic", "create", "ticks"]).run().await.exits(0);
    world.cli(&["jobs", "--colour"]).run().await.exits(2);
    world.cli(&["strange"]).run().await.exits(2);
    world.cli(&["promote", "bpi"]).run().await.exits(2);
    let refused = world.cli(&["deploy", &job]).run().await.exits(3);
    assert!(refused.stderr.contains("now()"), "the refusal names what is wrong:\n{}", refused.stderr);
    world.cli(&["topic", "show", "nothing"]).run().await.exits(1);
    Cli::new("http://127.0.0.1:1", &["jobs"]).run().await.exits(4);
    fs::create_dir_all(world.folder().join("bad")).expect("a folder");
    let bad = world.folder().join("bad").to_str().expect("UTF-8").to_owned();
    for (job_file, says, remedy) in [
        ("name = ", "job.toml", "correct the TOML"),
        ("query = \"query.sql\"", "`name` is missing", "write name"),
        ("name = \"bad\"\nquery = \"nope.sql\"", "nope.sql is not there", "write the SELECT there"),
    ] {
        fs::write(world.folder().join("bad/job.toml"), job_file).expect("a file");
        let told = world.cli(&["deploy", &bad]).run().await.exits(2);
        assert!(told.stderr.contains(says) && told.stderr.contains(remedy), "{job_file}: {}", told.stderr);
    }
    let nowhere = world.cli(&["plan", "/nowhere/at/all"]).run().await.exits(2);
    assert!(nowhere.stderr.contains("/nowhere/at/all") && nowhere.stderr.contains("rekap new"), "{}", nowhere.stderr);
    let good = job_folder(&world.folder().join("bpi"), "SELECT _key, count(*) AS n FROM ticks GROUP BY _key");
    world.cli(&["deploy", &good]).run().await.exits(0);
    world.cli(&["wait", "bpi@1", "--for", "Retired", "--timeout", "200ms"]).run().await.exits(5);
    world.cli(&["rollback", "bpi"]).run().await.exits(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_tells_its_commit_and_the_formats_that_it_writes() {
    let told = Cli::new("http://127.0.0.1:1", &["--version"]).run().await.exits(0).stdout;
    let commit = told.lines().find_map(|line| line.strip_prefix("commit: ")).expect("a line of the commit");
    assert!(commit == "unknown" || (commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit())), "{told}");
    assert!(told.contains("formats: "), "{told}");
}

/// A file whose events go in several requests, with one bad line near its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_off_says_which_line_is_bad_what_landed_and_how_to_go_on() {
    let world = World::start().await;
    let file = world.folder().join("big.ndjson");
    let filler = "x".repeat(1000);
    let line = |n: usize| format!("{{\"k\":{n},\"filler\":\"{filler}\"}}");
    let mut lines: Vec<String> = (1..=6000).map(line).collect();
    lines[5500] = "{bad".to_owned();
    fs::write(&file, lines.join("\n")).expect("a file");
    let path = file.to_str().expect("UTF-8");
    done(&world, &["topic", "create", "big"]).await;
    let end = async || world.get("topics/big").await.ok()["partitions"][0]["end"].as_u64().expect("an end");

    let told = world.cli(&["topic", "append", "big", path, "--json"]).run().await.exits(3);
    let problem: Value = serde_json::from_str(&told.stderr).expect("one line of JSON");
    let landed = end().await;
    assert!((1..5500).contains(&landed), "some pieces landed: {landed}");
    let place = (&problem["line"], &problem["index"], &problem["appended_lines"]);
    assert_eq!(place, (&json!(5501), &json!(5500), &json!(landed)), "{problem}");
    assert!(
        problem["detail"].as_str().expect("text").contains(&format!("lines 1 to {landed} are appended")),
        "{problem}"
    );
    let skip = landed.to_string();
    assert!(problem["remedy"].as_str().expect("text").contains(&format!("--skip {skip}")), "{problem}");

    lines[5500] = line(5501);
    fs::write(&file, lines.join("\n")).expect("a file");
    // With a key of its own the first request of it happens once, however often it is sent.
    let rest = done(&world, &["topic", "append", "big", path, "--skip", &skip, "--key", "once"]).await;
    assert_eq!((rest["appended"].as_u64(), end().await), (Some(6000 - landed), 6000));
    done(&world, &["topic", "append", "big", path, "--skip", &skip, "--key", "once"]).await;
    assert_eq!(end().await, 6000);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_there_are_named_and_a_plan_may_go_to_the_standard_output() {
    let world = World::start().await;
    let folder = world.folder().to_str().expect("UTF-8").to_owned();
    let made = world.cli(&["topic", "create", "ticks"]).run().await.exits(0);
    assert!(made.stdout.contains("ticks is made"), "{}", made.stdout);
    let same = world.cli(&["topic", "create", "ticks"]).run().await.exits(0);
    assert!(same.stdout.contains("stays as it is"), "{}", same.stdout);
    let changed = world.cli(&["topic", "create", "ticks", "--partitions", "2"]).run().await.exits(0);
    assert!(changed.stdout.contains("is changed"), "{}", changed.stdout);
    for (verb, says) in [
        (&["topic", "append", "ticks", "/nope"][..], "/nope is not there"),
        (&["topic", "append", "ticks", &folder], "is a folder"),
        (&["topic", "create", "other", "--schema", "/nope.json"], "/nope.json is not there"),
    ] {
        let told = world.cli(verb).run().await.exits(2);
        assert!(told.stderr.contains(says) && told.stderr.contains("→"), "{}", told.stderr);
    }
    let marked = world.folder().join("marked.ndjson");
    fs::write(&marked, format!("\u{feff}{EVENTS}")).expect("a file");
    assert_eq!(done(&world, &["topic", "append", "ticks", marked.to_str().expect("UTF-8")]).await["appended"], 3);

    let count = "SELECT _key, count(*) AS n FROM ticks GROUP BY _key";
    let job = job_folder(&world.folder().join("bpi"), &format!("\u{feff}{count}\r\n"));
    assert_eq!(done(&world, &["deploy", &job]).await["version"], 1);
    world.cli(&["wait", "bpi@1", "--for", "Serving"]).run().await.exits(0);
    let printed = world.cli(&["plan", &job, "-o", "-"]).run().await.exits(0);
    assert_eq!(printed.json()["changes"], false);
    assert!(!Path::new("-").exists());
    let rebuilt = done(&world, &["plan", &job, "--rebuild"]).await;
    assert_eq!((&rebuilt["changes"], &rebuilt["version"], &rebuilt["records"]), (&json!(true), &json!(2), &json!(3)));
    let same = job_folder(&world.folder().join("bpi"), count);
    assert_eq!(done(&world, &["deploy", &same]).await["version"], 1, "no other version for the end of a line");

    let past = ["freeze", "bpi", "--until", "2000-01-01T00:00:00Z"];
    let ended = world.cli(&past).run().await.exits(0);
    assert!(ended.stdout.contains("is not frozen any more"), "{}", ended.stdout);
    let audit = world.cli(&["audit", "verify"]).run().await.exits(0);
    assert!(audit.stdout.starts_with("intact: "), "{}", audit.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_a_page_has_are_fetched_page_by_page() {
    let world = World::start().await;
    done(&world, &["topic", "create", "many"]).await;
    let events: String = (0..10_050).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    world.post_bytes("topics/many/records", rekap_tests::NDJSON, events).await.ok();
    let folder = world.folder().join("all");
    fs::create_dir_all(&folder).expect("a folder");
    let spec = "name = \"all\"\nkey = [\"o\"]\n\n[inputs.many]\ntopic = \"many\"\n";
    fs::write(folder.join("job.toml"), spec).expect("a file");
    fs::write(folder.join("query.sql"), "SELECT _offset AS o, _value AS v FROM many").expect("a file");
    done(&world, &["deploy", folder.to_str().expect("UTF-8")]).await;
    world.cli(&["wait", "all@1", "--for", "Serving"]).run().await.exits(0);
    let rows = done(&world, &["rows", "all", "-n", "10040"]).await;
    let rows_of = |answer: &Value| answer["rows"].as_array().map_or(0, Vec::len);
    assert_eq!((rows_of(&rows), rows["next_cursor"].is_string()), (10_040, true));
    let rows = done(&world, &["rows", "all", "-n", "20000"]).await;
    assert_eq!((rows_of(&rows), rows["next_cursor"].is_string()), (10_050, false));
}
