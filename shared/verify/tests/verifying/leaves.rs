//! A collector that writes false leaves and signs them is caught by reading all of them.

use crypto::Digest;
use verify::leaves::{RULES, Recount};
use wire::leaf::{Kind, Leaf};

use crate::record::{Leaves, key_id};

const A: u64 = 10;
const B: u64 = 20;

/// Everything that can happen to agents, in order.
fn eventful() -> Leaves {
    let mut leaves = Leaves::begun(A);
    leaves.statement(Kind::Round, A, A, 1, 1);
    leaves.about(Kind::Enrol, B, 1);
    leaves.statement(Kind::Gap, B, B, 1, 4);
    leaves.statement(Kind::Round, A, A, 1, 2);
    leaves.rotate(A, (A, 11), 1, 3);
    leaves.statement(Kind::Round, A, 11, 2, 4);
    leaves.decision(Kind::Policy);
    leaves.about(Kind::Reject, B, 1);
    leaves.about(Kind::Fork, B, 1);
    leaves.about(Kind::Enrol, B, 2);
    leaves.statement(Kind::Round, B, 21, 2, 5);
    leaves.about(Kind::Revoke, A, 2);
    leaves.decision(Kind::Erase);
    leaves.statement(Kind::Round, B, 21, 2, 6);
    leaves.about(Kind::Retire, B, 2);
    leaves
}

fn recount(leaves: &Leaves) -> Recount {
    let mut recount = Recount::new();
    for entry in leaves.entries() {
        recount.push(&entry);
    }
    recount
}

#[track_caller]
fn broken(leaves: &Leaves, index: u64, rule: &str, words: &str) {
    let recount = recount(leaves);
    let (findings, _) = recount.findings();
    assert!(
        RULES.iter().any(|(name, _)| *name == rule),
        "{rule} is a rule"
    );
    assert!(
        findings.iter().any(|found| found.rule == rule
            && found.index == index
            && found.problem.contains(words)),
        "wanted {rule} at {index}: {words}, got {findings:#?}"
    );
}

#[test]
fn an_eventful_log_is_in_order() {
    let leaves = eventful();
    let recount = recount(&leaves);
    assert_eq!(recount.findings(), (&[][..], 0));
    let tally = recount.tally();
    assert_eq!((tally.entries, tally.rounds, tally.gaps), (18, 5, 1));
    assert_eq!((tally.decisions, tally.agents, tally.ended), (4, 2, 2));
}

#[test]
fn every_false_counter_time_or_repetition_is_found_where_it_stands() {
    for at in 1..18 {
        let index = at as u64;
        let mut leaves = eventful();
        leaves.list[at].dec += 1;
        broken(&leaves, index, "decisions counted", "decisions precede it");
        let mut leaves = eventful();
        leaves.list[at].rx = 0;
        broken(&leaves, index, "reception", "below");
        let mut leaves = eventful();
        leaves.list[at].pae = leaves.list[at - 1].pae;
        broken(&leaves, index, "no repetition", "earlier entry");
        let mut leaves = eventful();
        if let Some(ev) = leaves.list[at].ev.as_mut() {
            *ev += 1;
            broken(&leaves, index, "key events counted", "key events of agent");
        }
        let mut leaves = eventful();
        leaves.list[at].key = Digest::of(b"stranger");
        // The first statement after a second enrolment is what names the key: the one after it contradicts.
        let shown = if at == 13 { 16 } else { index };
        broken(&leaves, shown, "keys and epochs", "key");
        let mut leaves = eventful();
        if let Some(epoch) = leaves.list[at].epoch.as_mut() {
            *epoch += 1;
            broken(&leaves, index, "keys and epochs", "epoch");
        }
    }
}

#[test]
fn an_entry_left_out_is_missed_as_soon_as_a_later_one_counts_it() {
    // The last statement of A, the end of A, the last statement of B, its end: nothing later counts them.
    let last = [8, 14, 16, 17];
    for at in 0..18 {
        let mut leaves = eventful();
        leaves.list.remove(at);
        let missed = !recount(&leaves).findings().0.is_empty();
        assert_eq!(missed, !last.contains(&at), "entry {at} was left out");
    }
}

#[test]
fn two_entries_that_change_places_are_found_unless_they_concern_two_agents() {
    for at in 0..17 {
        let mut leaves = eventful();
        let (first, second) = (leaves.list[at].rx, leaves.list[at + 1].rx);
        leaves.list.swap(at, at + 1);
        (leaves.list[at].rx, leaves.list[at + 1].rx) = (first, second);
        let (one, other) = (leaves.list[at].agent, leaves.list[at + 1].agent);
        let independent = one.is_some() && other.is_some() && one != other;
        let recount = recount(&leaves);
        assert_eq!(
            recount.findings().0.is_empty(),
            independent,
            "entries {at} and {}",
            at + 1
        );
    }
}

