//! The file of approved parameters: what it may set, what is refused at its line, and that a proposal reads back as itself.

#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use evidence::approved::{Approved, review};
use evidence::baseline;
use evidence::bundle::Bundle;
use evidence::evaluate::Evaluator;
use evidence::fact::{FactSet, Facts};
use evidence::id::CheckId;
use evidence::learn::{Learnt, NotLearnt};
use evidence::outcome::{Judgement, Reason};
use evidence::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

fn apply(text: &str) -> Result<Bundle, String> {
    let mut bundle = baseline::bundle().unwrap();
    Approved::parse("approved.toml", text)
        .and_then(|approved| approved.apply(&mut bundle, &baseline::schemas().unwrap()))
        .map_err(|error| error.to_string())?;
    Ok(bundle)
}

fn id(text: &str) -> CheckId {
    text.parse().unwrap()
}

#[test]
fn parameters_are_set_and_nothing_else() {
    let text = "[\"account.local.approved\"]\napproved = [\"alice\"]\nbaseline = true\n";
    let mut set = apply(text).unwrap();
    let check = set.checks.get_mut(&id("account.local.approved")).unwrap();
    assert_eq!(check.params["approved"], json!(["alice"]));
    assert_eq!(check.params["baseline"], json!(true));
    check.params.insert("approved".to_owned(), json!([]));
    check.params.insert("baseline".to_owned(), json!(false));
    assert_eq!(set, baseline::bundle().unwrap());
}

#[test]
fn what_does_not_fit_is_refused_at_its_line() {
    for (lines, wrong, complaint) in [
        ("[\"account.local.aproved\"]", 1, "no check is called"),
        ("[account.local.approved]\nbaseline = true", 1, "quotes"),
        (
            "[\"account.local.approved\"]\naproved = []",
            2,
            "no parameter \"aproved\"",
        ),
        (
            "[\"account.local.approved\"]\n\napproved = \"alice\"",
            3,
            "expected list",
        ),
        (
            "[\"account.local.approved\"]\nbaseline = \"yes\"",
            2,
            "expected bool",
        ),
        (
            "[\"account.local.approved\"]\nbaseline = 1",
            2,
            "expected bool",
        ),
        (
            "[\"account.local.approved\"]\napproved = [\"a\", 7]",
            2,
            "7 is no",
        ),
        (
            "[\"account.local.approved\"]\napproved = [7]",
            2,
            "can never be in a list of int",
        ),
        (
            "[\"ssh.keys.authorized\"]\nmin_rsa_bits = 2048.5",
            2,
            "fraction",
        ),
        (
            "[\"ssh.keys.authorized\"]\nmin_rsa_bits = 2026-11-24",
            2,
            "is a date",
        ),
        (
            "[\"ssh.keys.authorized\"]\nkinds = [1]",
            2,
            "1 is no string",
        ),
        ("\n[\"sshd.root\"]\nallowed = [", 3, ""),
        ("baseline = true", 1, "in quotes"),
    ] {
        let error = apply(lines).unwrap_err();
        assert!(
            error.starts_with(&format!("approved.toml:{wrong}: ")) && error.contains(complaint),
            "{lines}: {error}"
        );
    }
}

fn accounts(names: &[&str]) -> FactSet {
    let accounts: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "kind": "person", "login_shell": true}))
        .collect();
    let Value::Object(passwd) = json!({"accounts": accounts}) else {
        unreachable!()
    };
    let Value::Object(shadow) = json!({"accounts": {}}) else {
        unreachable!()
    };
    FactSet::from([
        ("passwd".parse().unwrap(), Facts::new(passwd)),
        ("shadow".parse().unwrap(), Facts::new(shadow)),
    ])
}

/// Names that a hostile host could choose come back as they were, and none of them adds a line of its own.
#[test]
fn a_proposal_reads_back_as_what_was_found() {
    let hostile = [
        "bob",
        "alice",
        "\"]\nbaseline = false #",
        "a\\",
        "\u{202e}toor",
        "\u{7f}\u{1b}[2J",
        "ü",
        "",
    ];
    let facts = accounts(&hostile);
    let bundle = baseline::bundle().unwrap();
    let evaluator = Evaluator::new(&bundle);
    let check = id("account.local.approved");
    let now = Timestamp::from_unix_ms(0);
    let learnt = evaluator.learn([&check], &facts, now).unwrap();
    let text = review(&["host \n[x]".to_owned()], &bundle, &learnt);
    assert!(text.starts_with("# host \\u000A[x]\n"), "{text}");
    assert!(!text.contains(['\u{202e}', '\u{1b}', '\u{7f}']), "{text}");
    assert!(
        text.contains("# Now: error (no_baseline). With these values: pass."),
        "{text}"
    );

    let approved = apply(&text).unwrap();
    let mut sorted = hostile;
    sorted.sort_unstable();
    assert_eq!(approved.checks[&check].params["approved"], json!(sorted));
    let judge = |bundle: &Bundle, facts: &FactSet| {
        Evaluator::new(bundle).judge([&check], facts, now).unwrap()[&check]
    };
    assert_eq!(judge(&bundle, &facts), Judgement::error(Reason::NoBaseline));
    assert_eq!(judge(&approved, &facts), Judgement::PASS);
    assert_eq!(
        judge(&approved, &accounts(&["alice", "mallory"])).reason,
        Some(Reason::Extra)
    );
}

#[test]
fn what_is_new_beside_an_approved_list_is_marked_and_what_is_missing_is_said() {
    let bundle = baseline::bundle().unwrap();
    let learnt = BTreeMap::from([
        (
            id("sudo.scope"),
            Ok(Learnt {
                params: BTreeMap::from([("approved".to_owned(), json!(["deploy", "root"]))]),
                current: Judgement::PASS,
                judgement: Judgement::PASS,
            }),
        ),
        (
            id("ssh.keys.authorized"),
            Err(NotLearnt::Unobservable(Reason::PermissionDenied)),
        ),
    ]);
    let text = review(&[], &bundle, &learnt);
    assert!(
        text.contains("\n  \"deploy\",  # not approved before\n  \"root\",\n]"),
        "{text}"
    );
    assert!(
        text.contains(
            "#   ssh.keys.authorized: what it reads could not be established: permission_denied"
        ),
        "{text}"
    );
    apply(&text).unwrap();
}

proptest! {
    /// No text makes the reader panic, whatever it is told.
    #[test]
    fn any_text_is_refused_or_read(text in "\\PC{0,200}") {
        let _ = Approved::parse("a.toml", &text);
    }

    /// Any name survives the file.
    #[test]
    fn any_value_survives(name in "\\PC{0,40}|[\\x00-\\x7f]{0,20}") {
        static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| baseline::bundle().unwrap());
        let learnt = Learnt {
            params: BTreeMap::from([("approved".to_owned(), json!([name]))]),
            current: Judgement::PASS,
            judgement: Judgement::PASS,
        };
        let text = review(std::slice::from_ref(&name), &BUNDLE, &BTreeMap::from([(id("account.local.approved"), Ok(learnt))]));
        let read: toml::Table = toml::from_str(&text).unwrap();
        prop_assert_eq!(read["account.local.approved"]["approved"][0].as_str(), Some(name.as_str()));
    }
}
