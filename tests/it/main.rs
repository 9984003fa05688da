//! The whole system, tested from outside: each module is one promise to a user.

mod crashes;
mod github_hour;
mod house;
mod judge;
mod open_formats;
mod price_index;
mod swaps;
