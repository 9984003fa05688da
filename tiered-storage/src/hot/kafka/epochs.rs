//! Which leader's epoch the records had that were handed out: the proof that the log is still the one that was read.
//!
//! A leader that is elected without having all records begins its epoch below where the last one ended. So whoever goes on at an offset
//! says in which epoch the record before it was, and the broker says where that epoch ended: earlier means that what was read is not
//! in the log any more. The epochs are noted before the records are handed out, in a file of 40 bytes a note that is written anew when
//! it grows: life (16), partition (4), epoch (4), first offset (8), next offset (8), all big-endian. A power cut may lose the last
//! notes; then a place is not checked, which is all that a note does. Format 1; a file that is none is set aside.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::{Incarnation, LogError, Offset, OffsetRange, Partition};

const MAGIC: &[u8; 8] = b"epochs 1";

const NOTE_BYTES: usize = 40;

/// The file is written anew when it has this size, 100,000 notes, and twice that which it had when it was last written anew.
const MAX_FILE_BYTES: usize = 4_000_000;

/// Epochs kept of one partition, the newest: about as many elections ago a reader may have been there last. Of older ones nothing is checked.
const EPOCHS_KEPT: usize = 64;

/// The offsets that were seen in each epoch of each partition.
type Seen = HashMap<(Incarnation, Partition), BTreeMap<i32, OffsetRange>>;

/// What was seen, and its file.
pub(super) struct Epochs {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    seen: Seen,
    file: File,
    bytes: usize,
    /// The size at which it is written anew.
    full_at: usize,
}

impl Epochs {
    /// Opens the file in that folder, or makes one.
    pub(super) fn open(folder: &Path) -> Result<Self, LogError> {
        let path = folder.join("epochs");
        let failed = |e: std::io::Error| LogError::store(format!("opening {}", path.display()), e);
        fs::create_dir_all(folder).map_err(failed)?;
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => MAGIC.to_vec(),
            read => read.map_err(failed)?,
        };
        let seen = bytes.strip_prefix(MAGIC).map(read_all).unwrap_or_default();
        let (file, bytes) = write_all(&path, &seen).map_err(failed)?;
        let full_at = full_at(bytes, MAX_FILE_BYTES);
        Ok(Epochs { path, state: Mutex::new(State { seen, file, bytes, full_at }) })
    }

    /// The epoch of the record before `from`, where that was seen.
    pub(super) fn before(&self, life: Incarnation, partition: Partition, from: Offset) -> Option<i32> {
        let state = self.state.lock().expect("no holder panics");
        let mut epochs = state.seen.get(&(life, partition))?.iter();
        epochs.find(|(_, seen)| seen.from < from && from <= seen.to).map(|(epoch, _)| *epoch)
    }

    /// Notes the epochs of records that are about to be handed out, which cover up to `to`.
    pub(super) fn note(
        &self,
        life: Incarnation,
        partition: Partition,
        epochs: &[(i32, Offset)],
        to: Offset,
    ) -> Result<(), LogError> {
        let mut state = self.state.lock().expect("no holder panics");
        let mut notes = Vec::new();
        for (i, (epoch, from)) in epochs.iter().enumerate() {
            let to = epochs.get(i + 1).map_or(to, |(_, next)| *next);
            let range = OffsetRange::new(*from, to);
            if merge(&mut state.seen, life, partition, *epoch, range) {
                notes.extend(note(life, partition, *epoch, range));
            }
        }
        let failed = |e| LogError::store(format!("writing {}", self.path.display()), e);
        state.file.write_all(&notes).map_err(failed)?;
        state.bytes += notes.len();
        if state.bytes > state.full_at {
            (state.file, state.bytes) = write_all(&self.path, &state.seen).map_err(failed)?;
            state.full_at = full_at(state.bytes, MAX_FILE_BYTES);
        }
        Ok(())
    }
}

/// The size at which a file that has just been written anew is so again: writing it costs no more than the notes between.
fn full_at(bytes: usize, least: usize) -> usize {
    least.max(2 * bytes)
}

/// Widens what was seen of an epoch: all offsets between two of one epoch are of that epoch. False where nothing is new.
fn merge(seen: &mut Seen, life: Incarnation, partition: Partition, epoch: i32, range: OffsetRange) -> bool {
    let epochs = seen.entry((life, partition)).or_default();
    let known = epochs.entry(epoch).or_insert(OffsetRange::new(range.from, range.from));
    let wider = OffsetRange::new(known.from.min(range.from), known.to.max(range.to));
    let is_new = std::mem::replace(known, wider) != wider;
    while epochs.len() > EPOCHS_KEPT {
        epochs.pop_first();
    }
    is_new
}

