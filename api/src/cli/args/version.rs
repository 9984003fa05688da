//! A version on the command line, and what every command upon one takes.

use std::str::FromStr;

use clap::Args;

/// A command upon one version.
#[derive(Debug, Args)]
pub(in crate::cli) struct VersionCommand {
    /// JOB@N
    pub(in crate::cli) version: VersionRef,
    #[command(flatten)]
    pub(in crate::cli) note: Note,
}

/// Why, for the audit log.
#[derive(Debug, Args)]
pub(in crate::cli) struct Note {
    /// Why, for the audit log
    #[arg(long)]
    pub(in crate::cli) note: Option<String>,
}

/// `JOB@N`.
#[derive(Debug, Clone)]
pub(crate) struct VersionRef {
    pub(crate) job: String,
    pub(crate) version: u32,
}

impl FromStr for VersionRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` names no version: write JOB@N, as in bpi@2");
        let (job, version) = text.split_once('@').ok_or_else(wrong)?;
        Ok(VersionRef { job: job.to_owned(), version: version.parse().map_err(|_| wrong())? })
    }
}

/// `JOB` or `JOB@N`.
#[derive(Debug, Clone)]
pub(in crate::cli) enum Target {
    Job(String),
    Version(VersionRef),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('@') { text.parse().map(Target::Version) } else { Ok(Target::Job(text.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_with_its_job() {
        let version: VersionRef = "bpi@2".parse().unwrap();
        assert_eq!((version.job.as_str(), version.version), ("bpi", 2));
        assert!("bpi".parse::<VersionRef>().unwrap_err().contains("bpi@2"));
    }
}
