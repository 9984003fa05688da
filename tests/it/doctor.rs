//! `rekap doctor` tells a store that would lose or double records from one that would not, and names the check.

use rekap_tests::{Bucket, Cli, Fault, Kafka, Proxy, Setup};
use serde_json::Value;

/// A call of `rekap doctor --json` for a server that is told this.
async fn doctor(setup: &Setup) -> (i32, Value) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("rekap.toml"), &setup.toml).expect("a file in the temporary folder");
    let called = Cli::new("http://127.0.0.1:1", &["doctor", "--json"]);
    let called = called.within(folder.path()).with(&setup.environment).run().await;
    (called.code, called.json())
}

/// The checks that came out so.
fn named(told: &Value, verdict: &str) -> Vec<String> {
    let checks = told["checks"].as_array().expect("a list of checks").iter();
    checks
        .filter(|check| check["verdict"] == verdict)
        .map(|check| check["check"].as_str().expect("a name").to_owned())
        .collect()
}

/// Checks that one check failed, with this in its remedy.
fn assert_failed((code, told): &(i32, Value), check: &str, remedy: &str) {
    assert_eq!((*code, named(told, "fail")), (1, vec![check.to_owned()]), "{told:#}");
    assert_eq!(told["ok"], false);
    let of =
        told["checks"].as_array().expect("a list").iter().find(|found| found["check"] == check).expect("it failed");
    assert!(of["remedy"].as_str().expect("a text").contains(remedy), "{of:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_keeps_its_promises_passes_and_nothing_is_left_behind() {
    let bucket = Bucket::fresh().await;
    let (code, told) = doctor(&bucket.setup()).await;
    assert_eq!((code, named(&told, "fail")), (0, vec![]), "{told:#}");
    assert!(named(&told, "pass").contains(&"cold-create-only-race".to_owned()), "{told:#}");
    let left = std::fs::read_dir(bucket.folder()).map_or(0, |left| left.count());
    assert_eq!(left, 0, "something is left in the bucket");
    let (code, told) = doctor(&Setup::default()).await;
    assert_eq!((code, named(&told, "fail")), (0, vec![]), "a folder is a store, too: {told:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_conditions_is_refused_by_name() {
    let bucket = Bucket::fresh().await;
    let ignoring = Proxy::before(bucket.endpoint(), |_| Fault::Forgive).await;
    let told = doctor(&bucket.through(ignoring.endpoint()).setup()).await;
    assert_failed(&told, "cold-create-only", "If-None-Match");

    let mut puts = 0;
    let racing = Proxy::before(bucket.endpoint(), move |asked| {
        puts += usize::from(asked.method == "PUT");
        if puts > 2 { Fault::Forgive } else { Fault::Pass }
    })
    .await;
    let told = doctor(&bucket.through(racing.endpoint()).setup()).await;
    assert_failed(&told, "cold-create-only-race", "two writers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_start_on_a_store_that_ignores_conditions() {
    let bucket = Bucket::fresh().await;
    let ignoring = Proxy::before(bucket.endpoint(), |_| Fault::Forgive).await;
    let setup = bucket.through(ignoring.endpoint()).setup();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = format!("[server]\nlisten = \"127.0.0.1:0\"\n{}", setup.toml);
    std::fs::write(folder.path().join("rekap.toml"), config).expect("a file in the temporary folder");
    let called = Cli::new("http://127.0.0.1:1", &["serve"]).within(folder.path()).with(&setup.environment);
    let ended = called.run().await.exits(1);
    assert!(ended.stderr.contains("rekap doctor") && ended.stderr.contains("If-None-Match"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_wrong_keys_and_missing_rights_are_told_apart() {
    let bucket = Bucket::fresh().await;
    assert_failed(&doctor(&bucket.missing().setup()).await, "cold-reachable", "make the bucket");
    assert_failed(&doctor(&bucket.with_wrong_secret().setup()).await, "cold-reachable", "credentials");
    let read_only = Proxy::before(bucket.endpoint(), |asked| match asked.method.as_str() {
        "PUT" => Fault::Refuse(403),
        _ => Fault::Pass,
    })
    .await;
    assert_failed(&doctor(&bucket.through(read_only.endpoint()).setup()).await, "cold-writable", "s3:PutObject");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_tried_out_with_one_record_and_hazards_are_told() {
    let kafka = tokio::task::spawn_blocking(Kafka::shared).await.expect("no panic within");
    let (_, told) = doctor(&kafka.setup()).await;
    let passed = named(&told, "pass");
    for check in ["kafka-reachable", "kafka-topics", "kafka-version", "kafka-write", "kafka-clock"] {
        assert!(passed.iter().any(|name| name == check), "{check}: {told:#}");
    }
    let strict = format!("{}[mirror]\ntopics = [\"no-such-topic\"]\n", kafka.setup().toml);
    let (_, told) = doctor(&Setup { toml: strict, ..Setup::default() }).await;
    assert!(named(&told, "warn").contains(&"kafka-topics".to_owned()), "{told:#}");
    let nobody = Setup { toml: "[log]\nkind = \"kafka\"\nbootstrap = \"127.0.0.1:1\"\n".into(), ..Setup::default() };
    assert_failed(&doctor(&nobody).await, "kafka-reachable", "start the brokers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_names_no_place_is_a_usage_error() {
    let setup = Setup { toml: "[cold]\nurl = \"gs://lake\"\n".into(), ..Setup::default() };
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("rekap.toml"), &setup.toml).expect("a file in the temporary folder");
    let called = Cli::new("http://127.0.0.1:1", &["doctor"]).within(folder.path()).run().await.exits(2);
    assert!(called.stderr.contains("s3://bucket/prefix"), "{}", called.stderr);
}
