//! Random jobs of the allowed grammar, with what the judge asks instead.

use crate::chance::Chance;
use crate::data::{TopicModel, Ty};
use crate::relation::{Col, Made, Rel, quoted, types};

/// A job and how to judge it.
#[derive(Debug, Clone)]
pub struct Case {
    pub toml: String,
    pub sql: String,
    pub judge: Judge,
}

#[derive(Debug, Clone)]
pub enum Judge {
    /// One query gives the rows.
    Rows { sql: String, failing: Option<String>, topics: Vec<usize> },
    /// One query gives every candidate: `keys` key columns, `order` order columns, the output columns, then `__keep` and the place.
    Latest {
        sql: String,
        keys: usize,
        order: usize,
        outputs: usize,
        in_order: bool,
        topics: Vec<usize>,
        retain: Option<(usize, i64)>,
    },
}

/// How long jobs with `retain` keep their rows.
const RETAIN_HOURS: i64 = 5;

pub fn random(topics: &[TopicModel], chance: &mut Chance) -> Case {
    match chance.one_in(2) {
        true => group_by(topics, chance),
        false => upsert(topics, chance),
    }
}

/// Inputs, unions, projections: what a job reads.
/// A topic is read by one branch only where `once` says so.
fn relation(topics: &[TopicModel], carried: Option<&str>, once: bool, chance: &mut Chance) -> Rel {
    let extra = if once { 0 } else { chance.below(2) };
    let mut rel = match chance.below(3) {
        0 => {
            let branches: Vec<Rel> = (0..2 + extra).map(|i| Rel::input(topics, i % topics.len(), i, carried)).collect();
            Rel::union(&branches, &types(chance), chance)
        }
        _ => Rel::input(topics, chance.below(topics.len()), 0, carried),
    };
    for _ in 0..chance.below(3) {
        rel = rel.project(&types(chance), chance);
    }
    rel
}

fn with(rel: &Rel) -> String {
    if rel.ctes.is_empty() { String::new() } else { format!("WITH {} ", rel.ctes.join(", ")) }
}

fn toml(topics: &[TopicModel], rel: &Rel, extra: &str) -> String {
    let mut toml = format!("name = \"random\"\n{extra}");
    for (i, topic) in topics.iter().enumerate().filter(|(i, _)| rel.topics.contains(i)) {
        toml.push_str(&format!("[inputs.{}]\ntopic = \"{}\"\n", topics[i].name, topic.name));
    }
    toml
}

/// One aggregate call: for the job, for the judge (whose order is total), and its type; doubles are exact but for the last ones.
fn call(rel: &Rel, chance: &mut Chance) -> (String, String, Option<Ty>) {
    let int = rel.expr(Ty::Int, 1, chance).sql;
    let double = rel.expr(Ty::Double, 1, chance).sql;
    let text = rel.expr(Ty::Text, 1, chance).sql;
    let flag = rel.expr(Ty::Bool, 1, chance).sql;
    let time = rel.expr(Ty::Time, 1, chance).sql;
    let filter = if chance.one_in(3) { format!(" FILTER (WHERE {flag})") } else { String::new() };
    let plain = |sql: String, ty| (format!("{sql}{filter}"), format!("{sql}{filter}"), ty);
    match chance.below(20) {
        0 => plain("count(*)".into(), Some(Ty::Int)),
        1 => plain(format!("count({text})"), Some(Ty::Int)),
        2 => plain(format!("sum({int})"), Some(Ty::Int)),
        3 => plain(format!("sum({double})"), Some(Ty::Double)),
        4 => plain(format!("avg({double})"), None),
        5 => plain(format!("min({text})"), Some(Ty::Text)),
        6 => plain(format!("max({time})"), Some(Ty::Time)),
        7 => plain(format!("min({int})"), Some(Ty::Int)),
        8 => plain(format!("max({double})"), Some(Ty::Double)),
        9 => plain(format!("bool_or({flag})"), Some(Ty::Bool)),
        10 => plain(format!("bool_and({flag})"), Some(Ty::Bool)),
        11 => plain(format!("bit_xor({int})"), Some(Ty::Int)),
        12 => plain(format!("sum(CAST({double} AS DECIMAL(12, 3)))"), None),
        13 => plain(format!("avg(CAST({int} AS DECIMAL(10, 2)))"), None),
        14 => plain(format!("stddev({double})"), None),
        15 => plain(format!("regr_slope({double}, {int})"), None),
        16 => plain(format!("approx_distinct({text})"), None),
        17 => plain(format!("sum(CAST({int} AS DOUBLE))"), Some(Ty::Double)),
        _ => {
            let name = *chance.pick(&["first_value", "last_value"]);
            // A bare number after ORDER BY is the number of a column, which a call has none of.
            let int_order = format!("({int})");
            let (by, way) =
                (*chance.pick(&[&int_order, &text, &time]), *chance.pick(&["", " DESC", " DESC NULLS LAST"]));
            let (arg, ty) = *chance.pick(&[(&int, Ty::Int), (&text, Ty::Text), (&time, Ty::Time)]);
            let order = format!("{by}{way}");
            (
                format!("{name}({arg} ORDER BY {order}){filter}"),
                format!("{name}({arg} ORDER BY {order}, __ts, __b, __p, __o){filter}"),
                Some(ty),
            )
        }
    }
}

