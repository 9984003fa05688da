//! Upsert jobs against a simple model, however their log is cut and in whatever order it comes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TOML: &str = "name = 'test'\nkey = ['id']\n[inputs.c]\ntopic = 'c'\n";
const ORDERED: &str = "name = 'test'\nkey = ['id']\norder = ['at']\n[inputs.c]\ntopic = 'c'\n";
const TWO: &str = "name = 'test'\nkey = ['id']\n[inputs.c]\ntopic = 'c'\n[inputs.d]\ntopic = 'd'\n";

fn customers(name: &str) -> Topic {
    let schema = serde_json::json!({"type": "object", "properties": {
        "id": {"type": "integer"}, "name": {"type": "string"}, "n": {"type": "integer"}, "at": {"type": "integer"}
    }});
    topic(name, &["id"], schema)
}

fn record(partition: u32, offset: i64, id: i64, n: Option<i64>, at: i64, timestamp: i64) -> Record {
    let value = n.map(|n| format!("{{\"id\":{id},\"name\":\"c{n}\",\"n\":{n},\"at\":{at}}}"));
    Record { partition, offset, timestamp, key: Some(id.to_string()), value }
}

/// The latest record of each key by `order`; its row, if its `n` is at least `least`.
fn model(records: &[Record], order: impl Fn(&Record) -> Vec<i64>, least: i64) -> BTreeMap<i64, i64> {
    let mut latest: BTreeMap<i64, (Vec<i64>, Option<i64>)> = BTreeMap::new();
    for record in records {
        let value: Option<serde_json::Value> = record.value.as_ref().map(|value| serde_json::from_str(value).unwrap());
        let n = value.map(|value| value["n"].as_i64().unwrap()).filter(|n| *n >= least);
        let id: i64 = record.key.as_ref().unwrap().parse().unwrap();
        let candidate = (order(record), n);
        let best = latest.entry(id).or_insert_with(|| candidate.clone());
        if candidate.0 > best.0 {
            *best = candidate;
        }
    }
    latest.into_iter().filter_map(|(id, (_, n))| Some((id, n?))).collect()
}

fn rows_of(rows: &RecordBatch) -> BTreeMap<i64, i64> {
    let column = |i| rows.column(i).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec();
    column(0).into_iter().zip(column(1)).collect()
}

/// What `at` says in a record; a tombstone says nothing, which is less than all.
fn at(record: &Record) -> i64 {
    let value: Option<serde_json::Value> = record.value.as_ref().map(|value| serde_json::from_str(value).unwrap());
    value.map_or(i64::MIN, |value| value["at"].as_i64().unwrap())
}

/// Records of few keys. A key's partition follows from the key when `keyed`.
fn records(seed: u64, n: usize, keyed: bool) -> Vec<Record> {
    let (mut chance, mut offsets) = (Chance(seed), [0; 2]);
    let mut one = || {
        let id = chance.below(8) as i64;
        let partition = if keyed { id as u32 % 2 } else { chance.below(2) as u32 };
        offsets[partition as usize] += 1;
        let n = (chance.below(5) > 0).then(|| chance.below(10) as i64);
        record(partition, offsets[partition as usize], id, n, chance.below(6) as i64, chance.below(6) as i64)
    };
    (0..n).map(|_| one()).collect()
}

