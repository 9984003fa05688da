use std::path::Path;

use super::*;
use crate::event::{Event, What};
use rekap_tiered_storage::Timestamp;

fn draft(version: u32, note: Option<&str>) -> Draft {
    Draft {
        at: Timestamp::from_micros(1_700_000_000_000_000 + i64::from(version)),
        actor: "ann".into(),
        address: None,
        note: note.map(str::to_owned),
        request: None,
        event: Event::new("bpi", What::Paused { version }),
    }
}

pub(super) fn filled(folder: &Path, entries: u32) -> Catalog {
    let catalog = Catalog::open(folder).unwrap();
    for version in 1..=entries {
        catalog.append(draft(version, Some("why"))).unwrap();
    }
    catalog
}

fn all(catalog: &Catalog) -> Vec<Entry> {
    catalog.entries(0).collect::<Result<_, _>>().unwrap()
}

fn broken_at(catalog: &Catalog) -> Option<u64> {
    catalog.verify().unwrap().broken.map(|broken| broken.seq)
}

#[test]
fn entries_read_back_in_order_after_the_catalog_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let before = all(&filled(folder.path(), 40));
    let catalog = Catalog::open(folder.path()).unwrap();
    assert_eq!(all(&catalog), before);
    assert_eq!(before.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    assert_eq!(catalog.entries(38).count(), 2);
    assert_eq!(catalog.append(draft(1, None)).unwrap().seq, 41);
    assert_eq!(broken_at(&catalog), None);
}

#[test]
fn a_large_body_is_kept_in_a_document_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let note = "x".repeat(1 << 20);
    let catalog = Catalog::open(folder.path()).unwrap();
    catalog.append(draft(1, Some(&note))).unwrap();
    assert_eq!(all(&catalog)[0].note.as_deref(), Some(&*note));
    assert!(catalog.db.get(entry_key(1)).unwrap().unwrap().len() <= 2 * MAX_BODY_BYTES);
    let document = std::fs::read_dir(folder.path().join("documents")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(document, "other").unwrap();
    assert_eq!(broken_at(&catalog), Some(1), "a changed document is found");
}

#[test]
fn sled_writes_no_blob_file_however_many_large_entries_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(folder.path()).unwrap();
    let note = "x".repeat(MAX_BODY_BYTES - 100);
    for version in 1..=60 {
        catalog.append(draft(version, Some(&note))).unwrap();
    }
    drop(catalog);
    let blobs = std::fs::read_dir(folder.path().join("blobs")).map_or(0, Iterator::count);
    assert_eq!(blobs, 0, "sled does not sync those");
    assert_eq!(all(&Catalog::open(folder.path()).unwrap()).len(), 60);
}

#[test]
fn an_entry_that_was_changed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = filled(folder.path(), 5);
    let bytes = catalog.db.get(entry_key(3)).unwrap().unwrap();
    let forged = String::from_utf8(bytes.to_vec()).unwrap().replace("ann", "bob");
    catalog.db.insert(entry_key(3), forged.as_bytes()).unwrap();
    assert_eq!(broken_at(&catalog), Some(3));
}

#[test]
fn the_last_entry_changed_is_found_by_the_head() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = filled(folder.path(), 5);
    let bytes = catalog.db.get(entry_key(5)).unwrap().unwrap();
    let forged = String::from_utf8(bytes.to_vec()).unwrap().replace("ann", "bob");
    catalog.db.insert(entry_key(5), forged.as_bytes()).unwrap();
    assert_eq!(broken_at(&catalog), Some(5));
}

#[test]
fn an_entry_that_is_missing_is_found_wherever_it_stood() {
    for missing in 1..=5 {
        let folder = tempfile::tempdir().unwrap();
        let catalog = filled(folder.path(), 5);
        catalog.db.remove(entry_key(missing)).unwrap();
        assert_eq!(broken_at(&catalog), Some(missing));
    }
}

#[test]
fn entries_that_changed_places_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = filled(folder.path(), 5);
    let (two, four) = (catalog.db.get(entry_key(2)).unwrap().unwrap(), catalog.db.get(entry_key(4)).unwrap().unwrap());
    catalog.db.insert(entry_key(2), four).unwrap();
    catalog.db.insert(entry_key(4), two).unwrap();
    assert_eq!(broken_at(&catalog), Some(2));
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = filled(folder.path(), 1);
    catalog.db.insert(FORMAT_KEY, &(FORMAT_VERSION + 1).to_be_bytes()).unwrap();
    drop(catalog);
    let refused = Catalog::open(folder.path()).unwrap_err();
    assert!(matches!(refused, CatalogError::NewerFormat { found: 2, supported: 1 }), "{refused}");
}

#[test]
fn a_catalog_in_use_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let _held = filled(folder.path(), 1);
    let refused = Catalog::open(folder.path()).unwrap_err();
    assert!(matches!(refused, CatalogError::InUse(_)), "{refused}");
}

/// Frozen in November 2026. Never write it again: a format that cannot read it needs a migration.
#[test]
fn a_catalog_of_format_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/catalog-v1");
    for file in ["db", "conf"] {
        std::fs::copy(fixture.join(file), folder.path().join(file)).unwrap();
    }
    let catalog = Catalog::open(folder.path()).unwrap();
    assert_eq!(broken_at(&catalog), None);
    let entries = all(&catalog);
    let kinds: Vec<String> = entries.iter().map(|entry| entry.event.to_json().unwrap().0).collect();
    assert_eq!(kinds, ["version.deployed", "version.started", "version.verified", "version.ready", "job.promoted"]);
    assert_eq!(entries[4].request.as_ref().unwrap().key, "k-1");
    assert!(matches!(&entries[0].event.what, What::Deployed(deployed) if deployed.spec.name == "bpi"));
}
