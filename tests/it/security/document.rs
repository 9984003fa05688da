//! The OpenAPI document itself: valid, whole, and true of what the server takes.

use rekap_tests::{World, run_python};
use serde_json::{Value, json};

async fn document(world: &World) -> Value {
    world.get("/openapi.json").await.ok()
}

/// Every operation, as `get /path`.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let of_path = |(path, item): (&String, &'_ Value)| {
        let path = path.clone();
        item.as_object()
            .expect("operations")
            .keys()
            .map(move |method| (method.clone(), path.clone()))
            .collect::<Vec<_>>()
    };
    let names: Vec<_> = paths.flat_map(of_path).collect();
    names.into_iter().map(|(method, path)| (format!("{method} {path}"), &document["paths"][&path][&method])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_valid_openapi_and_refers_to_nothing_that_is_not_there() {
    let world = World::start().await;
    let document = document(&world).await;
    let wrong: Vec<String> = serde_json::from_str(&run_python("openapi.py", &document).await).expect("a list");
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_it_is_and_every_refusal_is_a_problem() {
    let world = World::start().await;
    let document = document(&world).await;
    let mut wrong = vec![];
    for (operation, described) in operations(&document) {
        for (status, answer) in described["responses"].as_object().expect("answers") {
            if answer["description"].as_str().is_none_or(|words| words.len() < 4) {
                wrong.push(format!("{operation} {status}: no description"));
            }
            let problem = &answer["content"]["application/problem+json"]["schema"]["$ref"];
            if !status.starts_with('2') && problem != "#/components/schemas/Problem" {
                wrong.push(format!("{operation} {status}: {}", answer["content"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A body that the schema of a route's arguments says is possible, with only what has to be said.
fn least(schema: &Value) -> Value {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let value = |name: &Value| match schema["properties"][name.as_str().expect("a name")]["type"].as_str() {
        Some("object") => json!({}),
        Some("integer") => json!(1),
        _ => json!("x"),
    };
    required
        .iter()
        .map(|name| (name.as_str().expect("a name").to_owned(), value(name)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_goes_with_every_command_as_the_document_says() {
    let world = World::start().await;
    let document = document(&world).await;
    let mut commands = 0;
    for (operation, described) in operations(&document) {
        let Some(name) = described["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str() else {
            continue;
        };
        let schema = &document["components"]["schemas"][name.rsplit('/').next().expect("a name")];
        assert_eq!(schema["additionalProperties"], false, "{operation}: any member goes, so {name} says too little");
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let path = path.replace("{n}", "1").replace(['{', '}'], "");
        let method = method.to_uppercase().parse().expect("a method");
        let mut body = least(schema);
        body["note"] = json!("because");
        let answer = world.client().request(method, &path).json(&body).answer().await;
        // Refused for what it names, never for the note.
        let refused = if answer.status < 300 { Value::Null } else { answer.json()["detail"].clone() };
        assert!(!refused.to_string().contains("`note`"), "{operation}: {refused}");
        commands += 1;
    }
    assert!(commands > 20, "{commands} commands");
    for (operation, described) in operations(&document).iter().filter(|(name, _)| name.starts_with("post ")) {
        assert!(described["requestBody"].is_object(), "{operation} takes a note, and the document does not say so");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bounds_of_pages_are_those_that_the_server_keeps() {
    let world = World::start().await;
    let document = document(&world).await;
    for (operation, described) in operations(&document) {
        let parameters = described["parameters"].as_array().cloned().unwrap_or_default();
        for limit in parameters.iter().filter(|parameter| parameter["name"] == "limit") {
            let bounds = (limit["schema"]["minimum"].as_f64(), limit["schema"]["maximum"].as_f64());
            assert_eq!(bounds, (Some(1.0), Some(10_000.0)), "{operation}");
        }
    }
    for (limit, status) in [(0, 422), (1, 200), (10_000, 200), (10_001, 422)] {
        world.get(&format!("jobs?limit={limit}")).await.is(status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_topic_are_those_that_the_server_takes() {
    let world = World::start().await;
    let schemas = &document(&world).await["components"]["schemas"];
    let formats = &schemas["PutTopic"]["properties"]["format"]["enum"];
    assert_eq!(formats, &json!(["json", "avro", "protobuf", "text", "bytes", null]));
    for (i, format) in formats.as_array().expect("a list").iter().enumerate() {
        let answer = world.put(&format!("topics/t{i}"), &json!({"partitions": 1, "format": format})).await;
        assert!(answer.status == 201 || !answer.json()["detail"].to_string().contains("unknown variant"), "{format}");
    }
    assert_eq!(schemas["AnswerFormat"]["enum"], json!(["json", "csv", "arrow"]));
    assert_eq!(schemas["NewToken"]["properties"]["role"]["enum"], json!(["viewer", "developer", "operator", "admin"]));
}
