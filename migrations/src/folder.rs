//! A data folder that one process has for itself.
//!
//! The lock is the operating system's (`flock`), so it goes with the process however that ends. If the process dies between making
//! the folder and stamping it, the folder is empty but for the lock file and is stamped at the next start.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::{Format, Stamp, UPGRADES, Upgrade};

/// The file whose lock says that a process has the folder.
const LOCK: &str = "lock";

/// A data folder, locked for this process, with every format at the version that this Rekap reads and writes.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it.
    #[error("the data folder {0} is in use by another process; stop that one, or set `data` to another folder")]
    InUse(PathBuf),
    /// It holds something else.
    #[error("{0} is not empty and is no data folder of Rekap; set `data` to an empty or new folder")]
    Foreign(PathBuf),
    /// A newer Rekap wrote it.
    #[error("the {format} in {path} has format {found}, and this Rekap reads up to {supported}; use a newer Rekap")]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Which format it is.
        format: Format,
        /// The version found.
        found: u32,
        /// The newest version that this Rekap reads.
        supported: u32,
    },
    /// There is no way up from that version.
    #[error(
        "the {format} in {path} has format {found}, which this Rekap can no longer upgrade; go through an older Rekap first"
    )]
    TooOld {
        /// The folder.
        path: PathBuf,
        /// Which format it is.
        format: Format,
        /// The version found.
        found: u32,
    },
    /// The file system refused.
    #[error(
        "the data folder {path} cannot be used: {source}; see that the disk has room and that this user may write there, or set `data` to another folder"
    )]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DataFolder {
    /// Takes the folder for this process, makes it where it is missing, and upgrades what is old.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        Self::open_with(path, UPGRADES)
    }

    fn open_with(path: &Path, upgrades: &[Upgrade]) -> Result<Self, FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(io)?;
        let stamp = Stamp::read(path).map_err(io)?;
        if stamp.is_none() && holds_something(path).map_err(io)? {
            return Err(FolderError::Foreign(path.to_owned()));
        }
        let folder = DataFolder { path: fs::canonicalize(path).map_err(io)?, _lock: lock(path)? };
        match stamp {
            None => Stamp::current().write(path).map_err(io)?,
            Some(stamp) => folder.upgrade(stamp, upgrades)?,
        }
        Ok(folder)
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the names of what was put into the folder, and the folder's own, survive a power cut.
    pub fn sync(&self) -> Result<(), FolderError> {
        let io = |source| FolderError::Io { path: self.path.clone(), source };
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(io)?;
        // The folder above may be nobody's business: then its owner has synced it long ago.
        self.path.parent().and_then(|above| File::open(above).ok()).map_or(Ok(()), |above| above.sync_all()).map_err(io)
    }

    fn upgrade(&self, mut stamp: Stamp, upgrades: &[Upgrade]) -> Result<(), FolderError> {
        let path = || self.path.clone();
        for format in Format::ALL {
            let supported = format.current();
            let mut found = stamp.formats.get(&format).copied().unwrap_or(supported);
            if found > supported {
                return Err(FolderError::Newer { path: path(), format, found, supported });
            }
            while found < supported {
                let step = upgrades.iter().find(|step| step.format == format && step.from == found);
                let step = step.ok_or_else(|| FolderError::TooOld { path: path(), format, found })?;
                found += 1;
                stamp.formats.insert(format, found);
                (step.run)(&self.path)
                    .and_then(|()| stamp.write(&self.path))
                    .map_err(|source| FolderError::Io { path: path(), source })?;
            }
        }
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File, FolderError> {
    let io = |source| FolderError::Io { path: path.to_owned(), source };
    let file = File::create(path.join(LOCK)).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// True when something other than our own lock file stands in the folder.
fn holds_something(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if entry?.file_name() != LOCK {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(log: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut stamp = Stamp::current();
        stamp.formats.insert(Format::Log, log);
        stamp.write(dir.path()).unwrap();
        dir
    }

    #[test]
    fn a_new_folder_is_stamped_and_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        drop(DataFolder::open(&path).unwrap());
        assert_eq!(Stamp::read(&path).unwrap(), Some(Stamp::current()));
        assert_eq!(DataFolder::open(&path).unwrap().path(), path);
    }

    #[test]
    fn a_folder_in_use_is_refused_until_it_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataFolder::open(dir.path()).unwrap();
        assert!(matches!(DataFolder::open(dir.path()), Err(FolderError::InUse(_))));
        drop(first);
        DataFolder::open(dir.path()).unwrap();
    }

    #[test]
    fn a_folder_that_holds_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.doc"), "years of work").unwrap();
        assert!(matches!(DataFolder::open(dir.path()), Err(FolderError::Foreign(_))));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_newer_rekap_wrote_is_refused_with_both_versions() {
        let dir = stamped(Format::Log.current() + 1);
        let refused = DataFolder::open(dir.path()).unwrap_err();
        assert!(matches!(refused, FolderError::Newer { format: Format::Log, found: 2, supported: 1, .. }), "{refused}");
    }

    #[test]
    fn an_older_folder_takes_each_step_once_and_in_order() {
        let upgrades =
            [Upgrade { format: Format::Log, from: 0, run: |path| fs::write(path.join("upgraded"), "0 to 1") }];
        let dir = stamped(0);
        drop(DataFolder::open_with(dir.path(), &upgrades).unwrap());
        assert_eq!(fs::read_to_string(dir.path().join("upgraded")).unwrap(), "0 to 1");
        assert_eq!(Stamp::read(dir.path()).unwrap(), Some(Stamp::current()));
    }

    #[test]
    fn a_folder_without_a_way_up_says_so() {
        let dir = stamped(0);
        assert!(matches!(DataFolder::open(dir.path()), Err(FolderError::TooOld { found: 0, .. })));
    }
}
