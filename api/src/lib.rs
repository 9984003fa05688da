//! The way in: REST, command line, and the server that wires the rooms together.
//!
//! [`Rekap::start`] is the whole product in one call; the `rekap` binary, the quickstart and the tests use nothing else. A reader
//! finds one handler file per noun under `server`, one verb file per noun under `cli`, the pages for people in `console`, and every rejection in `problem`.

mod actions;
pub mod cli;
mod config;
mod console;
mod doctor;
mod notify;
mod outgoing;
mod postgres;
mod problem;
mod quickstart;
mod server;

pub use config::{
    Cold, Config, ConfigError, DEFAULT_LISTEN, Log, LogFormat, LogKind, Mirror, NotifyConfig, OutgoingConfig, Postgres,
    SchemaRegistry, Server, TlsFiles,
};
pub use problem::{Case, PROBLEM_JSON, Problem};
pub use server::{Rekap, Running, StartError};

/// Memory that several threads take and give back goes to the next one that needs some, and librdkafka's does as well:
/// `docs/performance.md` has what it saves.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
