//! A power cut: what a disk holds of a server's data folder when the machine stops between two instructions.
//!
//! `tests/c/power_cut.c`, preloaded into the server, keeps each file and each folder as of its last fsync; see there for what that
//! covers. [`Power::cut`] makes the data folder out of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

use crate::{repository, target_folder};

/// A data folder whose last synced state is kept.
#[derive(Debug)]
pub(crate) struct Power {
    root: PathBuf,
    shadow: TempDir,
}

impl Power {
    /// Watches the data folder `root`, which is made if need be.
    pub(crate) fn watch(root: &Path) -> Self {
        fs::create_dir_all(root).expect("a folder");
        let root = fs::canonicalize(root).expect("a folder has a path");
        Power { root, shadow: tempfile::Builder::new().prefix("rekap-power-").tempdir().expect("a temporary folder") }
    }

    /// What the server's process needs to be watched.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 3] {
        let shadow = self.shadow.path().to_owned();
        [("LD_PRELOAD", library().to_owned()), ("POWER_ROOT", self.root.clone()), ("POWER_SHADOW", shadow)]
    }

    /// Makes the data folder what the disk holds after the cut. The server is gone by then.
    pub(crate) fn cut(&self) {
        let after = self.root.with_extension("after-the-cut");
        fs::create_dir(&after).expect("a folder");
        self.restore(&identity(&self.root), &after);
        fs::remove_dir_all(&self.root).expect("the old folder goes");
        fs::rename(&after, &self.root).expect("the new one takes its place");
        // The folder's own name is older than the server, and it is another folder now.
        for entry in fs::read_dir(self.shadow.path()).expect("the shadow") {
            fs::remove_file(entry.expect("an entry").path()).expect("it is used up");
        }
        self.keep(&self.root);
    }

    /// Fills `folder` with what was synced of the one of that identity. What was never synced is empty.
    fn restore(&self, identity: &str, folder: &Path) {
        let names = fs::read_to_string(self.shadow.path().join(identity)).unwrap_or_default();
        for line in names.lines() {
            let mut parts = line.splitn(3, ' ');
            let (kind, identity) = (parts.next().expect("a kind"), parts.next().expect("an identity"));
            let path = folder.join(parts.next().expect("a name"));
            if kind == "d" {
                fs::create_dir(&path).expect("a folder");
                self.restore(identity, &path);
            } else if fs::copy(self.shadow.path().join(identity), &path).is_err() {
                fs::write(&path, "").expect("an empty file");
            }
        }
    }

    /// All that is there after a cut is on the disk.
    fn keep(&self, path: &Path) {
        let kept = self.shadow.path().join(identity(path));
        if !path.is_dir() {
            fs::copy(path, kept).expect("a copy");
            return;
        }
        let mut names = String::new();
        for entry in fs::read_dir(path).expect("a folder") {
            let path = entry.expect("an entry").path();
            let kind = if path.is_dir() { "d" } else { "f" };
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name of ours");
            names += &format!("{kind} {} {name}\n", identity(&path));
            self.keep(&path);
        }
        fs::write(kept, names).expect("a list of names");
    }
}

/// As `power_cut.c` calls it: inode and birth.
fn identity(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let found = fs::symlink_metadata(path).expect("it is there");
    let born = found.created().expect("the file system tells births").duration_since(UNIX_EPOCH).expect("after 1970");
    format!("{}.{}.{}", found.ino(), born.as_secs(), born.subsec_nanos())
}

/// The library that is preloaded, compiled once by the compiler that Rust links with.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let (source, library) = (repository().join("tests/c/power_cut.c"), target_folder().join("power_cut.so"));
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status();
        assert!(built.expect("`cc` is there, since Rust links with it").success(), "{} compiles", source.display());
        library
    })
}
