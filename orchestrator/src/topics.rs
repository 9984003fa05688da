//! What happens to topics, told in the catalog: who made, changed, deleted or mirrored which.
//!
//! The log is the truth of topics, the catalog their audit trail. A topic is made and changed in the log first and told afterwards;
//! it is deleted the other way round. So whatever a crash leaves is seen at the next start ([`Orchestrator::settle_topics`]): what is
//! untold is told, a deletion that was told is carried out, and what neither explains is lost, which is told too.

use rekap_tiered_storage::{Positions, Topic, TopicName};

use crate::event::What;
use crate::state::State;
use crate::{By, Orchestrator, Rejection, RequestKey};

/// What Rekap says of what it found at start.
const FOUND: &str = "found at start";

impl Orchestrator {
    /// Tells that a topic was made.
    pub async fn topic_created(&self, topic: &Topic, by: &By) -> Result<(), Rejection> {
        self.tell(by, What::TopicCreated { topic: Box::new(topic.clone()) }).await
    }

    /// Tells that a topic is configured otherwise now.
    pub async fn topic_changed(&self, topic: &Topic, by: &By) -> Result<(), Rejection> {
        self.tell(by, What::TopicChanged { topic: Box::new(topic.clone()) }).await
    }

    /// Tells that a topic was mirrored up to its end, which is now `mirrored_to`.
    pub async fn topic_mirrored(&self, topic: &TopicName, mirrored_to: Positions, by: &By) -> Result<(), Rejection> {
        self.tell(by, What::TopicMirrored { topic: topic.clone(), mirrored_to }).await
    }

    /// Tells that somebody appended records, and what they said about it. Without a note there is nothing to tell.
    pub async fn topic_appended(&self, topic: &TopicName, appended: u64, by: &By) -> Result<(), Rejection> {
        match by.note {
            Some(_) => self.tell(by, What::TopicAppended { topic: topic.clone(), appended }).await,
            None => Ok(()),
        }
    }

    /// Deletes a topic that no version reads, not even one that is deployed at the same moment.
    pub async fn delete_topic(&self, topic: &Topic, by: &By) -> Result<(), Rejection> {
        let (name, incarnation) = (topic.name.clone(), topic.incarnation);
        let unread = move |state: &State, _| {
            let readers = state.readers(&name);
            if !readers.is_empty() {
                return Err(Rejection::TopicInUse { topic: name, readers });
            }
            Ok((Some(What::TopicDeleted { topic: name, incarnation }), ()))
        };
        self.write(by, "", unread).await?;
        Ok(self.log.hot.delete_topic(&topic.name).await?)
    }

    /// Brings the log's topics and what is told of them together, once, at start.
    pub async fn settle_topics(&self) -> Result<(), Rejection> {
        let by = By { note: Some(FOUND.into()), ..By::rekap() };
        let (state, there) = (self.state(), self.log.hot.topics().await?);
        for topic in &there {
            match state.topics().get(&topic.name) {
                Some(known) if **known == *topic => {}
                Some(known) if known.incarnation == topic.incarnation => self.topic_changed(topic, &by).await?,
                Some(_) | None if state.was_deleted(topic.incarnation) => {
                    self.log.hot.delete_topic(&topic.name).await?
                }
                Some(_) | None => self.topic_created(topic, &by).await?,
            }
        }
        for (name, known) in state.topics() {
            if !there.iter().any(|topic| topic.name == *name) {
                tracing::error!(topic = %name, "the topic is not in the log any more, and nobody deleted it; restore the log's folder");
                let what = What::TopicLost { topic: name.clone(), incarnation: known.incarnation };
                self.tell(&by, what).await?;
            }
        }
        Ok(())
    }

    /// Keeps the key of a request that changed nothing, unless its command has kept it: the same key with another request is refused
    /// for a day from now.
    pub async fn keep_request(&self, request: RequestKey) -> Result<(), Rejection> {
        let by = By { request: Some(request), ..By::rekap() };
        // Whatever its command has answered.
        self.write(&by, "", |_, _| Ok((None, serde_json::Value::Null))).await.map(drop)
    }

    /// Refuses a request whose key came with another one before.
    pub fn refuse_other_request(&self, request: &RequestKey) -> Result<(), Rejection> {
        self.book.refuse_other(request)
    }

    async fn tell(&self, by: &By, what: What) -> Result<(), Rejection> {
        self.write(by, "", move |_, _| Ok((Some(what), ()))).await
    }
}
