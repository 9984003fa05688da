//! Puts the runbook pages and the console's files into the binary, so that every server has them whatever folder it runs in, and the
//! commit that it is built from.

#![allow(clippy::print_stdout, reason = "how a build script talks to cargo")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = table("RUNBOOKS", "str", "include_str", &here.join("../docs/runbooks"), &["md"])?;
    let console = table("FILES", "[u8]", "include_bytes", &here.join("console"), &["js", "css", "svg"])?;
    println!("cargo::rustc-env=REKAP_COMMIT={}", commit(&here.join("../.git")).as_deref().unwrap_or("unknown"));
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

/// The commit of the checkout: what `REKAP_COMMIT` says where a build has no `.git`, or what `HEAD` of `git` leads to.
fn commit(git: &Path) -> Option<String> {
    println!("cargo::rerun-if-env-changed=REKAP_COMMIT");
    if let Some(said) = env::var("REKAP_COMMIT").ok().filter(|said| !said.is_empty()) {
        return Some(said);
    }
    // In a worktree `.git` is a file that names the folder, whose `commondir` names the one with the branches.
    let own = match watched(git) {
        Some(text) => git.parent()?.join(text.strip_prefix("gitdir: ")?.trim()),
        None => git.to_owned(),
    };
    let all = fs::read_to_string(own.join("commondir")).map_or(own.clone(), |common| own.join(common.trim()));
    // Every move of HEAD is noted here, and nothing else is: looking at it makes no build that is not needed.
    watched(&own.join("logs/HEAD"));
    let head = watched(&own.join("HEAD"))?;
    let Some(branch) = head.trim().strip_prefix("ref: ") else { return Some(head.trim().to_owned()) };
    let packed = || {
        let packed = watched(&all.join("packed-refs"))?;
        let line = packed.lines().find(|line| line.split(' ').nth(1) == Some(branch))?;
        line.split(' ').next().map(str::to_owned)
    };
    watched(&all.join(branch)).map(|commit| commit.trim().to_owned()).or_else(packed)
}

/// What a file holds; cargo is told to look at it again. One that is not there is not watched: cargo would build each time.
fn watched(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    println!("cargo::rerun-if-changed={}", file.display());
    Some(text)
}
