//! Bodies too large for an entry: files named by the hash of what they hold, durable before an entry names them.
//!
//! If the process dies between the two, a document that nothing names stays behind: it is harmless and the same body finds it again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Hash;

/// The folder of documents.
#[derive(Debug)]
pub(super) struct Documents(PathBuf);

impl Documents {
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Documents(folder))
    }

    /// Keeps `bytes` durably and answers their hash.
    pub(super) fn put(&self, bytes: &[u8]) -> io::Result<Hash> {
        let hash = Hash::of(bytes);
        let (path, half) = (self.path(&hash), self.0.join(format!("{hash}.half")));
        let mut file = File::create(&half)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&half, &path)?;
        sync_folder(&self.0)?;
        Ok(hash)
    }

    /// The bytes with that hash; an error when they are gone or others.
    pub(super) fn get(&self, hash: &Hash) -> io::Result<Vec<u8>> {
        let bytes = fs::read(self.path(hash))?;
        if Hash::of(&bytes) != *hash {
            return Err(io::Error::other(format!("document {hash} was changed")));
        }
        Ok(bytes)
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        self.0.join(hash.to_string())
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
