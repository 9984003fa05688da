//! The README's ways in: its commands, run as they stand there.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use rekap_tests::{rekap, repository};

/// The commands of a section, in their order.
fn commands(section: &str) -> String {
    let readme = fs::read_to_string(repository().join("README.md")).expect("a README");
    let text = readme.split_once(&format!("## {section}\n")).expect("the README has the section").1;
    let text = text.split("\n## ").next().expect("a text has a first part");
    let blocks: Vec<&str> = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 2, "the section has commands");
    blocks.join("\n")
}

/// Runs the commands of a section in an empty folder, beside which only the repository's documentation lies, and answers what they print.
async fn run(section: &str) -> String {
    let folder = tempfile::Builder::new().prefix("rekap-visit-").tempdir().expect("a temporary folder");
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    symlink(rekap(), bin.join("rekap")).expect("a link");
    symlink(repository().join("docs"), folder.path().join("docs")).expect("a link");
    // The server is a child of the shell, which ends it in the end; the free port is the only difference to a visitor's machine.
    let port = free_port();
    let script = format!("set -eu\ntrap 'kill $(jobs -p)' EXIT\n{}\necho done: $?\n", commands(section));
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a PATH"));
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(folder.path()).env("PATH", path).env("NO_COLOR", "1");
    shell.env("REKAP_URL", format!("http://127.0.0.1:{port}"));
    shell.env("REKAP__SERVER__LISTEN", format!("127.0.0.1:{port}")).stdin(Stdio::null());
    let output =
        tokio::task::spawn_blocking(move || shell.output()).await.expect("no panic within").expect("bash runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
    stdout.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_five_minutes_work_as_they_stand() {
    let printed = run("Five minutes").await;
    for part in ["pass: 0 same, 30 changed, 0 added, 0 removed", "bpi@2 serves", "bpi@1 serves"] {
        assert!(printed.contains(part), "no `{part}` in\n{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_way_from_a_csv_to_a_promoted_version_works_as_it_stands() {
    let printed = run("Your own data").await;
    for part in ["fares@2 serves", "fares@1 serves", "euros_per_km", "mean_km"] {
        assert!(printed.contains(part), "no `{part}` in\n{printed}");
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
