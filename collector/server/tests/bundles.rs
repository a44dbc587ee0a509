//! Bundles of one's own: tried, signed, put in force by a running collector, and left alone by it afterwards.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use collector::command::user;
use collector::config::{Config, LogFormat};
use collector::service::{self, Service};
use crypto::{SeededRandom, SigningKey};
use evidence::bundle::Bundle;
use evidence::time::{Clock as _, SystemClock};
use serde_json::json;
use store::Store;
use wire::decision::{BundleActivated, Decision};
use wire::envelope::Envelope;
use wire::leaf::Kind;

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

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Desk {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let desk = Desk {
            folder: tempfile::tempdir().unwrap(),
        };
        desk.write("checks/motd.named.toml", MOTD);
        desk.write(
            "checks/hosts/web1.json",
            &json!({"time": {"end": "2026-11-24T07:00:00.000Z"}, "outcomes": [
                {"check": "motd.named", "facts": {"system": {"name": "Demo 1", "list": [1, 2]}}}]})
            .to_string(),
        );
        desk.write(
            "checks/hosts/good.toml",
            "facts = \"web1.json\"\n[expect]\n\"motd.named\" = \"pass\"\n",
        );
        desk.write(
            "checks/hosts/bad.toml",
            "facts = \"web1.json\"\nunset = [\"/system/list/0\"]\n[set]\n\"/system/name\" = \"Demo 2\"\n[expect]\n\"motd.named\" = \"fail weaker_than_policy\"\n",
        );
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn config(&self) -> Config {
        Config {
            data: self.path("data"),
            listen: "127.0.0.1:0".parse().unwrap(),
            origin: "log.test/bundles".to_owned(),
            url: None,
            checkpoint: None,
            tls: None,
            names: Vec::new(),
            log: LogFormat::Text,
        }
    }

    async fn start(&self) -> Service {
        service::start(&self.config(), Arc::new(SystemClock::new()))
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let folder = self.folder.path().to_owned();
        tokio::task::spawn_blocking(move || {
            std::process::Command::new(env!("CARGO_BIN_EXE_assay-collector"))
                .args(arguments)
                .current_dir(folder)
                .output()
                .unwrap()
        })
        .await
        .unwrap()
    }

    async fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(
            !output.status.success(),
            "{arguments:?} was accepted: {}",
            said(&output)
        );
        said(&output)
    }

    async fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn signed(path: &Path) -> (Bundle, Envelope) {
    let envelope = Envelope::parse_file(&fs::read(path).unwrap()).unwrap();
    (Bundle::parse(&envelope.payload).unwrap(), envelope)
}

/// The bundle in force for a group, by the log.
async fn in_force(store: &Store, group: &str) -> (Bundle, String) {
    let mut last = None;
    for idx in store.indices_of_kind(Kind::Bundle).await.unwrap() {
        let payload = store.payload(idx).await.unwrap().unwrap();
        let decision = Decision::<BundleActivated>::parse(&payload).unwrap();
        if decision
            .content
            .grps
            .iter()
            .any(|known| known.as_str() == group)
        {
            last = Some((decision.content.sha256, decision.by.user));
        }
    }
    let (digest, by) = last.unwrap_or_else(|| panic!("nothing is in force for {group}"));
    let file = store.bundle(&digest).await.unwrap().unwrap();
    let payload = Envelope::parse_file(&file).unwrap().payload;
    (Bundle::parse(&payload).unwrap(), by)
}

#[tokio::test]
async fn checks_are_tried_against_facts_that_were_written_down() {
    let desk = Desk::new();
    let told = desk.done(&["bundle", "test", "checks"]).await;
    assert!(
        told.contains("ok     hosts/bad.toml  motd.named  fail weaker_than_policy"),
        "{told}"
    );
    assert!(
        told.contains("1 checks, 2 hosts: all as expected"),
        "{told}"
    );

    desk.write("checks/hosts/good.toml", "facts = \"web1.json\"\n[params.\"motd.named\"]\nnames = [\"x\"]\n[expect]\n\"motd.named\" = \"pass\"\n");
    let told = desk.refused(&["bundle", "test", "checks"]).await;
    assert!(told.contains("WRONG  hosts/good.toml  motd.named  expected pass, is fail weaker_than_policy; found Demo 1"), "{told}");
    assert!(
        told.contains("WRONG  motd.named  no host passes it"),
        "{told}"
    );

    for (host, complaint) in [
        (
            "facts = \"web1.json\"\n[expect]\n\"motd.other\" = \"pass\"\n",
            "none of the check files",
        ),
        (
            "facts = \"web1.json\"\n[expect]\n\"motd.named\" = \"fail\"\n",
            "an outcome with its reason",
        ),
        (
            "facts = \"web1.json\"\nfact = 1\n[expect]\n",
            "good.toml:2: unknown field",
        ),
        ("facts = \"none.json\"\n[expect]\n", "none.json"),
        ("facts = \"good.toml\"\n[expect]\n", "check --format json"),
        (
            "facts = \"web1.json\"\n[set]\n\"/nothing/name\" = 1\n[expect]\n",
            "no fact /nothing",
        ),
        (
            "facts = \"web1.json\"\nunset = [\"/system/list/7\"]\n[expect]\n",
            "no fact /system/list/7",
        ),
        (
            "facts = \"web1.json\"\n[params.\"motd.named\"]\nname = []\n[expect]\n",
            "no parameter name",
        ),
        (
            "facts = \"web1.json\"\n[params.\"motd.named\"]\nnames = [1]\n[expect]\n",
            "list of int",
        ),
    ] {
        desk.write("checks/hosts/good.toml", host);
        let told = desk.refused(&["bundle", "test", "checks"]).await;
        assert!(
            told.contains(complaint) && told.contains("good.toml") | told.contains("none.json"),
            "{host}: {told}"
        );
    }
}

