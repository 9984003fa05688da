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
