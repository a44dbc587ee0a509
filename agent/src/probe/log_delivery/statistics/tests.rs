//! Samples as rsyslog 8.2302 writes them.

use super::*;

const AT: &str = "Tue Nov 24 11:43:18 2026: ";

fn action(samples: &[(u64, u64)]) -> String {
    let line = |(processed, failed): &(u64, u64)| {
        format!(
            "{AT}action-1-builtin:omfwd: origin=core.action processed={processed} failed={failed} suspended=1 suspended.duration=60 resumed=0 \n"
        )
    };
    samples.iter().map(line).collect()
}

fn queue(name: &str, samples: &[(u64, u64)]) -> String {
    let line = |(size, discarded): &(u64, u64)| {
        format!(
            "{AT}{{ \"name\": \"{name}\", \"origin\": \"core.queue\", \"size\": {size}, \"enqueued\": 20, \"full\": 0, \"discarded.full\": {discarded}, \"discarded.nf\": 0, \"maxqsize\": 5 }}\n"
        )
    };
    samples.iter().map(line).collect()
}

fn judged(text: &str) -> Action {
    let mut found = actions(&samples(text), &["siem".to_owned()], false);
    assert_eq!(found.len(), 1, "{text}");
    found.remove(0)
}

#[test]
fn failures_count_as_long_as_they_go_on() {
    for (counted, failing, used) in [
        (vec![(20, 0), (25, 9), (30, 19), (35, 25)], 3, true),
        (vec![(20, 0), (25, 9), (30, 9)], 0, true),
        (vec![(20, 0), (25, 0), (30, 2)], 1, true),
        (vec![(9, 9), (9, 9)], 0, false),
        // The daemon was started anew.
        (vec![(20, 7), (4, 0)], 0, true),
        (vec![(20, 7), (4, 2)], 1, true),
        (vec![(0, 0)], 0, false),
    ] {
        let found = judged(&action(&counted));
        assert_eq!((found.failing, found.used), (failing, used), "{counted:?}");
    }
}

#[test]
fn queues_grow_and_discard() {
    let one = action(&[(1, 0), (2, 0)]);
    let with = |queues: String| judged(&(one.clone() + &queues));
    let growing = [(0, 0), (5, 0), (10, 0), (15, 0)];
    assert_eq!(with(queue("main Q", &growing)).growing, 3);
    assert_eq!(
        with(queue("action-1-builtin:omfwd queue", &growing)).growing,
        3
    );
    assert_eq!(with(queue("another queue", &growing)).growing, 0);
    assert_eq!(with(queue("main Q", &[(5, 0), (9, 0), (2, 0)])).growing, 0);
    assert!(with(queue("main Q", &[(5, 0), (5, 1)])).discards);
    // Long ago, or ever since: no more of them.
    assert!(!with(queue("main Q", &[(5, 3), (5, 3)])).discards);
}

#[test]
fn a_named_action_is_known_by_its_name_and_noise_is_none() {
    let named = action(&[(3, 0)]).replace("action-1-builtin:omfwd", "siem");
    assert_eq!(judged(&named).name, "siem");
    for noise in [
        "",
        "Tue",
        "é".repeat(40).as_str(),
        "Tue Nov 24 11:43:18 2026: {\"name\":",
        "Tue Nov 24 11:43:18 2026: siem: origin=",
        "Tue Nov 24 11:43:18 2026: action-0-builtin:omfile: origin=core.action processed=1",
    ] {
        let found = actions(&samples(noise), &["siem".to_owned()], false);
        assert!(found.iter().all(|action| !action.used), "{noise}");
    }
    let reset = actions(&samples(&action(&[(5, 2), (5, 2)])), &[], true);
    assert_eq!(reset[0].failing, 1);
}
