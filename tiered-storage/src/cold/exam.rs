//! Whether a store can hold a cold tier, tried out on the store itself.
//!
//! Exactly-once stands on two promises of a store: a create never replaces what is there, not even in a race, and a listing shows at
//! once what was written. Many stores speak S3 and keep only some of it, so each promise is tried. All that is written lies in a folder of its own,
//! which is removed at the end; dying on the way leaves a few small objects there.

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode};
use tokio::time::Instant;

use super::ColdTier;
use super::store::ColdStore;
use crate::{Finding, LogError, Timestamp, Verdict};

/// How many creators race for one name.
const CREATORS: usize = 64;

/// How long one check may take in all.
const PATIENCE: Duration = Duration::from_secs(30);

/// A write that takes longer makes each round of the mirror slow.
const SLOW: Duration = Duration::from_secs(1);

/// Clocks further apart than this make requests fail, and files look older or younger than they are.
const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);

/// The names of the checks, in their order; each one needs those before it.
const CHECKS: [&str; 8] = [
    "cold-reachable",
    "cold-writable",
    "cold-create-only",
    "cold-create-only-race",
    "cold-list-after-write",
    "cold-read",
    "cold-clock",
    "cold-delete",
];

/// An examination under way.
struct Exam<'a> {
    store: &'a ColdStore,
    folder: Path,
    now: Timestamp,
    /// How long the first write took.
    wrote_in: Duration,
}

impl ColdTier {
    /// Tries out everything that the cold tier needs of its store. What failed keeps the rest from being tried.
    pub async fn examine(&self) -> Vec<Finding> {
        let folder = Path::from(format!("_rekap_doctor/{}", uuid::Uuid::new_v4()));
        let mut exam = Exam { store: &self.store, folder, now: self.clock.now(), wrote_in: Duration::ZERO };
        let mut findings: Vec<Finding> = Vec::new();
        for check in CHECKS {
            let failed = |found: &Finding| found.verdict == Verdict::Fail;
            let wrote = findings.iter().any(|found| found.check == "cold-writable" && found.verdict < Verdict::Fail);
            if findings.iter().any(failed) && !(wrote && check == "cold-delete") {
                findings.push(Finding::skipped(check));
                continue;
            }
            let began = Instant::now();
            let found = tokio::time::timeout(PATIENCE, exam.check(check)).await;
            let late = || {
                Finding::fail(check, format!("no answer within {PATIENCE:?}"), "look at the network and at the store")
            };
            findings.push(Finding { took: began.elapsed(), ..found.unwrap_or_else(|_| late()) });
        }
        findings
    }
}

/// How long a server's start waits for a store to show whether it honours conditions.
const START_PATIENCE: Duration = Duration::from_secs(5);

impl ColdTier {
    /// Refuses a bucket whose server ignores the condition of a create, before anything is written to it by a mirror: two small objects at
    /// most, removed again. A bucket that does not answer now is let through: while it is away only the mirror waits.
    pub async fn refuse_careless_store(&self) -> Result<(), LogError> {
        if self.store.is_on_disk() {
            return Ok(());
        }
        let objects = self.store.objects();
        let path = Path::from(format!("_rekap_doctor/start-{}", uuid::Uuid::new_v4()));
        let tried = async {
            create(objects.as_ref(), &path, "first").await?;
            let again = create(objects.as_ref(), &path, "second").await;
            // Without the right to delete a few bytes stay, as do the files that clean-up cannot delete.
            _ = objects.delete(&path).await;
            Ok::<_, Error>(again)
        };
        match tokio::time::timeout(START_PATIENCE, tried).await {
            Ok(Ok(Ok(()))) => Err(LogError::Invalid(format!(
                "the server of {} answered a create of an object that was there with success; {IGNORES}; `rekap doctor` shows more",
                self.store.url()
            ))),
            Ok(Ok(Err(Error::AlreadyExists { .. }))) => Ok(()),
            Ok(Ok(Err(error)) | Err(error)) => {
                tracing::warn!(%error, "the cold tier's store could not be tried out; `rekap doctor` shows more");
                Ok(())
            }
            Err(_) => {
                tracing::warn!("the cold tier's store did not answer within {START_PATIENCE:?}");
                Ok(())
            }
        }
    }
}

