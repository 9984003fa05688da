//! How long swaps have taken since the process started: for monitoring. What each took is in its catalog event.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use rekap_jobs::Histogram;

/// Around what is promised: 250 ms for a rollback, 2 s for a promotion.
const SECONDS: [f64; 8] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 2.0];

/// The swaps of each job, by kind: `promotion` or `rollback`.
#[derive(Debug, Default)]
pub(crate) struct Swaps(Mutex<BTreeMap<(String, &'static str), Histogram>>);

impl Swaps {
    pub(crate) fn add(&self, job: &str, kind: &'static str, took: Duration) {
        let mut all = self.0.lock().expect("no holder of this lock panics");
        all.entry((job.to_owned(), kind)).or_insert_with(|| Histogram::new(&SECONDS)).add(took.as_secs_f64());
    }

    pub(crate) fn all(&self) -> BTreeMap<(String, &'static str), Histogram> {
        self.0.lock().expect("no holder of this lock panics").clone()
    }
}
