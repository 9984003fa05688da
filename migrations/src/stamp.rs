//! The stamp of a data folder: which version of each format it holds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Format;

/// The file that holds the stamp, as JSON.
const FILE: &str = "format.json";
/// Where the next stamp is written before it takes the place of the last.
const NEXT: &str = "format.json.next";

/// Which version of each format a data folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The version of each format.
    pub formats: BTreeMap<Format, u32>,
}

impl Stamp {
    /// The stamp of a folder that this Rekap makes.
    pub fn current() -> Self {
        Stamp { formats: Format::ALL.into_iter().map(|format| (format, format.current())).collect() }
    }

    /// The stamp of the folder; `None` when it has none.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read(folder.join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes the stamp durably: a power cut leaves the old one or this one, never half of it.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut next = File::create(folder.join(NEXT))?;
        next.write_all(&serde_json::to_vec_pretty(self)?)?;
        next.sync_all()?;
        fs::rename(folder.join(NEXT), folder.join(FILE))?;
        File::open(folder)?.sync_all()
    }
}
