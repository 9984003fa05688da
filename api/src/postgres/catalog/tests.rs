use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::SchemaProvider;
use datafusion::prelude::SessionContext;
use rekap_orchestrator::SqlTable;

use super::super::notation::EMPTY;
use super::Catalog;
use super::objects::Ids;

fn table(schema: &'static str, name: &str, key: Vec<usize>) -> SqlTable {
    let columns =
        Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, true), Field::new("b", DataType::Int64, true)]));
    SqlTable { schema, name: name.to_owned(), columns, key }
}

#[tokio::test]
async fn what_questions_take_for_empty_is_empty() {
    let (catalog, context) = (Catalog::new().unwrap(), SessionContext::new());
    for name in EMPTY {
        let Some(table) = catalog.system.table(name).await.unwrap() else { continue };
        assert_eq!(context.read_table(table).unwrap().count().await.unwrap(), 0, "{name}");
    }
}

#[test]
fn an_id_stays_with_its_table_and_is_given_to_no_other() {
    let mut ids = Ids::default();
    let first = ids.of(vec![table("live", "a", vec![1, 0]), table("log", "a", Vec::new())]);
    let (a, key) = (&first[0], first[0].key.as_ref().unwrap());
    assert_eq!((key.name.as_str(), key.columns.as_slice()), ("a_pkey", &[2, 1][..]));
    assert_eq!(a.key_names(), ["b", "a"]);
    assert!(first[1].key.is_none() && first[1].schema_oid != a.schema_oid);
    let again = ids.of(vec![table("live", "0", vec![0]), table("live", "a", vec![0])]);
    assert_eq!(again[1].oid, a.oid);
    assert_eq!(again[1].key.as_ref().unwrap().index_oid, key.index_oid);
    let known = [a.oid, key.index_oid, key.constraint_oid, first[1].oid];
    assert!(!known.contains(&again[0].oid), "a new table has an id of its own");
    let back = ids.of(vec![table("log", "a", Vec::new())]);
    assert_ne!(back[0].oid, first[1].oid, "a table that was gone is another one");
}
