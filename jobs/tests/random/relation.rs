//! What a query reads: inputs, projections, filters and unions of them, each written for the job and for the judge.

use crate::chance::Chance;
use crate::data::{TYPES, TopicModel, Ty};

/// The columns that the judge carries along: a record's place, whether it passed every filter so far, whether it is a tombstone, and a
/// column of the record that `order` may name.
pub const CARRIED: &str = "__ts, __b, __p, __o, __tomb, __in";

#[derive(Debug, Clone)]
pub struct Col {
    pub name: String,
    pub ty: Ty,
    /// The topic's column that it shows unchanged.
    pub plain: Option<String>,
}

/// A relation in three dialects.
#[derive(Debug, Clone)]
pub struct Rel {
    pub cols: Vec<Col>,
    /// The topic of each branch.
    pub topics: Vec<usize>,
    /// For the job: what stands in FROM, and the CTEs before it.
    pub job: String,
    pub ctes: Vec<String>,
    /// For the judge: with the filters.
    pub filtered: String,
    /// For the judge: every record, with the filters as `__keep`.
    pub all: String,
}

/// An expression, and which column it is if it is no more than one.
pub struct Made {
    pub sql: String,
    col: Option<usize>,
}

/// One branch of a union: its columns, and its text for the job, with the filters, and with all records.
type Part = (Vec<Made>, String, String, String);

pub fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

impl Rel {
    /// An input as it is. `carried` is the column of the record that `order` names.
    pub fn input(topics: &[TopicModel], topic: usize, branch: usize, carried: Option<&str>) -> Rel {
        let model = &topics[topic];
        let col = |name: &str, ty| Col { name: name.to_owned(), ty, plain: Some(name.to_owned()) };
        let mut cols: Vec<Col> = model.columns.iter().map(|(name, ty)| col(name, *ty)).collect();
        cols.push(col("_offset", Ty::Int));
        cols.push(col("_timestamp", Ty::Time));
        let carried = carried.map_or("CAST(NULL AS BIGINT)".to_owned(), quoted);
        let judge = format!("(SELECT *, {branch} AS __b, true AS __keep, {carried} AS __in FROM {})", model.name);
        Rel { cols, topics: vec![topic], job: model.name.to_owned(), ctes: vec![], filtered: judge.clone(), all: judge }
    }

    /// `(SELECT … FROM self WHERE …)` with columns of these types.
    pub fn project(&self, types: &[Ty], chance: &mut Chance) -> Rel {
        let made: Vec<(Ty, Made)> = types.iter().map(|ty| (*ty, self.expr(*ty, 2, chance))).collect();
        let filter = (!chance.one_in(3)).then(|| self.expr(Ty::Bool, 2, chance).sql);
        let level = self.job.len() % 97;
        let name = |i: usize| format!("x{i}_{level}");
        let list: Vec<String> =
            made.iter().enumerate().map(|(i, (_, made))| format!("{} AS {}", made.sql, name(i))).collect();
        let list = list.join(", ");
        let filtered = filter.as_ref().map_or(String::new(), |filter| format!(" WHERE {filter}"));
        let keep =
            filter.as_ref().map_or("__keep".to_owned(), |filter| format!("__keep AND coalesce({filter}, false)"));
        let body = format!("SELECT {list} FROM {}{filtered}", self.job);
        let mut ctes = self.ctes.clone();
        let job = if chance.one_in(2) {
            ctes.push(format!("c{} AS ({body})", ctes.len()));
            format!("c{}", ctes.len() - 1)
        } else {
            format!("({body}) AS s{level}")
        };
        Rel {
            cols: made.iter().enumerate().map(|(i, (ty, made))| self.col(name(i), *ty, made)).collect(),
            topics: self.topics.clone(),
            job,
            ctes,
            filtered: format!("(SELECT {list}, {CARRIED}, __keep FROM {}{filtered})", self.filtered),
            all: format!("(SELECT {list}, {CARRIED}, {keep} AS __keep FROM {})", self.all),
        }
    }

