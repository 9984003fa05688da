//! The named steps of everything that is made durable, so that a test can end the process, or hold it, exactly there.
//!
//! Each room says which step it has come to ([`passed`]). In the product nobody listens, and that costs one load. The listener is
//! given by whoever runs the process; nothing here reads the environment, ends anything or keeps state. The names are
//! `<what>.<state that is reached>`; `tests/it/kill_matrix.rs` lists them and dies at each.

use std::fmt::Display;
use std::sync::OnceLock;

/// Is told each step as `name subject`, on the thread that has come to it, before the next line runs.
type Listener = Box<dyn Fn(&str) + Send + Sync>;

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Says that a step was reached, and of what: a topic, a table, the type of an event.
#[inline]
pub fn passed(step: &'static str, of: &dyn Display) {
    if let Some(listener) = LISTENER.get() {
        listener(&format!("{step} {of}"));
    }
}

/// Listens to all steps of this process from now on. Only the first listener is taken.
pub fn listen(listener: impl Fn(&str) + Send + Sync + 'static) {
    // A second one would make a test depend on which was first.
    let _ = LISTENER.set(Box::new(listener));
}
