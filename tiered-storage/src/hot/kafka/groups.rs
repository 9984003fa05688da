//! How far readers are, as committed offsets of groups: for tools that show lag. Nobody reads it back, and what gets lost is told again.
//!
//! Each group has a client of its own, which stays for as long as it is used. librdkafka could commit for any group from one client, but
//! that call ends the whole process when the broker goes away under it (`rd_kafka_enq_once_del_source_return: Assertion`). A client whose
//! broker is away takes minutes to close, so the last ones are left to the end of the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::time::Instant;

use super::cluster::{Cluster, blocking};
use super::settings::KafkaSettings;
use super::watcher::Watcher;
use crate::{LogError, Positions};

/// Clients in all; past it the one that was used longest ago goes. Each has a few threads.
const MOST: usize = 64;

/// How long a client stays without being used.
const IDLE: Duration = Duration::from_secs(300);

/// Commits for groups.
pub(super) struct Groups {
    cluster: Arc<Cluster>,
    settings: KafkaSettings,
    clients: Mutex<HashMap<String, (BaseConsumer<Watcher>, Instant)>>,
}

impl Groups {
    pub(super) fn new(cluster: Arc<Cluster>, settings: KafkaSettings) -> Self {
        Groups { cluster, settings, clients: Mutex::default() }
    }

    /// Hands the offsets of a group to its client, and does not wait for what becomes of them.
    pub(super) async fn commit(self: &Arc<Self>, group: String, at: Positions) -> Result<(), LogError> {
        let this = self.clone();
        blocking(move || this.commit_now(group, &at)).await
    }

    fn commit_now(&self, group: String, at: &Positions) -> Result<(), LogError> {
        let failed = |e| self.cluster.failed(&format!("committing the offsets of group `{group}` to"), e);
        let mut offsets = TopicPartitionList::new();
        for (topic, partition, next) in at.iter() {
            let next = KafkaOffset::Offset(next.as_i64());
            offsets.add_partition_offset(topic.as_str(), partition.0 as i32, next).map_err(failed)?;
        }
        let mut clients = self.clients.lock().expect("no holder panics");
        let full = clients.len() >= MOST && !clients.contains_key(&group);
        let oldest = clients.values().map(|(_, used)| *used).min().filter(|_| full);
        let closed: Vec<_> =
            clients.extract_if(|_, (_, used)| used.elapsed() > IDLE || Some(*used) == oldest).collect();
        if !clients.contains_key(&group) {
            let (config, watcher) = (self.settings.group(&group), self.cluster.watcher.clone());
            let client = BaseConsumer::from_config_and_context(&config, watcher).map_err(failed)?;
            clients.insert(group.clone(), (client, Instant::now()));
        }
        let Some((client, used)) = clients.get_mut(&group) else { return Ok(()) };
        *used = Instant::now();
        // What it has to say of former commits is for the watcher.
        _ = client.poll(Duration::ZERO);
        let handed_over = client.commit(&offsets, CommitMode::Async).map_err(failed);
        drop(clients);
        drop(closed);
        handed_over
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let clients = self.clients.get_mut().map(std::mem::take).unwrap_or_default();
        clients.into_values().for_each(|(client, _)| std::mem::forget(client));
    }
}
