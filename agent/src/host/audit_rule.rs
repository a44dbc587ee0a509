//! A loaded audit rule (`struct audit_rule_data` of linux/audit.h) in the text form of `auditctl -l`.
//!
//! One difference: `-w` is only written for a watch of a single file, a watch of a directory is `-F dir=`. auditctl lists
//! both as `-w`, which hides that `-F path=` on a directory records nothing beneath it.
//!
//! Layout: flags, action and field count, a mask of 64 words with a bit per system call, 64 words each of field numbers,
//! values and operators, the length of the text buffer, the buffer. Text fields hold their length as value.
//!
//! System calls that audit policies name are written by name for the two families of Linux servers; any other, and any
//! of another architecture, by number.

use super::audit::word;

const MAX_FIELDS: usize = 64;
const MASK: usize = 12;
const FIELDS: usize = MASK + 256;
const VALUES: usize = FIELDS + 256;
const OPERATORS: usize = VALUES + 256;
const BUFFER_LENGTH: usize = OPERATORS + 256;
const BUFFER: usize = BUFFER_LENGTH + 4;

const ARCH: u32 = 11;
const MSGTYPE: u32 = 12;
const WATCH: u32 = 105;
const PERM: u32 = 106;
const DIR: u32 = 107;
const FIELD_COMPARE: u32 = 111;
const FILTER_KEY: u32 = 210;
const EQUAL: u32 = 0x4000_0000;

/// One rule as a line; `None` if a member is outside what the header defines.
pub(super) fn text(rule: &[u8]) -> Option<String> {
    let list = match word(rule, 0)? & 0xf {
        0 => "user",
        1 => "task",
        4 => "exit",
        5 => "exclude",
        6 => "filesystem",
        7 => "io_uring",
        _ => return None,
    };
    let action = match word(rule, 4)? {
        0 => "never",
        2 => "always",
        _ => return None,
    };
    let fields = fields(rule)?;
    if let (Some(watch), "exit", "always") = (watch(rule, &fields)?, list, action) {
        return Some(watch);
    }
    let mut line = format!("-a {action},{list}");
    let arch = fields
        .iter()
        .find(|field| field.number == ARCH)
        .and_then(|field| field.value);
    for field in fields.iter().filter(|field| field.number == ARCH) {
        line.push_str(&format!(" -F {}", field.text));
    }
    if let Some(calls) = system_calls(rule, arch)?
        && matches!(list, "exit" | "io_uring")
    {
        line.push_str(&format!(" -S {calls}"));
    }
    for field in fields.iter().filter(|field| field.number != ARCH) {
        let option = if field.number == FIELD_COMPARE {
            "-C"
        } else {
            "-F"
        };
        line.push_str(&format!(" {option} {}", field.text));
    }
    Some(line)
}

struct Field {
    number: u32,
    operator: u32,
    /// Absent for text.
    value: Option<u32>,
    /// The text of a text field.
    content: String,
    text: String,
}

fn fields(rule: &[u8]) -> Option<Vec<Field>> {
    let count = word(rule, 8)? as usize;
    if count > MAX_FIELDS {
        return None;
    }
    let length = word(rule, BUFFER_LENGTH)? as usize;
    let mut buffer = rule.get(BUFFER..BUFFER.checked_add(length)?)?;
    let mut found = Vec::with_capacity(count);
    for index in 0..count {
        let number = word(rule, FIELDS + index * 4)?;
        let value = word(rule, VALUES + index * 4)?;
        let operator = word(rule, OPERATORS + index * 4)?;
        let is_text = matches!(number, 13..=17 | 19..=23 | WATCH | DIR | 112 | FILTER_KEY);
        let content = if is_text {
            let (text, rest) = buffer.split_at_checked(value as usize)?;
            buffer = rest;
            String::from_utf8_lossy(text).into_owned()
        } else {
            String::new()
        };
        let sign = sign(operator)?;
        let text = match number {
            FIELD_COMPARE => {
                let (left, right) = compared(value)?;
                format!("{left}{sign}{right}")
            }
            _ if is_text => format!("{}{sign}{content}", name(number)?),
            _ => format!("{}{sign}{}", name(number)?, shown(number, value)),
        };
        found.push(Field {
            number,
            operator,
            value: (!is_text).then_some(value),
            content,
            text,
        });
    }
    Some(found)
}