fn group_by(topics: &[TopicModel], chance: &mut Chance) -> Case {
    let mut rel = relation(topics, None, false, chance);
    let poison = if chance.one_in(4) {
        rel.cols.iter().position(|col| col.ty == Ty::Int && !col.name.starts_with('_'))
    } else {
        None
    };
    let mut failing = None;
    let mut columns = vec![];
    if let Some(i) = poison {
        let column = quoted(&rel.cols[i].name);
        failing = Some(format!("SELECT __b, __p, __o FROM {} WHERE {column} = 0", rel.filtered));
        rel.filtered = format!("(SELECT * FROM {} WHERE {column} IS DISTINCT FROM 0)", rel.filtered);
        columns.push((format!("sum(100 / {column})"), format!("sum(100 / {column})")));
    }
    let mut groups: Vec<String> = vec![];
    let mut time = None;
    for i in 0..1 + chance.below(3) {
        let ty = *chance.pick(&[Ty::Text, Ty::Int, Ty::Bool, Ty::Time]);
        let sql = match rel.cols.iter().position(|col| col.ty == Ty::Time && col.name == "at") {
            Some(at) if ty == Ty::Time => {
                time = time.or(Some(i));
                format!("date_bin(INTERVAL '1 hour', {})", quoted(&rel.cols[at].name))
            }
            _ => rel.expr(ty, 1, chance).sql,
        };
        groups.push(sql);
    }
    for _ in 0..1 + chance.below(4) {
        let (job, judge, ty) = call(&rel, chance);
        let around = match (ty, chance.below(4)) {
            (Some(Ty::Int), 0) => "coalesce(?, 0) * 2 + 1",
            (Some(Ty::Int | Ty::Double), 1) => "? / nullif(count(*) - 2, 0)",
            (Some(Ty::Text), 0) => "upper(?) || '!'",
            (Some(_), 2) => "CASE WHEN count(*) > 2 THEN ? END",
            _ => "?",
        };
        columns.push((around.replace('?', &job), around.replace('?', &judge)));
    }
    let having = match chance.below(4) {
        0 => " HAVING count(*) > 2",
        1 => " HAVING count(*) BETWEEN 2 AND 9",
        _ => "",
    };
    let list = |judge: bool| {
        let groups = groups.iter().enumerate().map(|(i, sql)| format!("{sql} AS g{i}"));
        let columns =
            columns.iter().enumerate().map(|(i, (job, other))| format!("{} AS a{i}", if judge { other } else { job }));
        groups.chain(columns).collect::<Vec<_>>().join(", ")
    };
    let by: Vec<String> = (1..=groups.len()).map(|i| i.to_string()).collect();
    let by = by.join(", ");
    let sql = format!("{}SELECT {} FROM {} GROUP BY {by}{having}", with(&rel), list(false), rel.job);
    let mut judge = format!("SELECT {} FROM {} GROUP BY {by}{having}", list(true), rel.filtered);
    let mut extra = String::new();
    if let Some(i) = time.filter(|_| chance.one_in(2)) {
        extra = format!("time = \"g{i}\"\nretain = \"{RETAIN_HOURS}h\"\n");
        let horizon = format!("(SELECT max({}) - INTERVAL '{RETAIN_HOURS} hours' FROM {})", groups[i], rel.filtered);
        judge = format!("SELECT * FROM ({judge}) WHERE g{i} IS NULL OR g{i} >= {horizon}");
    }
    Case {
        toml: toml(topics, &rel, &extra),
        sql,
        judge: Judge::Rows { sql: judge, failing, topics: rel.topics.clone() },
    }
}

