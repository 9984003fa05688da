//! What a statement asks for. Pure.
//!
//! Transactions are accepted and mean little: nothing can be written, and each query sees what is served at its own moment.

use datafusion::sql::sqlparser::ast::{CloseCursor, Expr, ObjectName, Reset, Set, SetExpr, Statement, Value};
use datafusion_postgres::pgwire::error::PgWireResult;

use super::error::{error, not_answered};

/// A statement by what is to be done about it.
#[derive(Debug, Clone)]
pub(super) enum Command {
    /// A query, or the explanation of one: the engine's business.
    Query(Box<Statement>),
    /// A transaction begins.
    Begin,
    /// A transaction ends.
    Commit,
    /// A transaction is given up.
    Rollback,
    /// A part of a transaction is given up: the whole goes on.
    RollbackTo,
    /// A setting gets a value, or goes back to its default.
    Set(String, Option<String>),
    /// All settings go back to their defaults.
    Reset,
    /// A setting is asked for.
    Show(String),
    /// A prepared statement is forgotten; `None` is all of them.
    Deallocate(Option<String>),
    /// Nothing is to be done, and this is what to answer.
    Nothing(&'static str),
}

impl Command {
    /// What `statement` asks for; refused when it is nothing that is done here.
    pub(super) fn of(statement: Statement) -> PgWireResult<Command> {
        Ok(match statement {
            Statement::Query(ref query) if writes(&query.body) => return Err(not_answered("INSERT")),
            Statement::Query(_) | Statement::Explain { .. } | Statement::ExplainTable { .. } => {
                Command::Query(Box::new(statement))
            }
            Statement::StartTransaction { .. } => Command::Begin,
            Statement::Commit { .. } => Command::Commit,
            Statement::Rollback { savepoint: None, .. } => Command::Rollback,
            Statement::Rollback { .. } => Command::RollbackTo,
            Statement::Savepoint { .. } => Command::Nothing("SAVEPOINT"),
            Statement::ReleaseSavepoint { .. } => Command::Nothing("RELEASE"),
            Statement::Set(set) => of_set(set)?,
            Statement::Reset(reset) => match reset.reset {
                Reset::ALL => Command::Reset,
                Reset::ConfigurationParameter(name) => Command::Set(plain(&name), None),
            },
            Statement::ShowVariable { variable } => {
                let words: Vec<String> = variable.iter().map(|word| word.value.to_lowercase()).collect();
                Command::Show(match words.join(" ").as_str() {
                    "time zone" => "timezone".to_owned(),
                    "transaction isolation level" => "transaction_isolation".to_owned(),
                    _ => words.join("."),
                })
            }
            Statement::Deallocate { name, .. } if name.value.eq_ignore_ascii_case("all") => Command::Deallocate(None),
            Statement::Deallocate { name, .. } => Command::Deallocate(Some(name.value)),
            Statement::Discard { .. } => Command::Nothing("DISCARD ALL"),
            Statement::Close { cursor: CloseCursor::All } => Command::Nothing("CLOSE CURSOR ALL"),
            Statement::UNLISTEN { .. } => Command::Nothing("UNLISTEN"),
            Statement::Declare { .. } | Statement::Fetch { .. } | Statement::Close { .. } => {
                let hint = "read without a named cursor: rows are sent as they come";
                return Err(error("0A000", "named cursors are not built yet", hint));
            }
            other => return Err(not_answered(other.to_string().split_whitespace().next().unwrap_or_default())),
        })
    }
}

fn of_set(set: Set) -> PgWireResult<Command> {
    Ok(match set {
        Set::SingleAssignment { variable, values, .. } => Command::Set(plain(&variable), value(&values)),
        Set::SetTimeZone { value: zone, .. } => Command::Set("timezone".to_owned(), value(&[zone])),
        Set::SetNames { charset_name, .. } => Command::Set("client_encoding".to_owned(), Some(charset_name.value)),
        Set::SetTransaction { .. } => Command::Nothing("SET"),
        other => return Err(error("0A000", format!("`{other}` is not answered here"), "one SET of one setting")),
    })
}

/// What a setting is set to; `None` for DEFAULT.
fn value(values: &[Expr]) -> Option<String> {
    let text = |value: &Expr| match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        Expr::Identifier(name) => name.value.clone(),
        other => other.to_string(),
    };
    let text = values.iter().map(text).collect::<Vec<_>>().join(", ");
    (!text.eq_ignore_ascii_case("default")).then_some(text)
}

fn plain(name: &ObjectName) -> String {
    name.to_string().replace('"', "").to_lowercase()
}

/// True for a query whose body is a write in disguise.
fn writes(body: &SetExpr) -> bool {
    matches!(body, SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use datafusion_postgres::pgwire::error::ErrorInfo;

    use super::*;

    fn of(sql: &str) -> Result<String, String> {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        match Command::of(statement) {
            Ok(Command::Query(_)) => Ok("query".to_owned()),
            Ok(command) => Ok(format!("{command:?}")),
            Err(refused) => Err(ErrorInfo::from(refused).code),
        }
    }

    #[test]
    fn what_clients_say_beside_queries_is_understood() {
        for (sql, command) in [
            ("select 1", "query"),
            ("explain select 1", "query"),
            ("begin read only", "Begin"),
            ("start transaction isolation level repeatable read", "Begin"),
            ("rollback", "Rollback"),
            ("savepoint a", "Nothing(\"SAVEPOINT\")"),
            ("rollback to savepoint a", "RollbackTo"),
            ("set search_path = live, log", "Set(\"search_path\", Some(\"live, log\"))"),
            ("set time zone 'Europe/Berlin'", "Set(\"timezone\", Some(\"Europe/Berlin\"))"),
            ("set statement_timeout to default", "Set(\"statement_timeout\", None)"),
            ("show transaction isolation level", "Show(\"transaction_isolation\")"),
            ("show standard_conforming_strings", "Show(\"standard_conforming_strings\")"),
            ("deallocate all", "Deallocate(None)"),
            ("discard all", "Nothing(\"DISCARD ALL\")"),
            ("reset all", "Reset"),
        ] {
            assert_eq!(of(sql), Ok(command.to_owned()), "{sql}");
        }
    }

    #[test]
    fn a_write_is_refused_as_in_a_transaction_that_may_only_read() {
        for sql in [
            "insert into bpi values (1)",
            "update bpi set k = 1",
            "delete from bpi",
            "create table t (a int)",
            "drop table bpi",
            "truncate bpi",
            "copy bpi to stdout",
            "with gone as (select 1) insert into bpi select * from gone",
        ] {
            assert_eq!(of(sql), Err("25006".to_owned()), "{sql}");
        }
        assert_eq!(of("declare c cursor for select 1"), Err("0A000".to_owned()));
        assert_eq!(of("listen x"), Err("0A000".to_owned()));
    }
}
