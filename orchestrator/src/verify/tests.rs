use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, StructArray,
};
use arrow::datatypes::{Field, Int64Type};
use proptest::prelude::*;
use rekap_jobs::{Check, PromotePolicy};
use rekap_tables::Tables;
use serde_json::{Value, json};

use super::*;
use crate::sql::tests::{rows, table};

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn doubles(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn prices(keys: &[&str], values: &[Option<f64>]) -> RecordBatch {
    rows(vec![("currency", text(keys)), ("price", doubles(values))])
}

async fn compare_keyed(keys: [&[&str]; 2], old: RecordBatch, new: RecordBatch, policy: &PromotePolicy) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::open(dir.path()).unwrap();
    let side = |version, key, rows| table(&tables, version, key, rows).snapshot();
    verify(Some(side(1, keys[0], old)), side(2, keys[1], new), policy).await.unwrap()
}

async fn compare(old: RecordBatch, new: RecordBatch, policy: &PromotePolicy) -> Report {
    compare_keyed([&["currency"], &["currency"]], old, new, policy).await
}

fn policy(max_changed: Option<&str>, checks: &[&str]) -> PromotePolicy {
    let checks = checks.iter().map(|sql| Check { name: "a check".into(), sql: (*sql).to_owned() }).collect();
    PromotePolicy { max_changed: max_changed.map(|limit| limit.parse().unwrap()), checks, ..PromotePolicy::default() }
}

#[tokio::test]
async fn rows_are_the_same_changed_added_or_removed() {
    let old = prices(&["CHF", "EUR", "GBP", "USD"], &[Some(1.0), Some(0.1 + 0.2), Some(2.0), None]);
    let new = prices(&["AUD", "EUR", "GBP", "USD"], &[Some(9.0), Some(0.3), Some(3.0), None]);
    let report = compare(old, new, &PromotePolicy::default()).await;
    assert_eq!(report.counts, Counts { same: 2, changed: 1, added: 1, removed: 1 });
    assert_eq!((report.verdict, report.reason), (Verdict::Pass, None));
    assert_eq!(report.positions, "ticks/0=7".parse().unwrap());
    let samples = serde_json::to_value(&report.samples).unwrap();
    assert_eq!(
        samples,
        json!([
            {"change": "changed", "old": {"currency": "GBP", "price": 2.0}, "new": {"currency": "GBP", "price": 3.0}},
            {"change": "added", "old": null, "new": {"currency": "AUD", "price": 9.0}},
            {"change": "removed", "old": {"currency": "CHF", "price": 1.0}, "new": null},
        ])
    );
}

#[tokio::test]
async fn columns_tell_how_much_they_changed_and_where_nulls_came_and_went() {
    let old = prices(&["A", "B", "C", "D", "E"], &[Some(1.0), Some(4.0), None, Some(5.0), Some(0.0)]);
    let new = prices(&["A", "B", "C", "D", "E"], &[Some(1.5), Some(3.0), Some(7.0), None, Some(1.0)]);
    let report = compare(old, new, &PromotePolicy::default()).await;
    let expected = ColumnResult {
        name: "price".into(),
        changed: 5,
        nulls_vanished: 1,
        nulls_appeared: 1,
        largest_relative_change: Some(0.5),
        mean_relative_change: Some(0.375),
        ..ColumnResult::default()
    };
    assert_eq!(report.columns, [expected]);
}

