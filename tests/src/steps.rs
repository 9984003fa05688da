//! The server under test, ended or held at a named step of what it makes durable.
//!
//! The product says which step it has come to (`rekap_tiered_storage::steps`); the binary under test listens, and does what the file
//! `armed` in the folder of `REKAP_STEPS` says: `crash <step>` or `hold <step>`. What it did stands in `reached`, so a test can prove
//! that the server died where it was meant to.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{World, until};

/// Names the folder of orders.
const FOLDER: &str = "REKAP_STEPS";

/// The signal of a process that ends itself.
const SIGABRT: i32 = 6;

/// Obeys the orders in the folder that the environment names, if any. Called by the binary under test, first of all.
pub fn obey() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    rekap_tiered_storage::steps::listen(move |step| at(&folder, step));
}

#[allow(clippy::disallowed_methods, reason = "a thread that is held waits, and does nothing else")]
fn at(folder: &Path, step: &str) {
    let (armed, reached) = (folder.join("armed"), folder.join("reached"));
    let Ok(order) = fs::read_to_string(&armed) else { return };
    let Some((act, wanted)) = order.split_once(' ') else { return };
    if !step.starts_with(wanted) {
        return;
    }
    let _ = fs::write(&reached, step);
    if act == "crash" {
        std::process::abort();
    }
    while fs::read_to_string(&armed).is_ok_and(|now| now == order) {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The environment that makes the binary under test obey orders in the world's folder.
pub(crate) fn environment(folder: &Path) -> (&'static str, PathBuf) {
    (FOLDER, folder.to_owned())
}

impl World {
    /// From now on the server ends itself the moment it comes to that step (its name, or the first part of it with its subject).
    pub fn crash_at(&self, step: &str) {
        self.order(&format!("crash {step}"));
    }

    /// From now on whatever comes to that step waits there until [`World::release`].
    pub fn hold_at(&self, step: &str) {
        self.order(&format!("hold {step}"));
    }

    /// Lets go what is held.
    pub fn release(&self) {
        let _ = fs::remove_file(self.folder().join("armed"));
        let _ = fs::remove_file(self.folder().join("reached"));
    }

    /// Waits until something is held at the step that was ordered.
    pub async fn until_held(&self) {
        until("a step is held", async || self.reached().ok_or("not reached")).await;
    }

    /// Waits until the server has ended itself, and fails unless it did so at that step.
    pub async fn until_crashed_at(&mut self, step: &str) {
        let mut server = self.take_server();
        let ended = until(&format!("the server dies at `{step}`"), async || {
            server.try_wait().expect("a child can be asked").ok_or("it still runs")
        })
        .await;
        assert_eq!(ended.signal(), Some(SIGABRT), "the server ended with {ended}, not by its own hand");
        let reached = self.reached().expect("it says where it ended");
        assert!(reached.starts_with(step), "it was to end at `{step}`, and ended at `{reached}`");
        self.release();
    }

    fn order(&self, order: &str) {
        let next = self.folder().join("armed.next");
        let _ = fs::remove_file(self.folder().join("reached"));
        fs::write(&next, order).and_then(|()| fs::rename(next, self.folder().join("armed"))).expect("an order");
    }

    fn reached(&self) -> Option<String> {
        fs::read_to_string(self.folder().join("reached")).ok()
    }
}
