use serde_json::json;

use super::*;

fn key() -> Vec<String> {
    vec!["currency".to_owned()]
}

#[test]
fn rows_are_matched_by_their_key_in_any_order() {
    let expected = vec![json!({"currency": "USD", "n": 1}), json!({"currency": "EUR", "n": 2})];
    let got = [json!({"currency": "EUR", "n": 2}), json!({"currency": "USD", "n": 1})];
    assert_eq!(table(&key(), expected, &got).unwrap(), []);
}

#[test]
fn doubles_may_differ_in_their_last_places_only() {
    let got = [json!({"currency": "EUR", "price": 0.1 + 0.2})];
    assert_eq!(table(&key(), vec![json!({"currency": "EUR", "price": 0.3})], &got).unwrap(), []);
    let differences = table(&key(), vec![json!({"currency": "EUR", "price": 0.31})], &got).unwrap();
    assert!(differences[0].to_string().contains("price is 0.30000000000000004, expected 0.31"), "{}", differences[0]);
}

#[test]
fn missing_unexpected_and_changed_rows_are_told_apart() {
    let expected = vec![json!({"currency": "EUR", "n": 2}), json!({"currency": "GBP", "n": 1})];
    let got = [json!({"currency": "EUR", "n": 3}), json!({"currency": "USD", "n": 1})];
    let differences = table(&key(), expected, &got).unwrap();
    let changed = Difference::Changed {
        key: json!({"currency": "EUR"}),
        column: "n".to_owned(),
        expected: json!(2),
        got: json!(3),
    };
    let missing = Difference::Missing(json!({"currency": "GBP", "n": 1}));
    let unexpected = Difference::Unexpected(json!({"currency": "USD", "n": 1}));
    assert_eq!(differences, [changed, missing, unexpected]);
}

#[test]
fn a_column_that_is_left_out_expects_null() {
    let got = [json!({"currency": "EUR", "note": null})];
    assert_eq!(table(&key(), vec![json!({"currency": "EUR"})], &got).unwrap(), []);
    let got = [json!({"currency": "EUR", "note": "late"})];
    assert_eq!(table(&key(), vec![json!({"currency": "EUR"})], &got).unwrap().len(), 1);
}

#[test]
fn an_expected_row_without_its_key_is_a_mistake_in_the_file() {
    assert!(table(&key(), vec![json!({"n": 1})], &[]).is_err());
}

#[test]
fn an_expected_dead_letter_names_only_what_matters() {
    let got = [json!({"offset": 3, "code": "BAD_JSON", "detail": "…"})];
    assert_eq!(dead_letters(vec![json!({"offset": 3})], &got), []);
    assert_eq!(dead_letters(vec![json!({"offset": 4})], &got).len(), 1);
    assert_eq!(dead_letters(vec![], &got).len(), 1);
}
