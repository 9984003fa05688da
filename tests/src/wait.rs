//! Waiting: on a condition, with a deadline, never on a sleep alone.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a condition may take to come true before the test fails. Generous, for a machine that compiles at the same time.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(20);

/// Asks again until `probe` answers `Ok`, and gives that answer; fails the test with the last `Err` after [`DEADLINE`].
pub async fn until<T, E: Display>(what: &str, probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    until_within(DEADLINE, what, probe).await
}

/// As [`until`], with a deadline of one's own.
pub async fn until_within<T, E: Display>(
    deadline: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    loop {
        match probe().await {
            Ok(answer) => return answer,
            Err(not_yet) if started.elapsed() > deadline => {
                panic!("waited {deadline:?} until {what}; the last look said: {not_yet}")
            }
            Err(_) => sleep(EVERY).await,
        }
    }
}
