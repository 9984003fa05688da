use axum::http::StatusCode;

use super::*;

fn piece(after: u64, events_before: u64, text: &str) -> Piece {
    Piece { after, events_before, lines: text.lines().count() as u64, bytes: text.as_bytes().to_vec() }
}

fn stopped<'a>(skip: u64, piece: &'a Piece) -> Stopped<'a> {
    Stopped { topic: "t", file: Path::new("big.ndjson"), skip, key: "k-1", piece }
}

fn refusal(index: u64) -> Failure {
    let errors = json!([{"index": index, "field": "n", "detail": "is no bigint"}]);
    let problem = Problem::unprocessable("INVALID_RECORD", "record 1: …; nothing was appended", "send it again");
    problem.with("index", index).with("errors", errors).into()
}

#[test]
fn a_refused_event_of_a_later_piece_is_told_by_its_line_with_what_landed_and_how_to_go_on() {
    let piece = piece(100, 90, "{}\n\n{\"n\":\"x\"}\n");
    let told = stopped(0, &piece).tell(refusal(1)).problem();
    assert_eq!(told.status, 422);
    assert_eq!(
        told.detail,
        "line 103 of big.ndjson, field `n`: is no bigint; lines 1 to 100 are appended, nothing after them"
    );
    assert!(told.remedy.ends_with("go on with `rekap topic append t big.ndjson --skip 100`"), "{}", told.remedy);
    assert_eq!((&told.facts["index"], &told.facts["line"]), (&json!(91), &json!(103)));
    assert_eq!(told.facts["errors"][0], json!({"index": 91, "line": 103, "field": "n", "detail": "is no bigint"}));
    assert_eq!(told.facts["appended_lines"], 100);
}

#[test]
fn of_the_first_piece_nothing_was_appended_and_what_was_skipped_stays_skipped() {
    let told = stopped(0, &piece(0, 0, "1\n{\n")).tell(refusal(1)).problem();
    assert!(told.detail.starts_with("line 2 of ") && told.detail.ends_with("nothing was appended"), "{}", told.detail);
    assert!(!told.remedy.contains("--skip"), "{}", told.remedy);
    let told = stopped(7, &piece(7, 7, "1\n{\n")).tell(refusal(1)).problem();
    assert!(told.detail.ends_with("nothing was appended after line 7"), "{}", told.detail);
    assert!(told.remedy.contains("--skip 7"), "{}", told.remedy);
}

#[test]
fn where_nobody_knows_whether_a_piece_landed_its_key_is_told() {
    let piece = piece(50, 50, "1\n2\n");
    let lost = |sent| Failure::Unreachable { url: "u".into(), reason: "broke off".into(), sent };
    let told = stopped(0, &piece).tell(lost(true)).problem();
    assert!(told.detail.contains("unless lines 51 to 52 landed"), "{}", told.detail);
    assert!(told.detail.contains("--skip 50 --key k-1"), "{}", told.detail);
    let whole = stopped(0, &Piece::default()).tell(lost(true)).problem();
    assert!(whole.detail.contains("unless it landed") && whole.detail.contains("ndjson --key k-1"), "{}", whole.detail);
    let never_sent = stopped(0, &Piece::default()).tell(lost(false)).problem();
    assert!(!never_sent.detail.contains("--key"), "{}", never_sent.detail);
    let failed = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "STORE_FAILED", "no room", "make room");
    let told = stopped(0, &piece).tell(failed.into()).problem();
    assert!(told.remedy.starts_with("make room; ") && told.remedy.contains("--skip 50 --key k-1"), "{}", told.remedy);
}

#[test]
fn lines_and_events_are_counted_from_piece_to_piece() {
    let mut first = piece(0, 0, "");
    first.bytes = b"0\n".to_vec();
    first.step_over();
    assert_eq!((first.after, first.events_before), (1, 1));
    let next = piece(1, 1, "1\n\n2\n").next();
    assert_eq!((next.after, next.events_before, next.lines), (4, 3, 0));
}
