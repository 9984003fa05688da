//! The records of one append, from their sending until the last is acknowledged or has failed.

use std::sync::Mutex;

use rdkafka::Message as _;
use rdkafka::producer::DeliveryResult;
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::Notify;

use crate::{Appended, Offset, OffsetRange, Partition};

/// Counts what comes down.
#[derive(Default)]
pub(super) struct Flight {
    state: Mutex<State>,
    /// Told after every record.
    pub(super) moved: Notify,
}

#[derive(Default)]
struct State {
    up: usize,
    landed: usize,
    appended: Appended,
    failed: usize,
    why: Option<(RDKafkaErrorCode, String)>,
}

/// How an append ended.
pub(super) struct Landing {
    /// The offsets given.
    pub(super) appended: Appended,
    /// How many records were acknowledged.
    pub(super) landed: usize,
    /// How many failed.
    pub(super) failed: usize,
    /// Why the first of them failed.
    pub(super) why: Option<(RDKafkaErrorCode, String)>,
}

impl Flight {
    /// Counts a record that is sent.
    pub(super) fn up(&self) {
        self.state.lock().expect("no holder panics").up += 1;
    }

    /// Takes back the count of a record that was not sent.
    pub(super) fn refused(&self) {
        self.state.lock().expect("no holder panics").up -= 1;
    }

    /// Counts a record whose fate is known. Called from librdkafka's thread.
    pub(super) fn landed(&self, delivered: &DeliveryResult<'_>) {
        let mut state = self.state.lock().expect("no holder panics");
        state.up -= 1;
        match delivered {
            Ok(message) => {
                let offset = Offset::from_i64(message.offset()).expect("an acknowledged record has an offset");
                let one = OffsetRange::new(offset, offset.next());
                let given = state.appended.entry(Partition(message.partition() as u32)).or_insert(one);
                *given = OffsetRange::new(given.from.min(one.from), given.to.max(one.to));
                state.landed += 1;
            }
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                state.failed += 1;
                state.why.get_or_insert_with(|| (code, error.to_string()));
            }
        }
        drop(state);
        self.moved.notify_one();
    }

    /// The end of the flight, once nothing is up any more.
    pub(super) fn landing(&self) -> Option<Landing> {
        let state = self.state.lock().expect("no holder panics");
        let State { up, landed, failed, .. } = *state;
        (up == 0).then(|| Landing { appended: state.appended.clone(), landed, failed, why: state.why.clone() })
    }
}
