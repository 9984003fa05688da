//! Puts the runbook pages into the binary, so that a problem's `type` leads somewhere on every server.

#![allow(clippy::print_stdout, reason = "how a build script talks to cargo")]

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks");
    println!("cargo::rerun-if-changed={}", pages.display());
    let mut names: Vec<_> = fs::read_dir(&pages)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    names.sort();
    let mut table = String::from("/// Every page: its name, its text.\nconst RUNBOOKS: &[(&str, &str)] = &[\n");
    for page in names.iter().filter(|page| page.extension().is_some_and(|ending| ending == "md")) {
        let name = page.file_name().unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(table, "    ({name:?}, include_str!({page:?})),");
    }
    table.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("runbooks.rs"), table)
}
