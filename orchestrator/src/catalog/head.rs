//! The head of the catalog, told a second time beside it.
//!
//! The store takes damage at its end for a write that a crash cut off, and forgets what comes after it; a chain that is cut short is
//! whole. So the head goes into a small file after each append, and a catalog that ends before it is not opened. The file is not
//! synced: what a power cut leaves of it is an older head or none, and then it proves less.

use std::path::Path;

use super::{CatalogError, Head};

/// The file's name.
const FILE: &str = "head";

/// Tells the head. A failure is no harm: the next one covers it.
pub(super) fn tell(folder: &Path, head: &Head) {
    let told = serde_json::to_vec(head).map_err(std::io::Error::from);
    if let Err(error) = told.and_then(|json| std::fs::write(folder.join(FILE), json)) {
        tracing::debug!(%error, "the head of the catalog was not told");
    }
}

/// Refuses a catalog that ends before the head that was told.
pub(super) fn compare(folder: &Path, found: Option<&Head>) -> Result<(), CatalogError> {
    let told = std::fs::read(folder.join(FILE)).ok().and_then(|json| serde_json::from_slice::<Head>(&json).ok());
    let found = found.map_or(0, |head| head.seq);
    match told.filter(|told| told.seq > found) {
        None => Ok(()),
        Some(told) => Err(CatalogError::Lost { folder: folder.display().to_string(), found, told: told.seq }),
    }
}
