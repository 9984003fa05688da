//! Starting the server anew in place, once a disk that refused writes takes them again.
//!
//! The process becomes the same program with the same arguments, so whoever supervises it sees one process; nothing is handed over but
//! how often that was done already, since a disk that refuses again at once is not asked every second.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use super::failure::Failure;

/// Hands over how often the server was started anew.
const COUNT: &str = "REKAP_STARTED_ANEW";

/// The longest rest before a start.
const MAX_REST: Duration = Duration::from_secs(300);

fn count() -> u32 {
    std::env::var(COUNT).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// How long this process runs at least before it starts anew: longer each time.
pub(super) fn rest() -> Duration {
    Duration::from_millis(500).saturating_mul(2_u32.saturating_pow(count())).min(MAX_REST)
}

/// Becomes a fresh server at the same address. Comes back only when that fails.
pub(super) fn start_anew(addr: SocketAddr) -> Failure {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "rekap".into());
    let mut program = Command::new("/proc/self/exe");
    program
        .arg0(name)
        .args(arguments)
        .env(COUNT, (count() + 1).to_string())
        .env("REKAP__SERVER__LISTEN", addr.to_string());
    Failure::Failed(format!("the server could not start anew: {}; start it again", program.exec()))
}
