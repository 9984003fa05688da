use std::sync::Arc;

use super::*;
use crate::testing::{clock, deployed};
use crate::{Hash, RequestKey};

fn asked(key: &str, body: &str) -> By {
    By { request: Some(RequestKey { key: key.into(), digest: Hash::of(body.as_bytes()) }), ..By::actor("ann") }
}

fn pause(book: &Book, by: &By) -> Result<u32, Rejection> {
    book.write(by, "bpi", |state, _| {
        let paused = state.job("bpi")?.version(1)?.paused;
        Ok(((!paused).then_some(What::Paused { version: 1 }), state.seq as u32))
    })
}

fn open(folder: &std::path::Path, clock: &Arc<rekap_tiered_storage::ManualClock>) -> Book {
    // The store lets go of its folder a moment after it was closed: its own threads end first.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        match Book::open(folder, clock.clone()) {
            Ok(book) => return book,
            Err(CatalogError::InUse(_)) if tokio::time::Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_request_sent_again_is_answered_again_and_not_done_again_even_after_a_restart() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let book = open(folder.path(), &clock);
    book.write(&By::rekap(), "bpi", |_, _| Ok((Some(deployed(1)), ()))).unwrap();
    let first = pause(&book, &asked("k", "pause")).unwrap();
    let seq = book.state().seq;
    assert_eq!(pause(&book, &asked("k", "pause")).unwrap(), first);
    drop(book);
    let book = open(folder.path(), &clock);
    assert_eq!(pause(&book, &asked("k", "pause")).unwrap(), first);
    assert_eq!(book.state().seq, seq, "nothing was recorded");
    let reused = pause(&book, &asked("k", "resume")).unwrap_err();
    assert_eq!(reused.code(), "IDEMPOTENCY_KEY_REUSED");
}

#[test]
fn a_request_that_changed_nothing_is_remembered_too() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let book = open(folder.path(), &clock);
    book.write(&By::rekap(), "bpi", |_, _| Ok((Some(deployed(1)), ()))).unwrap();
    pause(&book, &By::actor("ann")).unwrap();
    let answer = pause(&book, &asked("k", "pause")).unwrap();
    assert_eq!(pause(&book, &asked("k", "pause")).unwrap(), answer);
    assert!(pause(&book, &asked("k", "other")).is_err());
}

#[test]
fn a_request_is_forgotten_after_a_day() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let book = open(folder.path(), &clock);
    book.write(&By::rekap(), "bpi", |_, _| Ok((Some(deployed(1)), ()))).unwrap();
    pause(&book, &asked("k", "pause")).unwrap();
    clock.advance(REQUESTS_KEPT);
    assert!(pause(&book, &asked("k", "other")).is_ok());
}

#[test]
fn what_was_recorded_is_published_and_told_to_who_waits() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let book = open(folder.path(), &clock);
    let mut head = book.head();
    book.write(&By::rekap(), "bpi", |_, _| Ok((Some(deployed(1)), ()))).unwrap();
    assert!(head.has_changed().unwrap());
    assert_eq!(*head.borrow_and_update(), 1);
    assert_eq!(book.state().job("bpi").unwrap().versions.len(), 1);
}
