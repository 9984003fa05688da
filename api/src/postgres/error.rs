//! What went wrong, in the codes that Postgres clients know (SQLSTATE), with the product's own code and remedy beside them. Pure.

use datafusion::common::DataFusionError;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};
use rekap_orchestrator::{Rejection, SqlError};

/// What begins a statement that would write, and is refused as in a session that may only read.
const WRITES: [&str; 18] = [
    "INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "ALTER", "DROP", "TRUNCATE", "COPY", "GRANT", "REVOKE", "COMMENT",
    "VACUUM", "ANALYZE", "LOCK", "REINDEX", "CALL", "REFRESH",
];

/// An error with its SQLSTATE, message, and what to do.
pub(super) fn error(code: &str, message: impl Into<String>, hint: impl Into<String>) -> PgWireError {
    let mut info = ErrorInfo::new("ERROR".to_owned(), code.to_owned(), message.into());
    info.hint = Some(hint.into()).filter(|hint: &String| !hint.is_empty());
    PgWireError::UserError(Box::new(info))
}

/// An error that ends the connection.
pub(super) fn fatal(code: &str, message: impl Into<String>, hint: impl Into<String>) -> PgWireError {
    let mut info = ErrorInfo::new("FATAL".to_owned(), code.to_owned(), message.into());
    info.hint = Some(hint.into()).filter(|hint: &String| !hint.is_empty());
    PgWireError::UserError(Box::new(info))
}

/// A statement of a kind that is not answered, by its first word.
pub(super) fn not_answered(word: &str) -> PgWireError {
    let word = word.to_uppercase();
    let remedy = SqlError::NoSelect(String::new()).remedy();
    if WRITES.contains(&word.as_str()) {
        let message = format!("cannot execute {word} in a read-only transaction: tables here are filled by jobs alone");
        return error("25006", message, remedy);
    }
    error("0A000", format!("{word} is not answered here"), remedy)
}

/// A query that was refused or failed.
pub(super) fn of_query(failed: SqlError) -> PgWireError {
    if let SqlError::NoSelect(word) = &failed {
        return not_answered(word);
    }
    let mut info = ErrorInfo::new("ERROR".to_owned(), state_of(&failed).to_owned(), failed.to_string());
    info.detail = Some(failed.code().to_owned());
    info.hint = Some(failed.remedy().to_owned());
    PgWireError::UserError(Box::new(info))
}

/// A query that failed in the engine.
pub(super) fn of_engine(failed: DataFusionError) -> PgWireError {
    of_query(SqlError::from(failed))
}

/// What the orchestrator refuses.
pub(super) fn of_rejection(rejection: Rejection) -> PgWireError {
    match rejection {
        Rejection::Sql(failed) => of_query(failed),
        other => error("58000", other.to_string(), other.remedy()),
    }
}

/// The statement took longer than its client allows.
pub(super) fn timed_out() -> PgWireError {
    error("57014", "canceling statement due to statement timeout", "")
}

/// The server goes away.
pub(super) fn stopping() -> PgWireError {
    fatal("57P01", "terminating connection: the server is stopping", "connect again")
}

/// The answer has other columns than the client was told. Drivers know this one, by its code and by the name of the function of
/// Postgres that says it, and prepare the statement again by themselves.
pub(super) fn changed() -> PgWireError {
    let mut info =
        ErrorInfo::new("ERROR".to_owned(), "0A000".to_owned(), "cached plan must not change result type".to_owned());
    info.detail = Some("the alias serves a version with other columns now".to_owned());
    info.hint = Some("prepare the statement again, or name the columns instead of *".to_owned());
    info.routine = Some("RevalidateCachedQuery".to_owned());
    PgWireError::UserError(Box::new(info))
}

fn state_of(failed: &SqlError) -> &'static str {
    match failed {
        SqlError::NoSelect(_) => "0A000",
        SqlError::Several(_) => "42601",
        SqlError::Invalid(detail) => state_of_invalid(detail),
        SqlError::TooLarge(_) => "53200",
        SqlError::TooManyRows(_) => "54000",
        SqlError::TooSlow(_) => "57014",
        SqlError::Log(_) => "58030",
        SqlError::Failed(detail) if detail.contains("Divide by zero") => "22012",
        SqlError::Failed(_) => "22000",
    }
}

/// By what the planner says: clients tell a table that is missing from one that is misspelt SQL by the code alone.
fn state_of_invalid(detail: &str) -> &'static str {
    let is = |text: &str| detail.contains(text);
    if is("table '") && is("not found") {
        "42P01"
    } else if is("No field named") {
        "42703"
    } else if is("Invalid function") {
        "42883"
    } else if is("ParserError") || is("syntax") {
        "42601"
    } else {
        "42000"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(failed: PgWireError) -> String {
        ErrorInfo::from(failed).code
    }

    #[test]
    fn a_client_tells_by_the_code_what_was_wrong() {
        let invalid = |detail: &str| code(of_query(SqlError::Invalid(detail.to_owned())));
        assert_eq!(invalid("Error during planning: table 'rekap.live.nope' not found"), "42P01");
        assert_eq!(invalid("Schema error: No field named nope."), "42703");
        assert_eq!(invalid("Error during planning: Invalid function 'nope'."), "42883");
        assert_eq!(code(of_query(SqlError::NoSelect("delete".to_owned()))), "25006");
        assert_eq!(code(of_query(SqlError::NoSelect("LISTEN".to_owned()))), "0A000");
        assert_eq!(code(of_query(SqlError::TooManyRows(3))), "54000");
    }
}