    /// `UNION ALL` of projections with columns of these types.
    pub fn union(branches: &[Rel], types: &[Ty], chance: &mut Chance) -> Rel {
        let mut parts: Vec<Part> = vec![];
        for branch in branches {
            let made: Vec<Made> = types.iter().map(|ty| branch.expr(*ty, 1, chance)).collect();
            let list: Vec<String> = made.iter().enumerate().map(|(i, made)| format!("{} AS u{i}", made.sql)).collect();
            let list = list.join(", ");
            let filter = chance.one_in(2).then(|| branch.expr(Ty::Bool, 1, chance).sql);
            let filtered = filter.as_ref().map_or(String::new(), |filter| format!(" WHERE {filter}"));
            let keep =
                filter.as_ref().map_or("__keep".to_owned(), |f| format!("__keep AND coalesce({f}, false) AS __keep"));
            parts.push((
                made,
                format!("SELECT {list} FROM {}{filtered}", branch.job),
                format!("SELECT {list}, {CARRIED}, __keep FROM {}{filtered}", branch.filtered),
                format!("SELECT {list}, {CARRIED}, {keep} FROM {}", branch.all),
            ));
        }
        let join = |part: fn(&Part) -> &String| parts.iter().map(part).cloned().collect::<Vec<_>>().join(" UNION ALL ");
        let cols = types.iter().enumerate().map(|(i, ty)| Col { name: format!("u{i}"), ty: *ty, plain: None });
        Rel {
            cols: cols.collect(),
            topics: branches.iter().flat_map(|branch| branch.topics.clone()).collect(),
            job: format!("({}) AS un", join(|part| &part.1)),
            ctes: vec![],
            filtered: format!("({})", join(|part| &part.2)),
            all: format!("({})", join(|part| &part.3)),
        }
    }

    pub fn col(&self, name: String, ty: Ty, made: &Made) -> Col {
        Col { name, ty, plain: made.col.and_then(|i| self.cols[i].plain.clone()) }
    }

    fn column(&self, ty: Ty, chance: &mut Chance) -> Option<Made> {
        let fitting: Vec<usize> = (0..self.cols.len()).filter(|i| self.cols[*i].ty == ty).collect();
        let i = *fitting.get(chance.below(fitting.len().max(1)))?;
        Some(self.plain(i))
    }

    /// The plain column of that number.
    pub fn plain(&self, i: usize) -> Made {
        Made { sql: quoted(&self.cols[i].name), col: Some(i) }
    }

    /// An expression of that type that never fails.
    pub fn expr(&self, ty: Ty, depth: usize, chance: &mut Chance) -> Made {
        if depth == 0 || chance.one_in(3) {
            return self.column(ty, chance).filter(|_| !chance.one_in(8)).unwrap_or_else(|| literal(ty, chance));
        }
        let (shape, args): (&str, &[Ty]) = match ty {
            Ty::Int => *chance.pick(INTS),
            Ty::Double => *chance.pick(DOUBLES),
            Ty::Text => *chance.pick(TEXTS),
            Ty::Bool => *chance.pick(BOOLS),
            Ty::Time => *chance.pick(TIMES),
        };
        let mut sql = shape.to_owned();
        for arg in args {
            sql = sql.replacen('?', &self.expr(*arg, depth - 1, chance).sql, 1);
        }
        let inputs = self.topics.len() == 1 && self.cols.iter().any(|col| col.name == "_offset");
        if inputs && ty == Ty::Int && chance.one_in(6) {
            // The struct and the list are of the inputs themselves.
            let nested = *chance.pick(&["o['p']", "l[1]", "CAST(array_length(l) AS BIGINT)", "length(o['q.r'])"]);
            sql = format!("coalesce({nested}, {sql})");
        }
        Made { sql, col: None }
    }
}

fn literal(ty: Ty, chance: &mut Chance) -> Made {
    let sql = match ty {
        Ty::Int => format!("{}", chance.between(-3, 9)),
        Ty::Double => format!("CAST({} AS DOUBLE)", chance.between(-9, 9) as f64 / 4.0),
        Ty::Text => format!("'{}'", chance.pick(&["a", "x''y", "é", "k1", ""])),
        Ty::Bool => (*chance.pick(&["true", "false"])).to_owned(),
        Ty::Time => "arrow_cast('2024-03-10T06:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))')".to_owned(),
    };
    Made { sql, col: None }
}

