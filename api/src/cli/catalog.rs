//! `rekap catalog export` and `restore`: the catalog of a data folder, with no server running on it.

use std::path::{Path, PathBuf};

use rekap_migrations::DataFolder;
use rekap_orchestrator::{Catalog, CatalogError, Export};
use serde_json::json;

use super::Session;
use super::args::CatalogVerb;
use super::failure::{Failure, at};
use super::out::{Out, count};
use crate::Config;

/// More entries than a catalog will ever have: all of them.
const ALL: usize = usize::MAX;

/// `rekap catalog export|restore`.
pub(super) async fn catalog(s: &Session, verb: CatalogVerb) -> Result<(), Failure> {
    match verb {
        CatalogVerb::Export { file, config } => export(&s.out, &file, config.as_deref()),
        CatalogVerb::Restore { from, config } => restore(&s.out, &from, config.as_deref()).await,
    }
}

/// The data folder, which this process has for itself until it ends, and where its catalog is.
fn open(config: Option<&Path>) -> Result<(DataFolder, PathBuf), Failure> {
    let config = Config::load(config, std::env::vars()).map_err(|e| Failure::Usage(e.to_string()))?;
    let folder = DataFolder::open(&config.data).map_err(|e| Failure::Failed(e.to_string()))?;
    let catalog = folder.path().join("catalog");
    Ok((folder, catalog))
}

fn export(out: &Out, file: &Path, config: Option<&Path>) -> Result<(), Failure> {
    let (_folder, path) = open(config)?;
    let (text, head) = Catalog::open(&path).and_then(|catalog| catalog.carry(0, ALL)).map_err(failed)?;
    let entries = head.map_or(0, |head| head.seq);
    match file.as_os_str() == "-" {
        true => return out.bytes(text.as_bytes()),
        false => std::fs::write(file, text).map_err(at(file))?,
    }
    let head = head.map(|head| head.hash.to_string());
    let answer = json!({"entries": entries, "head": head, "file": file});
    out.answer(&answer, |out, _| out.line(format!("{} entries are in {}", count(entries), file.display())))
}

/// From a file of `export`, or from the folder, on a disk or in a bucket, that a server copied its catalog to.
async fn restore(out: &Out, from: &Path, config: Option<&Path>) -> Result<(), Failure> {
    let bucket = from.to_str().filter(|from| from.starts_with("s3://"));
    let text = if bucket.is_some() || from.is_dir() {
        let config = Config::load(config, std::env::vars()).map_err(|e| Failure::Usage(e.to_string()))?;
        let url = bucket.map_or_else(|| format!("file:{}", from.display()), str::to_owned);
        let export = Export::open(&config.beside_the_cold_tier(url)).map_err(Failure::Failed)?;
        export.read().await.map_err(Failure::Failed)?
    } else {
        std::fs::read_to_string(from).map_err(at(from))?
    };
    let (_folder, path) = open(config)?;
    let head = Catalog::restore(&path, &text).map_err(failed)?;
    let answer = json!({"entries": head.seq, "head": head.hash.to_string()});
    out.answer(&answer, |out, _| {
        out.line(format!(
            "{} entries are restored; tables are built again by replay when the server starts",
            count(head.seq)
        ))
    })
}

fn failed(error: CatalogError) -> Failure {
    let remedy = error.remedy();
    Failure::Failed(format!("{error}; {remedy}"))
}