#[tokio::test]
async fn doubles_may_differ_by_a_billionth_and_decimals_by_nothing() {
    let near = [1.0 + 1e-10, -1e300, f64::NAN, f64::INFINITY, 1.0 + 1e-8];
    let old = prices(
        &["A", "B", "C", "D", "E"],
        &[Some(1.0), Some(-1e300 * (1.0 + 1e-12)), Some(f64::NAN), Some(f64::INFINITY), Some(1.0)],
    );
    let report = compare(old, prices(&["A", "B", "C", "D", "E"], &near.map(Some)), &PromotePolicy::default()).await;
    assert_eq!((report.counts.same, report.counts.changed), (4, 1));
    let infinite =
        compare(prices(&["A"], &[Some(f64::INFINITY)]), prices(&["A"], &[Some(1.0)]), &PromotePolicy::default()).await;
    assert_eq!(infinite.counts.changed, 1);

    let decimals = |unscaled: i128| -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![unscaled]).with_precision_and_scale(38, 20).unwrap())
    };
    let exact = |unscaled| rows(vec![("currency", text(&["EUR"])), ("price", decimals(unscaled))]);
    let one = 100_000_000_000_000_000_000;
    assert_eq!(compare(exact(one), exact(one), &PromotePolicy::default()).await.counts.changed, 0);
    assert_eq!(compare(exact(one), exact(one + 1), &PromotePolicy::default()).await.counts.changed, 1);
}

#[tokio::test]
async fn structs_are_compared_too() {
    let nested = |x: i64| {
        let x: ArrayRef = Arc::new(Int64Array::from(vec![x]));
        let point: ArrayRef =
            Arc::new(StructArray::from(vec![(Arc::new(Field::new("x", x.data_type().clone(), true)), x)]));
        rows(vec![("currency", text(&["EUR"])), ("point", point)])
    };
    assert_eq!(compare(nested(1), nested(1), &PromotePolicy::default()).await.counts.same, 1);
    assert_eq!(compare(nested(1), nested(2), &PromotePolicy::default()).await.counts.changed, 1);
}

#[tokio::test]
async fn doubles_inside_structs_and_lists_have_the_same_tolerance() {
    let nested = |x: f64, items: &[f64]| {
        let x: ArrayRef = Arc::new(Float64Array::from(vec![x]));
        let point: ArrayRef =
            Arc::new(StructArray::from(vec![(Arc::new(Field::new("x", x.data_type().clone(), true)), x)]));
        let items = arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Float64Type, _, _>([Some(
            items.iter().copied().map(Some),
        )]);
        rows(vec![("currency", text(&["EUR"])), ("point", point), ("items", Arc::new(items))])
    };
    let of = |old: RecordBatch, new: RecordBatch| async move {
        compare(old, new, &PromotePolicy::default()).await.counts.changed
    };
    assert_eq!(of(nested(1.0, &[0.3, 2.0]), nested(1.0 + 1e-12, &[0.1 + 0.2, 2.0])).await, 0);
    assert_eq!(of(nested(1.0, &[0.3]), nested(1.0 + 1e-6, &[0.3])).await, 1);
    assert_eq!(of(nested(1.0, &[0.3]), nested(1.0, &[0.3, 0.3])).await, 1);
    assert_eq!(of(nested(1.0, &[0.3, 1.0]), nested(1.0, &[0.3, 1.1])).await, 1);
}

#[tokio::test]
async fn a_first_version_is_asked_the_checks_that_read_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::open(dir.path()).unwrap();
    let new = table(&tables, 1, &["currency"], prices(&["EUR", "USD"], &[Some(1.0), Some(-2.0)])).snapshot();
    let over_both = "SELECT count(*) = 0 FROM diff";
    let passes = verify(None, new.clone(), &policy(Some("1%"), &["SELECT count(*) = 2 FROM new", over_both])).await;
    let passes = passes.unwrap();
    assert_eq!((passes.verdict, passes.counts.added), (Verdict::Pass, 2), "{passes:?}");
    assert_eq!((passes.checks[0].verdict, passes.checks[1].verdict), (Verdict::Pass, Verdict::Inconclusive));
    assert!(passes.checks[1].reason.as_ref().unwrap().starts_with("not asked"));
    let fails = verify(None, new, &policy(None, &[over_both, "SELECT min(price) > 0 FROM new"])).await.unwrap();
    assert_eq!((fails.verdict, fails.reason.unwrap()), (Verdict::Fail, "the check `a check`: it is false".into()));
}

