//! Where real input comes from: `REKAP_DATA`, else `shared/data` beside the repository. Where it is absent, seeded rows of the same
//! shapes take its place, and the run says so.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::OnceLock;

use flate2::read::MultiGzDecoder;

use crate::binary::repository;

/// The variable that names the folder of real input.
const FOLDER: &str = "REKAP_DATA";

/// Seeds the rows that stand in for real input, together with their name: always the same rows.
const SEED: u64 = 42;

/// The lines of a gzip file of real input; `None` where it is absent.
pub(crate) fn lines(file: &str) -> Option<impl Iterator<Item = String>> {
    let opened = File::open(folder().as_ref()?.join(file)).ok()?;
    Some(BufReader::new(MultiGzDecoder::new(opened)).lines().map(|line| line.expect("the input is UTF-8 in gzip")))
}

/// The generator of the rows that stand in for `what`.
pub(crate) fn generator(what: &str) -> fastrand::Rng {
    eprintln!("{what}: no real input, so these are rows from a generator; name the folder in {FOLDER}");
    fastrand::Rng::with_seed(what.bytes().fold(SEED, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into())))
}

fn folder() -> &'static Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let named = std::env::var_os(FOLDER).map(PathBuf::from);
        let folder = named.unwrap_or_else(|| repository().join("../shared/data"));
        folder.is_dir().then_some(folder)
    })
}
