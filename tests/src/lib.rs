//! What the whole-system tests stand on: a server run as a child process, its REST API as functions, real input, a real S3 server, and DuckDB as judge.
//!
//! The tests themselves are in `tests/it`. They know Rekap only as its users do: the `rekap` binary, HTTP, and the files of the cold
//! tier. A test that fails keeps the server's data folder and says where it is.

#![allow(clippy::print_stderr, reason = "a test run speaks to the person who reads it")]

mod bids;
mod binary;
mod browser;
mod candles;
mod client;
mod duck;
mod events;
mod github;
mod input;
mod job;
mod kafka;
mod ledger;
mod maven;
mod measure;
mod nginx;
mod postgres;
mod power;
mod proxy;
mod python;
mod receiver;
mod registry;
mod rows;
mod s3;
mod seed;
mod steps;
mod target;
mod topic;
mod trades;
mod wait;
mod wire;
mod world;

pub use bids::Bids;
pub use binary::{Called, Cli, rekap, repository};
pub use browser::{Browser, keys};
pub use candles::Candles;
pub use client::{Answer, Client, NDJSON, Request, Unreachable};
pub use duck::{Duck, Took};
pub use events::{Events, object_schema};
pub use github::GitHubHour;
pub use job::Job;
pub use kafka::Kafka;
pub use ledger::{Ledger, Writer};
pub use measure::{Durations, Usage, median, size};
pub use nginx::Nginx;
pub use postgres::{Asking, Follower, Postgres};
pub use proxy::{Asked, Fault, Proxy};
pub use python::{python, run_python};
pub use receiver::{Received, Receiver};
pub use registry::Registry;
pub use rows::{Row, Scan, assert_same_rows, rows_of};
pub use s3::Bucket;
pub use seed::seeded;
pub use steps::obey;
pub use target::target_folder;
pub use topic::{Record, int, list, partitions};
pub use trades::Trades;
pub use wait::{DEADLINE, until, until_within};
pub use wire::Wire;
pub use world::{Setup, World, WorldConfig};
