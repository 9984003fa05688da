//! Which formats there are, their newest versions, and how to get from one to the next.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A durable format with a version number of its own.
///
/// | format | version | since | what |
/// |---|---|---|---|
/// | log | 1 | 0.1.0 | the embedded log: topics, entries of records, idempotency keys |
/// | tables | 1 | 0.1.0 | versioned tables: rows, state, positions, dead letters |
/// | catalog | 1 | 0.1.0 | the hash-chained events of all deployments |
/// | cold | 1 | 0.1.0 | the Delta Lake tables of the mirror |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The embedded log.
    Log,
    /// The versioned tables.
    Tables,
    /// The catalog.
    Catalog,
    /// The cold tier.
    Cold,
}

impl Format {
    /// Every format that a data folder holds.
    pub const ALL: [Format; 4] = [Format::Log, Format::Tables, Format::Catalog, Format::Cold];

    /// The version that this Rekap writes.
    pub const fn current(self) -> u32 {
        match self {
            Format::Log | Format::Tables | Format::Catalog | Format::Cold => 1,
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Format::Log => "log",
            Format::Tables => "tables",
            Format::Catalog => "catalog",
            Format::Cold => "cold tier",
        })
    }
}

/// One step of one format: from version `from` to `from + 1`.
pub struct Upgrade {
    /// The format that is upgraded.
    pub format: Format,
    /// The version that it is upgraded from.
    pub from: u32,
    /// Does it, in the data folder given. Must be safe to run again after it was cut off.
    pub run: fn(&Path) -> io::Result<()>,
}

/// Every upgrade, oldest first. Version 1 is the first of all formats, so there is none yet.
pub const UPGRADES: &[Upgrade] = &[];
