//! A server of the test's own: started as a child process on a free port, killed, started again, and gone with the test.

use std::fs::{self, File};
use std::net::TcpListener;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::power::Power;
use crate::{Cli, Client, Kafka, rekap, steps, until, until_within};

/// How long a server may take until it is ready, recovery included.
const READY: Duration = Duration::from_secs(60);

/// How many of the server's last log lines a failing test shows.
const LOG_LINES_SHOWN: usize = 60;

/// What a test's server is told in its `rekap.toml`, beside its folder and port.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// When the mirror takes the newest records at the latest. The default leaves mirroring to the test's own `POST …/mirror`.
    pub mirror_max_age: &'static str,
    /// How large a file of the mirror may get.
    pub mirror_max_bytes: &'static str,
    /// Further lines of `[server]`.
    pub server: &'static str,
    /// Further sections.
    pub more: &'static str,
    /// What the tiers that the test brings add to it.
    pub setups: Vec<Setup>,
}

/// What a part of a test's world (a bucket, a cluster) adds to what the server is told.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Whole sections of `rekap.toml`, which no other part writes.
    pub toml: String,
    /// Variables of the server's environment.
    pub environment: Vec<(&'static str, String)>,
}

impl Kafka {
    /// What a server is told to have its log in this broker.
    pub fn setup(&self) -> Setup {
        let toml = format!("[log]\nkind = \"kafka\"\nbootstrap = \"{}\"\n", self.bootstrap());
        Setup { toml, environment: Vec::new() }
    }
}

impl Default for WorldConfig {
    fn default() -> Self {
        WorldConfig { mirror_max_age: "1h", mirror_max_bytes: "128MB", server: "", more: "", setups: Vec::new() }
    }
}

impl WorldConfig {
    /// The same, on a tier that the test brings.
    pub fn on(mut self, tier: Setup) -> Self {
        self.setups.push(tier);
        self
    }
}

/// A running server with a data folder of its own. All of the [`Client`]'s requests can be asked of it.
#[derive(Debug)]
pub struct World {
    folder: Option<TempDir>,
    client: Client,
    environment: Vec<(&'static str, String)>,
    server: Option<Child>,
    power: Option<Power>,
}

impl Deref for World {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl World {
    /// A fresh server, ready.
    pub async fn start() -> Self {
        Self::with(WorldConfig::default()).await
    }

    /// A fresh server that is told this, ready.
    pub async fn with(config: WorldConfig) -> Self {
        let mut world = World::new(config);
        world.restart().await;
        world
    }

    /// A fresh server, ready, whose power can be cut.
    pub async fn with_power(config: WorldConfig) -> Self {
        let mut world = World::new(config);
        world.power = Some(Power::watch(&world.data()));
        world.restart().await;
        world
    }

    /// A folder with a configuration; no server yet.
    pub fn new(config: WorldConfig) -> Self {
        let folder = tempfile::Builder::new().prefix("rekap-").tempdir().expect("a temporary folder");
        let port = free_port();
        fs::write(folder.path().join("rekap.toml"), config.to_toml(port)).expect("a file in the temporary folder");
        let client = Client::new(&format!("http://127.0.0.1:{port}"));
        World { folder: Some(folder), client, environment: config.environment(), server: None, power: None }
    }

    /// Starts the server on the data that is there, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.launch();
        self.until_ready().await;
    }

    /// Starts the server without waiting until it is ready.
    pub fn launch(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let log = File::options().create(true).append(true).open(self.log_file()).expect("a log file");
        let server = Command::new(rekap())
            .args(["serve", "--config", "rekap.toml"])
            .current_dir(self.folder())
            .env("RUST_BACKTRACE", "1")
            .envs([steps::environment(self.folder())])
            .envs(self.power.iter().flat_map(Power::environment))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one more handle"))
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        self.server = Some(server);
    }

    /// Waits until `/readyz` answers 200; fails at once when the server ends instead.
    pub async fn until_ready(&mut self) {
        let client = self.client.clone();
        let server = self.server.as_mut().expect("a server was started");
        until_within(READY, "the server is ready", async || {
            let ended = server.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "the server ended at its start: {ended:?}");
            match client.request(reqwest::Method::GET, "/readyz").try_answer().await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.to_string()),
                Err(unreachable) => Err(unreachable.to_string()),
            }
        })
        .await;
    }

    /// `kill -9`: the process is gone between two instructions.
    pub fn kill(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        server.kill().expect("a child can be killed");
        server.wait().expect("a killed child ends");
    }

    /// The machine stops: the process is gone, and with it all that was not synced to the disk.
    pub fn cut_power(&mut self) {
        self.kill();
        self.power.as_ref().expect("a world with power").cut();
    }

    /// The server's process, which runs.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().expect("the server runs").id()
    }

    pub(crate) fn take_server(&mut self) -> Child {
        self.server.take().expect("the server runs")
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Asks the server to stop, as a service manager does, and answers how long it took; fails when it does not end well.
    pub async fn stop(&mut self) -> Duration {
        let asked = Instant::now();
        let mut server = self.server.take().expect("the server runs");
        Command::new("kill").args(["-TERM", &server.id().to_string()]).status().expect("`kill` is there");
        let ended = until("the server ends when asked to", async || {
            server.try_wait().expect("a child can be asked").ok_or("it still runs")
        })
        .await;
        assert!(ended.success(), "a server that was asked to stop ends with {ended}");
        asked.elapsed()
    }

    /// The client, to be moved into a task of its own.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A call of the command line against this server.
    pub fn cli(&self, arguments: &[&str]) -> Cli {
        Cli::new(self.url(), arguments)
    }

    /// The process id of the server.
    pub fn server_id(&self) -> u32 {
        self.server.as_ref().expect("the server runs").id()
    }

    /// The server's folder: its `rekap.toml`, its log, its data.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("the folder lives as long as the world").path()
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join("server.log")
    }

    fn show_and_keep(&mut self) {
        let log = fs::read(self.log_file()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        if let Some(folder) = self.folder.take() {
            eprintln!(
                "--- the server's last log lines\n{}\n--- all is kept in {}",
                last.join("\n"),
                folder.keep().display()
            );
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.kill();
        }
        if std::thread::panicking() {
            self.show_and_keep();
        }
    }
}

impl WorldConfig {
    fn to_toml(&self, port: u16) -> String {
        let WorldConfig { mirror_max_age, mirror_max_bytes, server, more, setups } = self;
        let tiers: String = setups.iter().map(|setup| setup.toml.as_str()).collect();
        format!(
            "data = \"./data\"\n\
             [server]\nlisten = \"127.0.0.1:{port}\"\n{server}\
             [mirror]\nmax_age = \"{mirror_max_age}\"\nmax_bytes = \"{mirror_max_bytes}\"\n{more}{tiers}"
        )
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        self.setups.iter().flat_map(|setup| setup.environment.clone()).collect()
    }
}

/// A port that nothing listens on, below those that the system gives to clients: one of these could take it while the server is down.
pub(crate) fn free_port() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(20_000..32_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("the iterator has no end")
}
