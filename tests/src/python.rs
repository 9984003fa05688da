//! The Python that the tests compare with: its packages are pinned, installed at first need, and kept in cargo's target folder.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::binary::repository;
use crate::target::target_folder;

/// Runs a script of `tests/py` on a request, and answers what it prints.
pub async fn run_python(script: &'static str, request: &Value) -> String {
    let request = request.to_string();
    tokio::task::spawn_blocking(move || run(script, &request)).await.expect("no panic within")
}

fn run(script: &str, request: &str) -> String {
    let mut running = Command::new(python())
        .arg(scripts().join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    running.stdin.take().expect("a pipe").write_all(request.as_bytes()).expect("the script reads its request");
    let output = running.wait_with_output().expect("the script ends");
    let told: String = request.chars().take(2000).collect();
    assert!(output.status.success(), "{script} failed on {told}");
    String::from_utf8(output.stdout).expect("JSON is UTF-8")
}

pub(crate) fn scripts() -> PathBuf {
    repository().join("tests/py")
}

/// That Python itself.
pub fn python() -> &'static Path {
    static READY: OnceLock<PathBuf> = OnceLock::new();
    READY.get_or_init(|| {
        let venv = target_folder().join("python");
        let status = Command::new(scripts().join("venv")).arg(&venv).status().expect("tests/py/venv runs");
        assert!(status.success(), "tests/py/venv could not install what the tests compare with");
        venv.join("bin/python")
    })
}
