//! What a host would learn: proposals for parameters, typed like everything else, and never in force by themselves.

#![cfg(test)]

use evidence::bundle::Bundle;
use evidence::check::CheckFile;
use evidence::evaluate::Evaluator;
use evidence::fact::{FactSet, Facts};
use evidence::learn::{Learnt, NotLearnt};
use evidence::outcome::{Judgement, Outcome, Reason};
use evidence::schema::FactSchemas;
use evidence::time::Timestamp;
use serde_json::{Value, json};

const CHECK: &str = r#"
id = "account.members"
title = "Members are approved"
topic = "Accounts and privileges"
severity = "high"
cadence = "5 * * * *"
profile = "all"
probes = ["group"]
expected = "{approved}"
observed = 'facts.group.memberships.map(m, m.name)'
reads = "r"
decides = "d"
shows = "s"
does_not_show = "n"
remediation = "m"
controls = {}

[params]
groups = ["sudo", "adm"]
approved = []
most = 3
baseline = false

[learns]
approved = 'facts.group.memberships.map(m, m.groups.filter(g, g in params.groups).map(g, g + ":" + m.name))'
most = 'facts.group.memberships.size()'

[[rules]]
if = '!facts.group.installed'
then = "not_applicable"
reason = "absent"

[[rules]]
if = '!params.baseline && params.approved.size() == 0'
then = "error"
reason = "no_baseline"

[[rules]]
if = 'facts.group.memberships.all(m, m.groups.all(g, !(g in params.groups) || (g + ":" + m.name) in params.approved)) && facts.group.memberships.size() <= params.most'
then = "pass"

[else]
then = "fail"
reason = "extra"
"#;

fn schemas() -> FactSchemas {
    FactSchemas::from_json(&json!({"group": {
        "type": "object", "required": ["installed", "memberships"], "properties": {
            "installed": {"type": "boolean"},
            "memberships": {"type": "array", "items": {"type": "object", "required": ["name", "groups"], "properties": {
                "name": {"type": "string"}, "groups": {"type": "array", "items": {"type": "string"}}}}}}}}))
    .unwrap()
}

fn bundle(text: &str) -> Result<Bundle, String> {
    let file = CheckFile::parse("account.members.toml", text).map_err(|error| error.to_string())?;
    Bundle::from_files(1, "test", &[file], &schemas()).map_err(|error| error.to_string())
}

fn learn(text: &str, group: Value) -> Result<Learnt, NotLearnt> {
    let bundle = bundle(text).unwrap();
    let Value::Object(members) = group else {
        panic!("facts are an object")
    };
    let facts = FactSet::from([("group".parse().unwrap(), Facts::new(members))]);
    Evaluator::new(&bundle)
        .learn(bundle.checks.keys(), &facts, Timestamp::from_unix_ms(0))
        .unwrap()
        .into_values()
        .next()
        .unwrap()
}

fn members() -> Value {
    json!({"installed": true, "memberships": [
        {"name": "zoe", "groups": ["sudo", "adm", "users"]},
        {"name": "ann", "groups": ["sudo"]},
        {"name": "ann", "groups": ["sudo"]}]})
}

#[test]
fn a_list_is_learnt_flat_sorted_and_once() {
    let learnt = learn(CHECK, members()).unwrap();
    assert_eq!(
        json!(learnt.params),
        json!({"approved": ["adm:zoe", "sudo:ann", "sudo:zoe"], "baseline": true, "most": 3})
    );
    assert_eq!(learnt.current, Judgement::error(Reason::NoBaseline));
    assert_eq!(learnt.judgement, Judgement::PASS);
}

#[test]
fn learning_changes_no_outcome_by_itself() {
    let bundle = bundle(CHECK).unwrap();
    let evaluator = Evaluator::new(&bundle);
    let Value::Object(group) = members() else {
        unreachable!()
    };
    let facts = FactSet::from([("group".parse().unwrap(), Facts::new(group))]);
    let now = Timestamp::from_unix_ms(0);
    evaluator.learn(bundle.checks.keys(), &facts, now).unwrap();
    let judged = evaluator.judge(bundle.checks.keys(), &facts, now).unwrap();
    assert_eq!(
        judged.into_values().next(),
        Some(Judgement::error(Reason::NoBaseline))
    );
}

