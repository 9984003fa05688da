//! `rekap quickstart`: the whole loop in half a minute, with nothing set up.

use std::time::Duration;

use rekap_tests::Cli;
use tokio::time::Instant;

/// What a newcomer is willing to wait.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn the_quickstart_proves_the_whole_loop_in_half_a_minute_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let started = Instant::now();
    let called = Cli::new("http://127.0.0.1:1", &["quickstart"]).within(folder.path()).run().await.exits(0);
    assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
    let said = called.stdout.to_lowercase();
    for word in ["bpi@1", "bpi@2", "mirror", "replay", "verif", "promot", "rolled back", "proved"] {
        assert!(said.contains(word), "it says nothing of `{word}`:\n{}", called.stdout);
    }
    let programs = Cli::new("http://127.0.0.1:1", &["quickstart", "--json"]).within(folder.path()).run().await.exits(0);
    for line in programs.stdout.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "no JSON: {line}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder is there").collect();
    assert!(left.is_empty(), "it left {left:?}");
}
