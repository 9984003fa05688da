//! Which table: one attempt of one version of one job.

use std::fmt;
use std::str::FromStr;

/// The identity of a table. As text, and as the name of its keyspace: `bpi@3.1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    /// The job.
    pub job: String,
    /// The version of the job, from 1.
    pub version: u32,
    /// The attempt of that version: a new replay fills a new table.
    pub attempt: u32,
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}.{}", self.job, self.version, self.attempt)
    }
}

impl FromStr for TableId {
    type Err = InvalidTableId;

    fn from_str(text: &str) -> Result<Self, InvalidTableId> {
        let parts = || {
            let (job, rest) = text.rsplit_once('@')?;
            let (version, attempt) = rest.split_once('.')?;
            Some(TableId { job: job.to_owned(), version: version.parse().ok()?, attempt: attempt.parse().ok()? })
        };
        parts().filter(|id| !id.job.is_empty()).ok_or_else(|| InvalidTableId(text.to_owned()))
    }
}

/// Text that names no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no table: write `job@version.attempt`, as in `bpi@3.1`")]
pub struct InvalidTableId(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_id_reads_back_as_it_was_written() {
        let id = TableId { job: "bpi".into(), version: 3, attempt: 1 };
        assert_eq!(id.to_string(), "bpi@3.1");
        assert_eq!("bpi@3.1".parse(), Ok(id));
        assert_eq!("bpi@3".parse::<TableId>(), Err(InvalidTableId("bpi@3".into())));
    }
}
