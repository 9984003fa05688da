//! The examples of `docs/guide.md` are what they say they are.

use super::*;

const GUIDE: &str = include_str!("../../../../docs/guide.md");
const TOML: &str = "name = 'test'\n[inputs.t]\ntopic = 't'\n[inputs.u]\ntopic = 'u'\n";

fn events(name: &str) -> Topic {
    let o = serde_json::json!({"type": "object", "properties": {"p": {"type": "integer"}, "q.r": {"type": "string"}}});
    let schema = serde_json::json!({"type": "object", "properties": {
        "k": {"type": "string"}, "n": {"type": "integer"}, "v": {"type": "number"}, "b": {"type": "boolean"},
        "at": {"type": "string", "format": "date-time"}, "o": o, "tags": {"type": "array", "items": {"type": "string"}}
    }});
    topic(name, &["k"], schema)
}

async fn compiled(query: &str) -> Result<CompiledJob, Refusal> {
    compile(TOML, query, &[events("t"), events("u")]).await
}

#[tokio::test]
async fn what_the_guide_allows_is_allowed() {
    let blocks = GUIDE.split("```sql allowed\n").skip(1).map(|block| block.split("```").next().unwrap());
    let queries: Vec<&str> =
        blocks.flat_map(|block| block.split(";\n")).filter(|query| !query.trim().is_empty()).collect();
    assert!(queries.len() > 12, "{}", queries.len());
    for query in queries {
        compiled(query).await.unwrap_or_else(|refusal| panic!("{query}: {refusal}"));
    }
}

#[tokio::test]
async fn what_the_guide_refuses_is_refused_with_its_code_and_a_remedy() {
    let rows = GUIDE.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split_once("` | "));
    let mut refused = 0;
    for (query, rest) in rows.filter(|(query, _)| query.contains("FROM")) {
        let code = rest.split(" |").next().unwrap();
        let refusal = compiled(query).await.map(|_| ()).expect_err(query);
        assert_eq!(refusal.code, code, "{query}: {refusal}");
        assert!(!refusal.remedy.is_empty(), "{query}: {refusal}");
        refused += 1;
    }
    assert!(refused > 20, "{refused}");
}

#[tokio::test]
async fn every_aggregate_is_in_the_guide() {
    for entry in crate::query::aggregates::MERGEABLE {
        assert!(GUIDE.contains(entry.name), "{}", entry.name);
    }
}
