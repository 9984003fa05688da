//! Why a verb did not do what it was asked, and the exit code that says so.

use std::process::ExitCode;

use serde_json::Value;

use crate::Problem;

/// What went wrong, by what the caller can do about it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server refused or failed.
    Server(Problem),
    /// There is no server to talk to, or its answer did not come.
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// Why it cannot be reached.
        reason: String,
        /// The request may have come to it.
        sent: bool,
    },
    /// It did not happen in the time allowed.
    TimedOut(String),
    /// What was asked makes no sense.
    Usage(String),
    /// What the folder or the file that was named holds makes no sense, and what to do about it.
    Folder(String, &'static str),
    /// Anything else.
    Failed(String),
    /// `rekap doctor` found what keeps a server from working: the names of the checks that failed.
    Unfit(String),
    /// Whoever read our output has gone.
    NobodyReads,
}

impl Failure {
    /// The exit code of CONTRACT: 1 failed, 2 usage, 3 refused, 4 unreachable, 5 timed out.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Server(problem) if matches!(problem.status, 409 | 412 | 422) => 3,
            Failure::Server(_) | Failure::Failed(_) | Failure::Unfit(_) => 1,
            Failure::Usage(_) | Failure::Folder(..) => 2,
            Failure::Unreachable { .. } => 4,
            Failure::TimedOut(_) => 5,
            Failure::NobodyReads => 0,
        })
    }

    /// The failure in the form in which servers tell theirs.
    pub(crate) fn problem(&self) -> Problem {
        let own = |code: &str, detail: &str, remedy: &str| {
            Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, code, detail, remedy)
        };
        match self {
            Failure::Server(problem) => problem.clone(),
            Failure::Unreachable { url, reason, .. } => own(
                "UNREACHABLE",
                &format!("{url}: {reason}"),
                "start the server with `rekap serve`, or say where it is with --url or REKAP_URL",
            ),
            Failure::TimedOut(what) => own("TIMED_OUT", what, "give it more time with --timeout"),
            Failure::Usage(what) => own("USAGE", what, "see `rekap help`"),
            Failure::Folder(what, remedy) => own("USAGE", what, remedy),
            Failure::Failed(what) => own("FAILED", what, ""),
            Failure::Unfit(checks) => own("UNFIT", checks, "do what stands beside each failed check, and run it again"),
            Failure::NobodyReads => own("NOBODY_READS", "", ""),
        }
    }
}

impl Failure {
    /// The failure for programs: what no server answered has no HTTP status.
    pub(super) fn json(&self) -> Value {
        let mut told = serde_json::to_value(self.problem()).unwrap_or_default();
        if let (false, Some(fields)) = (matches!(self, Failure::Server(_)), told.as_object_mut()) {
            fields.remove("status");
        }
        told
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::Server(problem)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::NobodyReads,
            _ => Failure::Failed(error.to_string()),
        }
    }
}

/// A file that cannot be read or written, named.
pub(super) fn at(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Failure + '_ {
    move |error| Failure::Failed(format!("{}: {error}", path.display()))
}

/// A file or a folder that the caller named, or that a job's folder is made of, and that cannot be read.
pub(super) fn named<'a>(
    path: &'a std::path::Path,
    remedy: &'static str,
) -> impl FnOnce(std::io::Error) -> Failure + 'a {
    move |error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            Failure::Folder(format!("{} is not there", path.display()), remedy)
        }
        std::io::ErrorKind::IsADirectory => {
            Failure::Folder(format!("{} is a folder, not a file", path.display()), remedy)
        }
        std::io::ErrorKind::InvalidData => Failure::Folder(format!("{} is no UTF-8", path.display()), remedy),
        _ => at(path)(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_server_answered_has_a_status() {
        let dead =
            Failure::Unreachable { url: "http://127.0.0.1:1".into(), reason: "refused".into(), sent: false }.json();
        assert_eq!((&dead["code"], dead.get("status")), (&"UNREACHABLE".into(), None));
        let refused = Failure::Server(Problem::unprocessable("INVALID_SQL", "", "")).json();
        assert_eq!(refused["status"], 422);
    }
}
