//! The mutation suite: real root file systems, hardened until the checks pass, with one thing changed at a time. A deviation
//! must turn the checks that it names, to the outcome that it names, and no other; a trap must turn none.
//!
//! Everything is data. `roots/*.toml` says what a root is made from and how it is hardened, `cases/*.toml` what is changed: to
//! add a mutation is to add an entry there. Each test prints what was detected and what was a false alarm, for each check.

#![cfg(test)]

mod edit;
mod family;
mod plan;
mod recorded;
mod root;
mod tally;

use std::process::Command;

use plan::Plan;

/// Set in the process that has a mount namespace of its own.
const INSIDE: &str = "ASSAY_TEST_MUTATIONS_INSIDE";

/// Runs the rest of a test in a mount namespace of its own, so that no mount outlives it.
fn in_own_namespace(test: &str, rest: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return rest();
    }
    assert!(
        rustix::process::geteuid().is_root(),
        "mounting root file systems needs root: run tests/run as root"
    );
    let status = Command::new("/usr/bin/unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed, see above");
}

macro_rules! families {
    ($($test:ident => $root:literal,)*) => {
        $(#[test]
        fn $test() {
            in_own_namespace(stringify!($test), || family::judge($root));
        })*

        /// Every root of the plan has a test, so that none is forgotten.
        #[test]
        fn every_root_is_tested() {
            let tested = [$($root),*];
            for root in Plan::load().roots.keys() {
                assert!(tested.contains(&root.as_str()), "no test for root {root}");
            }
        }
    };
}

families! {
    alma_9 => "alma-9",
    alpine => "alpine-3",
    arch => "arch",
    debian_11 => "debian-11",
    debian_12 => "debian-12",
    debian_13 => "debian-13",
    sles_15 => "sles-15",
}

#[test]
fn recorded_hosts() {
    recorded::judge();
}

/// The least that the suite must hold: a suite that shrinks says nothing when it is green.
#[test]
fn the_suite_is_as_large_as_promised() {
    let plan = Plan::load();
    let deviations = plan
        .mutations
        .iter()
        .filter(|m| !m.turns.is_empty())
        .count();
    let traps = plan.mutations.len() - deviations;
    println!("{deviations} deviations, {traps} traps");
    assert!(
        deviations >= 180 && traps >= 100,
        "{deviations} deviations, {traps} traps"
    );
}
