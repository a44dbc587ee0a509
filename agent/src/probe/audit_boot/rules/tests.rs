use evidence::time::Timestamp;

use super::*;
use crate::host::RecordedHost;
use crate::probe::VolatileMemory;

const ROOT: &str = r#"
live = false
[files."/etc/passwd"]
text = "root:x:0:0::/root:/bin/sh\n_chrony:x:104:110::/var/lib/chrony:/bin/false\n"
[files."/etc/audit/rules.d"]
kind = "directory"
"#;

fn loaded(lines: &str) -> Result<RulesAtBoot, Unobservable> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("host.toml");
    std::fs::write(&path, ROOT).unwrap();
    let host = RecordedHost::load(&path).unwrap();
    let mut memory = VolatileMemory::default();
    let mut observation = Observation::new(&host, &mut memory, "audit", Timestamp::from_unix_ms(0));
    let mut loader = Loader::default();
    loader.load(&mut observation, &merged::split(lines))?;
    Ok(loader.rules)
}

#[test]
fn rules_are_written_as_the_kernel_lists_them() {
    let rules = loaded("-w /etc/passwd -p wa -k identity\n-w /etc/audit/ -p wa\n-a always,exit -F arch=x86_64 -S chmod,chown -F auid>=1000 -F auid!=unset -k perm\n-A never,exit -F uid=_chrony\n").unwrap();
    assert_eq!(
        rules.lines,
        [
            "-a never,exit -F uid=104",
            "-a always,exit -S all -F path=/etc/passwd -F perm=wa -F key=identity",
            "-a always,exit -S all -F dir=/etc/audit -F perm=wa",
            "-a always,exit -F arch=b64 -S chmod,chown -F auid>=1000 -F auid!=unset -F key=perm",
        ]
    );
    assert_eq!((rules.stops_at, rules.enable), (None, None));
}

#[test]
fn loading_ends_at_the_first_line_that_is_refused() {
    for refused in [
        "-w /no/such/file -p wa",
        "-a always,exit -F dir=/srv/none -F perm=wa",
        "-a always,exit -S chmod -F arch=b64",
        "-a always,exit -F arch=b64 -S chmod -F auid=nobody-here",
        "-w /etc/passwd -p wa",
        "-x y",
        "-e 3",
        "a always,exit",
    ] {
        let rules = loaded(&format!(
            "-w /etc/passwd -p wa\n{refused}\n-w /etc/group -p wa\n"
        ))
        .unwrap();
        assert_eq!(rules.lines.len(), 1, "{refused}");
        assert!(rules.stops_at.is_some(), "{refused}");
        let rules = loaded(&format!(
            "-i\n-w /etc/passwd -p wa\n{refused}\n-w /etc/group -p wa\n"
        ))
        .unwrap();
        assert_eq!(rules.lines.len(), 2, "{refused}");
    }
}

#[test]
fn what_switches_and_deletes_takes_effect_in_order() {
    assert_eq!(loaded("-w /etc/passwd -p wa\n-D\n").unwrap().lines, [""; 0]);
    assert_eq!(loaded("-e 1\n-e 0\n").unwrap().enable, Some(0));
    let locked = loaded("-e 2\n-w /etc/passwd -p wa\n").unwrap();
    assert_eq!((locked.enable, locked.lines.len()), (Some(2), 0));
    assert!(locked.stops_at.is_some());
    let without = loaded("-a always,exit -S chmod -F auid>=1000\n").unwrap();
    assert!(without.lines[0].contains("chmod(without-arch)"));
}

#[test]
fn what_is_not_followed_is_no_rule_set() {
    for line in [
        "-W /etc/passwd",
        "-d always,exit -S all",
        "-D -k x",
        "-a always,exit -F arch=b64 -S 90",
        "-a never,exit -F arch=b32 -S 5",
        "-w \"/etc/a b\" -p wa",
    ] {
        assert!(loaded(line).is_err(), "{line}");
    }
}
