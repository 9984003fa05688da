//! Why a command or a view was refused, by what its caller can do about it.

use std::collections::BTreeMap;

use rekap_tiered_storage::{LogError, Timestamp, TopicName};

use crate::{CatalogError, Condition, SqlError};

/// What a refusal means to its caller. `api` maps it to a status; nothing here knows HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The thing named does not exist.
    NotFound,
    /// The request can never succeed as it is.
    Invalid,
    /// The request does not fit the present state.
    Conflict,
    /// The caller's picture of the job is out of date.
    Precondition,
    /// It may succeed later, unchanged.
    Unavailable,
    /// It is ours to mend.
    Internal,
}

/// A refusal. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// There is no such job.
    #[error("there is no job `{0}`")]
    UnknownJob(String),
    /// The job has no such version.
    #[error("job `{job}` has no version {version}")]
    UnknownVersion {
        /// The job.
        job: String,
        /// The version asked for.
        version: u32,
    },
    /// There is no such token.
    #[error("there is no token `{0}`")]
    UnknownToken(String),
    /// The spec or its query was refused.
    #[error("{detail}")]
    Refused {
        /// The compiler's stable code.
        code: String,
        /// Line and column in the query, from 1.
        place: Option<(u64, u64)>,
        /// What is wrong.
        detail: String,
        /// What to write instead.
        remedy: String,
    },
    /// A condition of promotion does not hold.
    #[error("version {version} of `{job}` is not ready: {}", unmet(conditions))]
    NotReady {
        /// The job.
        job: String,
        /// The version.
        version: u32,
        /// Every condition, met or not.
        conditions: BTreeMap<String, Condition>,
    },
    /// The swap was called off; everything is as it was.
    #[error("the promotion of version {version} of `{job}` was called off: {reason}")]
    CalledOff {
        /// The job.
        job: String,
        /// The version.
        version: u32,
        /// Why.
        reason: String,
        /// Every condition as it was when the swap began.
        conditions: BTreeMap<String, Condition>,
    },
    /// That condition cannot be waived, or there is none of that name.
    #[error("`{0}` cannot be forced")]
    NotForcible(String),
    /// No version served before the serving one and is still warm.
    #[error(
        "no version of `{0}` that served before the one that serves now is kept warm: there was none, or its rollback window has ended"
    )]
    NothingToRollBack(String),
    /// The group was not promoted as one, or that was taken back.
    #[error("no promotion of group `{0}` as one is left to be taken back")]
    GroupNotPromoted(String),
    /// The version before cannot take over.
    #[error("`{job}` cannot be rolled back to version {to}: {why}")]
    CannotRollBack {
        /// The job.
        job: String,
        /// The version asked for.
        to: u32,
        /// Why not.
        why: String,
    },
    /// Live versions read the topic.
    #[error("topic `{topic}` is read by {}", readers.join(", "))]
    TopicInUse {
        /// The topic.
        topic: TopicName,
        /// The versions, as `bpi@3`.
        readers: Vec<String>,
    },
    /// The version serves, or is what a rollback would go to.
    #[error("version {version} of `{job}` {how}")]
    InUse {
        /// The job.
        job: String,
        /// The version.
        version: u32,
        /// How it is used.
        how: &'static str,
    },
    /// The verb does not apply to a version in that phase.
    #[error("version {version} of `{job}` is {phase} and cannot be {verb}")]
    WrongPhase {
        /// The job.
        job: String,
        /// The version.
        version: u32,
        /// Its phase.
        phase: String,
        /// The past participle of what was asked for.
        verb: &'static str,
    },
    /// Somebody froze the job.
    #[error("`{job}` is frozen by {by} until {until}")]
    Frozen {
        /// The job.
        job: String,
        /// Who froze it.
        by: String,
        /// When the freeze ends.
        until: Timestamp,
    },
    /// `If-Match` named another generation.
    #[error("`{job}` is at generation {found}, not {expected}")]
    Moved {
        /// The job.
        job: String,
        /// The generation that the caller saw.
        expected: u64,
        /// The one that it has.
        found: u64,
    },
    /// `If-Match` named another state of the group.
    #[error("a job of group `{group}` has moved: the group is at generation {found}, not {expected}")]
    GroupMoved {
        /// The group.
        group: String,
        /// The generation that the caller saw.
        expected: u64,
        /// The one that it has.
        found: u64,
    },
    /// No job is in a group of that name.
    #[error("no job is in a group `{0}`")]
    UnknownGroup(String),
    /// The job is not in the group.
    #[error("job `{job}` is not in group `{group}`")]
    NotInGroup {
        /// The group.
        group: String,
        /// The job.
        job: String,
    },
    /// No job of the group has a candidate.
    #[error("no job of group `{0}` has a version that could be promoted")]
    NothingToPromote(String),
    /// A condition of promotion does not hold for some job of the group; none of them moved.
    #[error("group `{group}` is not ready: {}", unready(jobs))]
    GroupNotReady {
        /// The group.
        group: String,
        /// Every condition of the jobs that are not ready.
        jobs: BTreeMap<String, BTreeMap<String, Condition>>,
    },
    /// What a plan rested on has moved.
    #[error("the plan for `{job}` no longer holds: {}", moved.join("; "))]
    PlanMoved {
        /// The job.
        job: String,
        /// What has moved, in words.
        moved: Vec<String>,
    },
    /// The idempotency key came with another request before.
    #[error("the idempotency key `{0}` was used for another request in the last 24 hours")]
    KeyReused(String),
    /// A moment that must lie ahead does not.
    #[error("{0} is not in the future")]
    NotInTheFuture(Timestamp),
    /// No version of the job serves.
    #[error("no version of `{0}` serves yet")]
    NotServing(String),
    /// The version has no table now.
    #[error("version {version} of `{job}` has no table: it is {phase}")]
    NoTable {
        /// The job.
        job: String,
        /// The version.
        version: u32,
        /// Its phase.
        phase: String,
    },
    /// The version was never verified.
    #[error("version {version} of `{job}` was not verified yet")]
    NotVerified {
        /// The job.
        job: String,
        /// The version.
        version: u32,
    },
    /// A drill of the job goes on.
    #[error("a drill of `{0}` goes on already")]
    DrillRunning(String),
    /// The job was never drilled.
    #[error("`{0}` was not drilled yet")]
    NotDrilled(String),
    /// There is no such schedule.
    #[error("there is no schedule `{0}`")]
    UnknownSchedule(String),
    /// The schedule's last run goes on.
    #[error("the last run of schedule `{0}` goes on")]
    ScheduleRunning(String),
    /// The serving version is being brought back after the machine stopped uncleanly.
    #[error("version {version} of `{job}` is being brought back to where the log ended when the machine came up")]
    Recovering {
        /// The job.
        job: String,
        /// The version.
        version: u32,
    },
    /// A query over the tables was refused.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// The log refused or failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The catalog failed. The effect may have happened; looking again shows it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A table failed.
    #[error("the table of version {version} of `{job}`: {detail}")]
    Table {
        /// The job.
        job: String,
        /// The version.
        version: u32,
        /// What failed.
        detail: String,
    },
}

