//! Checks judge facts: the rules' order, the four outcomes, what is refused when a bundle is loaded.

#![cfg(test)]

use evidence::bundle::Bundle;
use evidence::check::CheckFile;
use evidence::evaluate::Evaluator;
use evidence::fact::{FactSet, Facts};
use evidence::outcome::{Judgement, Outcome, Reason};
use evidence::schema::FactSchemas;
use evidence::time::Timestamp;
use serde_json::{Value, json};

const CHECK: &str = r#"
id = "sshd.root"
title = "SSH root log-on is off"
topic = "SSH daemon"
severity = "high"
cadence = "5 * * * *"
profile = "all"
probes = ["sshd"]
expected = "PermitRootLogin is one of {allowed}"
observed = 'facts.sshd.contexts.map(c, c.permit_root_login)'
reads = "r"
decides = "d"
shows = "s"
does_not_show = "n"
remediation = "m"

[controls."27001:2022"]
primary = ["A.8.2"]

[params]
allowed = ["no"]
max_age = "48h"

[[rules]]
if = '!facts.sshd.installed'
then = "not_applicable"
reason = "absent"

[[rules]]
if = 'facts.sshd.contexts.all(c, c.permit_root_login in params.allowed) && now - timestamp(facts.sshd.loaded) < duration(params.max_age)'
then = "pass"

[else]
then = "fail"
reason = "weaker_than_policy"
"#;

fn schemas() -> FactSchemas {
    FactSchemas::from_json(&json!({"sshd": {
        "type": "object",
        "required": ["installed", "contexts", "loaded"],
        "properties": {
            "installed": {"type": "boolean"},
            "loaded": {"type": "string", "format": "date-time"},
            "port": {"type": "integer"},
            "contexts": {"type": "array", "items": {"type": "object", "required": ["permit_root_login"], "properties": {
                "permit_root_login": {"type": "string", "enum": ["yes", "no", "without-password", "forced-commands-only"]}}}},
            "options": {"type": "object", "additionalProperties": {"type": "string"}},
        }}}))
    .unwrap()
}

fn bundle(text: &str) -> Result<Bundle, String> {
    let file = CheckFile::parse("sshd.root.toml", text).map_err(|error| error.to_string())?;
    Bundle::from_files(1, "test", &[file], &schemas()).map_err(|error| error.to_string())
}

fn facts(value: Value) -> FactSet {
    let Value::Object(members) = value else {
        panic!("facts are an object")
    };
    FactSet::from([("sshd".parse().unwrap(), Facts::new(members))])
}

fn judge(text: &str, found: Value) -> Judgement {
    let bundle = bundle(text).unwrap();
    let now: Timestamp = "2026-11-24T07:00:00.000Z".parse().unwrap();
    let evaluator = Evaluator::new(&bundle);
    let (ids, facts) = (|| bundle.checks.keys(), facts(found));
    let judged = evaluator.judge(ids(), &facts, now).unwrap();
    let mut shown = evaluator.observe(ids(), &facts, now).unwrap();
    let both = judged
        .iter()
        .map(|(id, judgement)| (id.clone(), (*judgement, shown.remove(id).unwrap())));
    assert_eq!(
        evaluator.report(ids(), &facts, now).unwrap(),
        both.collect()
    );
    *judged.values().next().unwrap()
}

fn host(root: &str) -> Value {
    json!({"installed": true, "loaded": "2026-11-23T07:00:00.000Z", "contexts": [{"permit_root_login": "no"}, {"permit_root_login": root}]})
}

#[test]
fn rules_decide_in_order() {
    assert_eq!(judge(CHECK, host("no")), Judgement::PASS);
    assert_eq!(
        judge(CHECK, host("yes")),
        Judgement::because(Outcome::Fail, Reason::WeakerThanPolicy)
    );
    let mut absent = host("yes");
    absent["installed"] = json!(false);
    assert_eq!(
        judge(CHECK, absent),
        Judgement::because(Outcome::NotApplicable, Reason::Absent)
    );
    let mut old = host("no");
    old["loaded"] = json!("2026-11-01T07:00:00.000Z");
    assert_eq!(
        judge(CHECK, old),
        Judgement::because(Outcome::Fail, Reason::WeakerThanPolicy)
    );
}

#[test]
fn what_cannot_be_judged_is_an_error() {
    assert_eq!(
        judge(
            CHECK,
            json!({"error": "permission_denied", "detail": "run as root"})
        ),
        Judgement::error(Reason::PermissionDenied)
    );
    assert_eq!(
        judge(CHECK, json!({"error": "made_up"})),
        Judgement::error(Reason::Unparsable)
    );
    assert_eq!(
        judge(CHECK, json!({"installed": true})),
        Judgement::error(Reason::Evaluation),
        "a missing fact"
    );
    let bundle = bundle(CHECK).unwrap();
    let none = Evaluator::new(&bundle)
        .judge(
            bundle.checks.keys(),
            &FactSet::new(),
            Timestamp::from_unix_ms(0),
        )
        .unwrap();
    assert_eq!(
        none.values().next(),
        Some(&Judgement::error(Reason::Missing)),
        "a probe without facts"
    );
}

