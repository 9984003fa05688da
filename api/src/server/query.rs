//! The bounds of a query: parsing and planning recurse over it, so one without bounds could end the process.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::Problem;

/// The longest query: far more than a person writes.
const MAX_BYTES: usize = 64 << 10;
/// The most operators of a query, each of which can make its tree one deeper; some 3,000 in a row overflow a stack.
const MAX_OPERATORS: usize = 500;

/// The words that join or wrap expressions and queries.
const OPERATORS: [Keyword; 15] = [
    Keyword::AND,
    Keyword::OR,
    Keyword::NOT,
    Keyword::IS,
    Keyword::IN,
    Keyword::LIKE,
    Keyword::ILIKE,
    Keyword::SIMILAR,
    Keyword::BETWEEN,
    Keyword::AT,
    Keyword::COLLATE,
    Keyword::UNION,
    Keyword::INTERSECT,
    Keyword::EXCEPT,
    Keyword::JOIN,
];

/// 422 for a query that is too long or has too many operators. What does not even divide into words is left to the parser.
pub(super) fn bounded(query: &str) -> Result<(), Problem> {
    let too_large = |detail: String| {
        Err(Problem::unprocessable("QUERY_TOO_LARGE", detail, "shorten it, or divide it into CTEs of several jobs")
            .with("field", "query"))
    };
    if query.len() > MAX_BYTES {
        return too_large(format!("the query has {} bytes, at most {MAX_BYTES} are taken", query.len()));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, query).tokenize().unwrap_or_default();
    let operators = tokens.iter().filter(|token| is_operator(token)).count();
    if operators > MAX_OPERATORS {
        return too_large(format!("the query has {operators} operators, at most {MAX_OPERATORS} are taken"));
    }
    Ok(())
}

/// Everything but names, values, and what encloses or separates them.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => OPERATORS.contains(&word.keyword),
        Token::Number(..) | Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) | Token::Whitespace(_) => false,
        Token::Comma | Token::Period | Token::LParen | Token::RParen | Token::RBracket | Token::EOF => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_as_people_write_them_passes() {
        let list = (0..5000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
        assert!(bounded(&format!("SELECT a, count(*) AS n FROM t WHERE b IN ({list}) AND c > 1 GROUP BY a")).is_ok());
    }

    #[test]
    fn a_chain_that_would_overflow_the_stack_is_refused() {
        for link in ["1+", "'a' OR ", "x::text::", "1 UNION ALL SELECT "] {
            let refused = bounded(&format!("SELECT {}1", link.repeat(600))).unwrap_err();
            assert_eq!(refused.code, "QUERY_TOO_LARGE", "{link}");
        }
        assert_eq!(bounded(&" ".repeat(MAX_BYTES + 1)).unwrap_err().code, "QUERY_TOO_LARGE");
    }
}
