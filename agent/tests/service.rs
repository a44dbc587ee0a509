//! The agent as a service, against a collector that misbehaves on purpose: the real program, killed and stopped.

#![cfg(test)]

mod fake;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crypto::{Random as _, SystemRandom};
use fake::{Fake, Fault, TOKEN};
use serde_json::Value;
use wire::statement::AgentStatement;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_assay-agent"))
}

fn enrol(fake: &Fake, token: &str) -> Output {
    let mut child = program()
        .args(["enrol", "--token-file", "-", "--config"])
        .arg(&fake.config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{token}").unwrap();
    drop(input);
    child.wait_with_output().unwrap()
}

fn enrolled() -> Fake {
    let fake = Fake::start();
    let output = enrol(&fake, TOKEN);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{message}");
    fake
}

/// A running agent; it ends with the test.
struct Agent(Child);

impl Agent {
    fn start(fake: &Fake) -> Agent {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(fake.folder.path().join("agent.log"))
            .unwrap();
        let child = program()
            .args(["run", "--config"])
            .arg(&fake.config)
            .stderr(log)
            .spawn()
            .unwrap();
        Agent(child)
    }

    /// SIGTERM, and what it ended with.
    fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap().code()
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn status(fake: &Fake) -> Value {
    let output = program()
        .args(["status", "--json", "--config"])
        .arg(&fake.config)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits until nothing waits for a receipt and number `seq` has one.
fn wait_acknowledged(fake: &Fake, seq: u64) -> Value {
    for _ in 0..300 {
        let status = status(fake);
        let empty = status["spool"]["statements"] == 0;
        if empty
            && status["acknowledged"]
                .as_u64()
                .is_some_and(|found| found >= seq)
        {
            return status;
        }
        fake.pause(Duration::from_millis(100));
    }
    panic!(
        "statement {seq} has no receipt: {}\n{}",
        status(fake),
        log_text(fake)
    );
}

fn log_text(fake: &Fake) -> String {
    std::fs::read_to_string(fake.folder.path().join("agent.log")).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Every number once, in order, each naming the one before.
fn assert_chain(fake: &Fake) {
    let log = fake.log();
    assert!(log.forks.is_empty(), "{:?}", log.forks);
    let mut next = 1;
    for one in &log.statements {
        let first = match &one.statement {
            AgentStatement::Gap(gap) => gap.gap.from,
            _ => one.seq,
        };
        assert_eq!(first, next);
        next = one.seq + 1;
    }
}

#[test]
fn a_round_goes_from_the_host_into_the_log_and_is_forgotten_here() {
    let fake = enrolled();
    assert_eq!(mode(&fake.state()), 0o700);
    for file in [
        "key.pem",
        "enrolment.json",
        "acknowledged.json",
        "bundle.dsse.json",
    ] {
        assert_eq!(mode(&fake.state().join(file)), 0o600, "{file}");
    }
    let again = enrol(&fake, TOKEN);
    assert_eq!(again.status.code(), Some(2), "enrolled twice");

    let agent = Agent::start(&fake);
    wait_acknowledged(&fake, 1);
    assert_eq!(agent.stop(), Some(0));
    let agent = Agent::start(&fake);
    let status = wait_acknowledged(&fake, 2);
    assert_eq!(agent.stop(), Some(0));

    assert_chain(&fake);
    assert_eq!(status["acknowledged"], 2, "{status}");
    assert_eq!(status["seen"]["size"], 3, "{status}");
    let log = fake.log();
    let AgentStatement::Round(round) = &log.statements[1].statement else {
        panic!("no round");
    };
    assert_eq!(
        round.common.seen.size, 2,
        "the checkpoint of the first receipt"
    );
    assert_eq!(round.bundle.sha256, log.bundle);
    assert_eq!(round.coverage.expected, 1);
    // The second round has the first as dictionary, and no facts to carry.
    assert!(log.bytes[1] < log.bytes[0] / 2, "{:?}", log.bytes);
    assert!(!log_text(&fake).contains(TOKEN));
}

#[test]
fn a_wrong_token_enrols_nobody_and_is_not_repeated() {
    let fake = Fake::start();
    let output = enrol(&fake, "wrong-token");
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("bad_token"), "{message}");
    assert!(!message.contains("wrong-token"), "{message}");
    assert_eq!(status(&fake)["enrolled"], false);
    assert_eq!(
        enrol(&fake, TOKEN).status.code(),
        Some(0),
        "with the same key"
    );
}

#[test]
fn a_lost_answer_is_asked_for_again_and_logged_once() {
    let fake = enrolled();
    fake.log().faults = vec![Fault::LostAnswer, Fault::LostAnswer, Fault::Stranger];
    let agent = Agent::start(&fake);
    wait_acknowledged(&fake, 1);
    assert_eq!(fake.log().requests.len(), 4);
    assert_eq!(agent.stop(), Some(0));
    assert_eq!(fake.log().statements.len(), 1);
    assert_chain(&fake);
}

#[test]
fn a_receipt_of_another_history_keeps_the_statement() {
    let fake = enrolled();
    fake.log().faults = vec![Fault::WrongConsistency];
    let agent = Agent::start(&fake);
    fake.wait("the refused receipt", |log| !log.requests.is_empty());
    wait_acknowledged(&fake, 1);
    assert_eq!(agent.stop(), Some(0));
    assert!(fake.state().join("refused-receipt.json").exists());
    assert!(
        log_text(&fake).contains("does not hold"),
        "{}",
        log_text(&fake)
    );
    assert_eq!(fake.log().requests.len(), 2);
    assert_eq!(fake.log().statements.len(), 1);
}

#[test]
fn the_collector_is_left_alone_as_long_as_it_asks() {
    let fake = enrolled();
    fake.log().faults = vec![Fault::Busy(2)];
    let agent = Agent::start(&fake);
    fake.wait("the second request", |log| log.requests.len() >= 2);
    let log = fake.log();
    let waited = log.requests[1] - log.requests[0];
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
    drop(log);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn what_is_refused_for_good_is_set_aside_under_a_gap() {
    let fake = enrolled();
    fake.log().faults = vec![Fault::Refused("round_content")];
    let agent = Agent::start(&fake);
    wait_acknowledged(&fake, 2);
    assert_eq!(agent.stop(), Some(0));
    assert_chain(&fake);
    let log = fake.log();
    let AgentStatement::Gap(gap) = &log.statements[0].statement else {
        panic!("no gap");
    };
    assert_eq!((gap.gap.from, gap.gap.to), (1, 1));
    assert!(
        gap.gap.reason.contains("round_content"),
        "{}",
        gap.gap.reason
    );
    drop(log);
    let quarantine = fake.state().join("spool/quarantine");
    assert_eq!(std::fs::read_dir(quarantine).unwrap().count(), 1);
    // The next round carries its facts again: those of the refused one never arrived.
    let agent = Agent::start(&fake);
    fake.wait("the next round", |log| log.statements.len() >= 2);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn facts_that_the_collector_lost_are_sent_again_and_a_new_bundle_is_taken_over() {
    let fake = enrolled();
    let agent = Agent::start(&fake);
    wait_acknowledged(&fake, 1);
    assert_eq!(agent.stop(), Some(0));
    fake.log().forget_facts();
    fake.log().publish(2);
    let agent = Agent::start(&fake);
    // The second still by the old bundle; its answer names the new one, by which everything is judged at once.
    fake.wait("third round", |log| log.statements.len() >= 3);
    assert_eq!(agent.stop(), Some(0));
    assert_chain(&fake);
    let log = fake.log();
    let versions: Vec<u64> = log
        .statements
        .iter()
        .filter_map(|one| match &one.statement {
            AgentStatement::Round(round) => Some(round.bundle.version),
            _ => None,
        })
        .collect();
    assert_eq!(versions, [1, 1, 2]);
}

/// As often as the promise says: killed at any moment, everything that was signed is logged once and in order.
#[test]
fn killed_a_hundred_times_nothing_is_lost_or_doubled() {
    let fake = enrolled();
    for round in 0..100_u32 {
        if round % 3 == 0 {
            fake.log().faults.push(Fault::LostAnswer);
        }
        let agent = Agent::start(&fake);
        let mut chance = [0; 2];
        SystemRandom.fill(&mut chance);
        fake.pause(Duration::from_millis(
            u64::from(u16::from_le_bytes(chance)) % 900,
        ));
        agent.kill();
    }
    fake.log().faults.clear();
    let before = fake.log().statements.len();
    let agent = Agent::start(&fake);
    fake.wait("a round of the last start", |log| {
        log.statements.len() > before
    });
    let made = fake.log().statements.last().map_or(0, |one| one.seq);
    let status = wait_acknowledged(&fake, made);
    assert_eq!(agent.stop(), Some(0));
    assert_chain(&fake);
    let log = fake.log();
    let last = log.statements.last().unwrap().seq;
    assert_eq!(status["acknowledged"], last);
    assert_eq!(
        log.statements.len() as u64,
        last,
        "a gap where nothing was lost"
    );
    assert!(
        last > 10,
        "only {last} rounds were made: the kills came too early to show anything"
    );
}
