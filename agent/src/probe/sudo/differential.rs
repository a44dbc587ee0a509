//! Our reading of sudoers against that of cvtsudoers(1), which comes with sudo.

use std::process::Command;

use evidence::time::Timestamp;
use serde_json::Value;

use super::policy;
use crate::host::FileSystemHost;
use crate::probe::{Observation, VolatileMemory};

const SAMPLES: [&str; 22] = [
    "root\tALL=(ALL:ALL) ALL\n%sudo\tALL=(ALL:ALL) ALL\n",
    "#1000 ALL=(ALL) NOPASSWD: ALL\n%#27 ALL=ALL\n# 1001 ALL=ALL\n",
    "anna ALL=(root) NOPASSWD: /bin/a, /bin/b, PASSWD: /bin/c x y, /bin/d\n",
    "anna ALL=/bin/a : db1,db2=(ben) NOPASSWD:/bin/b\n",
    "User_Alias ADMINS = anna, !ben, %ops : X = carl\nADMINS ALL=ALL\nX ALL=ALL\n",
    "Cmnd_Alias SHELLS = /bin/sh, /bin/bash\nanna ALL=ALL, !SHELLS\n",
    "Host_Alias WEB = web1, web2\nRunas_Alias DB = postgres, mysql\nanna WEB=(DB) /bin/a\n",
    "anna ALL = ( ALL : ALL ) NOEXEC: NOPASSWD : ALL # why\n",
    "anna ALL=(:adm) /bin/a\n",
    "anna\\ b,\"carl d\" ALL=/bin/a\n",
    "anna ALL=/bin/a \\\n  x, \\\n  /bin/b\n",
    "anna ALL=/bin/a x\\,y\\:z\\=q, /bin/b \"\"\n",
    "anna ALL=sudoedit /etc/motd\n",
    "anna ALL=SETENV:NOPASSWD: NOEXEC: /bin/a \"x y\"  z, /bin/b\n",
    "anna ALL=sha224:d7f2b2f4b4f5b3f1d0f8a0e5a5d7e9a1c3b5d7f9a1c3b5d7f9a1c3b5 /bin/a\n",
    "ALL,!root ALL=(ALL,!root) NOPASSWD: /bin/a\n",
    "+net +hosts=/bin/a\n",
    "anna 192.0.2.0/24,2001:db8::1=/bin/a\n",
    "Defaults use_pty\nDefaults:anna !authenticate, timestamp_timeout=-1\nDefaults!/bin/a,/bin/b !syslog\nDefaults@web1 logfile=\"/var/log/a b\"\nanna ALL=ALL\n",
    "anna ALL=/usr/bin/, /usr/bin/*, /bin/cat /var/log/*\n",
    "anna ALL=!/bin/su, !!/bin/ls\n",
    "%:domain\\ users ALL=ALL\n",
];

/// Lines that sudo refuses, one a sample.
const REFUSED: [&str; 9] = [
    "anna ALL=\n",
    "anna ALL\n",
    "anna ALL=sh\n",
    "anna ALL=(root ALL\n",
    "User_Alias admins = anna\n",
    "anna ALL=/bin/a /bin/b = c\n",
    "Defaults\n x\n",
    "anna, ALL=ALL\n",
    "anna ALL=/bin/a \"x,y\"\n",
];

fn ours(text: &str) -> policy::Policy {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sudoers");
    std::fs::write(&path, text).unwrap();
    let host = FileSystemHost::live().unwrap();
    let mut memory = VolatileMemory::default();
    let mut observation = Observation::new(&host, &mut memory, "sudo", Timestamp::from_unix_ms(0));
    policy::load(&mut observation, &path.to_string_lossy(), "web1").unwrap()
}

/// What cvtsudoers makes of it, aliases put in; `None` if it refuses.
fn theirs(text: &str) -> Option<Value> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sudoers");
    std::fs::write(&path, text).unwrap();
    let output = Command::new("/usr/bin/cvtsudoers")
        .args(["-f", "json", "-e", "-c", ""])
        .arg(&path)
        .output()
        .expect("install sudo: its cvtsudoers is what this test compares with");
    if !output.status.success() {
        return None;
    }
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn names(list: &Value) -> Vec<String> {
    let name = |item: &Value| {
        let member = item.as_object().unwrap();
        let sign = if member.get("negated") == Some(&Value::Bool(true)) {
            "!"
        } else {
            ""
        };
        let (kind, value) = member
            .iter()
            .find(|(kind, _)| *kind != "negated" && !kind.starts_with("sha"))
            .unwrap();
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let prefix = match kind.as_str() {
            "usergroup" => "%",
            "usergid" => "%#",
            "userid" => "#",
            "nonunixgroup" => "%:",
            "netgroup" => "+",
            _ => "",
        };
        format!("{sign}{prefix}{value}")
    };
    list.as_array()
        .map(|items| items.iter().map(name).collect())
        .unwrap_or_default()
}

/// Flat rules out of their JSON, in our form.
fn flat(json: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for spec in json["User_Specs"].as_array().into_iter().flatten() {
        let users = names(&spec["User_List"]);
        for part in spec["Cmnd_Specs"].as_array().unwrap() {
            let authenticate = part["Options"]
                .as_array()
                .into_iter()
                .flatten()
                .find_map(|option| option.get("authenticate"));
            let run_as = match part.get("runasusers") {
                Some(users) => names(users),
                None if part.get("runasgroups").is_some() => Vec::new(),
                None => vec!["root".to_owned()],
            };
            for command in names(&part["Commands"]) {
                for user in users.iter().filter(|user| !user.starts_with('!')) {
                    found.push(format!(
                        "{user} {:?} {run_as:?} {command} {:?}",
                        names(&spec["Host_List"]),
                        authenticate.and_then(Value::as_bool)
                    ));
                }
            }
        }
    }
    found.sort();
    found
}

#[test]
fn rules_are_those_of_cvtsudoers() {
    for text in SAMPLES {
        let policy = ours(text);
        assert_eq!(policy.problems, Vec::<String>::new(), "{text}");
        let mut found: Vec<String> = policy
            .rules
            .iter()
            .map(|rule| {
                let sign = if rule.negated { "!" } else { "" };
                format!(
                    "{} {:?} {:?} {sign}{} {:?}",
                    rule.subject, rule.hosts, rule.run_as, rule.command, rule.authenticate
                )
            })
            .collect();
        found.sort();
        let json = theirs(text).unwrap_or_else(|| panic!("cvtsudoers refuses {text}"));
        assert_eq!(found, flat(&json), "{text}");
        let settings: usize = json["Defaults"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|line| line["Options"].as_array().unwrap().len())
            .sum();
        assert_eq!(policy.defaults.len(), settings, "{text}");
    }
}

#[test]
fn lines_are_refused_where_sudo_refuses_them() {
    for text in REFUSED {
        assert!(theirs(text).is_none(), "cvtsudoers accepts {text}");
        assert!(!ours(text).problems.is_empty(), "{text}");
    }
    // sudo leaves the faulty line out and applies the rest.
    assert_eq!(ours("anna ALL=\nben ALL=ALL\n").rules.len(), 1);
}

#[test]
fn the_sudoers_of_this_machine_is_understood() {
    let text = std::fs::read_to_string("/etc/sudoers").expect("install sudo, run as root");
    let without_directory: String = text
        .lines()
        .filter(|line| !line.contains("includedir"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(ours(&without_directory).problems, Vec::<String>::new());
}