impl Exam<'_> {
    async fn check(&mut self, check: &'static str) -> Finding {
        let objects = self.store.objects();
        let objects = objects.as_ref();
        let found = match check {
            "cold-reachable" => self.reach(objects).await,
            "cold-writable" => self.write(objects).await,
            "cold-create-only" => self.create_again(objects).await,
            "cold-create-only-race" => self.race(objects).await,
            "cold-list-after-write" => self.list(objects).await,
            "cold-read" => self.read(objects).await,
            "cold-clock" => self.clocks(objects).await,
            _ => self.delete(objects).await,
        };
        found.unwrap_or_else(|e| explained(check, &e))
    }

    fn at(&self, name: &str) -> Path {
        self.folder.clone().join(name)
    }

    async fn reach(&self, objects: &dyn ObjectStore) -> Result<Finding, Error> {
        objects.list_with_delimiter(None).await?;
        Ok(Finding::pass("cold-reachable", self.store.url().to_string()))
    }

    async fn write(&mut self, objects: &dyn ObjectStore) -> Result<Finding, Error> {
        let began = Instant::now();
        create(objects, &self.at("first"), "first").await?;
        self.wrote_in = began.elapsed();
        let detail = format!("wrote an object in {} ms", self.wrote_in.as_millis());
        Ok(match self.wrote_in > SLOW {
            false => Finding::pass("cold-writable", detail),
            true => Finding::warn("cold-writable", detail, "use a store that is nearer, or expect slow mirror rounds"),
        })
    }

    async fn create_again(&self, objects: &dyn ObjectStore) -> Result<Finding, Error> {
        const CHECK: &str = "cold-create-only";
        match create(objects, &self.at("first"), "second").await {
            Err(Error::AlreadyExists { .. }) => Ok(Finding::pass(CHECK, "a create of what is there is refused")),
            Err(e) => Err(e),
            Ok(()) => {
                Ok(Finding::fail(CHECK, "a create of an object that is there was answered with success", IGNORES))
            }
        }
    }

    async fn race(&self, objects: &dyn ObjectStore) -> Result<Finding, Error> {
        const CHECK: &str = "cold-create-only-race";
        let path = self.at("raced");
        let creators = (0..CREATORS).map(|n| {
            let path = &path;
            async move { create(objects, path, &format!("creator {n}")).await.map(|()| n) }
        });
        let outcomes = join_all(creators).await;
        let winners: Vec<usize> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok().copied()).collect();
        let broken = outcomes.into_iter().filter_map(Result::err).find(|e| !matches!(e, Error::AlreadyExists { .. }));
        let held = objects.get(&path).await?.bytes().await?;
        Ok(match (winners.as_slice(), broken) {
            ([winner], None) if held == format!("creator {winner}").as_bytes() => {
                Finding::pass(CHECK, format!("of {CREATORS} who create one object at once, one wins"))
            }
            ([_], None) => Finding::fail(CHECK, "the object is not the one of the creator who won", IGNORES),
            ([], None) | (_, Some(_)) if winners.len() < 2 => Finding::warn(
                CHECK,
                format!("of {CREATORS} creators at once some got an error"),
                "look whether the store bears as many requests at once; Rekap tries again",
            ),
            _ => Finding::fail(
                CHECK,
                format!("of {CREATORS} who create one object at once, {} won", winners.len()),
                IGNORES,
            ),
        })
    }

    async fn list(&self, objects: &dyn ObjectStore) -> Result<Finding, Error> {
        const CHECK: &str = "cold-list-after-write";
        const REMEDY: &str = "use a store whose listings are consistent, or turn off the cache before it";
        for n in 0..10 {
            let path = self.at(&format!("listed-{n}"));
            create(objects, &path, "listed").await?;
            let listed: Vec<_> = objects.list(Some(&self.folder)).try_collect().await?;
            if !listed.iter().any(|object| object.location == path) {
                return Ok(Finding::fail(CHECK, "a listing does not show what was written just before", REMEDY));
            }
        }
        let after: Vec<_> = objects.list_with_offset(Some(&self.folder), &self.at("listed-6")).try_collect().await?;
        let names: Vec<&str> = after.iter().filter_map(|object| object.location.filename()).collect();
        Ok(match names.iter().filter(|name| name.starts_with("listed-")).count() {
            3 => Finding::pass(CHECK, "a listing shows at once what was written"),
            _ => Finding::fail(CHECK, format!("a listing that begins after `listed-6` shows {names:?}"), REMEDY),
        })
    }

    async fn read(&self, objects: &dyn ObjectStore) -> Result<Finding, Error> {
        const CHECK: &str = "cold-read";
        let (whole, part) =
            (objects.get(&self.at("first")).await?.bytes().await?, objects.get_range(&self.at("first"), 1..3).await?);
        Ok(match (whole.as_ref(), part.as_ref()) {
            (b"first", b"ir") => Finding::pass(CHECK, "an object reads back as it was written, whole and in part"),
            _ => Finding::fail(CHECK, "an object does not read back as it was written", "use another store"),
        })
    }

    async fn clocks(&self, objects: &dyn ObjectStore) -> Result<Finding, Error> {
        const CHECK: &str = "cold-clock";
        let written = Timestamp::from_micros(objects.head(&self.at("first")).await?.last_modified.timestamp_micros());
        let apart = written.since(self.now).max(self.now.since(written));
        Ok(match apart < CLOCKS_APART {
            true => Finding::pass(CHECK, format!("the store's clock is within {} s of ours", apart.as_secs() + 1)),
            false => Finding::warn(
                CHECK,
                format!("the store's clock is {} s from ours", apart.as_secs()),
                "set both clocks by NTP",
            ),
        })
    }

    async fn delete(&self, objects: &dyn ObjectStore) -> Result<Finding, Error> {
        const CHECK: &str = "cold-delete";
        let listed: Vec<_> = objects.list(Some(&self.folder)).try_collect().await?;
        for object in &listed {
            objects.delete(&object.location).await?;
        }
        let left: Vec<_> = objects.list(Some(&self.folder)).try_collect().await?;
        Ok(match left.is_empty() {
            true => Finding::pass(CHECK, format!("removed the {} objects of this examination", listed.len())),
            false => {
                Finding::fail(CHECK, "what was deleted is still listed", "use a store whose listings are consistent")
            }
        })
    }
}

