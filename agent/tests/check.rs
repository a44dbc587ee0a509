//! `assay-agent check`, `explain` and `schema`, run as people and programs run them.

#![cfg(test)]

use std::path::Path;
use std::process::{Command, Output};

use evidence::baseline;
use serde_json::Value;

fn agent(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_assay-agent"))
        .args(arguments)
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A root file system with a name and a system of its own, and nothing else that a probe reads.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let etc = root.path().join("etc");
    std::fs::create_dir(&etc).unwrap();
    std::fs::create_dir(root.path().join("usr")).unwrap();
    std::fs::write(etc.join("hostname"), "img\u{1b}[2Jage\n").unwrap();
    std::fs::write(
        etc.join("os-release"),
        "ID=debian\nPRETTY_NAME=\"Demo 1\"\n",
    )
    .unwrap();
    root
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_json_has_every_check_and_agrees_with_the_exit_code() {
    let root = root();
    let output = agent(&["check", "--format", "json", "--root", text(root.path())]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["host"]["os"], "Demo 1");
    assert_eq!(report["host"]["live"], false);
    let bundle = baseline::bundle().unwrap();
    assert_eq!(report["bundle"]["version"], bundle.version);
    assert_eq!(
        report["bundle"]["sha256"],
        bundle.digest().unwrap().to_hex()
    );
    let outcomes = report["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), bundle.for_hosts().checks.len());
    let mut counts = [0, 0];
    for outcome in outcomes {
        let word = outcome["outcome"].as_str().unwrap();
        assert_eq!(outcome["reason"].is_null(), word == "pass", "{outcome}");
        assert_ne!(
            (word, outcome["reason"].as_str()),
            ("error", Some("offline_root")),
            "{outcome}"
        );
        counts[0] += i32::from(word == "fail");
        counts[1] += i32::from(word == "error");
        for member in ["observed", "expected", "sources", "controls", "facts"] {
            assert!(outcome.get(member).is_some(), "{outcome}");
        }
    }
    let expected = match counts {
        [0, 0] => 0,
        [0, _] => 2,
        _ => 1,
    };
    assert_eq!(output.status.code(), Some(expected), "{counts:?}");
}

#[test]
fn the_table_fits_a_terminal_and_a_pipe() {
    let root = root();
    let output = agent(&["check", "--root", text(root.path())]);
    let table = stdout(&output);
    assert!(table.starts_with("img\u{fffd}[2Jage, Demo 1\n"), "{table}");
    assert!(!table.contains('\u{1b}'), "colour in a pipe:\n{table}");
    for line in table.lines() {
        // A command to copy is never broken.
        let width = line.chars().count();
        assert!(width <= 80 || line.starts_with(&" ".repeat(19)), "{line}");
    }
    let checks = baseline::bundle().unwrap().for_hosts().checks;
    for id in checks.keys() {
        assert!(table.contains(id.as_str()), "{id} is not in\n{table}");
    }
    let summary = table.lines().last().unwrap();
    assert!(
        summary.starts_with(&format!("{} check", checks.len())),
        "{summary}"
    );
}

#[test]
fn one_check_can_be_asked_for_and_explained() {
    let root = root();
    for (id, check) in baseline::bundle()
        .unwrap()
        .for_hosts()
        .checks
        .iter()
        .take(3)
    {
        let output = agent(&[
            "check",
            "--format",
            "json",
            "--check",
            id.as_str(),
            "--root",
            text(root.path()),
        ]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["outcomes"].as_array().unwrap().len(), 1);
        assert_eq!(report["outcomes"][0]["check"], id.as_str());
        let explained = stdout(&agent(&["explain", id.as_str()]));
        assert!(explained.contains(&check.topic), "{explained}");
        assert!(explained.contains("A pass does not show"), "{explained}");
    }
}

/// What no host can say of itself is explained, left out of a look, and refused by name.
#[test]
fn what_the_collector_judges_is_explained_and_not_judged() {
    let explained = stdout(&agent(&["explain", "agent.reporting.fresh"]));
    assert!(explained.contains("judged by the collector"), "{explained}");
    assert!(stdout(&agent(&["explain"])).contains("agent.coverage.checks"));
    let root = root();
    let table = stdout(&agent(&["check", "--root", text(root.path())]));
    assert!(!table.contains("agent.reporting.fresh"), "{table}");
    let asked = agent(&["check", "--check", "agent.reporting.fresh"]);
    let said = String::from_utf8_lossy(&asked.stderr);
    assert!(
        !asked.status.success() && said.contains("judged by the collector"),
        "{said}"
    );
}

#[test]
fn wrong_usage_is_64() {
    for arguments in [
        &["check", "--format", "xml"][..],
        &["check", "--check", "no.such_check"],
        &["explain", "no.such_check"],
        &["--no-such-flag"],
        &["no-such-command"],
        &[],
    ] {
        let output = agent(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    assert_eq!(agent(&["--help"]).status.code(), Some(0));
    assert_eq!(agent(&["--version"]).status.code(), Some(0));
}

/// Whatever an empty directory lacks would else be taken for what a host goes without.
#[test]
fn a_directory_that_is_no_root_is_wrong_usage() {
    let empty = tempfile::tempdir().unwrap();
    let out = empty.path().join("out");
    for arguments in [
        vec!["check", "--root", text(empty.path())],
        vec!["baseline", "--out", "-", "--root", text(empty.path())],
        vec!["record", text(&out), "--root", text(empty.path())],
    ] {
        let output = agent(&arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let message = String::from_utf8_lossy(&output.stderr);
        for part in [text(empty.path()), "/etc,", "/usr,", "/etc/os-release"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    let whole = root();
    std::fs::remove_file(whole.path().join("etc/os-release")).unwrap();
    let refused = agent(&["check", "--root", text(whole.path())]);
    assert_eq!(refused.status.code(), Some(64));
    std::fs::create_dir(whole.path().join("usr/lib")).unwrap();
    std::fs::write(whole.path().join("usr/lib/os-release"), "ID=arch\n").unwrap();
    let accepted = agent(&["check", "--root", text(whole.path())]);
    assert_ne!(accepted.status.code(), Some(64));
}

/// A root without programs and settings passes only what is met by their absence.
#[test]
fn an_absent_source_does_not_pass() {
    let root = root();
    let outcome = |check: &str| {
        let output = agent(&[
            "check",
            "--format",
            "json",
            "--check",
            check,
            "--root",
            text(root.path()),
        ]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = &report["outcomes"][0];
        let reason = found["reason"].as_str().unwrap_or("-");
        format!("{} {reason}", found["outcome"].as_str().unwrap())
    };
    assert_eq!(outcome("sudo.scope"), "not_applicable absent");
    assert_eq!(outcome("sudo.nopasswd"), "not_applicable absent");
    assert_eq!(outcome("mount.options"), "not_applicable absent");
    assert_eq!(
        outcome("software.privileged_utilities"),
        "error coverage_partial"
    );
    // The kernel forwards nothing unless it is told to.
    assert_eq!(outcome("net.forwarding"), "pass -");
}

#[test]
fn a_root_that_is_not_there_is_an_error() {
    let output = agent(&["check", "--root", "/nonexistent/root"]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("/nonexistent/root"), "{message}");
}

#[test]
fn the_schema_is_that_of_the_probes() {
    let printed: Value = serde_json::from_slice(&agent(&["schema"]).stdout).unwrap();
    assert_eq!(printed, agent::probe::schema_document());
}