type Shape = (&'static str, &'static [Ty]);
use Ty::{Bool, Double, Int, Text, Time};

const INTS: &[Shape] = &[
    ("(? + ?)", &[Int, Int]),
    ("(? - ?)", &[Int, Int]),
    ("(? * 3)", &[Int]),
    ("(? % 4)", &[Int]),
    ("abs(?)", &[Int]),
    ("coalesce(?, ?)", &[Int, Int]),
    ("nullif(?, 3)", &[Int]),
    ("greatest(?, ?)", &[Int, Int]),
    ("CAST(length(?) AS BIGINT)", &[Text]),
    ("CAST(extract(hour FROM ?) AS BIGINT)", &[Time]),
    ("CASE WHEN ? THEN ? ELSE ? END", &[Bool, Int, Int]),
    ("CASE ? WHEN 1 THEN ? WHEN -2 THEN 7 END", &[Int, Int]),
    ("TRY_CAST(? AS BIGINT)", &[Text]),
    ("CAST(? AS BIGINT)", &[Double]),
    ("(? & 6)", &[Int]),
];
const DOUBLES: &[Shape] = &[
    ("(? + ?)", &[Double, Double]),
    ("(? * 0.5)", &[Double]),
    ("CAST(? AS DOUBLE)", &[Int]),
    ("coalesce(?, ?)", &[Double, Double]),
    ("CASE WHEN ? THEN ? END", &[Bool, Double]),
    ("abs(?)", &[Double]),
    ("CAST(CAST(? AS DECIMAL(12, 3)) AS DOUBLE)", &[Double]),
];
const TEXTS: &[Shape] = &[
    ("upper(?)", &[Text]),
    ("lower(?)", &[Text]),
    ("(? || ?)", &[Text, Text]),
    ("concat(?, '-', ?)", &[Text, Text]),
    ("substr(?, 1, 2)", &[Text]),
    ("coalesce(?, ?)", &[Text, Text]),
    ("nullif(?, 'a')", &[Text]),
    ("CAST(? AS TEXT)", &[Int]),
    ("regexp_replace(?, '[ak]', '_')", &[Text]),
    ("split_part(?, 'y', 1)", &[Text]),
    ("CASE WHEN ? THEN ? ELSE 'z' END", &[Bool, Text]),
    ("trim(?)", &[Text]),
    ("to_char(?, '%H')", &[Time]),
];
const BOOLS: &[Shape] = &[
    ("(? > ?)", &[Int, Int]),
    ("(? <= ?)", &[Double, Double]),
    ("(? = ?)", &[Text, Text]),
    ("(? < ?)", &[Time, Time]),
    ("(? IS NULL)", &[Text]),
    ("(? IS NOT NULL)", &[Int]),
    ("(? AND ?)", &[Bool, Bool]),
    ("(? OR ?)", &[Bool, Bool]),
    ("(NOT ?)", &[Bool]),
    ("(? IS NOT TRUE)", &[Bool]),
    ("(? IS DISTINCT FROM ?)", &[Int, Int]),
    ("(? IN (-1, 0, 2, 5))", &[Int]),
    ("(? NOT IN ('a', 'k2'))", &[Text]),
    ("(? BETWEEN -2 AND 6)", &[Int]),
    ("(? LIKE 'k%')", &[Text]),
    ("regexp_like(?, '^[a-k]')", &[Text]),
    ("starts_with(?, 'k')", &[Text]),
];
const TIMES: &[Shape] = &[
    ("date_bin(INTERVAL '1 hour', ?)", &[Time]),
    ("date_trunc('day', ?)", &[Time]),
    ("(? + INTERVAL '90 minutes')", &[Time]),
    ("(? - INTERVAL '1 day')", &[Time]),
    ("coalesce(?, ?)", &[Time, Time]),
    ("CASE WHEN ? THEN ? END", &[Bool, Time]),
];

/// Some random types.
pub fn types(chance: &mut Chance) -> Vec<Ty> {
    let mut types: Vec<Ty> = (0..2 + chance.below(3)).map(|_| *chance.pick(&TYPES)).collect();
    types.extend([Text, Int]);
    types
}
