//! The house rules that a compiler does not check: who may depend on whom, what stands at the top level, how files open.

mod codes;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rekap_tests::repository;
use toml::Table;

/// Which other rooms a room may use. What is not said here is not allowed.
const ROOMS: [(&str, &[&str]); 7] = [
    ("tiered-storage", &[]),
    ("jobs/tables", &["rekap-tiered-storage"]),
    ("jobs", &["rekap-tiered-storage", "rekap-tables"]),
    ("orchestrator", &["rekap-tiered-storage", "rekap-tables", "rekap-jobs"]),
    ("api", &["rekap-tiered-storage", "rekap-tables", "rekap-jobs", "rekap-orchestrator", "rekap-migrations"]),
    ("migrations", &[]),
    (
        "tests",
        &["rekap-tiered-storage", "rekap-tables", "rekap-jobs", "rekap-orchestrator", "rekap-api", "rekap-migrations"],
    ),
];

/// Libraries that carry a room's whole business, and the only rooms that may know them.
const KNOWN_ONLY_IN: [(&str, &[&str]); 12] = [
    ("axum", &["api"]),
    ("clap", &["api"]),
    ("datafusion", &["jobs", "orchestrator", "api"]),
    ("deltalake-core", &["tiered-storage", "api"]),
    ("fjall", &["tiered-storage", "jobs/tables"]),
    ("indicatif", &["api"]),
    ("object_store", &["tiered-storage", "orchestrator", "api"]),
    ("parquet", &["tiered-storage"]),
    ("reqwest", &["tiered-storage", "api", "tests"]),
    ("sled", &["orchestrator"]),
    ("tower-http", &["api"]),
    ("utoipa", &["api"]),
];

/// All that may stand at the top level beside dot-files.
const TOP_LEVEL: [&str; 11] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "api",
    "docs",
    "jobs",
    "migrations",
    "orchestrator",
    "tests",
    "tiered-storage",
];

/// Names under which things without an owner gather.
const NOBODYS_NAMES: [&str; 6] = ["common", "helpers", "misc", "types", "util", "utils"];

#[test]
fn rooms_depend_only_on_the_rooms_that_the_design_allows() {
    for (room, allowed) in ROOMS {
        for dependency in dependencies(room).iter().filter(|name| name.starts_with("rekap-")) {
            assert!(allowed.contains(&dependency.as_str()), "{room}/Cargo.toml: `{room}` may not know `{dependency}`");
        }
    }
}

#[test]
fn a_library_is_known_only_in_the_rooms_whose_business_it_is() {
    for (room, _) in ROOMS {
        let used = dependencies(room);
        for (library, rooms) in KNOWN_ONLY_IN {
            assert!(
                !used.contains(library) || rooms.contains(&room),
                "{room}/Cargo.toml: only {rooms:?} may know `{library}`"
            );
        }
    }
}

#[test]
fn every_dependency_is_used_by_the_room_that_names_it() {
    let mut unused = Vec::new();
    for (room, _) in ROOMS {
        let source: String = sources(room).iter().map(|file| read(file)).collect();
        let of_room = dependencies(room).into_iter().filter(|name| !mentions(&source, &name.replace('-', "_")));
        unused.extend(of_room.map(|name| format!("{room}/Cargo.toml: nothing in `{room}` uses `{name}`")));
    }
    assert!(unused.is_empty(), "{}", unused.join("\n"));
}

#[test]
fn the_workspace_is_made_of_the_rooms_and_nothing_else() {
    let workspace = manifest(Path::new("."));
    let members = workspace["workspace"]["members"].as_array().expect("a list of members");
    let members: BTreeSet<&str> = members.iter().filter_map(|member| member.as_str()).collect();
    assert_eq!(members, ROOMS.iter().map(|(room, _)| *room).collect());
    for (room, _) in ROOMS {
        let last = room.rsplit('/').next().expect("a path has a last part");
        assert_eq!(manifest(Path::new(room))["package"]["name"].as_str(), Some(format!("rekap-{last}").as_str()));
    }
}

#[test]
fn the_top_level_holds_only_what_its_owner_named() {
    for file in tracked() {
        let top = file.components().next().expect("a path has a first part").as_os_str().to_string_lossy().into_owned();
        let allowed = top.starts_with('.') || TOP_LEVEL.contains(&top.as_str());
        assert!(allowed, "`{top}` does not belong at the top level");
    }
}

#[test]
fn nothing_is_called_utils() {
    for file in tracked() {
        for part in file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()) {
            assert!(
                !NOBODYS_NAMES.contains(&part.as_str()),
                "{}: `{part}` names nothing that a room owns",
                file.display()
            );
        }
    }
}

#[test]
fn every_module_opens_by_saying_what_it_owns() {
    for (room, _) in ROOMS {
        for file in sources(room).iter().filter(|file| !file.ends_with("tests.rs")) {
            assert!(read(file).starts_with("//!"), "{}: a module opens with `//!`", file.display());
        }
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for document in tracked().into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "md")) {
        for target in links(&read(&document)) {
            let target = target.split('#').next().expect("a text has a first part");
            let there = document.parent().expect("a file is in a folder").join(target);
            let exists = target.is_empty() || repository().join(&there).exists();
            assert!(exists, "{}: the link to `{target}` leads nowhere", document.display());
        }
    }
}

/// The names of all dependencies of a room, those for its tests included.
fn dependencies(room: &str) -> BTreeSet<String> {
    let manifest = manifest(Path::new(room));
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    tables
        .into_iter()
        .filter_map(|table| manifest.get(table)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

fn manifest(folder: &Path) -> Table {
    read(&folder.join("Cargo.toml")).parse().expect("cargo reads it too")
}

/// The Rust files of a room, without those of a room inside it.
fn sources(room: &str) -> Vec<PathBuf> {
    let rooms_within: Vec<&str> = ROOMS
        .iter()
        .map(|(other, _)| *other)
        .filter(|other| other.len() > room.len() && other.starts_with(room))
        .collect();
    let belongs = |file: &PathBuf| file.starts_with(room) && !rooms_within.iter().any(|other| file.starts_with(other));
    tracked().into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "rs")).filter(belongs).collect()
}

/// True when the source names the crate: `name::…`, or `use name;`.
fn mentions(source: &str, name: &str) -> bool {
    source.match_indices(name).any(|(at, _)| {
        let before = source[..at].chars().next_back();
        let after = &source[at + name.len()..];
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            && ["::", ";", " as "].iter().any(|next| after.starts_with(next))
    })
}

/// Every file that git knows or would take in.
fn tracked() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository())
        .output()
        .expect("the tests run in a clone");
    let listed = String::from_utf8(listed.stdout).expect("names are UTF-8");
    listed.lines().map(PathBuf::from).filter(|file| repository().join(file).is_file()).collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(repository().join(file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// The targets of Markdown links to files of this repository.
fn links(document: &str) -> Vec<String> {
    let targets = document.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.contains(' ')).map(str::to_owned).collect()
}