fn run(bench: &mut Bench, records: &[Record], cuts: &[usize]) -> BTreeMap<i64, i64> {
    let table = bench.table();
    let mut from = 0;
    for to in cuts.iter().copied().filter(|cut| *cut < records.len()).chain([records.len()]) {
        let of = |partition| records[from..to].iter().filter(move |record| record.partition == partition).cloned();
        let (zero, one): (Vec<Record>, Vec<Record>) = (of(0).collect(), of(1).collect());
        bench.range(&table, &[vec![("c", &zero)], vec![("c", &one)]]);
        from = to;
    }
    rows_of(&bench.rows(&table))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn the_record_with_the_greatest_offset_wins_where_the_key_is_the_record_key(
        seed in any::<u64>(), n in 1_usize..120, mut cuts in prop::collection::vec(0_usize..120, 0..6),
    ) {
        cuts.sort_unstable();
        let query = "SELECT id, n FROM c WHERE n >= 3";
        let mut bench = block_on(Bench::new(TOML, query, &[customers("c")]));
        let records = records(seed, n, true);
        prop_assert_eq!(run(&mut bench, &records, &cuts), model(&records, |record| vec![record.offset], 3));
    }

    #[test]
    fn of_a_record_key_in_several_partitions_the_one_that_has_come_furthest_wins(
        seed in any::<u64>(), n in 1_usize..120, mut cuts in prop::collection::vec(0_usize..120, 0..6),
    ) {
        cuts.sort_unstable();
        let query = "SELECT id, n FROM c WHERE n >= 3";
        let mut bench = block_on(Bench::new(TOML, query, &[customers("c")]));
        let records = records(seed, n, false);
        let order = |record: &Record| {
            let before = |other: &&Record| other.key == record.key && other.partition == record.partition && other.offset <= record.offset;
            let newest = records.iter().filter(before).map(|other| other.timestamp).max().unwrap();
            vec![newest, i64::from(record.partition), record.offset]
        };
        prop_assert_eq!(run(&mut bench, &records, &cuts), model(&records, order, 3));
    }

    #[test]
    fn the_greatest_order_since_the_last_tombstone_wins(
        seed in any::<u64>(), n in 1_usize..120, mut cuts in prop::collection::vec(0_usize..120, 0..6),
    ) {
        cuts.sort_unstable();
        let query = "SELECT id, n, at FROM c WHERE n >= 3";
        let mut bench = block_on(Bench::new(ORDERED, query, &[customers("c")]));
        let records = records(seed, n, true);
        let order = |record: &Record| {
            let ended = |other: &&Record| other.value.is_none() && other.key == record.key && other.offset <= record.offset;
            let since = records.iter().filter(ended).map(|other| other.offset).max().unwrap_or(0);
            vec![since, at(record), record.timestamp, record.offset]
        };
        prop_assert_eq!(run(&mut bench, &records, &cuts), model(&records, order, 3));
    }

    #[test]
    fn where_keys_are_not_record_keys_the_greatest_order_wins_and_ties_are_broken_by_place(
        seed in any::<u64>(), n in 1_usize..120, mut cuts in prop::collection::vec(0_usize..120, 0..6),
    ) {
        cuts.sort_unstable();
        let query = "SELECT id + 0 AS id, n, at FROM c WHERE n >= 3";
        let mut bench = block_on(Bench::new(ORDERED, query, &[customers("c")]));
        let records = records(seed, n, false);
        let order = |record: &Record| vec![at(record), record.timestamp, i64::from(record.partition), record.offset];
        prop_assert_eq!(run(&mut bench, &records, &cuts), model(&records, order, 3));
    }
}

#[test]
fn records_may_come_in_any_order_of_inputs() {
    let query = "SELECT id, n FROM c UNION ALL SELECT id, n + 100 FROM d";
    let mut bench = block_on(Bench::new(TWO, query, &[customers("c"), customers("d")]));
    let (c, d) = ([record(0, 9, 1, Some(1), 0, 5)], [record(0, 2, 1, Some(2), 0, 5)]);
    for order in [["c", "d"], ["d", "c"]] {
        let table = bench.table();
        for input in order {
            bench.range(&table, &[vec![(input, if input == "c" { &c[..] } else { &d[..] })]]);
        }
        assert_eq!(rows_of(&bench.rows(&table)), BTreeMap::from([(1, 102)]), "the second branch wins a tie");
    }
}

#[test]
fn a_tombstone_deletes_the_row_and_an_older_record_does_not_bring_it_back() {
    let mut bench = block_on(Bench::new(
        TWO,
        "SELECT id, n FROM c UNION ALL SELECT id, n FROM d",
        &[customers("c"), customers("d")],
    ));
    let table = bench.table();
    bench.range(&table, &[vec![("c", &[record(0, 1, 1, Some(1), 0, 10)])]]);
    bench.range(&table, &[vec![("d", &[record(0, 1, 1, None, 0, 20)])]]);
    assert_eq!(rows_of(&bench.rows(&table)), BTreeMap::new());
    bench.range(&table, &[vec![("c", &[record(0, 2, 1, Some(5), 0, 15)])]]);
    assert_eq!(rows_of(&bench.rows(&table)), BTreeMap::new());
    bench.range(&table, &[vec![("c", &[record(0, 3, 1, Some(7), 0, 25)])]]);
    assert_eq!(rows_of(&bench.rows(&table)), BTreeMap::from([(1, 7)]));
}

