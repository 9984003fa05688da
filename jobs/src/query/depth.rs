//! How deep the tree of some SQL can get, measured on its tokens before anything builds it. Pure.
//!
//! Every token that is no plain name or literal counts as one level, from the last comma, clause or SELECT on: a bound that needs not know
//! what the operators are. The count begins anew only where one tree provably ends and another begins, and never where the parser
//! could take the word of a clause for a column's name, as in `1 + where + where`.
//!
//! The parser's time is measured as well. Where it cannot see what a call is it reads what is inside by one rule after the other, so that
//! calls within calls take it twice as long for each: eighteen a second, thirty an hour.

use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// The most levels: each operator nests one deeper, as in `a + b + c`, and 500 levels fit on every thread's stack.
pub(super) const MAX_LEVELS: usize = 500;

/// The most SELECTs in one statement: UNION ALL nests as operators do, and so do steps behind `|>` and EXPLAIN.
pub(super) const MAX_SELECTS: usize = 200;

/// The most doublings of the parser's time by calls within calls: about a second.
pub(super) const MAX_DOUBLINGS: usize = 18;

/// What INTERVAL counts right behind INTERVAL, where the parser needs much more of the stack, and twice the time for each.
const INTERVAL_LEVELS: usize = 60;

/// The first token with which the tree may be too deep, or take too long, for a parser of that dialect.
pub(super) fn too_deep<'t>(tokens: &'t [TokenWithSpan], dialect: &dyn Dialect) -> Option<&'t TokenWithSpan> {
    let of_postgres = dialect.is::<PostgreSqlDialect>();
    let mut depth = Depth { levels: vec![Level::default()], selects: 0, before: Before::Nothing, of_postgres };
    tokens.iter().enumerate().find(|(i, _)| !depth.admits(&tokens[..=*i])).map(|(_, token)| token)
}

/// What was seen so far.
struct Depth {
    /// What is open, innermost last; never empty.
    levels: Vec<Level>,
    selects: usize,
    before: Before,
    /// Postgres' dialect tries more.
    of_postgres: bool,
}

/// What a token follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Whatever begins a new tree.
    Nothing,
    /// Something after which an operand is due: the word of a clause is a column's name there.
    Link,
    Interval,
    /// A whole operand.
    Operand,
    /// UNION or the like, and what belongs to it.
    SetOperator,
}

/// What stands between an opening parenthesis, bracket or CASE and its end.
#[derive(Default)]
struct Level {
    /// It was opened by CASE, and END closes it.
    case: bool,
    /// Its FROM is under way, where each comma joins one table more.
    from: bool,
    /// How deep the tree around it is.
    base: usize,
    /// How often the time to read it is doubled.
    doublings: usize,
    /// How deep the tree of the chain under way is.
    chain: usize,
    /// How deep that of the deepest chain before it was.
    deepest: usize,
}

impl Depth {
    /// Counts the last of these tokens, and says whether all that was counted is bearable.
    fn admits(&mut self, tokens: &[TokenWithSpan]) -> bool {
        let tries = self.tries(tokens);
        self.before = match kind(tokens, self.before) {
            Kind::Open { case, subscript } => {
                let level = self.innermost();
                level.chain += usize::from(subscript);
                let base = level.base + level.chain + 1;
                let doublings = level.doublings + tries;
                self.levels.push(Level { case, base, doublings, ..Level::default() });
                Before::Nothing
            }
            Kind::Close { case } => {
                self.close(case);
                Before::Operand
            }
            Kind::Comma if self.innermost().from => self.link(Before::Link),
            Kind::Comma => self.end_chain(Before::Nothing),
            Kind::Branch if !self.innermost().case => self.link(Before::Link),
            Kind::Branch => self.clause(Before::Nothing),
            Kind::Clause { from } => {
                self.innermost().from |= from;
                let before = self.clause(Before::Nothing);
                self.innermost().from &= from || before != Before::Nothing;
                before
            }
            Kind::Select | Kind::SetOperator if self.before == Before::SetOperator => self.clause(Before::Nothing),
            kind @ (Kind::Select | Kind::SetOperator) => {
                self.selects += 1;
                let is_select = matches!(kind, Kind::Select);
                let before = self.clause(if is_select { Before::Nothing } else { Before::SetOperator });
                self.innermost().from &= before == Before::Operand;
                before
            }
            Kind::Interval => {
                let levels = if self.before == Before::Interval { INTERVAL_LEVELS } else { 1 };
                self.innermost().chain += levels;
                Before::Interval
            }
            Kind::Link => self.link(Before::Link),
            Kind::Quantifier => Before::SetOperator,
            Kind::Operand => Before::Operand,
        };
        let level = self.innermost();
        level.base + level.chain <= MAX_LEVELS && level.doublings <= MAX_DOUBLINGS && self.selects <= MAX_SELECTS
    }

    /// How often the time to read what the last of these tokens opens is doubled; CASE is known by what follows it. As measured.
    fn tries(&mut self, tokens: &[TokenWithSpan]) -> usize {
        let more = usize::from(self.of_postgres);
        let [.., earlier, TokenWithSpan { token, .. }] = tokens else { return 0 };
        let (earlier, now) = (word(&earlier.token), word(token));
        if earlier == Some(Keyword::CASE) && now != Some(Keyword::WHEN) {
            self.innermost().doublings += 1 + more;
        }
        match (token, earlier) {
            (Token::LParen | Token::LBracket, Some(Keyword::POSITION)) => 2 + more,
            (Token::LParen | Token::LBracket, Some(keyword)) if GUESSED.contains(&keyword) => 1 + more,
            (Token::LParen, Some(keyword)) if !NEVER_CALLED.contains(&keyword) => more,
            _ => 0,
        }
    }

