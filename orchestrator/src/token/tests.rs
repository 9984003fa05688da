use std::time::Duration;

use super::*;
use crate::testing::{NOON, Story};

fn token(id: &str) -> Token {
    let hash = Hash::of(b"secret");
    Token {
        id: id.into(),
        name: "ann".into(),
        role: TokenRole::Operator,
        scope: Scope::default(),
        hash,
        expires_at: None,
    }
}

#[test]
fn a_scope_is_everything_only_where_it_leaves_nothing_out() {
    assert!(Scope::default().is_everything());
    let some = Scope { jobs: vec!["bpi*".into()], ..Scope::default() };
    assert!(!some.is_everything() && some.has_job("bpi_eu") && !some.has_job("other") && some.has_topic("ticks"));
}

#[test]
fn a_token_is_there_until_it_is_revoked_or_over_and_is_never_forgotten() {
    let over = NOON.plus(Duration::from_secs(60));
    let short = Token { expires_at: Some(over), ..token("b") };
    let mut story = Story::of([What::TokenCreated { token: Box::new(token("a")) }]);
    story.then(What::TokenCreated { token: Box::new(short) });
    let ended = |story: &Story, id: &str, now| story.state.token(id).unwrap().ended(now);
    assert_eq!((ended(&story, "a", NOON), ended(&story, "b", NOON)), (None, None));
    assert_eq!(ended(&story, "b", over), Some(Ended::Expired(over)));
    story.then(What::TokenRevoked { id: "a".into() });
    assert!(matches!(ended(&story, "a", NOON), Some(Ended::Revoked(_))));
    assert_eq!(story.state.tokens().count(), 2);
}

#[test]
fn what_could_mislead_the_audit_log_is_refused() {
    let story = Story::of([What::TokenCreated { token: Box::new(token("a")) }]);
    let refused = |token: Token| decide::create_token(&story.state, token, NOON).unwrap_err().code().to_owned();
    for name in ["", "rekap", "local", "two\nlines", " ann", &"x".repeat(65)] {
        assert_eq!(refused(Token { name: name.into(), ..token("b") }), "INVALID_TOKEN", "{name:?}");
    }
    assert_eq!(refused(Token { expires_at: Some(NOON), ..token("b") }), "INVALID_TOKEN");
    let nothing = Scope { jobs: vec![], ..Scope::default() };
    assert_eq!(refused(Token { scope: Scope { jobs: vec!["a b".into()], ..nothing }, ..token("b") }), "INVALID_TOKEN");
    assert_eq!(refused(token("a")), "INVALID_TOKEN", "an id is of one token");
    assert!(decide::create_token(&story.state, token("b"), NOON).is_ok());
    assert_eq!(decide::revoke_token(&story.state, "b").unwrap_err().code(), "UNKNOWN_TOKEN");
}

#[test]
fn the_audit_log_shows_no_hash() {
    let entry = crate::catalog::Entry {
        seq: 1,
        at: NOON,
        actor: "ann".into(),
        address: Some("127.0.0.1".into()),
        note: None,
        request: None,
        event: crate::event::Event::new("", What::TokenCreated { token: Box::new(token("a")) }),
    };
    let shown = serde_json::to_value(crate::views::EventView::of(&entry).unwrap()).unwrap();
    assert_eq!(
        (&shown["id"], &shown["role"], &shown["address"]),
        (&"a".into(), &"operator".into(), &"127.0.0.1".into())
    );
    assert!(!shown.to_string().contains(&Hash::of(b"secret").to_string()), "{shown}");
}