fn unmet(conditions: &BTreeMap<String, Condition>) -> String {
    let unmet = conditions.iter().filter(|(_, condition)| !condition.met);
    unmet.map(|(name, condition)| format!("{name} ({})", condition.detail)).collect::<Vec<_>>().join(", ")
}

fn unready(jobs: &BTreeMap<String, BTreeMap<String, Condition>>) -> String {
    jobs.iter().map(|(job, conditions)| format!("`{job}`: {}", unmet(conditions))).collect::<Vec<_>>().join("; ")
}

/// What to do about a version that is not ready: what waiting does not mend comes first, and waiting only where it helps.
fn not_ready(job: &str, version: u32, conditions: &BTreeMap<String, Condition>) -> String {
    let unmet = |name: &str| conditions.get(name).filter(|condition| !condition.met).map(|c| c.detail.as_str());
    let mut steps = vec![];
    match unmet("caught_up") {
        Some(detail) if detail.starts_with("it failed") => steps
            .push(format!("mend what stopped it and `rekap resume {job}@{version}`, or deploy a version that can run")),
        Some("it is paused") => steps.push(format!("`rekap resume {job}@{version}`")),
        _ => {}
    }
    match unmet("verified") {
        Some(detail) if detail.starts_with("it failed") => {
            steps.push("deploy a corrected version, or force `verified` if the differences are wanted".to_owned());
        }
        Some(detail) if detail.starts_with("a person") => {
            steps.push(format!("look at `rekap verify {job}@{version}`, and force `verified` if that is right"));
        }
        _ => {}
    }
    for (name, whatever) in [
        ("schema", "keep the columns that readers have, or force `schema`"),
        ("no_gap", "restore what is missing and replay, or force `no_gap`"),
        ("computed", "deploy a version that computes every row, or force `computed`"),
    ] {
        steps.extend(unmet(name).map(|_| whatever.to_owned()));
    }
    if steps.is_empty() {
        return format!(
            "wait (`rekap wait {job}@{version} --for Ready`), arm it (`--when-ready`), or force a condition other than caught_up"
        );
    }
    steps.join("; ")
}

