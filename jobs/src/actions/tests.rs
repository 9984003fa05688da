//! Tests of actions over changes.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use rekap_tables::{RowChanges, TableSchema};
use rekap_tiered_storage::{Positions, Timestamp};
use serde_json::{Value, json};

use super::{Actions, Bound, InvalidAction, Trigger, When};
use crate::spec::ActionSpec;

fn action(sql: &str) -> ActionSpec {
    serde_json::from_value(json!({"name": "big move", "sql": sql, "topic": "alerts"})).unwrap()
}

fn schema() -> TableSchema {
    let columns =
        Schema::new(vec![Field::new("currency", DataType::Utf8, true), Field::new("price", DataType::Float64, true)]);
    TableSchema::new(Arc::new(columns), vec![0], Arc::new(Schema::empty()), None).unwrap()
}

fn rows(rows: &[(&str, f64)]) -> RecordBatch {
    let names: ArrayRef = Arc::new(rows.iter().map(|(name, _)| Some(*name)).collect::<StringArray>());
    let prices: ArrayRef = Arc::new(rows.iter().map(|(_, price)| Some(*price)).collect::<Float64Array>());
    RecordBatch::try_new(schema().columns().clone(), vec![names, prices]).unwrap()
}

async fn compile(sql: &str) -> Result<Arc<Actions>, InvalidAction> {
    Actions::compile("bpi", &[action(sql)], &schema()).await.map(Option::unwrap)
}

fn at(text: &str) -> Positions {
    text.parse().unwrap()
}

async fn sent(sql: &str) -> (Vec<Value>, Vec<String>) {
    let changes = RowChanges {
        added: rows(&[("CHF", 1.0)]),
        removed: rows(&[("GBP", 2.0)]),
        changed_from: rows(&[("EUR", 100.0), ("USD", 100.0)]),
        changed_to: rows(&[("EUR", 102.0), ("USD", 100.5)]),
    };
    let (messages, failed) = compile(sql).await.unwrap().run(&changes, &at("t/0=9"), Timestamp::from_micros(7)).await;
    assert!(failed.is_empty(), "{failed:?}");
    messages.into_iter().map(|message| (message.row, message.id)).unzip()
}

#[tokio::test]
async fn an_action_sends_the_rows_that_its_query_gives() {
    let (rows, ids) = sent("SELECT currency, new.price FROM changes WHERE abs(new.price / old.price - 1) > 0.01").await;
    assert_eq!(rows, [json!({"currency": "EUR", "price": 102.0})]);
    let again = sent("SELECT currency, new.price FROM changes WHERE abs(new.price / old.price - 1) > 0.01").await;
    assert_eq!(ids, again.1, "an id is the same for ever");
    let (rows, _) =
        sent("SELECT currency, change, old.price AS was, new.price AS is_now FROM changes ORDER BY currency").await;
    assert_eq!(rows[0], json!({"currency": "CHF", "change": "added", "was": null, "is_now": 1.0}));
    assert_eq!(rows[2], json!({"currency": "GBP", "change": "removed", "was": 2.0, "is_now": null}));
    let (rows, _) = sent("SELECT old.price, new.price FROM changes WHERE currency = 'EUR'").await;
    assert_eq!(rows[0].as_object().unwrap().len(), 2, "names that would clash stay long: {rows:?}");
}

#[tokio::test]
async fn what_is_no_select_over_changes_is_refused() {
    for sql in [
        "DROP TABLE changes",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM changes",
        "SELECT * FROM ticks",
        "nonsense",
        "",
    ] {
        let refused = compile(sql).await.err().unwrap_or_else(|| panic!("`{sql}` was taken"));
        assert!(refused.index == 0 && refused.remedy.contains("changes"), "{refused:?}");
    }
}

#[tokio::test]
async fn an_action_that_fails_over_some_rows_says_why_and_others_go_on() {
    let actions = [action("SELECT 1 / (CASE WHEN currency = 'CHF' THEN 0 ELSE 1 END) AS x FROM changes"), {
        let all = action("SELECT currency FROM changes");
        ActionSpec { name: "all".into(), ..all }
    }];
    let compiled = Actions::compile("bpi", &actions, &schema()).await.unwrap().unwrap();
    let changes =
        RowChanges { added: rows(&[("CHF", 1.0)]), removed: rows(&[]), changed_from: rows(&[]), changed_to: rows(&[]) };
    let (messages, failed) = compiled.run(&changes, &at("t/0=9"), Timestamp::from_micros(7)).await;
    assert_eq!((messages.len(), messages[0].action.as_str()), (1, "all"));
    assert_eq!(failed.len(), 1, "{failed:?}");
}

#[tokio::test]
async fn commits_count_once_they_are_past_the_bound_and_are_cut_there() {
    let actions = compile("SELECT currency FROM changes").await.unwrap();
    let trigger = Trigger::new(Some(actions), When::Never);
    assert!(trigger.due(&at("t/0=9")).is_none() && trigger.cut(&at("t/0=1")).is_none());
    trigger.set_when(When::Past(Bound::Fixed(at("t/0=5,t/1=7"))));
    assert!(trigger.due(&at("t/0=5")).is_none(), "what ends at the bound is somebody else's");
    assert!(trigger.due(&at("t/0=5,t/1=8")).is_some() && trigger.due(&at("t/2=1")).is_some());
    assert_eq!(trigger.cut(&at("t/0=2,t/1=7")), Some(at("t/0=5")));
    trigger.set_when(When::Past(Bound::Fixed(Positions::new())));
    assert!(trigger.due(&at("t/0=1")).is_some());
}