/// `-w path -p perm -k key`, the form of a rule on a file that has nothing else: every system call, no architecture.
fn watch(rule: &[u8], fields: &[Field]) -> Option<Option<String>> {
    let of = |number: u32| fields.iter().find(|field| field.number == number);
    let plain = fields
        .iter()
        .all(|field| matches!(field.number, WATCH | PERM | FILTER_KEY) && field.operator == EQUAL);
    let all = system_calls(rule, None)?.as_deref() == Some("all");
    let (Some(path), Some(perm), true, true) = (of(WATCH), of(PERM), plain, all) else {
        return Some(None);
    };
    let mut line = format!(
        "-w {} -p {}",
        path.content,
        permissions(perm.value.unwrap_or(0))
    );
    for key in fields.iter().filter(|field| field.number == FILTER_KEY) {
        line.push_str(&format!(" -k {}", key.content));
    }
    Some(Some(line))
}

/// `all`, names and numbers separated by commas, or `None` for an empty mask, which is how task and exclude rules come.
fn system_calls(rule: &[u8], arch: Option<u32>) -> Option<Option<String>> {
    let mut words = Vec::with_capacity(64);
    for index in 0..64 {
        words.push(word(rule, MASK + index * 4)?);
    }
    // auditctl sets every word but the last of the mask for `-S all`.
    if words.iter().take(63).all(|word| *word == u32::MAX) {
        return Some(Some("all".to_owned()));
    }
    let mut calls = Vec::new();
    for (base, word) in (0_u32..).step_by(32).zip(&words) {
        for bit in (0..32).filter(|bit| word & (1 << bit) != 0) {
            calls.push(call(arch, base + bit));
        }
    }
    Some((!calls.is_empty()).then(|| calls.join(",")))
}

/// Numbers of the calls that audit policies name: (name, x86-64, i386, arm64).
type Call = (&'static str, Option<u32>, u32, Option<u32>);

#[rustfmt::skip]
const CALLS: [Call; 38] = [
    ("open", Some(2), 5, None), ("openat", Some(257), 295, Some(56)), ("creat", Some(85), 8, None),
    ("truncate", Some(76), 92, Some(45)), ("ftruncate", Some(77), 93, Some(46)),
    ("open_by_handle_at", Some(304), 342, Some(265)), ("openat2", Some(437), 437, Some(437)),
    ("execve", Some(59), 11, Some(221)), ("execveat", Some(322), 358, Some(281)),
    ("chmod", Some(90), 15, None), ("fchmod", Some(91), 94, Some(52)), ("fchmodat", Some(268), 306, Some(53)),
    ("fchmodat2", Some(452), 452, Some(452)),
    ("chown", Some(92), 182, None), ("fchown", Some(93), 95, Some(55)), ("lchown", Some(94), 16, None),
    ("fchownat", Some(260), 298, Some(54)),
    ("setxattr", Some(188), 226, Some(5)), ("lsetxattr", Some(189), 227, Some(6)), ("fsetxattr", Some(190), 228, Some(7)),
    ("removexattr", Some(197), 235, Some(14)), ("lremovexattr", Some(198), 236, Some(15)),
    ("fremovexattr", Some(199), 237, Some(16)),
    ("unlink", Some(87), 10, None), ("unlinkat", Some(263), 301, Some(35)), ("rename", Some(82), 38, None),
    ("renameat", Some(264), 302, Some(38)), ("renameat2", Some(316), 353, Some(276)), ("rmdir", Some(84), 40, None),
    ("mount", Some(165), 21, Some(40)), ("umount2", Some(166), 52, Some(39)),
    ("adjtimex", Some(159), 124, Some(171)), ("settimeofday", Some(164), 79, Some(170)),
    ("clock_settime", Some(227), 264, Some(112)), ("clock_adjtime", Some(305), 343, Some(266)),
    ("init_module", Some(175), 128, Some(105)), ("finit_module", Some(313), 350, Some(273)),
    ("delete_module", Some(176), 129, Some(106)),
];

fn call(arch: Option<u32>, number: u32) -> String {
    let known = CALLS.iter().find(|(_, x86_64, i386, arm64)| match arch {
        Some(0xC000_003E) => *x86_64 == Some(number),
        Some(0x4000_0003) => *i386 == number,
        Some(0xC000_00B7) => *arm64 == Some(number),
        _ => false,
    });
    known.map_or_else(|| number.to_string(), |(name, ..)| (*name).to_owned())
}

fn sign(operator: u32) -> Option<&'static str> {
    Some(match operator {
        EQUAL => "=",
        0x3000_0000 => "!=",
        0x1000_0000 => "<",
        0x2000_0000 => ">",
        0x5000_0000 => "<=",
        0x6000_0000 => ">=",
        0x0800_0000 => "&",
        0x4800_0000 => "&=",
        _ => return None,
    })
}

