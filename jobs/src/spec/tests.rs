//! Tests of specifications.

use super::*;

const TOML: &str = r#"
name = "bpi"
query = "query.sql"
key = ["currency", "minute"]
time = "minute"
retain = "400 days"

[inputs.ticks]
topic = "ticks"
start = { "0" = 120, "1" = 98 }
on_error = "fail"
[inputs.ticks.columns]
price = "double"
login = { type = "text", path = "/actor/login" }

[promote]
max_lag = "2s"
max_changed = "5%"
[[promote.checks]]
name = "price moves under 1 %"
sql = "SELECT true"
"#;

fn spec() -> JobSpec {
    JobSpec::from_toml(TOML, "SELECT 1").unwrap()
}

fn refused(edit: impl Fn(&mut Value)) -> SpecError {
    let mut json = serde_json::to_value(spec()).unwrap();
    edit(&mut json);
    JobSpec::from_json(json, "SELECT 1").unwrap_err()
}

#[test]
fn a_specification_reads_back_as_it_was_kept() {
    let json = serde_json::to_value(spec()).unwrap();
    assert_eq!(serde_json::from_value::<JobSpec>(json.clone()).unwrap(), spec());
    assert_eq!(JobSpec::from_json(json, "SELECT 1").unwrap(), spec());
}

#[test]
fn what_is_not_written_has_its_default() {
    let spec = JobSpec::from_toml("name = 'a'\n[inputs.t]\ntopic = 't'", "SELECT 1").unwrap();
    assert_eq!(spec.promote, PromotePolicy::default());
    assert_eq!(spec.inputs["t"].start, rekap_tiered_storage::Start::Beginning);
    assert_eq!(spec.inputs["t"].on_error, OnError::DeadLetter);
    assert_eq!((spec.promote.rollback_window.to_string(), spec.promote.max_changed), ("1d".to_owned(), None));
}

#[test]
fn a_time_may_be_written_as_toml_has_it() {
    let spec = JobSpec::from_toml("name='a'\n[inputs.t]\ntopic='t'\nstart=2024-05-01T00:00:00Z", "SELECT 1").unwrap();
    assert_eq!(spec.inputs["t"].start, rekap_tiered_storage::Start::At("2024-05-01T00:00:00Z".parse().unwrap()));
}

#[test]
fn an_unknown_field_is_refused_with_its_path() {
    assert_eq!(refused(|spec| spec["nmae"] = "x".into()).field, "nmae");
    assert_eq!(refused(|spec| spec["inputs"]["ticks"]["form"] = 1.into()).field, "inputs.ticks.form");
    assert_eq!(refused(|spec| spec["promote"]["atuo"] = true.into()).field, "promote.atuo");
    assert_eq!(refused(|spec| spec["promote"]["checks"][0]["slq"] = "x".into()).field, "promote.checks[0].slq");
}

#[test]
fn a_wrong_value_is_refused_with_its_path() {
    let cases: [(&str, Value); 10] = [
        ("name", "Bpi".into()),
        ("key", "currency".into()),
        ("key", serde_json::json!(["a", "a"])),
        ("retain", "5 weeks".into()),
        ("time", "hour".into()),
        ("inputs", serde_json::json!({})),
        ("inputs.ticks.topic", "a topic".into()),
        ("inputs.ticks.start", "yesterday".into()),
        ("inputs.ticks.on_error", "ignore".into()),
        ("promote.max_changed", "5".into()),
    ];
    for (path, value) in cases {
        let error = refused(|spec| {
            let field = path.split('.').fold(spec, |table, field| &mut table[field]);
            *field = value.clone();
        });
        assert_eq!(error.field, path, "{error}");
    }
    assert_eq!(
        refused(|spec| spec["inputs"]["ticks"]["columns"]["price"] = "money".into()).field,
        "inputs.ticks.columns.price"
    );
    assert_eq!(refused(|spec| spec["time"] = Value::Null).field, "retain");
}

