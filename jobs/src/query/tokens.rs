//! SQL as a flat list of tokens: how large it is, and where its words stand.
//!
//! A long chain of operators nests as deep as it is long, and a tree that deep overflows the stack wherever it is walked or dropped. So
//! SQL is measured here, flat, before anything builds a tree of it, in the dialect in which it will be read: where a token ends is for the
//! dialect to say.

use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::depth::{MAX_DOUBLINGS, MAX_LEVELS, MAX_SELECTS, too_deep};
use super::refusal::{Place, Refusal};

/// The longest SQL that is looked at: far above what people write.
const MAX_SQL_BYTES: usize = 64 << 10;

/// Refuses SQL that is too long or nests too deep to be planned by whoever reads it in `dialect`. Cheap, and safe on any text.
pub fn check_size(sql: &str, dialect: &dyn Dialect) -> Result<(), Refusal> {
    Tokens::read(sql, dialect).map(|_| ())
}

/// The tokens of some SQL of bearable size.
pub(super) struct Tokens(Vec<TokenWithSpan>);

impl Tokens {
    /// Those of a job's SQL.
    pub(super) fn of(sql: &str) -> Result<Self, Refusal> {
        Tokens::read(sql, &GenericDialect {})
    }

    fn read(sql: &str, dialect: &dyn Dialect) -> Result<Self, Refusal> {
        if sql.len() > MAX_SQL_BYTES {
            let detail = format!("the SQL has {} bytes, at most {MAX_SQL_BYTES} are taken", sql.len());
            return Err(Refusal::new("QUERY_TOO_LONG", detail, "write it shorter"));
        }
        let tokens = Tokenizer::new(dialect, sql).tokenize_with_location();
        let tokens =
            tokens.map_err(|e| Refusal::new("INVALID_SQL", e.message, "correct the SQL").at(place(e.location)))?;
        let tokens = Tokens(tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect());
        match too_deep(&tokens.0, dialect) {
            None => Ok(tokens),
            Some(token) => {
                let detail = format!(
                    "the SQL nests more than {MAX_LEVELS} operators, {MAX_SELECTS} SELECTs or about {MAX_DOUBLINGS} calls"
                );
                Err(Refusal::new("QUERY_TOO_LONG", detail, "write it shorter").at(Place::of(token.span)))
            }
        }
    }

    /// Where the first word stands.
    pub(super) fn first(&self) -> Option<Place> {
        self.0.first().and_then(|token| Place::of(token.span))
    }

    /// Where a keyword stands first.
    pub(super) fn keyword(&self, keyword: Keyword) -> Option<Place> {
        self.places(&[keyword]).next()
    }

    /// Where the last of such keywords stands before `place`; `place` itself where there is none.
    pub(super) fn before(&self, keywords: &[Keyword], place: Option<Place>) -> Option<Place> {
        let places = self.places(keywords).take_while(|at| place.is_some_and(|place| *at < place));
        places.last().or(place)
    }

    /// Where the first of such keywords stands after `place`; `place` itself where there is none.
    pub(super) fn after(&self, keywords: &[Keyword], place: Option<Place>) -> Option<Place> {
        self.places(keywords).find(|at| place.is_some_and(|place| *at > place)).or(place)
    }

    fn places(&self, keywords: &[Keyword]) -> impl Iterator<Item = Place> {
        let is = |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if keywords.contains(&word.keyword));
        self.0.iter().filter(is).filter_map(|token| Place::of(token.span))
    }
}

fn place(location: datafusion::sql::sqlparser::tokenizer::Location) -> Option<Place> {
    (location.line > 0).then_some(Place { line: location.line, column: location.column })
}

#[cfg(test)]
mod tests;