#[test]
fn what_was_found_is_shown_beside_what_is_expected() {
    let bundle = bundle(CHECK).unwrap();
    let evaluator = Evaluator::new(&bundle);
    let shown = evaluator
        .observe(
            bundle.checks.keys(),
            &facts(host("yes")),
            Timestamp::from_unix_ms(0),
        )
        .unwrap();
    assert_eq!(shown.values().next(), Some(&json!(["no", "yes"])));
    assert_eq!(
        bundle.checks.values().next().unwrap().expected_text(),
        "PermitRootLogin is one of no"
    );
}

/// Each replacement is a typo that CEL alone would let pass, fail or break on every host.
#[test]
fn typos_are_refused_with_file_line_check_and_fact() {
    let cases = [
        (
            "facts.sshd.installed",
            "facts.sshd.instaled",
            "facts.sshd.instaled",
        ),
        (
            "facts.sshd.contexts.all(c, c.permit_root_login in params.allowed)",
            "facts.sshd.contexts.all(c, c.permitrootlogin in params.allowed)",
            "c.permitrootlogin",
        ),
        (
            "facts.sshd.contexts.all(c, c.permit_root_login in params.allowed)",
            "facts.sshd.contexts.all(c, c.permit_root_login == \"prohibit-password\")",
            "never prohibit-password",
        ),
        (
            "facts.sshd.contexts.all(c, c.permit_root_login in params.allowed)",
            "facts.sshd.contexts.all(c, c.permit_root_login in [\"no\", \"nope\"])",
            "never nope",
        ),
        ("params.allowed)", "params.alowed)", "params.alowed"),
        (
            "now - timestamp(facts.sshd.loaded)",
            "now - facts.sshd.loaded",
            "between timestamp and string",
        ),
        ("!facts.sshd.installed", "facts.sshd.port", "not a bool"),
        (
            "!facts.sshd.installed",
            "facts.sshd.port == \"22\"",
            "can never equal",
        ),
        (
            "!facts.sshd.installed",
            "facts.sshd.contexts.al(c, true)",
            "c is not known",
        ),
        (
            "!facts.sshd.installed",
            "facts.disk.installed",
            "facts.disk",
        ),
        (
            "!facts.sshd.installed",
            "facts.sshd.options.map(k, k).size() == 0",
            "no order",
        ),
        (
            "!facts.sshd.installed",
            "facts.sshd.installed(",
            "not a CEL expression",
        ),
        (
            "!facts.sshd.installed",
            "[1].all(a, [1].all(b, [1].all(c, a == b && b == c)))",
            "nest 3 deep",
        ),
    ];
    for (good, typo, complaint) in cases {
        let text = CHECK.replacen(good, typo, 1);
        assert_ne!(text, CHECK, "{good}");
        let error = bundle(&text).unwrap_err();
        assert!(error.contains(complaint), "{typo}: {error}");
        assert!(
            error.starts_with("sshd.root.toml:") && error.contains("check sshd.root"),
            "{error}"
        );
        let line: usize = error.split(':').nth(1).unwrap().parse().unwrap();
        let expected = text.lines().position(|line| line.contains(typo)).unwrap() + 1;
        assert_eq!(line, expected, "{error}");
    }
}

#[test]
fn a_check_file_cannot_be_half_filled() {
    for (good, bad) in [
        ("severity = \"high\"", ""),
        ("severity = \"high\"", "severity = \"hihg\""),
        ("severity = \"high\"", "severity = \"high\"\nseverty = 1"),
        ("reason = \"absent\"", "reason = \"absnt\""),
        ("reason = \"absent\"", ""),
        ("then = \"pass\"", "then = \"pass\"\nreason = \"ok\""),
        ("id = \"sshd.root\"", "id = \"sshd\""),
        ("allowed = [\"no\"]", "allowed = [1.5]"),
        ("probes = [\"sshd\"]", "probes = []"),
        ("primary = [\"A.8.2\"]", "primary = [\"\"]"),
    ] {
        assert!(bundle(&CHECK.replacen(good, bad, 1)).is_err(), "{bad}");
    }
}

#[test]
fn a_bundle_survives_its_bytes_and_only_its_bytes() {
    let made = bundle(CHECK).unwrap();
    let bytes = made.to_bytes().unwrap();
    assert_eq!(Bundle::parse(&bytes).unwrap(), made);
    made.check_types(&schemas()).unwrap();
    let mut spaced = bytes.clone();
    spaced.push(b'\n');
    assert!(Bundle::parse(&spaced).is_err());
    let other = String::from_utf8(bytes).unwrap().replace("cel/1", "cel/2");
    assert!(Bundle::parse(other.as_bytes()).is_err());
}

#[test]
fn the_longest_expression_does_not_overflow() {
    let long = format!("{}1 > 0", "1+".repeat(1015));
    let text = CHECK.replacen("!facts.sshd.installed", &long, 1);
    let result = bundle(&text);
    assert!(
        result.is_ok() || result.unwrap_err().contains("nodes"),
        "refused or compiled, never aborted"
    );
}
