//! The console, as people use it: in a real browser, by clicks and keys.

mod login;
mod pages;
mod stage;
mod story;
mod strangers;
mod upkeep;

/// What is wrong with a page for people who do not see it or use no mouse, as a list of sentences.
const ACCESSIBILITY: &str = include_str!("console/accessibility.js");
