//! Why a query cannot be a job, with its place in the SQL and what to write instead.

use std::fmt;

use datafusion::common::{DataFusionError, Diagnostic, Spans};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer;
use serde::{Deserialize, Serialize};

use super::session::is_clash;

/// A place in the SQL, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The character in the line.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Place {
    /// Where a piece of syntax starts; the parser leaves some without a place.
    pub(super) fn of(span: tokenizer::Span) -> Option<Place> {
        (span.start.line > 0).then_some(Place { line: span.start.line, column: span.start.column })
    }

    /// Where a column stands in the SQL.
    pub(super) fn of_spans(spans: &Spans) -> Option<Place> {
        let span = spans.first()?;
        Some(Place { line: span.start.line, column: span.start.column })
    }
}

/// A job that is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The stable code.
    pub code: String,
    /// Where in the SQL, if it has a place there.
    pub place: Option<Place>,
    /// What is refused, and why.
    pub detail: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(f, "{place}: {}; {}", self.detail, self.remedy),
            None => write!(f, "{}; {}", self.detail, self.remedy),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// A refusal; the place is added by [`Self::at`] where there is one.
    pub(super) fn new(code: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Refusal { code: code.into(), place: None, detail: detail.into(), remedy: remedy.into() }
    }

    /// The refusal at a place.
    pub(super) fn at(self, place: impl Into<Option<Place>>) -> Self {
        Refusal { place: place.into(), ..self }
    }

    /// What the planner says of SQL that it does not understand.
    pub(super) fn planner(error: DataFusionError) -> Self {
        let place = error.diagnostic().and_then(place_of);
        let detail = sql_error(&error);
        let place = place.or_else(|| place_in_text(&detail));
        if is_clash(&error) {
            let remedy = "give one of them another name with AS";
            return Refusal::new("DUPLICATE_COLUMN", detail, remedy).at(place);
        }
        let remedy = match detail.contains("No field named") {
            true => "correct the name; unquoted names are read in lower case, so write \"createdAt\" with its quotes",
            false => "correct the SQL",
        };
        Refusal::new("INVALID_SQL", detail, remedy).at(place)
    }
}

/// What an error of the SQL engine says, without the names of the types that it is made of.
pub fn sql_error(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::SQL(parser, _) => match parser.as_ref() {
            ParserError::TokenizerError(said) | ParserError::ParserError(said) => {
                format!("the syntax is wrong: {said}")
            }
            ParserError::RecursionLimitExceeded => "the SQL nests too deep".to_owned(),
        },
        _ => error.strip_backtrace(),
    }
}

fn place_of(diagnostic: &Diagnostic) -> Option<Place> {
    let start = diagnostic.span?.start;
    Some(Place { line: start.line, column: start.column })
}

/// The parser tells the place at the end of its message: `… at Line: 3, Column: 17`.
fn place_in_text(message: &str) -> Option<Place> {
    let (_, rest) = message.rsplit_once("Line: ")?;
    let (line, rest) = rest.split_once(", Column: ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some(Place { line: line.parse().ok()?, column: rest[..digits].parse().ok()? })
}