#[test]
fn a_topic_is_one_input() {
    let error = refused(|spec| spec["inputs"]["other"] = serde_json::json!({"topic": "ticks"}));
    assert_eq!(error.field, "inputs.ticks.topic");
}

#[test]
fn the_digest_follows_what_decides_rows_and_nothing_else() {
    let digest = |edit: &dyn Fn(&mut JobSpec)| {
        let mut spec = spec();
        edit(&mut spec);
        spec.digest(&BTreeMap::new())
    };
    let same = digest(&|_| {});
    assert_eq!(digest(&|spec| spec.promote.auto = true), same);
    assert_ne!(digest(&|spec| spec.query.push(' ')), same);
    assert_ne!(digest(&|spec| spec.retain = None), same);
    assert_ne!(digest(&|spec| spec.key.reverse()), same);
    assert_eq!(same.to_string().parse::<Digest>().unwrap(), same);
}

/// The same JSON with the fields of every object in the other order.
fn reversed(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields.into_iter().rev().map(|(name, value)| (name, reversed(value))).collect(),
        Value::Array(items) => items.into_iter().map(reversed).collect(),
        other => other,
    }
}

#[test]
fn the_digest_does_not_follow_the_order_in_which_fields_are_written() {
    let json = serde_json::to_value(spec()).unwrap();
    let other = JobSpec::from_json(reversed(json.clone()), "SELECT 1").unwrap();
    assert_ne!(json.to_string(), reversed(json.clone()).to_string());
    assert_eq!(other.digest(&BTreeMap::new()), spec().digest(&BTreeMap::new()));
}

#[test]
fn the_form_in_which_a_column_is_declared_changes_no_digest() {
    let with = |price: &str| {
        let toml = TOML.replace("price = \"double\"", &format!("price = {price}"));
        let spec = JobSpec::from_toml(&toml, "SELECT 1").unwrap();
        (spec.digest(&BTreeMap::new()), spec.former_digests(&BTreeMap::new())[0])
    };
    let (short, long) = (with("\"double\""), with("{ type = \"double\" }"));
    assert_eq!(short.0, long.0);
    assert_eq!(short.0, short.1, "versions that are there keep their digest");
    assert_ne!(long.0, long.1);
    assert_ne!(short.0, with("{ type = \"double\", path = \"/p\" }").0);
}

#[test]
fn line_ends_and_white_space_at_the_end_of_a_query_make_no_other_version() {
    let digest = |query: &str| JobSpec::from_toml(TOML, query).unwrap().digest(&BTreeMap::new());
    let plain = digest("SELECT 1\nFROM t");
    for same in ["SELECT 1\nFROM t\n", "SELECT 1\r\nFROM t\r\n", "\u{feff}SELECT 1\nFROM t \n\n"] {
        assert_eq!(digest(same), plain, "{same:?}");
    }
    assert_ne!(digest("SELECT 1\n FROM t"), plain);
    // A version that is there from before, with the end of its last line in its digest.
    let mut kept = JobSpec::from_toml(TOML, "SELECT 1\nFROM t").unwrap();
    let former = kept.former_digests(&BTreeMap::new());
    kept.query.push('\n');
    assert!(former.contains(&kept.digest(&BTreeMap::new())));
}

#[test]
fn a_field_of_promote_at_the_top_is_sent_there() {
    let error = JobSpec::from_toml(&format!("group = \"g\"\n{TOML}"), "SELECT 1").unwrap_err();
    assert!(error.remedy.contains("[promote]"), "{error}");
}

