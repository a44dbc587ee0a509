//! Every command line in the README names subcommands and options that the programs have.

use std::collections::BTreeMap;
use std::process::Command;

use acceptance::process::succeeded;
use acceptance::program;

const README: &str = include_str!("../../README.md");
const PROGRAMS: [&str; 3] = ["assay-agent", "assay-collector", "assay-verify"];

/// The command lines of our programs, from fenced blocks and from code in running text, as words.
fn command_lines() -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for (number, part) in README.split("```").enumerate() {
        match part.strip_prefix("sh\n") {
            Some(block) if number % 2 == 1 => {
                lines.extend(block.replace("\\\n", " ").lines().map(str::to_owned))
            }
            _ => lines.extend(
                part.split('`')
                    .skip(1)
                    .step_by(2)
                    .map(|code| code.replace('\n', " ")),
            ),
        }
    }
    let commands = lines.iter().flat_map(|line| {
        let line = line.split(" #").next().unwrap_or_default();
        line.split(['|', '>', ';'])
            .flat_map(|part| part.split("&&"))
    });
    commands
        .filter_map(|command| {
            let mut words = command.split_whitespace();
            let name = words.next()?.trim_start_matches("target/release/");
            let ours = PROGRAMS.contains(&name);
            ours.then(|| {
                std::iter::once(name)
                    .chain(words)
                    .map(str::to_owned)
                    .collect()
            })
        })
        .collect()
}

fn help(words: &[String]) -> String {
    let (name, subcommands) = words.split_first().unwrap();
    let output = Command::new(program(name))
        .args(subcommands)
        .arg("--help")
        .output()
        .unwrap();
    succeeded(&output)
}

/// Whether the help has the word at the start of a line, as subcommands and options stand there.
fn lists(help: &str, word: &str) -> bool {
    help.lines().any(|line| {
        let mut words = line
            .split([' ', ',', '=', '<'])
            .filter(|word| !word.is_empty());
        line.starts_with("  ") && words.by_ref().take(2).any(|found| found == word)
    })
}

#[test]
fn every_subcommand_and_option_in_the_readme_exists() {
    let lines = command_lines();
    let mut told = BTreeMap::new();
    for words in &lines {
        let mut length = 1;
        while length < words.len()
            && lists(&help(&words[..length]), &words[length])
            && !words[length].starts_with('-')
        {
            length += 1;
        }
        let help = help(&words[..length]);
        assert!(
            !help.contains("\nCommands:") || words.len() == 1,
            "README: `{}`: {} is no subcommand",
            words.join(" "),
            words.get(length).map_or("", String::as_str)
        );
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(
                lists(&help, option),
                "README: `{}`: no option {option}:\n{help}",
                words.join(" ")
            );
        }
        told.insert(words[..length].join(" "), help);
    }
    for name in [
        "assay-agent check",
        "assay-agent explain",
        "assay-agent enrol",
        "assay-agent run",
        "assay-collector quickstart",
        "assay-collector serve",
        "assay-collector token create",
        "assay-collector user create",
        "assay-collector export round",
        "assay-collector backup",
        "assay-verify log",
        "assay-verify round",
    ] {
        assert!(
            told.contains_key(name),
            "the README tells nothing of {name}: {:?}",
            told.keys()
        );
    }
}

#[test]
fn options_named_alone_are_those_of_the_quickstart() {
    let quickstart = help(&["assay-collector".to_owned(), "quickstart".to_owned()]);
    let alone = README
        .split("```")
        .step_by(2)
        .flat_map(|text| text.split('`').skip(1).step_by(2));
    let options: Vec<&str> = alone
        .filter(|code| code.starts_with("--"))
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("--"))
        .collect();
    assert!(options.contains(&"--exit-after-first-round"), "{options:?}");
    for option in options {
        assert!(
            lists(&quickstart, option),
            "README: {option}:\n{quickstart}"
        );
    }
}
