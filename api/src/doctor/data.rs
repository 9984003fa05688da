//! The data folder: whether it can be written and made durable, whose it is, and how much fits.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rekap_tiered_storage::Finding;
use tokio::time::Instant;

use crate::Config;

/// With less than this the hot tier and the tables stop within minutes.
const NO_SPACE_BYTES: u64 = 1 << 30;

/// With less than this somebody should look.
const LITTLE_SPACE_BYTES: u64 = 10 << 30;

/// A sync that takes longer makes every append slow: each one waits for it.
const SLOW_SYNC: Duration = Duration::from_millis(100);

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let folder = config.data.clone();
    let checks: [fn(&Path) -> Finding; 3] = [writable, lock, space];
    let run = move || checks.map(|check| timed(&folder, check)).to_vec();
    let failed = |e| vec![Finding::fail("data-writable", format!("{e}"), "this is a bug: report it")];
    tokio::task::spawn_blocking(run).await.unwrap_or_else(failed)
}

fn timed(folder: &Path, check: fn(&Path) -> Finding) -> Finding {
    let began = Instant::now();
    let found = check(folder);
    Finding { took: began.elapsed(), ..found }
}

/// The folder, or where it is not there yet the nearest one above it.
fn nearest(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    if there.as_os_str().is_empty() { PathBuf::from(".") } else { there.to_owned() }
}

fn writable(folder: &Path) -> Finding {
    const CHECK: &str = "data-writable";
    let there = nearest(folder);
    match write_and_sync(&there) {
        Ok(took) if took > SLOW_SYNC => Finding::warn(
            CHECK,
            format!("a write to {} is durable only after {} ms", there.display(), took.as_millis()),
            "put the data folder on a faster disk: every append waits for this",
        ),
        Ok(took) => {
            Finding::pass(CHECK, format!("a write to {} is durable after {} ms", there.display(), took.as_millis()))
        }
        Err(e) => Finding::fail(
            CHECK,
            format!("{}: {e}", there.display()),
            "give the user of the server the right to write there, or set `data`",
        ),
    }
}

fn write_and_sync(folder: &Path) -> io::Result<Duration> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let began = Instant::now();
    file.write_all(&[0; 4096])?;
    file.as_file().sync_all()?;
    Ok(began.elapsed())
}

fn lock(folder: &Path) -> Finding {
    const CHECK: &str = "data-lock";
    let path = folder.join("lock");
    let locked = match File::open(&path) {
        Ok(file) => file.try_lock(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Finding::pass(CHECK, "nobody has used the folder yet"),
        Err(e) => Err(TryLockError::Error(e)),
    };
    match locked {
        Ok(()) => Finding::pass(CHECK, "no server runs on the folder"),
        Err(TryLockError::WouldBlock) => {
            Finding::warn(CHECK, "a server runs on the folder", "stop it before you start another one on it")
        }
        Err(TryLockError::Error(e)) => {
            Finding::fail(CHECK, format!("{}: {e}", path.display()), "correct the rights of the folder")
        }
    }
}

fn space(folder: &Path) -> Finding {
    const CHECK: &str = "data-space";
    const REMEDY: &str = "free some, or put the data folder on a larger disk";
    let there = fs::canonicalize(nearest(folder)).unwrap_or_else(|_| nearest(folder));
    let Some(free) = free_bytes(&there) else {
        return Finding::warn(CHECK, "`df` does not say how much is free", "look yourself");
    };
    let detail = format!("{} GB are free at {}", free / 1_000_000_000, there.display());
    match free {
        _ if free < NO_SPACE_BYTES => Finding::fail(CHECK, detail, REMEDY),
        _ if free < LITTLE_SPACE_BYTES => Finding::warn(CHECK, detail, REMEDY),
        _ => Finding::pass(CHECK, detail),
    }
}

/// What the system says is free: the fourth column of POSIX's `df -Pk`.
fn free_bytes(folder: &Path) -> Option<u64> {
    let told = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok().map(|kib| kib << 10)
}
