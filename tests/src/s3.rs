//! A real S3 server for the tests: installed at first need, one per test process, gone with it. Its buckets are folders, so a test can
//! also look at what lies there, or change it, behind the server's back.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rekap_tiered_storage::{BucketKeys, ColdLocation};
use serde_json::{Value, json};

use crate::Setup;
use crate::binary::repository;
use crate::target::target_folder;

/// The keys of the server's one user.
const KEY: &str = "rekap-tests";
const SECRET: &str = "not a secret at all";

/// The server's region.
const REGION: &str = "us-east-1";

/// The folder of a bucket in which the cold tier of a test lies.
const PREFIX: &str = "lake";

/// The server of this test process.
#[derive(Debug)]
struct Server {
    port: u16,
    folder: PathBuf,
    /// It ends when its standard input does, which is when this process ends.
    _serve: Child,
}

/// A bucket of a test's own.
#[derive(Debug, Clone)]
pub struct Bucket {
    name: String,
    folder: PathBuf,
    endpoint: String,
    secret: String,
}

impl Bucket {
    /// A fresh, empty bucket.
    pub async fn fresh() -> Self {
        tokio::task::spawn_blocking(|| {
            let server = server();
            let name = format!("bucket-{:016x}", fastrand::u64(..));
            let folder = server.folder.join(&name);
            std::fs::create_dir(&folder).expect("a bucket is a folder");
            Bucket { name, folder, endpoint: format!("http://127.0.0.1:{}", server.port), secret: SECRET.into() }
        })
        .await
        .expect("no panic within")
    }

    /// The same bucket, reached through another address.
    pub fn through(&self, endpoint: &str) -> Self {
        Bucket { endpoint: endpoint.to_owned(), ..self.clone() }
    }

    /// The same bucket, with the wrong key.
    pub fn with_wrong_secret(&self) -> Self {
        Bucket { secret: "wrong".into(), ..self.clone() }
    }

    /// A bucket that there is not.
    pub fn missing(&self) -> Self {
        Bucket { name: "no-such-bucket".into(), ..self.clone() }
    }

    /// The address of the server.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where a cold tier in this bucket lies.
    pub fn url(&self) -> String {
        format!("s3://{}/{PREFIX}", self.name)
    }

    /// The folder in which the objects of a cold tier in this bucket lie.
    pub fn folder(&self) -> PathBuf {
        self.folder.join(PREFIX)
    }

    /// What a server is told to keep its cold tier here.
    pub fn setup(&self) -> Setup {
        let (url, endpoint) = (self.url(), &self.endpoint);
        Setup {
            toml: format!("[cold]\nurl = \"{url}\"\nendpoint = \"{endpoint}\"\nregion = \"{REGION}\"\n"),
            environment: vec![("AWS_ACCESS_KEY_ID", KEY.into()), ("AWS_SECRET_ACCESS_KEY", self.secret.clone())],
        }
    }

    /// Where a cold tier in this bucket lies, for those who open it in this process.
    pub fn location(&self) -> ColdLocation {
        ColdLocation {
            endpoint: Some(self.endpoint.clone()),
            region: Some(REGION.into()),
            keys: Some(BucketKeys { id: KEY.into(), secret: self.secret.clone() }),
            ..ColdLocation::from(&self.url())
        }
    }

    /// How the `deltalake` package reaches the bucket.
    pub fn storage_options(&self) -> Value {
        json!({
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ALLOW_HTTP": "true",
        })
    }
}

fn server() -> &'static Server {
    static STARTED: OnceLock<Server> = OnceLock::new();
    STARTED.get_or_init(|| {
        let scripts = repository().join("tests/s3");
        let binary = install(&scripts);
        let folder = tempfile::Builder::new().prefix("rekap-s3-").tempdir().expect("a temporary folder").keep();
        let mut serve = Command::new(scripts.join("serve"))
            .args([&binary, &folder])
            .args([KEY, SECRET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/s3/serve runs");
        let mut port = String::new();
        BufReader::new(serve.stdout.take().expect("a pipe")).read_line(&mut port).expect("the server says its port");
        let port = port.trim().parse().expect("the server says its port");
        Server { port, folder, _serve: serve }
    })
}

fn install(scripts: &Path) -> PathBuf {
    let installed = Command::new(scripts.join("install")).arg(target_folder().join("s3")).output();
    let installed = installed.expect("tests/s3/install runs");
    let said = String::from_utf8_lossy(&installed.stderr);
    assert!(installed.status.success(), "tests/s3/install could not install the S3 server: {said}");
    String::from_utf8(installed.stdout).expect("a path").trim().into()
}
