use super::*;

#[test]
fn both_languages_are_read() {
    let text = "# c\n$ModLoad imuxsock # x\nmodule(load=\"imklog\") /* y */\n*.* @@h:1;t\n& stop\nif $programname == 'then x' then {\n  /var/log/x\n  stop\n} else action(type=\"omfwd\" a=[\"p\", \"q\"])\n:msg, contains, \"a, b\" ~\nruleset(name=\"r\") { call q }\nset $.x = \"a;b\";\n";
    let found = parse(text).unwrap();
    let kinds: Vec<&Kind> = found.iter().map(|statement| &statement.kind).collect();
    assert_eq!(
        *kinds[0],
        Kind::Directive("modload".into(), "imuxsock".into())
    );
    let Kind::Rule(selector, actions) = kinds[2] else {
        panic!("{kinds:?}")
    };
    assert_eq!((selector.as_str(), actions.len()), ("*.*", 2));
    assert_eq!(actions[1].kind, Kind::Stop);
    let Kind::If(condition, then, otherwise) = kinds[3] else {
        panic!("{kinds:?}")
    };
    assert_eq!(
        (condition.as_str(), then.len()),
        ("$programname == 'then x'", 2)
    );
    let Kind::Object(name, parameters, _) = &otherwise[0].kind else {
        panic!()
    };
    assert_eq!((name.as_str(), parameters["a"].as_str()), ("action", "p,q"));
    assert_eq!(
        *kinds[4],
        Kind::Rule(
            ":msg, contains,\"a, b\"".into(),
            vec![Statement {
                line: 10,
                kind: Kind::Stop
            }]
        )
    );
    assert!(
        matches!(kinds[5], Kind::Object(name, _, inside) if name == "ruleset" && inside.len() == 1)
    );
    assert_eq!(kinds.len(), 6);
}

#[test]
fn a_selector_may_go_on_in_the_next_line() {
    let found = parse("*.=debug;\\\n\tauth,authpriv.none;\\\n\tmail.none\t\t-/var/log/debug\n");
    let [Statement { line: 1, kind }] = found.as_deref().unwrap() else {
        panic!("{found:?}");
    };
    assert!(
        matches!(kind, Kind::Rule(selector, _) if selector == "*.=debug;auth,authpriv.none;mail.none"),
        "{kind:?}"
    );
    assert!(parse("*.=debug;\\").is_err());
}

#[test]
fn what_is_not_understood_is_said_with_its_line() {
    for text in [
        "\n!sshd\n",
        "\nforeach ($.x in $!y) do {}\n",
        "\n*.*\n\n",
        "\nif x then {\n",
        "\n/* x",
        "\naction(type=x)\n",
        "\n}\n",
        "\n& stop\n",
        "\n:msg, contains, x stop\n",
    ] {
        let problem = parse(text).unwrap_err();
        assert!(problem.starts_with("line "), "{text}: {problem}");
    }
    let deep = "if a then {".repeat(5000);
    assert!(parse(&deep).is_err());
    assert!(parse(&"if a then ".repeat(5000)).is_err());
}

#[test]
fn no_bytes_make_it_panic() {
    let text =
        "*.* @@é:1\nif $a == 'ü' then { stop }\n:msg, contains, \"ß\" ~\naction(type=\"ö\")\n";
    for (at, _) in text.char_indices() {
        let _ = parse(&text[..at]);
        let _ = parse(&text[at..]);
    }
}
