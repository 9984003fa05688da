//! A real NGINX before the test's servers, with the configuration that the documentation gives.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::binary::repository;
use crate::wait::until;
use crate::world::free_port;

/// The address that the documented configuration listens on, and those of its two servers.
const DOCUMENTED: [&str; 3] = ["127.0.0.1:8080", "127.0.0.1:7481", "127.0.0.1:7482"];

/// A running NGINX, gone with the test.
#[derive(Debug)]
pub struct Nginx {
    _folder: TempDir,
    port: u16,
    nginx: Child,
}

impl Nginx {
    /// NGINX as documented, before two servers at these addresses.
    pub async fn before(servers: [&str; 2]) -> Nginx {
        let folder = tempfile::Builder::new().prefix("rekap-nginx-").tempdir().expect("a temporary folder");
        let port = free_port();
        let written = fs::read_to_string(repository().join("docs/examples/nginx/nginx.conf")).expect("it is there");
        let ours = [format!("127.0.0.1:{port}"), servers[0].to_owned(), servers[1].to_owned()];
        let config = DOCUMENTED.iter().zip(&ours).fold(written, |config, (theirs, ours)| {
            assert!(config.contains(theirs), "the documented configuration names {theirs}");
            config.replace(theirs, ours)
        });
        // Where NGINX keeps bodies and answers that it cannot pass on at once; as documented that is a folder of root's.
        let own = folder.path().display();
        let kept: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {own}/{kind};\n"))
            .concat();
        fs::write(
            folder.path().join("nginx.conf"),
            config.replace("access_log off;", &format!("access_log off;\n{kept}")),
        )
        .expect("a file in the temporary folder");
        let nginx = Command::new(found())
            .args(["-p", &own.to_string(), "-c", "nginx.conf", "-g", "daemon off;"])
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx is installed: see tests/run");
        let nginx = Nginx { _folder: folder, port, nginx };
        until("NGINX listens", async || TcpStream::connect(("127.0.0.1", port))).await;
        nginx
    }

    /// Its address, for clients.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Debian keeps it where only root looks.
fn found() -> &'static str {
    if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with their master when that is asked to end.
        _ = Command::new("kill").args(["-TERM", &self.nginx.id().to_string()]).status();
        _ = self.nginx.wait();
    }
}
