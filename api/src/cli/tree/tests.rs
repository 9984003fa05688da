use serde_json::json;

use super::*;

fn job() -> Value {
    json!({"job": "bpi", "serving": 1, "rollback": {"possible": false, "why_not": "nothing served before"}})
}

fn replaying() -> Value {
    json!({
        "version": 2, "phase": "Replaying", "rows": 1200, "lag_ms": null, "dead_letters": 3,
        "progress": {
            "records_done": 500_000, "records_total": 1_000_000, "rate_per_s": 250_000.0, "eta_ms": 2000,
            "partitions": [
                {"topic": "ticks", "partition": 0, "position": 400, "target": 400, "tier": null},
                {"topic": "ticks", "partition": 1, "position": 100, "target": 400, "tier": "cold"},
            ],
        },
        "ready": {},
    })
}

#[test]
fn a_replay_shows_how_far_it_is_and_who_is_behind() {
    let serving = json!({"version": 1, "phase": "Serving", "rows": 7, "lag_ms": 12, "dead_letters": 0});
    let tree = draw(&Out::plain(), &job(), &[serving, replaying()]);
    assert_eq!(
        tree,
        "bpi  serves @1  no rollback: nothing served before\n\
         ├─ @1  Serving  7 rows  lag 12 ms\n\
         └─ @2  Replaying  1,200 rows  3 dead letters\n   \
            ━━━━━━━━━━━━────────────  500,000 of 1,000,000 records  250,000/s  2 s left\n   \
            ━━━━━━──────────────────  ticks/1          100 → 400  cold\n   \
            ━━━━━━━━━━━━━━━━━━━━━━━━  ticks/0          400 → 400  "
    );
}

#[test]
fn a_candidate_shows_what_it_still_lacks() {
    let ready = json!({"caught_up": {"met": true, "detail": "passed the end"}, "lag": {"met": false, "detail": "2 s"}});
    let view = json!({"version": 2, "phase": "Verifying", "rows": 0, "dead_letters": 0, "ready": ready});
    let tree = draw(&Out::plain(), &job(), &[view]);
    assert!(tree.contains("✓ caught_up  passed the end") && tree.contains("· lag        2 s"), "{tree}");
}

#[test]
fn versions_that_are_over_are_not_drawn() {
    let retired = json!({"version": 1, "phase": "Retired"});
    assert_eq!(draw(&Out::plain(), &job(), &[retired]).lines().count(), 1);
}

#[test]
fn of_many_partitions_only_those_furthest_behind_are_drawn() {
    let many: Vec<_> = (0..100)
        .map(|n| json!({"topic": "ticks", "partition": n, "position": n, "target": 100, "tier": "cold"}))
        .collect();
    let mut view = replaying();
    view["progress"]["partitions"] = json!(many);
    let tree = draw(&Out::plain(), &job(), &[view]);
    assert!(tree.contains("ticks/0 ") && !tree.contains("ticks/9 ") && tree.contains("92 more partitions"), "{tree}");
}