fn note(life: Incarnation, partition: Partition, epoch: i32, range: OffsetRange) -> [u8; NOTE_BYTES] {
    let mut note = [0; NOTE_BYTES];
    note[..16].copy_from_slice(life.as_bytes());
    note[16..20].copy_from_slice(&partition.0.to_be_bytes());
    note[20..24].copy_from_slice(&epoch.to_be_bytes());
    note[24..32].copy_from_slice(&range.from.get().to_be_bytes());
    note[32..].copy_from_slice(&range.to.get().to_be_bytes());
    note
}

fn read_all(bytes: &[u8]) -> Seen {
    let mut seen = Seen::new();
    for note in bytes.as_chunks::<NOTE_BYTES>().0 {
        let number = |at: usize| i64::from_be_bytes(note[at..at + 8].try_into().expect("8 bytes"));
        let short = |at: usize| u32::from_be_bytes(note[at..at + 4].try_into().expect("4 bytes"));
        let life = Incarnation::from_bytes(note[..16].try_into().expect("16 bytes"));
        let (Some(from), Some(to)) = (Offset::from_i64(number(24)), Offset::from_i64(number(32))) else { continue };
        if from <= to {
            merge(&mut seen, life, Partition(short(16)), short(20) as i32, OffsetRange::new(from, to));
        }
    }
    seen
}

/// Writes the file anew, and leaves it open for more.
fn write_all(path: &Path, seen: &Seen) -> std::io::Result<(File, usize)> {
    let mut bytes = MAGIC.to_vec();
    for ((life, partition), epochs) in seen {
        bytes.extend(epochs.iter().flat_map(|(epoch, range)| note(*life, *partition, *epoch, *range)));
    }
    let fresh = path.with_extension("new");
    fs::write(&fresh, &bytes)?;
    fs::rename(&fresh, path)?;
    Ok((File::options().append(true).open(path)?, bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition(3);

    fn at(offset: u64) -> Offset {
        Offset::new(offset)
    }

    #[test]
    fn an_epoch_is_known_where_its_records_were_seen_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let (life, other) = (Incarnation::random(), Incarnation::random());
        let epochs = Epochs::open(folder.path()).unwrap();
        epochs.note(life, P, &[(2, at(100)), (5, at(120))], at(150)).unwrap();
        epochs.note(life, P, &[(5, at(150))], at(160)).unwrap();
        for epochs in [epochs, Epochs::open(folder.path()).unwrap()] {
            let before = |offset| epochs.before(life, P, at(offset));
            assert_eq!((before(100), before(101), before(120)), (None, Some(2), Some(2)));
            assert_eq!((before(121), before(160), before(161)), (Some(5), Some(5), None));
            assert_eq!(epochs.before(other, P, at(121)), None);
        }
    }

    #[test]
    fn a_file_that_is_large_is_not_written_anew_at_every_note() {
        assert_eq!(full_at(MAGIC.len(), MAX_FILE_BYTES), MAX_FILE_BYTES);
        assert_eq!(full_at(5_000_000, MAX_FILE_BYTES), 10_000_000);
    }

    #[test]
    fn only_the_newest_epochs_of_a_partition_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let life = Incarnation::random();
        let epochs = Epochs::open(folder.path()).unwrap();
        for epoch in 0..100 {
            epochs.note(life, P, &[(epoch, at(epoch as u64 * 10))], at(epoch as u64 * 10 + 10)).unwrap();
        }
        for epochs in [epochs, Epochs::open(folder.path()).unwrap()] {
            assert_eq!(epochs.before(life, P, at(1000)), Some(99));
            assert_eq!(epochs.before(life, P, at(100 * 10 - 64 * 10 + 1)), Some(36));
            assert_eq!(epochs.before(life, P, at(100 * 10 - 64 * 10)), None);
        }
    }

    #[test]
    fn a_note_that_was_cut_by_a_power_cut_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let life = Incarnation::random();
        Epochs::open(folder.path()).unwrap().note(life, P, &[(1, at(0))], at(10)).unwrap();
        let path = folder.path().join("epochs");
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend([7; 13]);
        fs::write(&path, bytes).unwrap();
        assert_eq!(Epochs::open(folder.path()).unwrap().before(life, P, at(10)), Some(1));
    }
}
