//! A real Apache Kafka for the tests: installed from its Maven artifacts, run as one KRaft broker, gone with the process.
//!
//! Owns a folder of jars below cargo's target folder (kept between runs) and one temporary folder a broker. Each broker runs under a
//! shell that waits for its standard input to end, which is when the process that started it ends, however it ends: then the broker
//! is killed and its folder removed. Uses nothing but the standard library, so that tests of the rooms can take the file in.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::maven::jars;

/// The version that is installed.
const VERSION: &str = "4.1.0";

/// How often a broker that starts is looked at, and how many looks it has: a minute.
const LOOKS: (u32, Duration) = (600, Duration::from_millis(100));

/// What the broker runs under: killed when the input ends; `keep` on the input keeps its folder.
const GUARD: &str = r#"folder=$1; shift; "$@" </dev/null >>"$folder/kafka.log" 2>&1 & broker=$!
read -r word; kill -9 $broker; wait $broker 2>/dev/null; [ "$word" = keep ] || rm -rf "$folder""#;

/// A broker.
#[derive(Debug)]
pub struct Kafka {
    folder: PathBuf,
    port: u16,
    guard: Mutex<Option<Child>>,
}

impl Kafka {
    /// The broker that all tests of this process share. Nobody kills it.
    pub fn shared() -> &'static Kafka {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(Kafka::start)
    }

    /// A broker of the test's own, which it may kill.
    pub fn start() -> Kafka {
        let folder = own_folder();
        let port = free_ports();
        fs::write(folder.join("server.properties"), properties(&folder, port)).expect("a file in the temporary folder");
        let kafka = Kafka { folder, port, guard: Mutex::new(None) };
        let properties = kafka.folder.join("server.properties").display().to_string();
        let cluster = cluster_id();
        let formatted = kafka.tool("kafka.tools.StorageTool", &["format", "-t", &cluster, "-c", &properties]).output();
        let formatted = formatted.expect("java runs");
        assert!(formatted.status.success(), "Kafka's storage cannot be formatted: {formatted:?}");
        kafka.launch();
        kafka
    }

    /// Where clients begin, without credentials.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where clients begin that log in by SASL PLAIN as `rekap` with the password `secret`.
    pub fn sasl_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port + 1)
    }

    /// The broker's folder: its log segments lie in `data/<topic>-<partition>`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the broker on the data that is there, and waits until it listens.
    pub fn launch(&self) {
        let mut guard = self.guard.lock().expect("no holder panics");
        assert!(guard.is_none(), "the broker runs already");
        let java = self.tool("kafka.Kafka", &[&self.folder.join("server.properties").display().to_string()]);
        let mut shell = Command::new("sh");
        shell.args(["-c", GUARD, "guard"]).arg(&self.folder).arg("java").args(java.get_args());
        *guard = Some(shell.stdin(Stdio::piped()).spawn().expect("a shell runs"));
        let listens = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        let up = (0..LOOKS.0).any(|_| listens() || Self::pause());
        let log = || fs::read_to_string(self.folder.join("kafka.log")).unwrap_or_default();
        assert!(up, "Kafka does not listen after a minute; its log:\n{}", log());
    }

    /// `kill -9` of the broker; its data stays for [`Self::launch`].
    pub fn kill(&self) {
        let mut guard = self.guard.lock().expect("no holder panics").take().expect("the broker runs");
        let mut input = guard.stdin.take().expect("the guard's input is a pipe");
        input.write_all(b"keep\n").expect("the guard listens");
        drop(input);
        guard.wait().expect("the guard ends");
    }

    /// One of Kafka's own command-line tools, by its class.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Command {
        let mut java = Command::new("java");
        java.args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]);
        java.arg(format!("{}/*", libraries().display())).arg(class).args(arguments);
        java
    }

    /// Sends lines through Kafka's own console producer: a key, a tab, a value.
    pub fn produce(&self, topic: &str, lines: &[String]) {
        let bootstrap = self.bootstrap();
        let arguments = ["--bootstrap-server", &bootstrap, "--topic", topic, "--property", "parse.key=true"];
        let mut producer = self.tool("org.apache.kafka.tools.ConsoleProducer", &arguments);
        let mut running = producer.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let running = running.as_mut().expect("java runs");
        let mut input = running.stdin.take().expect("its input is a pipe");
        let mut text = lines.join("\n");
        text.push('\n');
        input.write_all(text.as_bytes()).expect("the producer reads");
        drop(input);
        let mut said = String::new();
        let mut errors = running.stderr.take().expect("its errors are a pipe");
        std::io::Read::read_to_string(&mut errors, &mut said).expect("the producer says text");
        let ended = running.wait().expect("the producer ends");
        assert!(ended.success() && !said.contains("ERROR"), "the console producer ended with {ended}: {said}");
    }

    #[allow(clippy::disallowed_methods, reason = "the pause between two looks, in a test that has no runtime yet")]
    fn pause() -> bool {
        std::thread::sleep(LOOKS.1);
        false
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let guard = self.guard.lock().expect("no holder panics").take();
        match guard {
            Some(mut guard) => {
                drop(guard.stdin.take());
                _ = guard.wait();
            }
            None => _ = fs::remove_dir_all(&self.folder),
        }
    }
}

/// The folder with Kafka's jars.
fn libraries() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let artifact = |name| ("org.apache.kafka", name, VERSION);
        jars(&format!("kafka-{VERSION}"), &[artifact("kafka_2.13"), artifact("kafka-tools")])
    })
}

/// A fresh folder, made by this process alone.
fn own_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("rekap-kafka-{}-{number}", std::process::id()));
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

/// 22 characters of base64, as Kafka's identities are.
fn cluster_id() -> String {
    let mut random = random();
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let id: String = (0..21).map(|_| char::from(letters[random() as usize % letters.len()])).collect();
    id + "A"
}

/// The first of three ports in a row on which nothing listens, below those that the system gives to clients.
fn free_ports() -> u16 {
    let mut random = random();
    let mut ports = std::iter::repeat_with(|| 20_000 + (random() % 12_000) as u16);
    let free = |port: &u16| (0..3).all(|i| TcpListener::bind(("127.0.0.1", port + i)).is_ok());
    ports.find(free).expect("the iterator has no end")
}

/// Random numbers of the standard library's own randomness.
fn random() -> impl FnMut() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    let state = RandomState::new();
    let mut count = 0_u64;
    move || {
        count += 1;
        state.hash_one(count)
    }
}

/// Retention looks every half second and deletes at once, so that history is really gone within seconds.
fn properties(folder: &Path, port: u16) -> String {
    let (sasl, controller, data) = (port + 1, port + 2, folder.join("data"));
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl}\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         sasl.enabled.mechanisms=PLAIN\n\
         listener.name.sasl_plaintext.plain.sasl.jaas.config=\
         org.apache.kafka.common.security.plain.PlainLoginModule required user_rekap=\"secret\";\n\
         log.dirs={}\nauto.create.topics.enable=false\ngroup.initial.rebalance.delay.ms=0\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\ntransaction.state.log.num.partitions=1\n\
         log.initial.task.delay.ms=100\nlog.retention.check.interval.ms=500\nlog.segment.delete.delay.ms=0\n\
         log.cleaner.backoff.ms=200\nbroker.session.timeout.ms=1500\nbroker.heartbeat.interval.ms=300\n",
        data.display()
    )
}