#[test]
fn a_declared_column_that_is_none_names_the_member_at_fault() {
    for (column, field, says) in [
        (serde_json::json!({"type": "double", "pth": "/p"}), "pth", "a column has `type` and `path`"),
        (serde_json::json!({"type": "money"}), "type", "one of bigint"),
        (serde_json::json!({"type": "text", "path": 5}), "path", "JSON Pointer"),
    ] {
        let error = refused(|spec| spec["inputs"]["ticks"]["columns"]["price"] = column.clone());
        assert_eq!(error.field, format!("inputs.ticks.columns.price.{field}"), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// What is written into `job.toml`, the field that is refused, and what the refusal says of it and of what to write.
const REFUSED: [(&str, &str, &str); 34] = [
    ("name", "", "`` is no name"),
    ("name", "\"Bpi\"", "`Bpi` is no name"),
    ("name", "\"1st\"", "use 1 to 63 of a-z 0-9 _, a letter first"),
    ("name", "\"a-b\"", "is no name"),
    ("name", "5", "write text"),
    ("key", "\"currency\"", "write a list"),
    ("key", "[5]", "write a list of texts"),
    ("key", "[\"a\", \"a\"]", "names `a` twice"),
    ("order", "{}", "write a list"),
    ("order", "[\"x\", \"x\"]", "names `x` twice"),
    ("time", "[\"minute\"]", "write text"),
    ("time", "\"hour\"", "is not in the key"),
    ("retain", "\"5 weeks\"", "write a number and ms, s, m, h or d"),
    ("retain", "400", "write text"),
    ("retain", "\"-1d\"", "is no duration"),
    ("retain", "\"1.5h\"", "is no duration"),
    ("inputs", "[]", "write a table of fields"),
    ("inputs", "{}", "is empty"),
    ("inputs.Ticks", "{ topic = \"ticks\" }", "is no name"),
    ("inputs.ticks.topic", "\"a topic\"", "a topic"),
    ("inputs.ticks.topic", "5", "write text"),
    ("inputs.ticks.start", "\"yesterday\"", "\"beginning\", \"end\", an RFC 3339 time"),
    ("inputs.ticks.start", "{ \"0\" = -5 }", "offsets as in"),
    ("inputs.ticks.start", "{ \"x\" = 5 }", "offsets as in"),
    ("inputs.ticks.on_error", "\"ignore\"", "neither \"dead-letter\" nor \"fail\""),
    ("inputs.ticks.columns", "[]", "write a table of fields"),
    ("inputs.ticks.columns.price", "\"money\"", "one of bigint, double, text"),
    ("inputs.ticks.columns.price", "{ typ = \"double\" }", "one of bigint, double, text"),
    ("promote.auto", "\"yes\"", "write true or false"),
    ("promote.max_lag", "5", "write text"),
    ("promote.ready_for", "\"soon\"", "is no duration"),
    ("promote.max_changed", "\"5\"", "as in `5%`"),
    ("promote.max_changed", "\"101%\"", "a number from 0 to 100"),
    ("promote.checks", "{}", "write a list"),
];

#[test]
fn every_field_of_a_job_file_refuses_what_it_cannot_be_and_says_what_to_write() {
    for (field, value, says) in REFUSED {
        let value = if value.is_empty() { "\"\"" } else { value };
        let mut table: toml::Table = TOML.parse().unwrap();
        let parsed: toml::Table = format!("x = {value}").parse().unwrap();
        let (path, last) = field.rsplit_once('.').unwrap_or(("", field));
        let within = path.split('.').filter(|step| !step.is_empty()).fold(&mut table, |table, step| {
            table.entry(step).or_insert_with(|| toml::Value::Table(toml::Table::new())).as_table_mut().unwrap()
        });
        within.insert(last.to_owned(), parsed["x"].clone());
        let error = JobSpec::from_toml(&table.to_string(), "SELECT 1").unwrap_err();
        assert!(error.field == field, "{field} = {value}: {error}");
        assert!(error.to_string().contains(says), "{field} = {value}: {error}");
    }
    assert_eq!(JobSpec::from_toml("name = ", "SELECT 1").unwrap_err().field, "job.toml");
    assert_eq!(JobSpec::from_toml("", "SELECT 1").unwrap_err().field, "name");
    assert_eq!(JobSpec::from_toml(TOML, " \n").unwrap_err().field, "query");
}
