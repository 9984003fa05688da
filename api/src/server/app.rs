//! What every handler works with: the rooms, wired together.

use std::sync::Arc;

use rekap_tiered_storage::{Clock, SystemClock};

use crate::{Config, Problem, StartError};

/// The open rooms. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Rooms>);

/// The rooms themselves.
struct Rooms {
    clock: Arc<dyn Clock>,
}

impl App {
    /// Opens every room under the data folder, in the order in which they need each other.
    pub(super) async fn open(config: &Config) -> Result<App, StartError> {
        let _ = config;
        Ok(App(Arc::new(Rooms { clock: Arc::new(SystemClock) })))
    }

    /// Reads and deploys work, or why they do not.
    pub(super) async fn ready(&self) -> Result<(), Problem> {
        let _ = self.0.clock.now();
        Ok(())
    }
}