impl Rejection {
    /// What it means to the caller.
    pub fn kind(&self) -> Kind {
        match self {
            Rejection::UnknownJob(_) | Rejection::UnknownVersion { .. } | Rejection::NotVerified { .. } => {
                Kind::NotFound
            }
            Rejection::NotServing(_) | Rejection::UnknownGroup(_) | Rejection::UnknownToken(_) => Kind::NotFound,
            Rejection::NotDrilled(_) | Rejection::UnknownSchedule(_) => Kind::NotFound,
            Rejection::DrillRunning(_) | Rejection::ScheduleRunning(_) => Kind::Conflict,
            Rejection::NotInGroup { .. } => Kind::Invalid,
            Rejection::NothingToPromote(_) | Rejection::GroupNotReady { .. } => Kind::Conflict,
            Rejection::Refused { .. } | Rejection::NotForcible(_) => Kind::Invalid,
            Rejection::KeyReused(_) | Rejection::NotInTheFuture(_) => Kind::Invalid,
            Rejection::NotReady { .. } | Rejection::CalledOff { .. } => Kind::Conflict,
            Rejection::NothingToRollBack(_) | Rejection::GroupNotPromoted(_) | Rejection::CannotRollBack { .. } => {
                Kind::Conflict
            }
            Rejection::InUse { .. } | Rejection::WrongPhase { .. } | Rejection::Frozen { .. } => Kind::Conflict,
            Rejection::TopicInUse { .. } => Kind::Conflict,
            Rejection::NoTable { .. } | Rejection::PlanMoved { .. } => Kind::Conflict,
            Rejection::Moved { .. } | Rejection::GroupMoved { .. } => Kind::Precondition,
            Rejection::Recovering { .. } => Kind::Unavailable,
            Rejection::Sql(SqlError::Log(error)) => log_kind(error),
            Rejection::Sql(_) => Kind::Invalid,
            Rejection::Log(error) => log_kind(error),
            Rejection::Catalog(CatalogError::Store { .. } | CatalogError::Unknown) => Kind::Unavailable,
            Rejection::Catalog(_) | Rejection::Table { .. } => Kind::Internal,
        }
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        match self {
            Rejection::UnknownJob(_) => "UNKNOWN_JOB",
            Rejection::UnknownVersion { .. } => "UNKNOWN_VERSION",
            Rejection::Refused { code, .. } => code,
            Rejection::Sql(SqlError::Log(error)) => log_code(error),
            Rejection::Sql(error) => error.code(),
            Rejection::NotReady { .. } => "NOT_READY",
            Rejection::CalledOff { .. } => "PROMOTION_CALLED_OFF",
            Rejection::NotForcible(_) => "NOT_FORCIBLE",
            Rejection::NothingToRollBack(_) | Rejection::GroupNotPromoted(_) => "NOTHING_TO_ROLL_BACK",
            Rejection::CannotRollBack { .. } => "CANNOT_ROLL_BACK",
            Rejection::InUse { .. } => "IN_USE",
            Rejection::TopicInUse { .. } => "TOPIC_IN_USE",
            Rejection::WrongPhase { .. } => "WRONG_PHASE",
            Rejection::Frozen { .. } => "FROZEN",
            Rejection::Moved { .. } | Rejection::GroupMoved { .. } => "GENERATION_MOVED",
            Rejection::UnknownGroup(_) => "UNKNOWN_GROUP",
            Rejection::UnknownToken(_) => "UNKNOWN_TOKEN",
            Rejection::NotInGroup { .. } => "NOT_IN_GROUP",
            Rejection::NothingToPromote(_) => "NOTHING_TO_PROMOTE",
            Rejection::GroupNotReady { .. } => "NOT_READY",
            Rejection::PlanMoved { .. } => "PLAN_CHANGED",
            Rejection::KeyReused(_) => "IDEMPOTENCY_KEY_REUSED",
            Rejection::NotInTheFuture(_) => "NOT_IN_THE_FUTURE",
            Rejection::NotServing(_) => "NOT_SERVING",
            Rejection::NoTable { .. } => "NO_TABLE",
            Rejection::NotVerified { .. } => "NOT_VERIFIED",
            Rejection::DrillRunning(_) => "DRILL_RUNNING",
            Rejection::NotDrilled(_) => "NOT_DRILLED",
            Rejection::UnknownSchedule(_) => "UNKNOWN_SCHEDULE",
            Rejection::ScheduleRunning(_) => "SCHEDULE_RUNNING",
            Rejection::Recovering { .. } => "RECOVERING",
            Rejection::Log(error) => log_code(error),
            Rejection::Catalog(_) => "CATALOG_FAILED",
            Rejection::Table { .. } => "TABLE_FAILED",
        }
    }

