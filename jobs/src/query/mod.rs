//! SQL as an incremental query: a range of records in, the change of a table out.
//!
//! ```text
//! SQL ─syntax─► analyzed plan ─shape─► branches (one per scan) ─► chains ─► aggregate | upsert ─► Change
//! ```
//!
//! Two gates decide what may be a job: [`syntax`] for what the text shows (with its place), [`shape`] for what the plan holds (an
//! explicit list of what is allowed). The rest is pure: no I/O, no clock, so equal records give an equal table however they are cut
//! into ranges. Nothing here survives a crash or needs to: a job is compiled again from its specification.

mod aggregate;
mod aggregates;
mod bounded;
mod branch;
mod chain;
mod checked;
mod depth;
mod engine;
mod fit;
mod gate;
mod grouped;
mod growth;
mod inputs;
mod log_order;
mod plan;
mod records;
mod refusal;
mod retention;
mod rewrite;
mod session;
mod shape;
mod syntax;
mod tokens;
mod tombstones;
mod upsert;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rekap_tables::TableSchema;
use rekap_tiered_storage::Topic;

pub use bounded::bound_functions;
pub(crate) use chain::is_environment;
pub use engine::{Part, Touched, Worker};
pub use inputs::JobInput;
pub use records::{Change, FailedRecord, Records};
pub use refusal::{Place, Refusal, sql_error};
pub use tokens::check_size;

use crate::spec::{Digest, JobSpec};
use aggregate::AggregateQuery;
use aggregates::Accuracy;
use plan::Planner;
use session::Session;
use shape::Shape;
use syntax::Syntax;
use upsert::UpsertQuery;

/// A job that is ready to run: planned once, run over any number of ranges.
#[derive(Debug, Clone)]
pub struct CompiledJob {
    name: String,
    digest: Digest,
    former_digests: Vec<Digest>,
    inputs: Vec<JobInput>,
    query: Query,
    table: TableSchema,
    warnings: Vec<String>,
}

#[derive(Debug, Clone)]
enum Query {
    Aggregate(AggregateQuery),
    Upsert(UpsertQuery),
}

impl CompiledJob {
    /// Plans a job over its topics (by the name of the input), or says why it cannot be one.
    pub async fn compile(spec: &JobSpec, topics: &BTreeMap<String, Topic>) -> Result<Self, Refusal> {
        let mut inputs = JobInput::all(spec, topics)?;
        let decoders = inputs.iter().map(|input| (input.name.clone(), input.decoder.fingerprint())).collect();
        let schemas = inputs.iter().map(|input| (input.name.clone(), input.schema())).collect();
        let syntax = Syntax::parse(&spec.query)?;
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        if let Some((name, place)) = syntax.unknown_input(&names) {
            let detail = format!("`{name}` is no input of the job (there is {})", names.join(", "));
            let remedy = match name.rsplit_once('.') {
                None => format!("add [inputs.{name}] with its topic, or correct the name"),
                // `log.<topic>` is for `/sql`.
                Some((_, topic)) => format!(
                    "a job reads its inputs by their own names: add [inputs.NAME] with topic = \"{}\", and write FROM NAME",
                    name.strip_prefix("log.").unwrap_or(topic)
                ),
            };
            return Err(Refusal::new("UNKNOWN_INPUT", detail, remedy).at(place));
        }
        let session = Session::new(&schemas).map_err(Refusal::planner)?;
        let plan = session.plan(&syntax).await.map_err(Refusal::planner)?;
        let shape = Shape::of(plan, &syntax)?;
        let mut warnings = vec![];
        let mut planner =
            Planner { spec, session: &session, syntax: &syntax, inputs: &mut inputs, warnings: &mut warnings };
        let (query, table) = match &shape.aggregate {
            Some(node) => planner.aggregate(&shape, node).map(|(query, table)| (Query::Aggregate(query), table))?,
            None => planner.upsert(&shape).map(|(query, table)| (Query::Upsert(query), table))?,
        };
        let key = table.key_schema().fields().iter().map(|field| field.name().clone()).collect();
        let keyed = JobSpec { key, ..spec.clone() };
        let (digest, former_digests) = (keyed.digest(&decoders), keyed.former_digests(&decoders));
        Ok(CompiledJob { name: spec.name.clone(), digest, former_digests, inputs, query, table, warnings })
    }

    /// The job's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The digest of all that decides its rows. A key that is not written is taken as what it comes to.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The digests that a version of it may have which was deployed when more of how it is written still counted.
    pub fn former_digests(&self) -> &[Digest] {
        &self.former_digests
    }

    /// Its inputs, by number.
    pub fn inputs(&self) -> &[JobInput] {
        &self.inputs
    }

    /// The table that it fills.
    pub fn table_schema(&self) -> &TableSchema {
        &self.table
    }

    /// True when two runs over the same records may give other rows, within the error of an approximate aggregate.
    pub fn is_approximate(&self) -> bool {
        let Query::Aggregate(query) = &self.query else { return false };
        let mut names = query.aggregates.iter().map(|aggregate| aggregate.function.fun().name());
        names.any(|name| aggregates::mergeable(name).is_some_and(|entry| entry.accuracy == Accuracy::Approximate))
    }

    /// What its developer should know, though nothing is refused.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
