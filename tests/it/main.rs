//! The whole system, tested from outside: each module is one promise to a user.

mod command_line;
mod console;
mod crashes;
mod example;
mod front_door;
mod github_hour;
mod house;
mod ingest;
mod job_folders;
mod hoverboard;
mod judge;
mod monitoring;
mod open_formats;
mod price_index;
mod promotions;
mod quickstart;
mod refusals;
mod sql;
mod swaps;
