//! A model of the sync without servers: whatever the schedule of commits, reads, writes and faults, the index ends up equal to the
//! rows, and no reader that waits for an LSN misses a commit before it. Each rule that is broken on purpose must make
//! some schedule fail.
//!
//! Every schedule is tried for two documents and few commits, with few faults; longer ones are drawn at random, by seed.

mod leader;
mod schedules;
mod world;

use schedules::{DELETE, FIRST, KINDS, Kind, RENAME, SECOND, every_schedule, wrong_seed};

const SEEDS: u64 = 5_000;

/// For so many minutes an index remembers deletions.
const AN_HOUR: u32 = 60;

/// The rules that keep the index right. The product's are all true.
#[derive(Clone, Copy)]
pub struct Rules {
    waits_until_visible: bool,
    barrier_keeps_stream_order: bool,
    versions_from_commits: bool,
    floors_below_commits: bool,
    confirms_in_order: bool,
    swaps_dirty_sets: bool,
    returned_keys_hold_back: bool,
    acknowledges_before_forgetting: bool,
    drains_behind_marks: bool,
    stores_fanouts: bool,
    queues_fanouts: bool,
    keeps_fanouts_asked_for: bool,
    raises_epochs: bool,
    compares_where_leaders_began: bool,
    tombstones: u32,
}

const RULES: Rules = Rules {
    waits_until_visible: true,
    barrier_keeps_stream_order: true,
    versions_from_commits: true,
    floors_below_commits: true,
    confirms_in_order: true,
    swaps_dirty_sets: true,
    returned_keys_hold_back: true,
    acknowledges_before_forgetting: true,
    drains_behind_marks: true,
    stores_fanouts: true,
    queues_fanouts: true,
    keeps_fanouts_asked_for: true,
    raises_epochs: true,
    compares_where_leaders_began: true,
    tombstones: AN_HOUR,
};

/// Tries every schedule of so many commits of these kinds, and faults.
#[track_caller]
fn check(kinds: &[Kind], commits: usize, faults: usize) {
    let seen = every_schedule(RULES, kinds, commits, faults).unwrap();
    println!("{commits} commits of {} kinds with {faults} faults: {seen} states", kinds.len());
}

#[test]
fn the_index_equals_the_rows_after_every_short_schedule() {
    check(KINDS, 3, 0);
    check(&[FIRST, DELETE, SECOND], 4, 0);
    check(&[FIRST, RENAME], 4, 0);
    check(KINDS, 1, 1);
    check(&[FIRST, SECOND], 2, 1);
}

#[test]
fn the_index_equals_the_rows_after_long_schedules() {
    assert_eq!(wrong_seed(RULES, SEEDS), None);
}

#[test]
#[ignore = "minutes long; bin/soak runs it"]
fn the_index_equals_the_rows_after_many_more_schedules() {
    check(KINDS, 4, 0);
    check(KINDS, 2, 1);
    assert_eq!(wrong_seed(RULES, SEEDS * 50), None);
}

#[test]
fn every_rule_that_is_broken_loses_something() {
    let broken = [
        ("no barrier", Rules { waits_until_visible: false, ..RULES }),
        ("a barrier that can be overtaken", Rules { barrier_keeps_stream_order: false, ..RULES }),
        ("versions from the position of the read", Rules { versions_from_commits: false, ..RULES }),
        ("floors at the end of what has passed", Rules { floors_below_commits: false, ..RULES }),
        ("confirming out of order", Rules { confirms_in_order: false, ..RULES }),
        ("keys removed after success", Rules { swaps_dirty_sets: false, ..RULES }),
        ("returned keys that hold nothing back", Rules { returned_keys_hold_back: false, ..RULES }),
        ("a backlog that forgets before the acknowledgement", Rules { acknowledges_before_forgetting: false, ..RULES }),
        ("repairs that do not wait for a later position", Rules { drains_behind_marks: false, ..RULES }),
        ("a fan-out without a durable job", Rules { stores_fanouts: false, ..RULES }),
        ("a newer rename that joins a job under way", Rules { queues_fanouts: false, ..RULES }),
        ("a job that goes on although it was asked for again", Rules { keeps_fanouts_asked_for: false, ..RULES }),
        ("positions that go back within an epoch", Rules { raises_epochs: false, ..RULES }),
        ("a high-water mark compared with what was confirmed since", Rules { compares_where_leaders_began: false, ..RULES }),
        ("deletions remembered for a minute, requests that live for two", Rules { tombstones: 1, ..RULES }),
    ];
    for (name, rules) in broken {
        assert!(wrong_seed(rules, SEEDS).is_some(), "{name} goes unnoticed");
    }
}
