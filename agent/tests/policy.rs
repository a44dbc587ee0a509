//! What a look is judged by: `baseline`, `check --baseline` and `check --bundle`, run as people run them.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const MOTD: &str = r#"
id = "motd.named"
title = "The host names itself"
topic = "Software and configuration"
severity = "low"
cadence = "5 * * * *"
profile = "all"
probes = ["system"]
expected = "one of {names}"
observed = 'facts.system.name'
reads = "r"
decides = "d"
shows = "s"
does_not_show = "n"
remediation = "m"
controls = {}

[params]
names = ["Demo 1"]

[[rules]]
if = 'facts.system.name in params.names'
then = "pass"

[else]
then = "fail"
reason = "weaker_than_policy"
"#;

fn agent(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_assay-agent"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A small root file system with two people, one of whom administers.
struct Image {
    folder: tempfile::TempDir,
}

impl Image {
    fn new() -> Image {
        let image = Image {
            folder: tempfile::tempdir().unwrap(),
        };
        image.write(
            "root/etc/os-release",
            "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Demo 1\"\n",
        );
        fs::create_dir(image.path("root/usr")).unwrap();
        image.write("root/etc/hostname", "image\n");
        image.write("root/etc/login.defs", "UID_MIN 1000\nUID_MAX 60000\n");
        image.write(
            "root/etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/bash\n",
        );
        image.write(
            "root/etc/shadow",
            "root:*:19000::::::\nalice:!:19000::::::\nbob:!:19000::::::\n",
        );
        image.write(
            "root/etc/group",
            "root:x:0:\nsudo:x:27:alice\nalice:x:1000:\nbob:x:1001:\n",
        );
        image.write(
            "root/etc/gshadow",
            "root:*::\nsudo:*::alice\nalice:!::\nbob:!::\n",
        );
        image
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn agent(&self, command: &str, arguments: &[&str]) -> Output {
        let root = self.path("root");
        let mut all = vec![command, "--root", text(&root)];
        all.extend(arguments);
        agent(&all)
    }

    /// Outcome and reason of one check.
    fn outcome(&self, check: &str, arguments: &[&str]) -> String {
        let mut all = vec!["--format", "json", "--check", check];
        all.extend(arguments);
        let output = self.agent("check", &all);
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
        let found = &report["outcomes"][0];
        format!(
            "{} {}",
            found["outcome"].as_str().unwrap(),
            found["reason"].as_str().unwrap_or("-")
        )
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_host_is_judged_by_what_it_learnt_only_when_that_is_handed_in() {
    let image = Image::new();
    let file = image.path("approved.toml");
    image.agent("baseline", &["--out", text(&file)]);
    let proposal = fs::read_to_string(&file).unwrap();
    assert!(proposal.contains("approves nothing"), "{proposal}");
    assert!(proposal.contains("[\"account.local.approved\"]\napproved = [\n  \"alice\",\n  \"bob\",\n]\nbaseline = true\n"), "{proposal}");
    assert!(proposal.contains("  \"sudo:alice\",\n"), "{proposal}");
    assert!(
        proposal.contains("#   ssh.keys.authorized: does not apply"),
        "{proposal}"
    );
    let check = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../configs/checks/account.local.approved.toml"
    );
    let one = image.agent("baseline", &["--out", "-", "--bundle", check]);
    assert_eq!(one.status.code(), Some(0), "{}", stderr(&one));

    for check in ["account.local.approved", "account.privileged.groups"] {
        assert_eq!(image.outcome(check, &[]), "error no_baseline");
        assert_eq!(image.outcome(check, &["--baseline", text(&file)]), "pass -");
    }
    image.write("root/etc/gshadow", "root:*::\nsudo:*::alice,bob\n");
    assert_eq!(
        image.outcome("account.privileged.groups", &["--baseline", text(&file)]),
        "fail extra"
    );

    let again = image.agent("baseline", &["--out", text(&file)]);
    assert_eq!(again.status.code(), Some(2));
    assert!(
        stderr(&again).contains("there already"),
        "{}",
        stderr(&again)
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), proposal);
}

#[test]
fn what_could_not_be_looked_at_is_said_and_not_proposed() {
    let image = Image::new();
    fs::remove_file(image.path("root/etc/passwd")).unwrap();
    let output = image.agent("baseline", &["--out", "-"]);
    let proposal = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        !proposal.contains("[\"account.local.approved\"]"),
        "{proposal}"
    );
    assert!(
        proposal.contains("#   account.local.approved: "),
        "{proposal}"
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("could not be looked at"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_baseline_that_does_not_fit_is_refused_at_its_line() {
    let image = Image::new();
    let file = image.path("approved.toml");
    for (content, line, complaint) in [
        ("[\"account.locl\"]\n", 1, "no check"),
        (
            "[\"account.local.approved\"]\n\nallowed = []\n",
            3,
            "no parameter",
        ),
        (
            "[\"account.local.approved\"]\napproved = \"alice\"\n",
            2,
            "expected list",
        ),
        (
            "[\"account.local.approved\"]\napproved = [1]\n",
            2,
            "list of int",
        ),
        ("[\"account.local.approved\"\n", 1, ""),
    ] {
        image.write("approved.toml", content);
        let output = image.agent("check", &["--baseline", text(&file)]);
        let message = stderr(&output);
        assert!(
            message.contains(&format!("approved.toml:{line}: ")),
            "{message}"
        );
        assert!(message.contains(complaint), "{message}");
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(output.stdout.is_empty());
    }
    let output = image.agent("check", &["--baseline", "/nonexistent/b.toml"]);
    assert!(
        stderr(&output).contains("/nonexistent/b.toml"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_check_of_ones_own_judges_from_a_file_or_a_folder() {
    let image = Image::new();
    image.write("checks/motd.named.toml", MOTD);
    image.write("checks/notes.txt", "no check");
    let (folder, file) = (image.path("checks"), image.path("checks/motd.named.toml"));
    for bundle in [&folder, &file] {
        assert_eq!(
            image.outcome("motd.named", &["--bundle", text(bundle)]),
            "pass -"
        );
    }
    image.write("params.toml", "[\"motd.named\"]\nnames = [\"Demo 2\"]\n");
    let params = image.path("params.toml");
    assert_eq!(
        image.outcome(
            "motd.named",
            &["--bundle", text(&file), "--baseline", text(&params)]
        ),
        "fail weaker_than_policy"
    );
    let explained = agent(&["explain", "motd.named", "--bundle", text(&file)]);
    assert!(String::from_utf8_lossy(&explained.stdout).contains("The host names itself"));
}

#[test]
fn a_recorded_host_is_judged_at_its_time_by_any_check() {
    let image = Image::new();
    image.write("motd.named.toml", MOTD);
    image.write(
        "host.toml",
        "now = \"2026-01-02T03:04:05.000Z\"\n[files.\"/etc/os-release\"]\ntext = \"\"\"ID=demo\nPRETTY_NAME=\\\"Demo 1\\\"\n\"\"\"\n[expect]\n",
    );
    let (check, host) = (image.path("motd.named.toml"), image.path("host.toml"));
    let output = agent(&[
        "check",
        "--format",
        "json",
        "--recorded",
        text(&host),
        "--bundle",
        text(&check),
    ]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    assert_eq!(report["time"]["end"], "2026-01-02T03:04:05.000Z");
    assert_eq!(report["outcomes"][0]["outcome"], "pass", "{report:#}");
    assert!(report["host"]["kernel"].is_null());
    let both = agent(&["check", "--recorded", text(&host), "--root", "/"]);
    assert_eq!(both.status.code(), Some(64));
}

#[test]
fn a_check_that_does_not_fit_is_refused_at_its_line() {
    let image = Image::new();
    let file = image.path("motd.named.toml");
    for (good, bad, complaint) in [
        (
            "facts.system.name in",
            "facts.system.nam in",
            "there is no fact facts.system.nam",
        ),
        (
            "reason = \"weaker_than_policy\"",
            "reason = \"weak\"",
            "weak",
        ),
        ("severity = \"low\"", "severty = \"low\"", "severty"),
        (
            "probes = [\"system\"]",
            "probes = [\"sistem\"]",
            "no probe is called sistem",
        ),
    ] {
        let changed = MOTD.replace(good, bad);
        image.write("motd.named.toml", &changed);
        let output = image.agent("check", &["--bundle", text(&file)]);
        let message = stderr(&output);
        assert!(
            message.contains("motd.named.toml:") && message.contains(complaint),
            "{message}"
        );
        assert_eq!(output.status.code(), Some(2), "{message}");
    }
    let nothing = image.path("root");
    let output = image.agent("check", &["--bundle", text(&nothing)]);
    assert!(
        stderr(&output).contains("no file here ends in .toml"),
        "{}",
        stderr(&output)
    );
    image.write("other.json", "{}");
    let other = image.path("other.json");
    let output = image.agent("check", &["--bundle", text(&other)]);
    assert!(
        stderr(&output).contains("other.json: expected a check file"),
        "{}",
        stderr(&output)
    );
}