const IGNORES: &str = "do not use this store: two writers would both believe that they committed. Use one that honours `If-None-Match: *` \
                       on PUT (AWS S3 does since 2024; for others see their release notes), and no cache or proxy that drops it";

async fn create(objects: &dyn ObjectStore, path: &Path, text: &str) -> Result<(), Error> {
    objects.put_opts(path, Bytes::from(text.to_owned()).into(), PutMode::Create.into()).await.map(drop)
}

/// A store's error as a finding, with what it most likely means.
fn explained(check: &'static str, e: &Error) -> Finding {
    let detail = e.to_string();
    let says = |word: &str| detail.contains(word);
    let remedy = match e {
        _ if says("NoSuchBucket") => "make the bucket, or correct `url` in `[cold]`",
        _ if says("SignatureDoesNotMatch")
            || says("InvalidAccessKeyId")
            || says("InvalidToken")
            || says("ExpiredToken") =>
        {
            "correct the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile that AWS_PROFILE names"
        }
        Error::PermissionDenied { .. } if check == "cold-delete" => {
            "allow s3:DeleteObject; clean-up of what is no longer needed needs it"
        }
        Error::PermissionDenied { .. } => {
            "allow s3:ListBucket on the bucket and s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload on what is in it"
        }
        Error::Unauthenticated { .. } => "set credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile",
        Error::NotFound { .. } => "make the bucket, or correct `url` in `[cold]`",
        Error::NotImplemented { .. } | Error::NotSupported { .. } => IGNORES,
        _ => "look whether `endpoint` and `region` in `[cold]` are right, and whether the store is up",
    };
    Finding::fail(check, detail, remedy)
}