    /// What to do now.
    pub fn remedy(&self) -> String {
        match self {
            Rejection::UnknownJob(_) => "`rekap jobs` lists the jobs".into(),
            Rejection::UnknownVersion { job, .. } => format!("`rekap versions {job}` lists its versions"),
            Rejection::Refused { remedy, .. } => remedy.clone(),
            Rejection::Sql(error) => error.remedy().into(),
            Rejection::NotReady { job, version, conditions } => not_ready(job, *version, conditions),
            Rejection::CalledOff { .. } => "nothing changed; try again once the candidate keeps up".into(),
            Rejection::NotForcible(_) => "force any of lag, ready_for, verified, no_gap, schema, computed".into(),
            Rejection::NothingToRollBack(job) => {
                format!(
                    "what served earlier can be built again and promoted: `rekap runbook {job}` has the commands, `rekap versions {job}` lists all"
                )
            }
            Rejection::GroupNotPromoted(_) => "roll its jobs back one by one: `rekap rollback JOB`".into(),
            Rejection::CannotRollBack { job, .. } => {
                format!("`rekap versions {job}` shows what is warm; a fresh version takes `rekap deploy --rebuild`")
            }
            Rejection::TopicInUse { .. } => "retire those versions, or delete their jobs, first".into(),
            Rejection::InUse { .. } => {
                "deploy with `rebuild` to replay into a new version beside it; what is warm goes by itself when its window ends (`rollback-window`)".into()
            },
            Rejection::WrongPhase { job, version, .. } => {
                format!("`rekap watch {job}@{version}` shows where it stands")
            }
            Rejection::Frozen { .. } => "wait until the freeze ends, or ask who froze it".into(),
            Rejection::Moved { job, .. } => format!("look again (GET /v1/jobs/{job}) and decide on what you see"),
            Rejection::GroupMoved { group, .. } => format!("look again (GET /v1/groups/{group}) and decide on what you see"),
            Rejection::UnknownGroup(_) => "set `group` in `[promote]` of its jobs, or correct the name".into(),
            Rejection::UnknownToken(_) => "`rekap token list` lists the tokens with their ids".into(),
            Rejection::NotInGroup { group, .. } => format!("set `group = \"{group}\"` in its `[promote]`, or leave it out"),
            Rejection::NothingToPromote(_) => "deploy a new version of one of its jobs".into(),
            Rejection::GroupNotReady { .. } => "wait until every job is ready, or force a condition other than caught_up".into(),
            Rejection::PlanMoved { .. } => "run `rekap plan` again and look at it".into(),
            Rejection::KeyReused(_) => "use a new key for a new request".into(),
            Rejection::NotInTheFuture(_) => "name a moment that lies ahead".into(),
            Rejection::NotServing(job) => {
                format!("`rekap versions {job}` shows how far its versions are; `{job}@N` reads one of them")
            }
            Rejection::NoTable { .. } => "replay it, or deploy it again with `rebuild`".into(),
            Rejection::NotVerified { job, version } => {
                format!("it runs by itself once the version has caught up; `rekap verify {job}@{version}` asks for it")
            }
            Rejection::DrillRunning(job) => format!("wait for it: `rekap drill {job}` shows the result once it is done"),
            Rejection::NotDrilled(job) => format!("`rekap drill {job}` drills it"),
            Rejection::UnknownSchedule(_) => "`rekap schedules` lists them; they are `[[schedules]]` of the server's `rekap.toml`".into(),
            Rejection::ScheduleRunning(_) => "wait until it is done; `rekap schedules` shows it".into(),
            Rejection::Recovering { .. } => "try again in a moment; `/readyz` answers 200 once it is back".into(),
            Rejection::Log(error) => log_remedy(error),
            Rejection::Catalog(error) => error.remedy().into(),
            Rejection::Table { .. } => "see the server's log; a replay builds the table again".into(),
        }
    }