fn name(field: u32) -> Option<&'static str> {
    Some(match field {
        0 => "pid",
        1 => "uid",
        2 => "euid",
        3 => "suid",
        4 => "fsuid",
        5 => "gid",
        6 => "egid",
        7 => "sgid",
        8 => "fsgid",
        9 => "auid",
        10 => "pers",
        ARCH => "arch",
        MSGTYPE => "msgtype",
        13 => "subj_user",
        14 => "subj_role",
        15 => "subj_type",
        16 => "subj_sen",
        17 => "subj_clr",
        18 => "ppid",
        19 => "obj_user",
        20 => "obj_role",
        21 => "obj_type",
        22 => "obj_lev_low",
        23 => "obj_lev_high",
        24 => "loginuid_set",
        25 => "sessionid",
        26 => "fstype",
        100 => "devmajor",
        101 => "devminor",
        102 => "inode",
        103 => "exit",
        104 => "success",
        WATCH => "path",
        PERM => "perm",
        DIR => "dir",
        108 => "filetype",
        109 => "obj_uid",
        110 => "obj_gid",
        112 => "exe",
        113 => "saddr_fam",
        200 => "a0",
        201 => "a1",
        202 => "a2",
        203 => "a3",
        FILTER_KEY => "key",
        _ => return None,
    })
}

/// The two sides of a comparison between fields (AUDIT_COMPARE_*).
fn compared(value: u32) -> Option<(&'static str, &'static str)> {
    #[rustfmt::skip]
    const PAIRS: [(&str, &str); 25] = [
        ("uid", "obj_uid"), ("gid", "obj_gid"), ("euid", "obj_uid"), ("egid", "obj_gid"), ("auid", "obj_uid"),
        ("suid", "obj_uid"), ("sgid", "obj_gid"), ("fsuid", "obj_uid"), ("fsgid", "obj_gid"), ("uid", "auid"),
        ("uid", "euid"), ("uid", "fsuid"), ("uid", "suid"), ("auid", "fsuid"), ("auid", "suid"), ("auid", "euid"),
        ("euid", "suid"), ("euid", "fsuid"), ("suid", "fsuid"), ("gid", "egid"), ("gid", "fsgid"), ("gid", "sgid"),
        ("egid", "fsgid"), ("egid", "sgid"), ("sgid", "fsgid"),
    ];
    PAIRS.get((value as usize).checked_sub(1)?).copied()
}