#[tokio::test]
async fn a_million_rows_are_compared_in_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::open(dir.path()).unwrap();
    let side = |version, every: i64| {
        let keys: ArrayRef = Arc::new((0..1_000_000i64).collect::<Int64Array>());
        let price = |i: i64| if i % every == 0 { i as f64 * 1.5 + 1.0 } else { i as f64 };
        let prices: ArrayRef = Arc::new((0..1_000_000i64).map(price).collect::<Float64Array>());
        table(&tables, version, &["key"], rows(vec![("key", keys), ("price", prices)])).snapshot()
    };
    let (old, new) = (side(1, 1_000_001), side(2, 1000));
    let begun = tokio::time::Instant::now();
    let check = "SELECT count(*) = 1000 FROM diff WHERE new.price > old.price";
    let report = verify(Some(old), new, &policy(Some("1%"), &[check])).await.unwrap();
    let took = begun.elapsed();
    println!("a million rows compared, with a check over the differences, in {took:?}");
    // Row 0 is the same on both sides but for the greater version's `+ 1`, as row 0 of the old one is.
    assert_eq!((report.verdict, report.counts.changed), (Verdict::Fail, 999), "{:?}", report.reason);
    assert_eq!(report.columns[0].changed, 999);
    assert!(report.columns[0].largest_relative_change.unwrap() > 0.5);
    assert!(took < std::time::Duration::from_secs(30), "{took:?}");
}

#[tokio::test]
async fn another_key_is_inconclusive() {
    let table = |name| rows(vec![("currency", text(&["EUR"])), (name, text(&["x"]))]);
    for keys in [[&["currency"][..], &["currency", "at"][..]], [&["currency", "at"], &["at", "currency"]]] {
        let report = compare_keyed(keys, table("at"), table("at"), &PromotePolicy::default()).await;
        assert_eq!(report.verdict, Verdict::Inconclusive);
        assert!(report.reason.unwrap().starts_with("KEY_CHANGED: "));
    }
}

#[tokio::test]
async fn columns_of_one_version_are_listed_and_other_types_are_told() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![2, 3]));
    let old = rows(vec![("currency", text(&["A", "B"])), ("gone", text(&["x", "y"])), ("n", ints)]);
    let new = rows(vec![
        ("n", doubles(&[Some(2.0), Some(3.5)])),
        ("currency", text(&["A", "B"])),
        ("come", text(&["x", "y"])),
    ]);
    let report = compare(old, new, &PromotePolicy::default()).await;
    assert_eq!((report.counts.same, report.counts.changed), (1, 1));
    let told: Vec<_> =
        report.columns.iter().map(|c| (c.name.as_str(), c.added, c.removed, c.types.is_some())).collect();
    assert_eq!(told, [("n", false, false, true), ("come", true, false, false), ("gone", false, true, false)]);
}

#[tokio::test]
async fn more_changes_than_the_policy_allows_fail() {
    let old = prices(&["A", "B", "C", "D"], &[Some(1.0); 4]);
    let new = prices(&["A", "B", "C", "E"], &[Some(1.0); 4]);
    assert_eq!(compare(old.clone(), new.clone(), &policy(Some("50%"), &[])).await.verdict, Verdict::Pass);
    let report = compare(old, new, &policy(Some("49%"), &[])).await;
    assert_eq!(report.verdict, Verdict::Fail);
    assert!(report.reason.unwrap().starts_with("2 of 4 rows differ (50.00 %), `max_changed` allows 49%"));
}

