//! The catalog as text: each entry with the very bytes that its hash is over, so that a copy proves itself.
//!
//! One line an entry: `{"line": …, "document": …}`. A restore checks the whole chain before it writes anything; if the process dies
//! while it writes, what is there is a catalog that ends early, and a second restore says that the folder is not empty.
//!
//! Formats: 1 (2026).

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::entry::Line;
use super::{Catalog, CatalogError, Hash, Head};

/// One entry on its way.
#[derive(Serialize, Deserialize)]
struct Carried {
    line: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<Box<RawValue>>,
}

impl Catalog {
    /// Up to `limit` entries after `after`, one line each, and the last of them. Empty and the head as it was when there is none.
    pub fn carry(&self, after: u64, limit: usize) -> Result<(String, Option<Head>), CatalogError> {
        let (mut text, mut last) = (String::new(), None);
        for line in self.lines(after).take(limit) {
            let (seq, bytes) = line?;
            let unreadable = |detail: String| CatalogError::Unreadable { seq, detail };
            let line: Box<RawValue> = serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))?;
            let named: Line = serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))?;
            let document = named.document.map(|hash| self.documents.get(&hash)).transpose();
            let document = document.map_err(|e| unreadable(e.to_string()))?;
            let document = document.map(|bytes| serde_json::from_slice(&bytes)).transpose();
            let carried = Carried { line, document: document.map_err(|e| unreadable(e.to_string()))? };
            text += &serde_json::to_string(&carried).map_err(CatalogError::encoding)?;
            text.push('\n');
            last = Some(Head { seq, hash: Hash::of(&bytes) });
        }
        Ok((text, last))
    }

    /// The hash of the entry at `seq`, if there is one.
    pub fn hash_at(&self, seq: u64) -> Result<Option<Hash>, CatalogError> {
        let bytes = self.db.get(super::entry_key(seq)).map_err(|e| CatalogError::store("read", e))?;
        Ok(bytes.map(|bytes| Hash::of(&bytes)))
    }

    /// Writes what was carried out of another catalog into `folder`, which must hold none yet.
    pub fn restore(folder: &Path, text: &str) -> Result<Head, CatalogError> {
        let carried = check(text)?;
        let catalog = Catalog::open(folder)?;
        let empty = Head { seq: 0, hash: Hash::NONE };
        if catalog.head() != Some(empty) {
            return Err(CatalogError::NotEmpty(folder.display().to_string()));
        }
        let mut last = empty;
        for (seq, Carried { line, document }) in (1..).zip(carried) {
            if let Some(document) = document {
                let put = catalog.documents.put(document.get().as_bytes());
                put.map_err(|e| CatalogError::io("write a document of", e))?;
            }
            let bytes = line.get().as_bytes().to_vec();
            last = Head { seq, hash: Hash::of(&bytes) };
            catalog.write(&last, Some(bytes), &"restore")?;
        }
        *catalog.head.lock().expect("no holder of this lock panics") = Some(last);
        Ok(last)
    }
}

/// The head of what was carried, after the same check.
pub(crate) fn head_of(text: &str) -> Result<Option<Head>, CatalogError> {
    let Some((last, line)) = text.lines().enumerate().last() else { return Ok(None) };
    let carried: Carried = serde_json::from_str(line).map_err(|e| torn(last as u64 + 1, e.to_string()))?;
    let named: Line = serde_json::from_str(carried.line.get()).map_err(|e| torn(last as u64 + 1, e.to_string()))?;
    Ok(Some(Head { seq: named.seq, hash: Hash::of(carried.line.get().as_bytes()) }))
}

/// Every entry, if they form one whole chain from the first on.
fn check(text: &str) -> Result<Vec<Carried>, CatalogError> {
    let (mut all, mut last) = (vec![], Head { seq: 0, hash: Hash::NONE });
    for line in text.lines() {
        let seq = last.seq + 1;
        let carried: Carried = serde_json::from_str(line).map_err(|e| torn(seq, e.to_string()))?;
        let named: Line = serde_json::from_str(carried.line.get()).map_err(|e| torn(seq, e.to_string()))?;
        if (named.seq, named.prev) != (seq, last.hash) {
            return Err(torn(seq, format!("entry {} stands there, or the one before was changed", named.seq)));
        }
        let document = carried.document.as_ref().map(|document| Hash::of(document.get().as_bytes()));
        if document != named.document {
            return Err(torn(seq, "its document is missing or was changed".into()));
        }
        last = Head { seq, hash: Hash::of(carried.line.get().as_bytes()) };
        all.push(carried);
    }
    Ok(all)
}

fn torn(seq: u64, detail: String) -> CatalogError {
    CatalogError::Torn { seq, detail }
}

#[cfg(test)]
mod tests {
    use super::super::tests::filled;
    use super::*;

    #[test]
    fn a_catalog_that_was_carried_over_is_the_same_down_to_its_hashes() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let catalog = filled(from.path(), 7);
        let (text, head) = catalog.carry(0, 100).unwrap();
        assert_eq!(head_of(&text).unwrap(), head);
        assert_eq!(Some(Catalog::restore(to.path(), &text).unwrap()), head);
        let restored = Catalog::open(to.path()).unwrap();
        let all = |catalog: &Catalog| catalog.entries(0).collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(all(&restored), all(&catalog));
        assert_eq!(restored.verify().unwrap().broken, None);
        let (rest, _) = catalog.carry(5, 100).unwrap();
        assert_eq!(rest.lines().count(), 2);
        drop(restored);
        assert!(matches!(Catalog::restore(to.path(), &text), Err(CatalogError::NotEmpty(_))));
    }

    #[test]
    fn a_copy_that_was_tampered_with_is_refused_before_anything_is_written() {
        let from = tempfile::tempdir().unwrap();
        let (text, _) = filled(from.path(), 5).carry(0, 100).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let missing = [&lines[..2], &lines[3..]].concat().join("\n");
        let swapped = [lines[0], lines[2], lines[1], lines[3], lines[4]].join("\n");
        let changed = text.replacen("ann", "bob", 1);
        for tampered in [missing, swapped, changed] {
            let to = tempfile::tempdir().unwrap();
            assert!(matches!(Catalog::restore(to.path(), &tampered), Err(CatalogError::Torn { .. })));
            assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 0);
        }
    }
}
