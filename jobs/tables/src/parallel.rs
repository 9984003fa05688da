//! When work on many keys is shared among threads.

use std::sync::LazyLock;

/// Fewer keys than this for each thread are faster done by one: starting a thread costs as much as some hundred of them.
const KEYS_A_THREAD: usize = 16_384;

/// The cores of the machine.
static CORES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

/// Among how many threads the work on so many keys is shared.
pub(crate) fn threads_for(keys: usize) -> usize {
    (keys / KEYS_A_THREAD).clamp(1, *CORES)
}

/// Does both, side by side where there are keys enough.
pub(crate) fn both<A: Send, B>(keys: usize, left: impl FnOnce() -> A + Send, right: impl FnOnce() -> B) -> (A, B) {
    if threads_for(keys) == 1 {
        return (left(), right());
    }
    std::thread::scope(|scope| {
        let left = scope.spawn(left);
        let right = right();
        (left.join().expect("neither side panics"), right)
    })
}
