//! Who reads an alias: by what its clients say of themselves, and when they last did.
//!
//! Bounded and in memory only: it is shown in plans, so that whoever changes a table knows whom to tell, and decides nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rekap_tiered_storage::Timestamp;
use serde::Serialize;

use crate::Orchestrator;

/// So many readers of an alias are remembered; past it the one that was seen longest ago is forgotten.
const MAX_READERS: usize = 64;

/// A reader's name is cut at that: enough for any product and version.
const MAX_NAME_CHARS: usize = 100;

/// One reader of an alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenReader {
    /// What it says it is: its `User-Agent`.
    pub reader: Arc<str>,
    /// When it last read.
    pub last_seen: Timestamp,
    /// How often it read since the server started.
    pub reads: u64,
}

/// The readers of each alias.
#[derive(Debug, Default)]
pub(crate) struct Readers(Mutex<BTreeMap<String, BTreeMap<String, SeenReader>>>);

impl Readers {
    fn saw(&self, alias: &str, name: &str, now: Timestamp) {
        let mut aliases = self.0.lock().expect("no holder of this lock panics");
        if !aliases.contains_key(alias) {
            aliases.insert(alias.to_owned(), BTreeMap::new());
        }
        let Some(readers) = aliases.get_mut(alias) else { return };
        let end = name.char_indices().nth(MAX_NAME_CHARS).map_or(name.len(), |(at, _)| at);
        let name = &name[..end];
        if let Some(reader) = readers.get_mut(name) {
            (reader.last_seen, reader.reads) = (now, reader.reads + 1);
            return;
        }
        if readers.len() == MAX_READERS
            && let Some(oldest) =
                readers.iter().min_by_key(|(_, reader)| reader.last_seen).map(|(name, _)| name.clone())
        {
            readers.remove(&oldest);
        }
        readers.insert(name.to_owned(), SeenReader { reader: name.into(), last_seen: now, reads: 1 });
    }

    fn of(&self, alias: &str) -> Vec<SeenReader> {
        let aliases = self.0.lock().expect("no holder of this lock panics");
        let mut readers: Vec<_> =
            aliases.get(alias).into_iter().flat_map(|readers| readers.values().cloned()).collect();
        readers.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.reader.cmp(&b.reader)));
        readers
    }
}

impl Orchestrator {
    /// Remembers that somebody read what an alias serves. Cheap: it is called for every read.
    pub fn saw_reader(&self, alias: &str, name: &str) {
        self.readers.saw(alias, name, self.clock.now());
    }

    /// Who was seen to read an alias since the server started, the last one first.
    pub fn seen_readers(&self, alias: &str) -> Vec<SeenReader> {
        self.readers.of(alias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_remembered_up_to_a_bound_and_the_last_one_comes_first() {
        let readers = Readers::default();
        let at = Timestamp::from_micros;
        for i in 0..100 {
            readers.saw("bpi", &format!("client/{i}"), at(i));
        }
        readers.saw("bpi", "client/50", at(1000));
        readers.saw("bpi", &"x".repeat(1000), at(500));
        let seen = readers.of("bpi");
        assert_eq!((seen.len(), &*seen[0].reader, seen[0].reads), (MAX_READERS, "client/50", 2));
        assert_eq!(seen[1].reader.len(), MAX_NAME_CHARS);
        assert!(readers.of("other").is_empty());
    }
}
