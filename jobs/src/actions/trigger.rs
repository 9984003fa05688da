//! Whose changes count: what a runner is told about its actions, and may be told otherwise at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, RwLock};

use rekap_tables::Table;
use rekap_tiered_storage::{Positions, TopicName};

use super::Actions;

/// Which commits give messages.
#[derive(Clone, Default)]
pub enum When {
    /// None.
    #[default]
    Never,
    /// Those that end past this.
    Past(Bound),
}

/// Up to where changes are somebody else's.
#[derive(Clone)]
pub enum Bound {
    /// Up to here.
    Fixed(Positions),
    /// Up to where another table stands, over the topics that it reads.
    Table {
        /// The other table.
        table: Table,
        /// What it reads.
        topics: BTreeSet<TopicName>,
    },
}

/// What a runner is told of its actions. What is told holds for every commit that begins after it.
#[derive(Default)]
pub struct Trigger {
    told: RwLock<(Option<Arc<Actions>>, When)>,
    failed: Mutex<BTreeMap<String, (u64, String)>>,
}

impl Trigger {
    /// A trigger that was told this.
    pub fn new(actions: Option<Arc<Actions>>, when: When) -> Arc<Trigger> {
        Arc::new(Trigger { told: RwLock::new((actions, when)), failed: Mutex::default() })
    }

    /// Which commits give messages from now on.
    pub fn set_when(&self, when: When) {
        self.told.write().expect("no thread panics while it holds this lock").1 = when;
    }

    /// What is asked from now on.
    pub fn set_actions(&self, actions: Option<Arc<Actions>>) {
        self.told.write().expect("no thread panics while it holds this lock").0 = actions;
    }

    /// How often each action could not be asked since the runner started, and why the last time.
    pub fn failures(&self) -> BTreeMap<String, (u64, String)> {
        self.failed.lock().expect("no thread panics while it holds this lock").clone()
    }

    /// The actions, if a commit that ends at `to` gives messages.
    pub(crate) fn due(&self, to: &Positions) -> Option<Arc<Actions>> {
        let told = self.told.read().expect("no thread panics while it holds this lock");
        told.0.clone().filter(|_| told.1.counts(to))
    }

    /// Where a range from `at` has to be cut, so that what counts and what does not are not one commit.
    pub(crate) fn cut(&self, at: &Positions) -> Option<Positions> {
        let told = self.told.read().expect("no thread panics while it holds this lock");
        told.0.as_ref()?;
        let ahead = |bound: &Positions| -> Positions {
            bound
                .iter()
                .filter(|(topic, partition, next)| at.get(topic, *partition).unwrap_or_default() < *next)
                .collect()
        };
        match &told.1 {
            When::Never => None,
            When::Past(Bound::Fixed(bound)) => Some(ahead(bound)),
            When::Past(Bound::Table { table, topics }) => {
                let ahead = ahead(&table.status().positions);
                Some(ahead.iter().filter(|(topic, ..)| topics.contains(topic)).collect())
            }
        }
    }

    pub(crate) fn note_failed(&self, failed: Vec<(String, String)>) {
        let mut all = self.failed.lock().expect("no thread panics while it holds this lock");
        for (action, reason) in failed {
            let (count, last) = all.entry(action).or_default();
            *count += 1;
            *last = reason;
        }
    }
}

impl When {
    fn counts(&self, to: &Positions) -> bool {
        match self {
            When::Never => false,
            When::Past(Bound::Fixed(bound)) => {
                to.iter().any(|(topic, partition, next)| bound.get(topic, partition).is_none_or(|bound| bound < next))
            }
            When::Past(Bound::Table { table, topics }) => {
                let status = table.status();
                let past = |topic: &TopicName, partition, next| {
                    status.positions.get(topic, partition).is_none_or(|bound| bound < next)
                };
                to.iter().any(|(topic, partition, next)| topics.contains(topic) && past(topic, partition, next))
            }
        }
    }
}