#[test]
fn numbers_rise_and_only_a_gap_leaves_some_out() {
    let with = |kind: Kind, seq: u64| {
        let mut leaves = Leaves::begun(A);
        leaves.statement(Kind::Round, A, A, 1, 1);
        leaves.statement(kind, A, A, 1, seq);
        leaves
    };
    broken(&with(Kind::Round, 1), 4, "sequence", "does not rise");
    broken(&with(Kind::Round, 0), 4, "sequence", "does not rise");
    broken(&with(Kind::Round, 3), 4, "sequence", "no gap declares");
    broken(&with(Kind::Gap, 2), 4, "sequence", "nothing is missing");
    assert!(recount(&with(Kind::Gap, 3)).findings().0.is_empty());
    assert!(recount(&with(Kind::Round, 2)).findings().0.is_empty());
}

#[test]
fn a_key_ends_when_the_log_says_so_and_never_comes_back() {
    for end in [Kind::Revoke, Kind::Retire, Kind::Fork] {
        let mut leaves = Leaves::begun(A);
        leaves.about(end, A, 1);
        leaves.statement(Kind::Round, A, A, 1, 1);
        broken(
            &leaves,
            4,
            "keys and epochs",
            "no key of the agent is valid",
        );
        let mut leaves = Leaves::begun(A);
        leaves.about(end, A, 1);
        leaves.about(Kind::Enrol, A, 2);
        leaves.statement(Kind::Round, A, A, 2, 1);
        broken(&leaves, 5, "keys and epochs", "in use before");
    }
    let mut leaves = Leaves::begun(A);
    leaves.rotate(A, (A, 11), 1, 1);
    leaves.statement(Kind::Round, A, A, 2, 2);
    broken(&leaves, 4, "keys and epochs", "is in force");
    let mut leaves = Leaves::begun(A);
    leaves.about(Kind::Enrol, B, 1);
    leaves.rotate(A, (A, B), 1, 1);
    broken(&leaves, 4, "keys and epochs", "in use before");
    let mut leaves = Leaves::begun(A);
    leaves.about(Kind::Enrol, A, 2);
    broken(&leaves, 3, "keys and epochs", "while it has a valid key");
    let mut leaves = Leaves::begun(A);
    leaves.statement(Kind::Round, B, B, 1, 1);
    broken(&leaves, 3, "keys and epochs", "never enrolled");
}

#[test]
fn a_new_decision_key_takes_over_only_by_an_entry_that_both_sign() {
    let change = |with_second: bool| {
        let mut leaves = Leaves::begun(A);
        leaves.decision(Kind::Key);
        if with_second {
            let last = leaves.list.last_mut().unwrap();
            last.alg2 = Some(last.alg);
            last.sig2 = Some(last.sig);
            last.key2 = Some(key_id(70));
        }
        leaves.decision(Kind::Policy);
        leaves.list[4].key = key_id(70);
        leaves
    };
    assert!(recount(&change(true)).findings().0.is_empty());
    broken(
        &change(false),
        4,
        "keys and epochs",
        "not the decision key in force",
    );
}

#[test]
fn entry_0_names_the_keys() {
    let mut leaves = Leaves::default();
    leaves.decision(Kind::Bundle);
    broken(&leaves, 0, "entry 0", "not a key entry");
    let mut recount = Recount::new();
    recount.push(b"{}");
    assert_eq!(recount.findings().0.len(), 2);
}

#[test]
fn an_entry_that_is_no_leaf_is_named() {
    let leaves = eventful();
    let mut recount = Recount::new();
    for (at, mut entry) in leaves.entries().into_iter().enumerate() {
        if at == 4 {
            entry.insert(1, b' ');
        }
        recount.push(&entry);
    }
    assert!(
        recount
            .findings()
            .0
            .iter()
            .any(|one| one.rule == "leaves" && one.index == 4)
    );
}

#[test]
fn findings_are_bounded_and_counted() {
    let mut recount = Recount::new();
    let leaf: &Leaf = &eventful().list[1];
    let entry = leaf.to_bytes().unwrap();
    for _ in 0..3000 {
        recount.push(&entry);
    }
    let (kept, more) = recount.findings();
    assert_eq!(kept.len(), verify::leaves::MAX_FINDINGS);
    assert!(more > 1000);
}
