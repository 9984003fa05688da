use super::*;

fn text(draft: &Draft, path: &str) -> String {
    draft.files().into_iter().find(|(file, _)| file.as_os_str() == path).expect("a file of that name").1
}

#[test]
fn a_folder_without_a_topic_brings_one_along() {
    let draft = Draft::example("climate");
    assert_eq!(
        text(&draft, "query.sql"),
        "SELECT\n    sensor,\n    date_bin(INTERVAL '1 minute', at) AS minute,\n    count(*) AS records,\n    \
         avg(celsius) AS mean_celsius\nFROM readings\nGROUP BY sensor, minute\n"
    );
    assert_eq!(text(&draft, "tests/first/readings.ndjson").lines().count(), 4);
}

#[test]
fn names_that_sql_would_misread_are_quoted() {
    let shown = json!({
        "key": ["userId"],
        "partitions": [{}],
        "schema": {"type": "object", "properties": {"userId": {"type": "string"}, "a.b": {"type": "number"}}},
    });
    let draft = Draft::of_topic("clicks", "web.clicks-v2", &shown, vec![]).expect("a draft");
    assert_eq!(
        text(&draft, "query.sql"),
        "SELECT\n    \"userId\",\n    count(*) AS records,\n    avg(\"a.b\") AS \"mean_a.b\"\nFROM web_clicks_v2\n\
         GROUP BY \"userId\"\n"
    );
    assert!(text(&draft, "topics.toml").contains("[topics.\"web.clicks-v2\"]"));
    assert!(text(&draft, "job.toml").contains("[inputs.web_clicks_v2]"));
}

#[test]
fn without_a_schema_the_first_event_tells_the_fields() {
    let sample = vec![r#"{"user":"ada","score":1.5,"_internal":1}"#.to_owned()];
    let draft = Draft::of_topic("scores", "scores", &json!({"key": [], "partitions": [{}]}), sample).expect("a draft");
    assert!(text(&draft, "query.sql").contains("avg(score)"), "{}", text(&draft, "query.sql"));
    assert!(!text(&draft, "scores.schema.json").contains("_internal"), "a leading _ is the envelope's");
}

#[test]
fn a_topic_that_tells_nothing_makes_no_folder() {
    assert!(Draft::of_topic("none", "none", &json!({"key": [], "partitions": [{}]}), vec![]).is_none());
}