#[tokio::test]
async fn checks_pass_fail_or_leave_it_to_a_person() {
    let old = prices(&["CHF", "EUR", "GBP"], &[Some(1.0), Some(100.0), Some(2.0)]);
    let new = prices(&["AUD", "EUR", "GBP"], &[Some(9.0), Some(100.5), Some(2.0)]);
    let checks = [
        ("SELECT count(*) = 0 FROM diff WHERE abs(new.price / old.price - 1) > 0.01", Verdict::Pass, json!(true)),
        ("SELECT count(*) = 0 FROM diff WHERE abs(new.price / old.price - 1) > 0.001", Verdict::Fail, json!(false)),
        ("SELECT count(*) = 3 FROM diff", Verdict::Pass, json!(true)),
        (
            "SELECT old.price = 1 AND new.price IS NULL AND currency = 'CHF' FROM diff WHERE change = 'removed'",
            Verdict::Pass,
            json!(true),
        ),
        ("SELECT (SELECT sum(price) FROM new) - (SELECT sum(price) FROM old) = 8.5", Verdict::Pass, json!(true)),
        ("SELECT max(price) > 1 FROM new WHERE currency = 'XXX'", Verdict::Inconclusive, Value::Null),
        ("SELECT true FROM new WHERE currency = 'XXX'", Verdict::Inconclusive, Value::Null),
        ("SELECT count(*) FROM new", Verdict::Inconclusive, json!(3)),
        ("SELECT price > 0 FROM new", Verdict::Inconclusive, Value::Null),
        ("SELECT nothing FROM new", Verdict::Inconclusive, Value::Null),
        ("DROP TABLE new", Verdict::Inconclusive, Value::Null),
    ];
    for (sql, verdict, measured) in checks {
        let report = compare(old.clone(), new.clone(), &policy(None, &[sql])).await;
        let check = &report.checks[0];
        assert_eq!(
            (report.verdict, check.verdict, &check.measured),
            (verdict, verdict, &measured),
            "{sql}: {:?}",
            check.reason
        );
        assert_eq!(check.reason.is_none(), verdict == Verdict::Pass);
    }
    let both = compare(old, new, &policy(None, &["SELECT NULL", "SELECT false", "SELECT true"])).await;
    assert_eq!((both.verdict, both.reason), (Verdict::Fail, Some("the check `a check`: it is false".into())));
}

#[tokio::test]
async fn a_check_that_is_never_true_or_false_is_not_admitted() {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::open(dir.path()).unwrap();
    let table = table(&tables, 1, &["currency"], prices(&["EUR"], &[Some(1.0)]));
    let schema = table.snapshot().schema().clone();
    let checks = |sql: &str| policy(None, &[sql]).checks;
    for sql in [
        "SELECT true",
        "SELECT NULL",
        "SELECT count(*) = 0 FROM diff",
        "SELECT price > 0 FROM new WHERE currency = 'XXX'",
        "SELECT NULL AND false",
    ] {
        assert_eq!(plan_checks(&schema, &schema, &checks(sql)).await, Ok(()), "{sql}");
    }
    for (sql, says) in [
        ("SELECT 1", "of type bigint"),
        ("SELECT 't'", "of type text"),
        ("SELECT true, false", "2 columns"),
        ("SELECT count(*) FROM new", "`count(*)`"),
        ("EXPLAIN SELECT true", "2 columns"),
    ] {
        let (i, detail, remedy) = plan_checks(&schema, &schema, &checks(sql)).await.unwrap_err();
        assert!(i == 0 && detail.contains(says), "{sql}: {detail}");
        assert!(remedy.contains("true or false"), "{remedy}");
    }
    let live = policy(None, &["SELECT count(*) FROM live"]).checks;
    assert!(plan_live_checks(&schema, live.iter()).await.is_err());
}

#[tokio::test]
async fn the_first_version_passes() {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::open(dir.path()).unwrap();
    let snapshot = table(&tables, 1, &["currency"], prices(&["EUR"], &[Some(1.0)])).snapshot();
    let report = verify(None, snapshot, &policy(Some("1%"), &["SELECT count(*) = 0 FROM diff"])).await.unwrap();
    assert_eq!((report.verdict, report.counts.added), (Verdict::Pass, 1));
}

