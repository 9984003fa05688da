//! Every stable code that a user can meet has its runbook page, and every page its code.
//!
//! The rule by which codes are found: in the rooms' own sources, a string literal of nothing but capitals and underscores *is* a
//! code. What is written that way and is none stands in one of the lists here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{ROOMS, read, sources, tracked};

const PAGES: &str = "docs/runbooks";

/// Pages about operations, and the index.
const NO_CODE: [&str; 9] =
    ["README", "crash-loop", "drill", "groups", "mirror-behind", "promote", "replay", "rollback", "stuck-replay"];

/// Where capitals are headings of tables, words of SQL, currencies, files of git, AWS's variables, or a double's failure.
const NO_CODES_WITHIN: [&str; 10] = [
    "api/build.rs",
    "api/src/cli/args",
    "api/src/cli/args.rs",
    "api/src/cli/jobs.rs",
    "api/src/cli/tokens.rs",
    "api/src/cli/topics.rs",
    "api/src/postgres",
    "api/src/quickstart",
    "orchestrator/src/testing.rs",
    "tiered-storage/src/cold/credentials.rs",
];

/// Environment variables, a time zone, a header's value, a schema registry's names of formats, names of tables in the binary, and the one
/// failure that is never shown (its reader has gone).
const NO_CODE_WORDS: [&str; 17] = [
    "AVRO",
    "CARGO_MANIFEST_DIR",
    "CARGO_PKG_VERSION",
    "DENY",
    "FILES",
    "JSON",
    "NOBODY_READS",
    "NO_COLOR",
    "OUT_DIR",
    "PROTOBUF",
    "REKAP_STARTED_ANEW",
    "REKAP_",
    "REKAP__",
    "REKAP__SERVER__LISTEN",
    "RUNBOOKS",
    "TERM",
    "UTC",
];

#[test]
fn every_code_has_a_runbook_page_and_every_page_a_code() {
    let codes = codes();
    let pages = pages();
    let without_page: Vec<_> = codes.difference(&pages).map(|code| format!("{PAGES}/{code}.md is missing")).collect();
    let without_code: Vec<_> = pages.difference(&codes).map(|page| format!("{PAGES}/{page}.md has no code")).collect();
    assert!(without_page.is_empty() && without_code.is_empty(), "{without_page:#?} {without_code:#?}");
}

#[test]
fn the_index_of_runbooks_lists_every_code() {
    let index = read(&Path::new(PAGES).join("README.md"));
    for page in codes() {
        assert!(index.contains(&format!("({page}.md)")), "{PAGES}/README.md does not list {page}.md");
    }
}

/// The codes of all rooms, in the form of their pages' names.
fn codes() -> BTreeSet<String> {
    let rooms = ROOMS.iter().map(|(room, _)| *room).filter(|room| *room != "tests");
    let files = rooms.flat_map(sources).filter(|file| is_product(file));
    files.flat_map(|file| capitals(&read(&file))).map(|code| code.to_lowercase().replace('_', "-")).collect()
}

fn is_product(file: &Path) -> bool {
    let part_of_tests = file.iter().any(|part| part == "tests" || part == "tests.rs");
    !part_of_tests && !NO_CODES_WITHIN.iter().any(|other| file.starts_with(other))
}

/// The literals of nothing but capitals and underscores.
fn capitals(source: &str) -> Vec<String> {
    let product = source.split("#[cfg(test)]\nmod tests {").next().expect("a text has a first part");
    let words = product.split('"').skip(1).filter(|word| {
        word.len() > 2 && word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(is_capital)
    });
    words.filter(|word| !NO_CODE_WORDS.contains(word)).map(str::to_owned).collect()
}

fn is_capital(c: char) -> bool {
    c.is_ascii_uppercase() || c == '_'
}

fn pages() -> BTreeSet<String> {
    let pages = tracked().into_iter().filter(|file: &PathBuf| file.starts_with(PAGES));
    let names = pages.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()));
    names.filter(|name| !NO_CODE.contains(&name.as_str())).collect()
}
