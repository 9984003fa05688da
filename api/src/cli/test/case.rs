//! A case on disk: what comes in and what must come out.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::failure::{Failure, at};

/// The table that is expected: one row a line.
const EXPECTED: &str = "expected.ndjson";
/// The dead letters that are expected, in the order of their offsets; without this file there must be none.
const DEAD_LETTERS: &str = "dead-letters.ndjson";
/// What an input's file ends with: events, or whole records with key, value, headers and timestamp.
const EVENTS: &str = ".ndjson";
const RECORDS: &str = ".raw.ndjson";

/// A folder below `tests`.
#[derive(Debug)]
pub(super) struct Case {
    /// The folder's name.
    pub(super) name: String,
    /// What comes in, by the name used in FROM.
    pub(super) inputs: Vec<Input>,
    folder: PathBuf,
}

/// What one input gets.
#[derive(Debug)]
pub(super) struct Input {
    /// The name used in FROM.
    pub(super) name: String,
    /// Whole records (`?raw=true`) rather than events.
    pub(super) raw: bool,
    /// The lines.
    pub(super) body: Vec<u8>,
    /// Where they stand, for messages.
    pub(super) file: PathBuf,
}

impl Case {
    /// All cases of a job folder, by name; none at all is a usage error that says how to make one.
    pub(super) fn find(job: &Path) -> Result<Vec<Case>, Failure> {
        let tests = job.join("tests");
        let none = || {
            Failure::Usage(format!(
                "{}: no cases. Make a folder for one, such as {}, put what comes in into <input>.ndjson there, and run \
                 `rekap test --accept` once",
                tests.display(),
                tests.join("first").display()
            ))
        };
        if !tests.is_dir() {
            return Err(none());
        }
        let mut folders = entries(&tests)?;
        folders.retain(|path| path.is_dir());
        if folders.is_empty() {
            return Err(none());
        }
        folders.into_iter().map(Case::read).collect()
    }

    fn read(folder: PathBuf) -> Result<Case, Failure> {
        let inputs: Vec<Input> =
            entries(&folder)?.into_iter().filter_map(|file| Input::read(file).transpose()).collect::<Result<_, _>>()?;
        if inputs.is_empty() {
            return Err(Failure::Usage(format!(
                "{}: nothing comes in; put events into <input>.ndjson, named as in the query's FROM",
                folder.display()
            )));
        }
        Ok(Case { name: file_name(&folder), inputs, folder })
    }

    /// The rows that are expected.
    pub(super) fn expected(&self) -> Result<Vec<Value>, Failure> {
        let file = self.folder.join(EXPECTED);
        if !file.is_file() {
            return Err(Failure::Usage(format!(
                "{} is missing: write the rows that you expect, one JSON object a line, or let `rekap test --accept` write \
                 what comes out and read it",
                file.display()
            )));
        }
        lines(&file)
    }

    /// The dead letters that are expected.
    pub(super) fn dead_letters(&self) -> Result<Vec<Value>, Failure> {
        let file = self.folder.join(DEAD_LETTERS);
        if file.is_file() { lines(&file) } else { Ok(Vec::new()) }
    }

    /// Writes down what came out as what is expected.
    pub(super) fn accept(&self, rows: &[Value], dead_letters: &[Value]) -> Result<(), Failure> {
        write(&self.folder.join(EXPECTED), rows)?;
        let file = self.folder.join(DEAD_LETTERS);
        if !dead_letters.is_empty() {
            return write(&file, dead_letters);
        }
        if file.is_file() { fs::remove_file(&file).map_err(at(&file)) } else { Ok(()) }
    }
}

impl Input {
    /// The input of a file; `None` for a file that is none.
    fn read(file: PathBuf) -> Result<Option<Input>, Failure> {
        let name = file_name(&file);
        if name == EXPECTED || name == DEAD_LETTERS {
            return Ok(None);
        }
        let raw = name.strip_suffix(RECORDS);
        let Some(name) = raw.or_else(|| name.strip_suffix(EVENTS)) else { return Ok(None) };
        let body = fs::read(&file).map_err(at(&file))?;
        Ok(Some(Input { name: name.to_owned(), raw: raw.is_some(), body, file }))
    }
}

/// What a folder holds, in the order of names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let mut paths = entries.map(|entry| Ok(entry.map_err(at(folder))?.path())).collect::<Result<Vec<_>, Failure>>()?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file's lines as JSON; empty lines are left out.
fn lines(file: &Path) -> Result<Vec<Value>, Failure> {
    let text = fs::read_to_string(file).map_err(at(file))?;
    let numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    numbered
        .map(|(n, line)| {
            serde_json::from_str(line).map_err(|e| Failure::Usage(format!("{}:{}: {e}", file.display(), n + 1)))
        })
        .collect()
}

fn write(file: &Path, values: &[Value]) -> Result<(), Failure> {
    let text: String = values.iter().map(|value| format!("{value}\n")).collect();
    fs::write(file, text).map_err(at(file))
}