    fn innermost(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the outermost level is never closed")
    }

    fn link(&mut self, before: Before) -> Before {
        self.innermost().chain += 1;
        before
    }

    fn end_chain(&mut self, before: Before) -> Before {
        let level = self.innermost();
        level.deepest = level.deepest.max(level.chain);
        level.chain = 0;
        before
    }

    /// The word of a clause, or a column of that name.
    fn clause(&mut self, before: Before) -> Before {
        match self.before {
            Before::Link | Before::Interval => self.link(Before::Operand),
            Before::Nothing | Before::Operand | Before::SetOperator => self.end_chain(before),
        }
    }

    /// Goes on with the chain around a level that ends. What parentheses hold is an operand; CASE and END may be columns' names, so that
    /// what stands between them may as well be more of the same chain.
    fn close(&mut self, case: bool) {
        if self.levels.len() == 1 || (case && !self.innermost().case) {
            return;
        }
        self.end_chain(Before::Nothing);
        let inner = self.levels.pop().expect("there are two at least");
        let outer = self.innermost();
        let beside = if inner.case { outer.chain } else { 0 };
        outer.chain = outer.chain.max(beside + inner.deepest + 1);
    }
}

/// Calls and literals with a grammar of their own, which are read as plain calls where that fails.
const GUESSED: [Keyword; 13] = [
    Keyword::ARRAY,
    Keyword::CAST,
    Keyword::CEIL,
    Keyword::CONVERT,
    Keyword::EXTRACT,
    Keyword::FLOOR,
    Keyword::INTERVAL,
    Keyword::OVERLAY,
    Keyword::SAFE_CAST,
    Keyword::SUBSTR,
    Keyword::SUBSTRING,
    Keyword::TRY_CAST,
    Keyword::TRY_CONVERT,
];

/// Words before a parenthesis that is no call's.
const NEVER_CALLED: [Keyword; 22] = [
    Keyword::ALL,
    Keyword::AND,
    Keyword::AS,
    Keyword::BETWEEN,
    Keyword::BY,
    Keyword::DISTINCT,
    Keyword::ELSE,
    Keyword::EXISTS,
    Keyword::FROM,
    Keyword::HAVING,
    Keyword::IN,
    Keyword::JOIN,
    Keyword::LATERAL,
    Keyword::NOT,
    Keyword::ON,
    Keyword::OR,
    Keyword::OVER,
    Keyword::SELECT,
    Keyword::THEN,
    Keyword::UNION,
    Keyword::WHEN,
    Keyword::WHERE,
];

/// The keyword of a word; of a plain name that there is none.
fn word(token: &Token) -> Option<Keyword> {
    if let Token::Word(word) = token { Some(word.keyword) } else { None }
}

enum Kind {
    /// Opens a level; a subscript nests around what stands before it as well.
    Open {
        case: bool,
        subscript: bool,
    },
    Close {
        case: bool,
    },
    Comma,
    /// WHEN, THEN or ELSE: in a CASE the next tree begins.
    Branch,
    /// The next tree begins; with FROM it is one of tables.
    Clause {
        from: bool,
    },
    /// A further SELECT, or step.
    Select,
    /// UNION or the like; it counts together with the SELECT behind it.
    SetOperator,
    /// What stands between the two.
    Quantifier,
    Interval,
    /// A name or a literal.
    Operand,
    /// All else.
    Link,
}

/// What the last of these tokens is.
fn kind(tokens: &[TokenWithSpan], before: Before) -> Kind {
    let [earlier @ .., TokenWithSpan { token, .. }] = tokens else { return Kind::Operand };
    match token {
        Token::LParen => Kind::Open { case: false, subscript: false },
        Token::LBracket | Token::LBrace => Kind::Open { case: false, subscript: true },
        Token::RParen | Token::RBracket | Token::RBrace => Kind::Close { case: false },
        Token::Comma => Kind::Comma,
        Token::SemiColon => Kind::Clause { from: false },
        Token::VerticalBarRightAngleBracket => Kind::Select,
        Token::Number(..) | Token::Placeholder(_) | Token::EOF => Kind::Operand,
        Token::SingleQuotedString(_) | Token::NationalStringLiteral(_) | Token::EscapedStringLiteral(_) => {
            Kind::Operand
        }
        // In `t.end` any word is a name.
        Token::Word(_) if matches!(earlier.last(), Some(TokenWithSpan { token: Token::Period, .. })) => Kind::Operand,
        Token::Word(word) => match word.keyword {
            Keyword::NoKeyword | Keyword::NULL | Keyword::TRUE | Keyword::FALSE => Kind::Operand,
            Keyword::SELECT | Keyword::EXPLAIN | Keyword::DESCRIBE => Kind::Select,
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => Kind::SetOperator,
            Keyword::ALL | Keyword::DISTINCT if before == Before::SetOperator => Kind::Quantifier,
            Keyword::INTERVAL => Kind::Interval,
            Keyword::CASE => Kind::Open { case: true, subscript: false },
            Keyword::END => Kind::Close { case: true },
            Keyword::WHEN | Keyword::THEN | Keyword::ELSE => Kind::Branch,
            Keyword::FROM if compares(earlier) => Kind::Link,
            Keyword::FROM => Kind::Clause { from: true },
            Keyword::WHERE | Keyword::GROUP | Keyword::HAVING => Kind::Clause { from: false },
            _ => Kind::Link,
        },
        _ => Kind::Link,
    }
}

/// True behind IS DISTINCT and IS NOT DISTINCT.
fn compares(earlier: &[TokenWithSpan]) -> bool {
    let [.., before, last] = earlier else { return false };
    word(&last.token) == Some(Keyword::DISTINCT) && matches!(word(&before.token), Some(Keyword::IS | Keyword::NOT))
}