#[test]
fn what_still_fails_with_the_list_is_said() {
    let strict = CHECK.replace("most = 'facts.group.memberships.size()'\n", "");
    let mut many = members();
    many["memberships"] =
        json!([1, 2, 3, 4].map(|n| json!({"name": format!("u{n}"), "groups": ["adm"]})));
    let learnt = learn(&strict, many).unwrap();
    assert_eq!(
        learnt.judgement,
        Judgement::because(Outcome::Fail, Reason::Extra)
    );
}

#[test]
fn nothing_is_learnt_of_what_was_not_seen_or_does_not_apply() {
    assert_eq!(
        learn(CHECK, json!({"error": "permission_denied"})),
        Err(NotLearnt::Unobservable(Reason::PermissionDenied))
    );
    assert_eq!(
        learn(CHECK, json!({"installed": false, "memberships": []})),
        Err(NotLearnt::NotApplicable(Reason::Absent))
    );
    let broken = learn(
        CHECK,
        json!({"installed": true, "memberships": [{"name": "ann"}]}),
    );
    assert!(
        matches!(&broken, Err(NotLearnt::Evaluation { param, .. }) if param == "approved"),
        "{broken:?}"
    );
}

#[test]
fn a_learns_that_cannot_be_a_parameter_is_refused_at_its_line() {
    let good = "most = 'facts.group.memberships.size()'";
    for (bad, complaint) in [
        (
            "most = 'facts.group.membership.size()'",
            "no fact facts.group.membership",
        ),
        (
            "most = 'facts.group.memberships.map(m, m.name)'",
            "cannot stand for",
        ),
        (
            "most = 'string(facts.group.memberships.size())'",
            "cannot stand for",
        ),
        (
            "most = 'facts.group.memberships.size('",
            "not a CEL expression",
        ),
        (
            "more = 'facts.group.memberships.size()'",
            "no parameter of this name",
        ),
        ("baseline = 'facts.group.installed'", "said by people"),
    ] {
        let text = CHECK.replace(good, bad);
        let line = text.lines().position(|line| line == bad).unwrap() + 1;
        let error = bundle(&text).unwrap_err();
        assert!(error.contains(complaint), "{bad}: {error}");
        assert!(
            error.starts_with(&format!("account.members.toml:{line}: ")),
            "{bad}: {error}"
        );
    }
}

#[test]
fn a_check_that_learns_says_whether_a_list_was_approved() {
    let text = CHECK
        .replace("baseline = false\n", "")
        .replace("!params.baseline && ", "");
    let error = bundle(&text).unwrap_err();
    assert!(error.contains("needs the parameter `baseline"), "{error}");
}

/// A bundle is refused for its `learns` also where it comes without the files it was made of.
#[test]
fn a_signed_bundle_is_checked_too() {
    let mut made = bundle(CHECK).unwrap();
    for check in made.checks.values_mut() {
        check
            .learns
            .insert("most".to_owned(), "facts.group.nothing".to_owned());
    }
    let read = Bundle::parse(&made.to_bytes().unwrap()).unwrap();
    let error = read.check_types(&schemas()).unwrap_err().to_string();
    assert!(error.contains("account.members, learns.most"), "{error}");
}

/// Checks that learn nothing have the bytes they always had.
#[test]
fn without_learns_there_is_no_member() {
    let start = CHECK.find("[learns]").unwrap();
    let end = CHECK.find("[[rules]]").unwrap();
    let text = format!("{}{}", &CHECK[..start], &CHECK[end..]);
    let bytes = bundle(&text).unwrap().to_bytes().unwrap();
    assert!(!String::from_utf8(bytes).unwrap().contains("learns"));
    let bytes = bundle(CHECK).unwrap().to_bytes().unwrap();
    assert!(
        String::from_utf8(bytes.clone())
            .unwrap()
            .contains("\"learns\":{\"approved\":")
    );
    assert!(Bundle::parse(&bytes).is_ok());
}