fn shown(field: u32, value: u32) -> String {
    match field {
        ARCH if value & 0x8000_0000 != 0 => "b64".to_owned(),
        ARCH => "b32".to_owned(),
        PERM => permissions(value),
        103 => match value.cast_signed() {
            -13 => "-EACCES".to_owned(),
            -1 => "-EPERM".to_owned(),
            other => other.to_string(),
        },
        MSGTYPE => match value {
            1300 => "SYSCALL".to_owned(),
            1302 => "PATH".to_owned(),
            1307 => "CWD".to_owned(),
            1309 => "EXECVE".to_owned(),
            1327 => "PROCTITLE".to_owned(),
            other => other.to_string(),
        },
        200..=203 => format!("0x{value:x}"),
        // -1 is "unset" for ids.
        1..=9 | 25 | 109 | 110 => value.cast_signed().to_string(),
        _ => value.to_string(),
    }
}

fn permissions(bits: u32) -> String {
    [(4, 'r'), (2, 'w'), (1, 'x'), (8, 'a')]
        .into_iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, letter)| letter)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(
        list: u32,
        action: u32,
        calls: &[u32],
        fields: &[(u32, u32, u32)],
        buffer: &str,
    ) -> Vec<u8> {
        let mut words = vec![0_u32; BUFFER / 4];
        words[0] = list;
        words[1] = action;
        words[2] = u32::try_from(fields.len()).unwrap();
        if calls.is_empty() {
            words[3..66].fill(u32::MAX);
        }
        for call in calls {
            words[3 + *call as usize / 32] |= 1 << (call % 32);
        }
        for (index, (number, operator, value)) in fields.iter().enumerate() {
            words[FIELDS / 4 + index] = *number;
            words[VALUES / 4 + index] = *value;
            words[OPERATORS / 4 + index] = *operator;
        }
        words[BUFFER_LENGTH / 4] = u32::try_from(buffer.len()).unwrap();
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend_from_slice(buffer.as_bytes());
        bytes
    }

    #[test]
    fn rules_read_as_auditctl_lists_them() {
        let watch = rule(
            4,
            2,
            &[],
            &[
                (WATCH, EQUAL, 11),
                (PERM, EQUAL, 10),
                (FILTER_KEY, EQUAL, 8),
            ],
            "/etc/passwdidentity",
        );
        assert_eq!(text(&watch).unwrap(), "-w /etc/passwd -p wa -k identity");
        let time = rule(
            4,
            2,
            &[159, 164],
            &[
                (ARCH, EQUAL, 0xC000_003E),
                (9, 0x6000_0000, 1000),
                (9, 0x3000_0000, u32::MAX),
            ],
            "",
        );
        assert_eq!(
            text(&time).unwrap(),
            "-a always,exit -F arch=b64 -S adjtimex,settimeofday -F auid>=1000 -F auid!=-1"
        );
        let never = rule(4, 0, &[], &[], "");
        assert_eq!(text(&never).unwrap(), "-a never,exit -S all");
        let failed = rule(
            4,
            2,
            &[2],
            &[
                (ARCH, EQUAL, 0xC000_003E),
                (103, EQUAL, (-13_i32).cast_unsigned()),
            ],
            "",
        );
        assert_eq!(
            text(&failed).unwrap(),
            "-a always,exit -F arch=b64 -S open -F exit=-EACCES"
        );
    }

    #[test]
    fn hostile_rules_are_refused() {
        let good = rule(4, 2, &[], &[(WATCH, EQUAL, 11)], "/etc/passwd");
        for length in 0..good.len() {
            assert_eq!(text(&good[..length]), None);
        }
        assert_eq!(text(&rule(4, 2, &[], &[(WATCH, EQUAL, 4000)], "x")), None);
        assert_eq!(text(&rule(4, 2, &[], &[(999, EQUAL, 0)], "")), None);
        assert_eq!(text(&rule(4, 2, &[], &[(1, 7, 0)], "")), None);
        assert_eq!(
            text(&rule(4, 2, &[], &[(FIELD_COMPARE, EQUAL, 0)], "")),
            None
        );
    }
}
