//! How long a query may be. A chain of operators becomes a tree that is as deep, which the parser builds, walks and drops by recursion:
//! unbounded, one request would end the process.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::SqlError;

/// The longest query. A machine may write long lists of values; nobody writes this much by hand.
const MAX_BYTES: usize = 256 << 10;

/// The most operators of one query: each may be one level of the tree, and a level takes up to 2 KiB of a 2 MiB stack.
const MAX_OPERATORS: usize = 400;

/// Refuses what is too long to be parsed safely. The tokenizer itself is a loop.
pub(super) fn check(sql: &str) -> Result<(), SqlError> {
    if sql.len() > MAX_BYTES {
        return Err(SqlError::Invalid(format!("the query has {} bytes, at most {MAX_BYTES} are taken", sql.len())));
    }
    // What is no SQL is told by the parser, with its place.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else { return Ok(()) };
    let operators = tokens.iter().filter(|token| nests(token)).count();
    match operators > MAX_OPERATORS {
        true => {
            Err(SqlError::Invalid(format!("the query has {operators} operators, at most {MAX_OPERATORS} are taken")))
        }
        false => Ok(()),
    }
}

/// True for whatever may add a level to the tree: not for values, lists and punctuation.
fn nests(token: &Token) -> bool {
    const WORDS: [&str; 14] = [
        "AND",
        "OR",
        "NOT",
        "IS",
        "IN",
        "LIKE",
        "ILIKE",
        "BETWEEN",
        "CASE",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "SELECT",
        "JOIN",
    ];
    match token {
        Token::Word(word) => word.quote_style.is_none() && WORDS.iter().any(|w| word.value.eq_ignore_ascii_case(w)),
        Token::Number(..) | Token::Comma | Token::Whitespace(_) | Token::Period | Token::EOF => false,
        Token::SingleQuotedString(_) | Token::RParen | Token::SemiColon => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_would_end_the_process_is_refused_and_a_long_list_is_not() {
        for link in ["+1", " OR a", "::text", " UNION SELECT 1", "[1]"] {
            let chain = format!("SELECT 1{}", link.repeat(20_000));
            assert!(check(&chain).is_err(), "{link}");
        }
        let list = vec!["'k'"; 10_000].join(", ");
        assert!(check(&format!("SELECT * FROM live.t WHERE k IN ({list})")).is_ok());
        assert!(check(&format!("SELECT '{}'", "x".repeat(MAX_BYTES))).is_err());
    }
}