#[tokio::test]
async fn a_report_shows_a_hundred_rows_of_all_kinds_and_reads_back() {
    let names = |from: usize, to: usize| (from..to).map(|i| format!("k{i:04}")).collect::<Vec<_>>();
    let many = |from, to, price| {
        let keys = names(from, to);
        prices(&keys.iter().map(String::as_str).collect::<Vec<_>>(), &vec![Some(price); to - from])
    };
    let report = compare(many(0, 500, 1.0), many(490, 900, 2.0), &PromotePolicy::default()).await;
    assert_eq!(report.counts, Counts { same: 0, changed: 10, added: 400, removed: 490 });
    let kind = |change| report.samples.iter().filter(|sample| sample.change == change).count();
    assert_eq!((kind(Change::Changed), kind(Change::Added), kind(Change::Removed)), (10, 45, 45));
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

type Rows = BTreeMap<i64, i64>;

fn batch(rows: &Rows) -> RecordBatch {
    let keys: ArrayRef = Arc::new(rows.keys().copied().collect::<Int64Array>());
    let values: ArrayRef = Arc::new(rows.values().copied().collect::<Int64Array>());
    super::tests::rows(vec![("key", keys), ("value", values)])
}

/// The rows in batches of a few, among them empty ones.
fn batches(rows: &Rows, sizes: &[usize]) -> (SchemaRef, merge::Batches) {
    let (all, mut at) = (batch(rows), 0);
    let mut batches = Vec::new();
    for size in sizes.iter().cycle() {
        let size = (*size).min(all.num_rows() - at);
        batches.push(Ok(all.slice(at, size)));
        at += size;
        if at == all.num_rows() {
            break;
        }
    }
    (all.schema(), Box::new(batches.into_iter()))
}

proptest! {
    #[test]
    fn a_merge_finds_what_two_maps_have_in_common(
        old in proptest::collection::btree_map(0..40i64, 0..3i64, 0..30),
        new in proptest::collection::btree_map(0..40i64, 0..3i64, 0..30),
        sizes in proptest::collection::vec(0..5usize, 1..4).prop_filter("some rows", |sizes| sizes.iter().any(|n| *n > 0)),
    ) {
        let schema = rekap_tables::TableSchema::new(batch(&old).schema(), vec![0], Arc::new(arrow::datatypes::Schema::empty()), None).unwrap();
        let key = SharedKey::of(&schema, &schema).unwrap();
        let mut columns = Columns::of(&batch(&old).schema(), &batch(&new).schema(), &["key"]);
        let reversed: Vec<usize> = sizes.iter().rev().copied().collect();
        let (mut changed, mut same, mut added, mut removed) = (vec![], 0, vec![], vec![]);
        let keys = |batch: &RecordBatch, rows: &[u32]| -> Vec<i64> {
            let keys = batch.column(0).as_primitive::<Int64Type>();
            rows.iter().map(|row| keys.value(*row as usize)).collect()
        };
        for stretch in Merge::new(&key, batches(&old, &sizes), batches(&new, &reversed)).unwrap() {
            let stretch = stretch.unwrap();
            let differing = stretch.changed(&mut columns).unwrap();
            same += stretch.both.0.len() - differing.0.len();
            prop_assert_eq!(keys(&stretch.old, &differing.0), keys(&stretch.new, &differing.1));
            changed.extend(keys(&stretch.old, &differing.0));
            added.extend(keys(&stretch.new, &stretch.added));
            removed.extend(keys(&stretch.old, &stretch.removed));
        }
        let only = |one: &Rows, other: &Rows| one.keys().filter(|key| !other.contains_key(key)).copied().collect::<Vec<_>>();
        let both: Vec<_> = old.iter().filter_map(|(key, value)| Some((*key, *value, *new.get(key)?))).collect();
        prop_assert_eq!((added, removed), (only(&new, &old), only(&old, &new)));
        prop_assert_eq!(changed, both.iter().filter(|(_, old, new)| old != new).map(|(key, ..)| *key).collect::<Vec<_>>());
        prop_assert_eq!(same, both.iter().filter(|(_, old, new)| old == new).count());
    }
}
