//! Clients of the Postgres protocol: `psql`, Python with SQLAlchemy, its drivers, asyncpg and pandas, and Java's driver.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::maven::jars;
use crate::python::{python, scripts};
use crate::world::free_port;
use crate::{Called, Setup, repository};

/// The version of Java's driver.
const JDBC: &str = "42.7.8";

/// Where a test's server takes Postgres clients.
#[derive(Debug, Clone, Copy)]
pub struct Postgres {
    port: u16,
}

impl Default for Postgres {
    fn default() -> Self {
        Postgres { port: free_port() }
    }
}

impl Postgres {
    /// A free port.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a server is told to listen there.
    pub fn setup(&self) -> Setup {
        let toml = format!("[postgres]\nlisten = \"127.0.0.1:{}\"\nmax_connections = 8\n", self.port);
        Setup { toml, environment: Vec::new() }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `psql` with these commands, one after the other in one session; it ends at the first that fails.
    pub async fn psql(&self, commands: &[&str]) -> Called {
        let mut psql = self.command(&["-X", "-v", "ON_ERROR_STOP=1", "-P", "pager=off"]);
        for command in commands {
            psql.args(["-c", command]);
        }
        let output = tokio::task::spawn_blocking(move || psql.output()).await.expect("no panic within");
        Called::from(output.expect("psql is installed: see tests/run"))
    }

    /// The rows of a query, their values joined by `|`.
    pub async fn rows(&self, query: &str) -> Vec<String> {
        let mut psql = self.command(&["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", query]);
        let output = tokio::task::spawn_blocking(move || psql.output()).await.expect("no panic within");
        let called = Called::from(output.expect("psql is installed: see tests/run")).exits(0);
        called.stdout.lines().map(str::to_owned).collect()
    }

    /// A `psql` that runs on while the test does something else.
    pub fn start(&self, query: &str) -> Child {
        let mut psql = self.command(&["-X", "-A", "-t", "-c", query]);
        psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("psql is installed: see tests/run")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut psql = Command::new("psql");
        psql.args(["-h", "127.0.0.1", "-U", "tester", "-d", "rekap", "-p"]).arg(self.port.to_string()).args(arguments);
        psql.env("PGCONNECT_TIMEOUT", "10").env("PGAPPNAME", "psql").env_remove("PGSSLMODE").stdin(Stdio::null());
        psql
    }

    /// The answers of SQLAlchemy and pandas to these questions: a name, and its arguments.
    pub async fn python(&self, questions: &Value) -> Vec<Value> {
        let mut script = Command::new(python());
        script.arg(scripts().join("pg.py")).arg(self.url()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let request = questions.to_string();
        let run = move || {
            let mut script = script.spawn().expect("python starts");
            script.stdin.take().expect("a pipe").write_all(request.as_bytes()).expect("the script reads");
            script.wait_with_output().expect("the script ends")
        };
        let output = tokio::task::spawn_blocking(run).await.expect("no panic within");
        assert!(output.status.success(), "pg.py failed on {questions}");
        serde_json::from_slice(&output.stdout).expect("the script prints an answer for each question")
    }

    /// A client that reads a table all the time.
    pub fn follow(&self, table: &str) -> Follower {
        let mut script = Command::new(python())
            .arg(scripts().join("pg.py"))
            .args([self.url().as_str(), "follow", table])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let told = BufReader::new(script.stdout.take().expect("a pipe"));
        let counts: Counts = Arc::default();
        let mixed = Arc::new(AtomicBool::new(false));
        let (noted, has_mixed) = (counts.clone(), mixed.clone());
        let reading = std::thread::Builder::new().name("postgres follower".into()).spawn(move || {
            for line in told.lines() {
                let versions: Vec<u64> = serde_json::from_str(&line.expect("text")).expect("a list of versions");
                has_mixed.fetch_or(versions.len() != 1, Ordering::Relaxed);
                for version in versions {
                    noted[usize::try_from(version).expect("a version")].fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let reading = reading.expect("a thread starts");
        Follower { script, reading: Some(reading), counts, mixed }
    }

    /// Python's drivers, each of which runs this query by one prepared statement as often as it is asked.
    pub fn python_again(&self, query: &str) -> Asking {
        let mut script = Command::new(python());
        script.arg(scripts().join("pg.py")).args([self.url().as_str(), "again", query]);
        Asking::start(script)
    }

    /// Java's driver: it says what it finds out about tables, and then runs one prepared statement as often as it is asked.
    pub fn java(&self) -> Asking {
        let jars = jars(&format!("jdbc-{JDBC}"), &[("org.postgresql", "postgresql", JDBC)]);
        let mut program = Command::new("java");
        program.arg("-cp").arg(format!("{}/*", jars.display())).arg(repository().join("tests/java/Jdbc.java"));
        program.arg(format!("jdbc:postgresql://127.0.0.1:{}/rekap?user=tester", self.port));
        Asking::start(program)
    }

    fn url(&self) -> String {
        format!("postgresql+psycopg://tester@127.0.0.1:{}/rekap", self.port)
    }
}

/// A client that answers a line for each line that it is sent.
#[derive(Debug)]
pub struct Asking {
    script: Child,
    told: BufReader<ChildStdout>,
}

impl Asking {
    fn start(mut script: Command) -> Self {
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the client starts");
        let told = BufReader::new(script.stdout.take().expect("a pipe"));
        Asking { script, told }
    }

    /// The next line that it says.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.told.read_line(&mut line).expect("text");
        assert!(!line.is_empty(), "the client has ended");
        line.trim_end().to_owned()
    }

    /// Asks once more, and gives its answer.
    pub fn ask(&mut self) -> String {
        self.script.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("the client listens");
        self.hear()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        if std::thread::panicking() {
            _ = self.script.kill();
        }
        _ = self.script.wait();
    }
}

/// How often each version was read.
type Counts = Arc<[AtomicU64; 4]>;

/// A client that reads a table all the time, in a process of its own.
#[derive(Debug)]
pub struct Follower {
    script: Child,
    reading: Option<JoinHandle<()>>,
    counts: Counts,
    mixed: Arc<AtomicBool>,
}

impl Follower {
    /// How often the version was read so far.
    pub fn read(&self, version: usize) -> u64 {
        self.counts[version].load(Ordering::Relaxed)
    }

    /// Ends it; fails when any read failed, or had rows of two versions.
    pub fn stop(mut self) {
        drop(self.script.stdin.take());
        self.reading.take().expect("it is stopped once").join().expect("every line is a list of versions");
        let ended = self.script.wait().expect("the script ends");
        assert!(ended.success(), "a read failed: {ended}");
        assert!(!self.mixed.load(Ordering::Relaxed), "a read had rows of several versions, or none");
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if self.reading.is_some() {
            _ = self.script.kill();
            _ = self.script.wait();
        }
    }
}
