//! Puts the runbook pages and the console's files into the binary, so that every server has them whatever folder it runs in.

#![allow(clippy::print_stdout, reason = "how a build script talks to cargo")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = table("RUNBOOKS", "str", "include_str", &here.join("../docs/runbooks"), &["md"])?;
    let console = table("FILES", "[u8]", "include_bytes", &here.join("console"), &["js", "css", "svg"])?;
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("runbooks.rs"), pages)?;
    fs::write(Path::new(&out).join("console.rs"), console)
}

/// A constant that holds every file below `folder` with one of these endings: its path within the folder, and its content.
fn table(name: &str, content: &str, include: &str, folder: &Path, endings: &[&str]) -> io::Result<String> {
    let mut files = Vec::new();
    gather(folder, &mut files)?;
    files.retain(|file| file.extension().and_then(|ending| ending.to_str()).is_some_and(|e| endings.contains(&e)));
    files.sort();
    let mut table = format!("/// Every file: its path, its content.\nconst {name}: &[(&str, &{content})] = &[\n");
    for file in &files {
        let path = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().replace('\\', "/");
        // Writing to a string does not fail.
        let _ = writeln!(table, "    ({path:?}, {include}!({file:?})),");
    }
    table.push_str("];\n");
    Ok(table)
}

/// Every file below a folder; cargo is told to look at the folders again.
fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { gather(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