    /// The conditions of promotion, where the refusal is about them.
    pub fn conditions(&self) -> Option<&BTreeMap<String, Condition>> {
        match self {
            Rejection::NotReady { conditions, .. } | Rejection::CalledOff { conditions, .. } => Some(conditions),
            _ => None,
        }
    }
}

fn log_kind(error: &LogError) -> Kind {
    match error {
        LogError::UnknownTopic(_) | LogError::UnknownPartition { .. } => Kind::NotFound,
        LogError::Invalid(_) | LogError::KeyReused(_) => Kind::Invalid,
        LogError::Store { .. } | LogError::Registry(_) => Kind::Unavailable,
        LogError::NewerFormat { .. } => Kind::Internal,
        _ => Kind::Conflict,
    }
}

fn log_code(error: &LogError) -> &'static str {
    match error {
        LogError::UnknownTopic(_) => "UNKNOWN_TOPIC",
        LogError::TopicExists(_) => "TOPIC_EXISTS",
        LogError::UnknownPartition { .. } => "UNKNOWN_PARTITION",
        LogError::Invalid(_) => "INVALID",
        LogError::OutOfRange { .. } => "OUT_OF_RANGE",
        LogError::Gap { .. } => "GAP",
        LogError::Diverged { .. } | LogError::Truncated { .. } => "LOG_DIVERGED",
        LogError::KeyReused(_) => "IDEMPOTENCY_KEY_REUSED",
        LogError::Registry(_) => "SCHEMA_REGISTRY_UNAVAILABLE",
        LogError::NewerFormat { .. } => "NEWER_FORMAT",
        _ => "LOG_FAILED",
    }
}

fn log_remedy(error: &LogError) -> String {
    match error {
        LogError::UnknownTopic(topic) => format!("make it with PUT /v1/topics/{topic}, or correct the name"),
        LogError::Registry(_) => "look at `[schema_registry]` and at the registry; trying again is safe".into(),
        LogError::Store { .. } => "try again; see the server's log if it stays".into(),
        _ => "correct the request and send it again".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(unmet: &[(&str, &str)]) -> String {
        let conditions = unmet.iter().map(|(name, detail)| ((*name).to_owned(), Condition::unmet(*detail))).collect();
        Rejection::NotReady { job: "bpi".into(), version: 2, conditions }.remedy()
    }

    #[test]
    fn waiting_is_the_remedy_only_where_it_helps() {
        assert!(remedy(&[("lag", "9 s")]).contains("rekap wait bpi@2"));
        for (name, detail, says) in [
            ("caught_up", "it failed: disk", "rekap resume bpi@2"),
            ("caught_up", "it is paused", "rekap resume bpi@2"),
            ("verified", "it failed: 40 % changed", "force `verified`"),
            ("verified", "a person has to decide: KEY_CHANGED", "force `verified`"),
            ("schema", "column `a` is gone", "force `schema`"),
            ("no_gap", "offsets 0..5", "force `no_gap`"),
        ] {
            let remedy = remedy(&[(name, detail), ("lag", "9 s")]);
            assert!(remedy.contains(says) && !remedy.contains("rekap wait"), "{name}: {remedy}");
        }
    }
}
