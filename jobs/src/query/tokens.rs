//! SQL as a flat list of tokens: how large it is, and where its words stand.
//!
//! A long chain of operators nests as deep as it is long, and a tree that deep overflows the stack wherever it is walked or dropped. So
//! SQL is measured here, flat, before anything builds a tree of it.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::refusal::{Place, Refusal};

/// The longest SQL that is looked at: far above what people write.
const MAX_SQL_BYTES: usize = 64 << 10;

/// The most operators in one chain, as in `a + b + c`: each nests one level deeper, and 500 levels fit on every thread's stack.
const MAX_CHAIN: usize = 500;

/// The most SELECTs in one statement: UNION ALL nests as operators do, and so do steps behind `|>` and EXPLAIN.
const MAX_SELECTS: usize = 200;

/// What INTERVAL counts right behind INTERVAL, where the parser needs much more of the stack.
const INTERVAL_LEVELS: usize = 10;

/// Refuses SQL that is too long or nests too deep to be planned. Cheap, and safe on any text.
pub fn check_size(sql: &str) -> Result<(), Refusal> {
    Tokens::of(sql).map(|_| ())
}

/// The tokens of some SQL of bearable size.
pub(super) struct Tokens(Vec<TokenWithSpan>);

impl Tokens {
    pub(super) fn of(sql: &str) -> Result<Self, Refusal> {
        if sql.len() > MAX_SQL_BYTES {
            let detail = format!("the SQL has {} bytes, at most {MAX_SQL_BYTES} are taken", sql.len());
            return Err(Refusal::new("QUERY_TOO_LONG", detail, "write it shorter"));
        }
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location();
        let tokens =
            tokens.map_err(|e| Refusal::new("INVALID_SQL", e.message, "correct the SQL").at(place(e.location)))?;
        let tokens = Tokens(tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect());
        tokens.check()?;
        Ok(tokens)
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

    fn check(&self) -> Result<(), Refusal> {
        let (mut levels, mut selects) = (vec![Level::default()], 0);
        let mut after_interval = false;
        for token in &self.0 {
            match kind(&token.token) {
                Kind::Open { case } => levels.push(Level { case, ..Level::default() }),
                Kind::Close { case } => close(&mut levels, case),
                Kind::Break => innermost(&mut levels).end_chain(),
                Kind::Link => innermost(&mut levels).chain += 1,
                Kind::Interval => innermost(&mut levels).chain += if after_interval { INTERVAL_LEVELS } else { 1 },
                Kind::Select => {
                    innermost(&mut levels).end_chain();
                    selects += 1;
                }
                Kind::Other => {}
            }
            after_interval = matches!(kind(&token.token), Kind::Interval);
            if selects > MAX_SELECTS || innermost(&mut levels).chain > MAX_CHAIN {
                let detail = format!("the SQL chains more than {MAX_CHAIN} operators or {MAX_SELECTS} SELECTs");
                return Err(Refusal::new("QUERY_TOO_LONG", detail, "write it shorter").at(Place::of(token.span)));
            }
        }
        Ok(())
    }
}

/// What stands between one parenthesis, or CASE, and its end.
#[derive(Default)]
struct Level {
    /// It was opened by CASE, and END closes it.
    case: bool,
    /// How deep the tree of the chain under way is.
    chain: usize,
    /// How deep that of the deepest chain before it was.
    deepest: usize,
}

impl Level {
    fn end_chain(&mut self) {
        self.deepest = self.deepest.max(self.chain);
        self.chain = 0;
    }
}

fn innermost(levels: &mut [Level]) -> &mut Level {
    levels.last_mut().expect("the outermost level is never closed")
}

/// Goes on with the chain around a level that ends: it is at least as deep as what it holds. END may be a column's name.
fn close(levels: &mut Vec<Level>, case: bool) {
    if levels.len() == 1 || (case && !innermost(levels).case) {
        return;
    }
    let mut inner = levels.pop().expect("there are two at least");
    inner.end_chain();
    let outer = innermost(levels);
    outer.chain = outer.chain.max(inner.deepest + 1);
}

fn place(location: datafusion::sql::sqlparser::tokenizer::Location) -> Option<Place> {
    (location.line > 0).then_some(Place { line: location.line, column: location.column })
}

enum Kind {
    Open {
        case: bool,
    },
    Close {
        case: bool,
    },
    /// Begins a new chain.
    Break,
    /// Makes the chain one longer.
    Link,
    Interval,
    Select,
    Other,
}

fn kind(token: &Token) -> Kind {
    match token {
        Token::LParen => Kind::Open { case: false },
        Token::RParen => Kind::Close { case: false },
        Token::Comma | Token::SemiColon => Kind::Break,
        Token::VerticalBarRightAngleBracket => Kind::Select,
        Token::Word(word) => match word.keyword {
            Keyword::SELECT | Keyword::EXPLAIN | Keyword::DESCRIBE => Kind::Select,
            Keyword::INTERVAL => Kind::Interval,
            Keyword::CASE => Kind::Open { case: true },
            Keyword::END => Kind::Close { case: true },
            Keyword::FROM | Keyword::WHERE | Keyword::GROUP | Keyword::HAVING => Kind::Break,
            Keyword::WHEN | Keyword::THEN | Keyword::ELSE => Kind::Break,
            Keyword::AND | Keyword::OR | Keyword::XOR | Keyword::NOT | Keyword::IS => Kind::Link,
            Keyword::LIKE | Keyword::ILIKE | Keyword::RLIKE | Keyword::REGEXP | Keyword::SIMILAR => Kind::Link,
            Keyword::BETWEEN | Keyword::IN | Keyword::COLLATE | Keyword::AT | Keyword::DIV => Kind::Link,
            Keyword::OVERLAPS | Keyword::OPERATOR | Keyword::MATCH | Keyword::MEMBER => Kind::Link,
            Keyword::NOTNULL | Keyword::PRIOR => Kind::Link,
            _ => Kind::Other,
        },
        Token::Number(..) | Token::SingleQuotedString(_) | Token::EOF => Kind::Other,
        _ => Kind::Link,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_that_would_nest_too_deep_is_refused_wherever_the_chain_stands() {
        let chain = |link: &str, n: usize| format!("SELECT {}1", format!("1{link}").repeat(n));
        for link in [" + ", " AND ", "::int || ", " = ", " UNION ALL SELECT ", " XOR ", " SIMILAR TO ", " |> WHERE "] {
            let refusal = check_size(&chain(link, 2_000)).unwrap_err();
            assert_eq!(refusal.code, "QUERY_TOO_LONG", "{link}");
            assert!(refusal.place.is_some());
        }
        assert_eq!(check_size(&" ".repeat(100_000)).unwrap_err().code, "QUERY_TOO_LONG");
        for prefix in ["- ", "INTERVAL ", "NOT "] {
            assert_eq!(check_size(&format!("SELECT {}1", prefix.repeat(5_000))).unwrap_err().code, "QUERY_TOO_LONG");
        }
        assert_eq!(
            check_size(&format!("SELECT {}'1 day'", "INTERVAL ".repeat(100))).unwrap_err().code,
            "QUERY_TOO_LONG"
        );
        assert_eq!(check_size(&format!("{}SELECT 1", "EXPLAIN ".repeat(300))).unwrap_err().code, "QUERY_TOO_LONG");
    }

    #[test]
    fn what_people_write_is_not_too_long() {
        let columns: Vec<String> = (0..300).map(|i| format!("sum(a + {i}) AS c{i}")).collect();
        assert_eq!(check_size(&format!("SELECT k, {} FROM t GROUP BY k", columns.join(", "))), Ok(()));
        let tests: Vec<String> = (0..200).map(|i| format!("k = 'x{i}'")).collect();
        assert_eq!(check_size(&format!("SELECT k FROM t WHERE {}", tests.join(" OR "))), Ok(()));
        let days: Vec<String> = (0..100).map(|i| format!("t < now() - INTERVAL '{i} days'")).collect();
        assert_eq!(check_size(&format!("SELECT k FROM t WHERE {}", days.join(" OR "))), Ok(()));
        let numbers: Vec<String> = (0..3_000).map(|i| format!("-{i}")).collect();
        assert_eq!(check_size(&format!("SELECT k FROM t WHERE n IN ({})", numbers.join(", "))), Ok(()));
        let whens: Vec<String> = (0..400).map(|i| format!("WHEN t.k = {i} THEN -{i}")).collect();
        assert_eq!(check_size(&format!("SELECT CASE {} ELSE 0 END FROM t", whens.join(" "))), Ok(()));
    }

    #[test]
    fn chains_that_nest_in_each_other_are_one_long_chain() {
        let deep = |open: &str, close: &str| {
            (0..5).fold("1".to_owned(), |inner, _| format!("{open}{inner}{}{close}", " + 1".repeat(300)))
        };
        assert_eq!(check_size(&format!("SELECT {}", deep("(", ")"))).unwrap_err().code, "QUERY_TOO_LONG");
        let deep = deep("CASE WHEN true THEN ", " END");
        assert_eq!(check_size(&format!("SELECT {deep}")).unwrap_err().code, "QUERY_TOO_LONG");
    }
}
