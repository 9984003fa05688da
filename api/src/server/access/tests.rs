//! The table of access against the routes that there are.

use super::*;
use crate::server::router;

#[test]
fn every_route_has_a_rule_of_access() {
    let rules = rules::of_document(&router::routes().into_openapi());
    let mut missing = Vec::new();
    for (path, methods) in &rules {
        missing.extend(methods.iter().filter(|(_, rule)| rule.is_none()).map(|(method, _)| format!("{method} {path}")));
    }
    missing.sort();
    assert!(
        missing.is_empty(),
        "these routes have no rule, so nobody with a token may use them: {missing:#?}\n\
         Add a line for each to the table of its method in api/src/server/access/rules.rs (the least role, and whose scope it lies \
         in), and to EXPECTED in tests/it/security/matrix.rs."
    );
}

#[test]
fn what_needs_no_token_tells_nothing_of_anybodys_data() {
    let rules = rules::of_document(&router::routes().into_openapi());
    let mut open: Vec<String> = Vec::new();
    for (path, methods) in &rules {
        let anyone = methods.iter().filter(|(_, rule)| rule.is_some_and(|rule| rule.least == Least::Anyone));
        open.extend(anyone.map(|(method, _)| format!("{method} {path}")));
    }
    open.sort();
    let expected = [
        "DELETE /v1/session",
        "GET /docs/runbooks/{page}",
        "GET /healthz",
        "GET /openapi.json",
        "GET /readyz",
        "POST /v1/session",
    ];
    assert_eq!(open, expected);
}

#[test]
fn a_token_is_read_as_it_was_made_and_nothing_else_is() {
    let fresh = Fresh::new().unwrap();
    let named = secret::Named::parse(&fresh.text).unwrap();
    assert_eq!((named.id, named.hash), (fresh.id, fresh.hash));
    let other = fresh.text.to_uppercase();
    let short = &fresh.text[..fresh.text.len() - 1];
    for text in ["", "rekap_", "rekap__", "Bearer x", &other, short, &format!("{}0", fresh.text)] {
        assert!(secret::Named::parse(text).is_none(), "{text}");
    }
}
