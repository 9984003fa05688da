//! The whole system, tested from outside: each module is one promise to a user.

mod bad_disks;
mod command_line;
mod console;
mod crashes;
mod example;
mod front_door;
mod github_hour;
mod house;
mod hoverboard;
mod idempotency;
mod ingest;
mod job_folders;
mod judge;
mod kill_matrix;
mod monitoring;
mod open_formats;
mod power_cuts;
mod price_index;
mod promotions;
mod quickstart;
mod refusals;
mod slow_versions;
mod sql;
mod swaps;