#[test]
fn a_latest_record_that_fails_where_deletes_the_row() {
    let mut bench = block_on(Bench::new(TOML, "SELECT id, n FROM c WHERE n > 0", &[customers("c")]));
    let table = bench.table();
    for (offset, n, rows) in [(1, 5, 1), (2, 0, 0), (3, 7, 1)] {
        bench.range(&table, &[vec![("c", &[record(0, offset, 1, Some(n), 0, 0)])]]);
        assert_eq!(bench.rows(&table).num_rows(), rows);
    }
}

#[test]
fn a_key_of_several_fields_is_read_from_a_tombstones_record_key() {
    let schema =
        serde_json::json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}});
    let trips = topic("c", &["a", "b"], schema);
    let toml = TOML.replace("['id']", "['b', 'who']");
    let mut bench = block_on(Bench::new(&toml, "SELECT b, upper(a) AS who FROM c", &[trips]));
    let trip = |offset, value: Option<&str>| Record {
        partition: 0,
        offset,
        timestamp: 0,
        key: Some(r#"["x",7]"#.into()),
        value: value.map(str::to_owned),
    };
    let table = bench.table();
    bench.range(&table, &[vec![("c", &[trip(1, Some(r#"{"a":"x","b":7}"#))])]]);
    assert_eq!(bench.rows(&table).num_rows(), 1);
    bench.range(&table, &[vec![("c", &[trip(2, None)])]]);
    assert_eq!(bench.rows(&table).num_rows(), 0);
}

#[test]
fn tombstones_are_ignored_with_a_warning_where_they_tell_no_key() {
    let toml = TOML.replace("['id']", "['name']");
    let mut bench = block_on(Bench::new(&toml, "SELECT name, n FROM c", &[customers("c")]));
    assert!(bench.job.warnings()[0].starts_with("tombstones of input `c` are ignored"), "{:?}", bench.job.warnings());
    let table = bench.table();
    bench.range(&table, &[vec![("c", &[record(0, 1, 1, Some(4), 0, 0), record(0, 2, 1, None, 0, 0)])]]);
    assert_eq!(bench.rows(&table).num_rows(), 1);
}

#[test]
fn a_tombstone_that_an_order_outlives_is_warned_of_with_what_helps() {
    let query = "SELECT id, n FROM c UNION ALL SELECT id, n FROM d";
    let warnings = |toml: &str, query: &str| {
        let job = block_on(compile(toml, query, &[customers("c"), customers("d")])).unwrap();
        job.warnings().to_vec()
    };
    let two = TWO.replace("key = ['id']", "key = ['id']\norder = ['at']");
    let [warning] = &warnings(&two, query)[..] else { panic!("one warning") };
    assert!(warning.ends_with("leave out `order`, or give each input a job of its own"), "{warning}");
    assert!(warnings(TWO, query).is_empty() && warnings(ORDERED, "SELECT id, n FROM c").is_empty());
}

#[test]
fn order_may_name_a_column_of_the_record_that_is_not_in_the_output() {
    for query in [
        "SELECT id, n FROM c",
        "SELECT x.id, x.n FROM (SELECT id, n FROM c WHERE n >= 0) AS x",
        "WITH a AS (SELECT id AS i, n AS m FROM c), b AS (SELECT i, m FROM a) SELECT i AS id, m AS n FROM b",
    ] {
        let mut bench = block_on(Bench::new(ORDERED, query, &[customers("c")]));
        let table = bench.table();
        for (offset, n, at) in [(1, 1, 5), (2, 2, 9), (3, 3, 7)] {
            bench.range(&table, &[vec![("c", &[record(0, offset, 1, Some(n), at, 0)])]]);
        }
        assert_eq!(rows_of(&bench.rows(&table)), BTreeMap::from([(1, 2)]), "{query}");
    }
    let two = TWO.replace("key = ['id']", "key = ['id']\norder = ['at']");
    let query = "SELECT id, n FROM c UNION ALL SELECT id, -n FROM d";
    let mut bench = block_on(Bench::new(&two, query, &[customers("c"), customers("d")]));
    let table = bench.table();
    bench.range(&table, &[vec![("d", &[record(0, 1, 1, Some(1), 8, 0)])]]);
    bench.range(&table, &[vec![("c", &[record(0, 1, 1, Some(2), 7, 9)])]]);
    assert_eq!(rows_of(&bench.rows(&table)), BTreeMap::from([(1, -1)]));
}
