//! The `rekap` binary under test, and its command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::target::target_folder;

/// The binary under test: `REKAP_BIN`, else the one that cargo built with these tests.
pub fn rekap() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let built = || target_folder().join("release/rekap-under-test");
        std::env::var_os("REKAP_BIN").map_or_else(built, PathBuf::from)
    })
}

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the repository")
}

/// A call of the command line.
#[derive(Debug)]
pub struct Cli(Command);

/// What a call of the command line gave.
#[derive(Debug)]
pub struct Called {
    /// The exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Cli {
    /// `rekap` with these arguments, talking to the server at `url`.
    pub fn new(url: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(rekap());
        command.args(arguments).env("REKAP_URL", url).env("NO_COLOR", "1").current_dir(repository());
        Cli(command)
    }

    /// Runs in another folder than the repository's root.
    pub fn within(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs with these variables.
    pub fn with(mut self, environment: &[(&'static str, String)]) -> Self {
        self.0.envs(environment.iter().map(|(name, value)| (name, value)));
        self
    }

    /// Runs with a file as its standard input.
    pub fn reading(mut self, file: &Path) -> Self {
        self.0.stdin(std::fs::File::open(file).expect("the file is there"));
        self
    }

    /// Runs it to its end, off the async threads.
    pub async fn run(mut self) -> Called {
        let output = tokio::task::spawn_blocking(move || self.0.output()).await.expect("no panic within");
        Called::from(output.expect("the binary starts"))
    }
}

impl From<Output> for Called {
    fn from(output: Output) -> Self {
        Called {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Called {
    /// Checks the exit code, and shows all output when it is another.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// What it printed, as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("--json printed no JSON ({e}):\n{}", self.stdout))
    }
}
