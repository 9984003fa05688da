//! The hot tier in Kafka: whether the cluster is reached, allows what is needed, and keeps what it acknowledges.

use std::sync::Arc;

use rekap_tiered_storage::{Finding, KafkaExam, KafkaSettings, SystemClock, examine_kafka};

use crate::Config;

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let crate::config::Log { bootstrap, properties, .. } = config.log.clone();
    let settings =
        KafkaSettings { bootstrap: bootstrap.unwrap_or_default(), properties, folder: config.data.join("kafka") };
    let crate::Mirror { topics, max_age, .. } = config.mirror.clone();
    examine_kafka(KafkaExam { settings, topics, max_age, clock: Arc::new(SystemClock) }).await
}