fn upsert(topics: &[TopicModel], chance: &mut Chance) -> Case {
    let carried = chance.one_in(3).then_some("i");
    let rel = relation(topics, carried, true, chance);
    let key_column = rel.cols.iter().position(|col| col.plain.as_deref() == Some("k"));
    let mut made: Vec<(Ty, Made)> = vec![];
    match key_column.filter(|_| !chance.one_in(3)) {
        Some(i) => made.push((Ty::Text, rel.plain(i))),
        None => made.push((Ty::Text, rel.expr(Ty::Text, 1, chance))),
    }
    if chance.one_in(3) {
        let ty = *chance.pick(&[Ty::Int, Ty::Bool, Ty::Time]);
        made.push((ty, rel.expr(ty, 1, chance)));
    }
    let keys = made.len();
    for _ in 0..1 + chance.below(4) {
        let ty = *chance.pick(&crate::data::TYPES);
        made.push((ty, rel.expr(ty, 2, chance)));
    }
    let cols: Vec<Col> = made.iter().enumerate().map(|(i, (ty, made))| rel.col(format!("c{i}"), *ty, made)).collect();
    let names: Vec<&str> = cols.iter().map(|col| col.name.as_str()).collect();
    let mut order: Vec<(String, String)> = vec![];
    if carried.is_some() {
        order.push(("i".into(), "__in".into()));
    }
    if chance.one_in(3) {
        let i = keys + chance.below(names.len() - keys);
        order.insert(0, (names[i].to_owned(), made[i].1.sql.clone()));
    }
    let filter = chance.one_in(2).then(|| rel.expr(Ty::Bool, 2, chance).sql);
    let list: Vec<String> =
        made.iter().zip(&names).map(|((_, made), name)| format!("{} AS {name}", made.sql)).collect();
    let filtered = filter.as_ref().map_or(String::new(), |filter| format!(" WHERE {filter}"));
    let sql = format!("{}SELECT {} FROM {}{filtered}", with(&rel), list.join(", "), rel.job);

    let retain = (keys == 2 && cols[1].ty == Ty::Time && chance.one_in(2)).then_some(1_usize);
    let keep = filter.as_ref().map_or("__keep".to_owned(), |filter| format!("__keep AND coalesce({filter}, false)"));
    let expressions = |sqls: Vec<String>, prefix: &str| -> Vec<String> {
        sqls.into_iter().enumerate().map(|(i, sql)| format!("{sql} AS {prefix}{i}")).collect()
    };
    let mut all = expressions(made[..keys].iter().map(|(_, made)| made.sql.clone()).collect(), "judge_k");
    all.extend(expressions(order.iter().map(|(_, sql)| sql.clone()).collect(), "judge_o"));
    all.extend(list.clone());
    let judge = format!("SELECT {}, {keep} AS __keep, __ts, __b, __p, __o, __tomb FROM {}", all.join(", "), rel.all);

    let in_order = rel.topics.len() == 1
        && topics[rel.topics[0]].keyed
        && cols[..keys].iter().all(|col| col.plain.as_deref() == Some("k"));
    let list = |names: &[String]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let key_names: Vec<String> = names[..keys].iter().map(|name| (*name).to_owned()).collect();
    let order_names: Vec<String> = order.iter().map(|(name, _)| name.clone()).collect();
    let mut extra = format!("key = [{}]\norder = [{}]\n", list(&key_names), list(&order_names));
    if let Some(i) = retain {
        extra.push_str(&format!("time = \"c{i}\"\nretain = \"{RETAIN_HOURS}h\"\n"));
    }
    Case {
        toml: toml(topics, &rel, &extra),
        sql,
        judge: Judge::Latest {
            sql: judge,
            keys,
            order: order.len(),
            outputs: names.len(),
            in_order,
            topics: rel.topics.clone(),
            retain: retain.map(|i| (i, RETAIN_HOURS * 3_600_000_000)),
        },
    }
}