#[tokio::test]
async fn a_check_file_is_refused_at_its_line() {
    let desk = Desk::new();
    desk.write(
        "checks/motd.named.toml",
        &MOTD.replace("facts.system.name in", "facts.system.nam in"),
    );
    for command in [
        &["bundle", "test", "checks"][..],
        &[
            "bundle",
            "sign",
            "checks",
            "--key",
            "k.pem",
            "--version",
            "3",
            "--out",
            "b.json",
        ],
    ] {
        let key = SigningKey::generate(&mut SeededRandom::new(1));
        desk.write("k.pem", &key.to_pem());
        private(&desk.path("k.pem"));
        let told = desk.refused(command).await;
        assert!(
            told.contains("motd.named.toml:22: ") && told.contains("no fact facts.system.nam"),
            "{told}"
        );
    }
    assert!(!desk.path("b.json").exists());
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_bundle_holds_the_programs_checks_ones_own_and_what_was_approved() {
    let desk = Desk::new();
    let key = SigningKey::generate(&mut SeededRandom::new(1));
    desk.write("k.pem", &key.to_pem());
    private(&desk.path("k.pem"));
    desk.write(
        "web.toml",
        "[\"account.local.approved\"]\napproved = [\"alice\"]\nbaseline = true\n",
    );
    let sign = [
        "bundle",
        "sign",
        "checks",
        "--key",
        "k.pem",
        "--version",
        "7",
        "--baseline",
        "web.toml",
        "--out",
        "b.json",
    ];
    desk.done(&sign).await;
    let (bundle, envelope) = signed(&desk.path("b.json"));
    envelope
        .verify(wire::envelope::BUNDLE_TYPE, &[&key.verifying_key()])
        .unwrap();
    let built_in = evidence::baseline::bundle().unwrap();
    assert_eq!(bundle.version, 7);
    assert_eq!(bundle.checks.len(), built_in.checks.len() + 1);
    let check = &bundle.checks[&"account.local.approved".parse().unwrap()];
    assert_eq!(check.params["approved"], json!(["alice"]));

    let only: Vec<&str> = sign.iter().copied().chain(["--only"]).collect();
    let told = desk.refused(&only).await;
    assert!(
        told.contains("web.toml:1: no check is called \"account.local.approved\""),
        "{told}"
    );
    let named: Vec<&str> = sign.iter().copied().chain(["--name", "baseline"]).collect();
    assert!(desk.refused(&named).await.contains("another --name"));
    let told = desk
        .refused(&["bundle", "sign", "--key", "k.pem", "--out", "b.json"])
        .await;
    assert!(told.contains("--version"), "{told}");
}

#[tokio::test]
async fn a_running_collector_puts_it_in_force_and_keeps_it() {
    let desk = Desk::new();
    let service = desk.start().await;
    let store = service.app.store.clone();
    let now = SystemClock::new().now();
    let alice = user::account("alice", None);
    store.add_account(&alice, now).await.unwrap();
    let mut bob = user::account("bob", None);
    bob.role = "operator".to_owned();
    store.add_account(&bob, now).await.unwrap();

    let sign = [
        "bundle", "sign", "checks", "--data", "data", "--out", "b.json",
    ];
    desk.done(&sign).await;
    let (bundle, _) = signed(&desk.path("b.json"));
    let activate = |by: &'static str| {
        [
            "bundle",
            "activate",
            "b.json",
            "--data",
            "data",
            "--group",
            "default",
            "--group",
            "web",
            "--by",
            by,
            "--reason",
            "own checks",
        ]
    };
    assert!(
        desk.refused(&activate("bob"))
            .await
            .contains("isms_owner or an admin")
    );
    assert!(desk.refused(&activate("eve")).await.contains("no account"));
    let told = desk.done(&activate("alice")).await;
    assert!(
        told.contains(&format!("version {} ", bundle.version)),
        "{told}"
    );
    for group in ["default", "web"] {
        assert_eq!(
            in_force(&store, group).await,
            (bundle.clone(), alice.id.clone())
        );
    }

    // A stranger's signature, a changed byte, an older version.
    let stranger = SigningKey::generate(&mut SeededRandom::new(9));
    desk.write("k.pem", &stranger.to_pem());
    private(&desk.path("k.pem"));
    fs::copy(desk.path("b.json"), desk.path("old.json")).unwrap();
    desk.done(&[
        "bundle",
        "sign",
        "checks",
        "--key",
        "k.pem",
        "--version",
        "99",
        "--out",
        "b.json",
    ])
    .await;
    assert!(
        desk.refused(&activate("alice"))
            .await
            .contains("not signed by the policy key")
    );
    desk.done(&[
        "bundle", "sign", "--data", "data", "--name", "newer", "--out", "b.json",
    ])
    .await;
    desk.done(&activate("alice")).await;
    fs::copy(desk.path("old.json"), desk.path("b.json")).unwrap();
    let told = desk.refused(&activate("alice")).await;
    assert!(told.contains("give the content a version above"), "{told}");
    assert_eq!(
        in_force(&store, "web").await.0.name.as_deref(),
        Some("newer")
    );

    // What people put in force is not undone by a restart.
    drop(store);
    service.stop().await;
    assert!(
        desk.refused(&activate("alice"))
            .await
            .contains("no collector runs")
    );
    let service = desk.start().await;
    assert_eq!(
        in_force(&service.app.store, "web").await.0.name.as_deref(),
        Some("newer")
    );
    service.stop().await;
}
