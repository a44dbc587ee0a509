//! Our reader against the sshd of this machine: `sshd -T -C` must print what we read, and refuse what we refuse.
//!
//! Needs root and an installed OpenSSH server, as the whole test run does (tests/run installs it).

use std::path::{Path, PathBuf};
use std::process::Command;

use super::accounts::Accounts;
use super::config::Configuration;
use super::context::Context;
use super::criteria::Connection;
use super::package::Version;
use super::{cross_check, evaluate, package};
use crate::host::{FileSystemHost, ProgramOutput};
use crate::probe::{Observation, VolatileMemory};
use evidence::time::Timestamp;

struct Bench {
    directory: tempfile::TempDir,
    host: FileSystemHost,
    accounts: Accounts,
    version: Version,
}

impl Bench {
    fn new() -> Bench {
        // sshd insists on its privilege separation directory even to print its configuration.
        std::fs::create_dir_all("/run/sshd")
            .expect("run the tests as root: sshd -T needs /run/sshd");
        let host = FileSystemHost::live().unwrap();
        let mut memory = VolatileMemory::default();
        let mut observation =
            Observation::new(&host, &mut memory, "sshd", Timestamp::from_unix_ms(0));
        let accounts = Accounts::read(&mut observation).unwrap();
        let version = package::installed(&mut observation)
            .unwrap()
            .expect("install openssh-server: its sshd is what this test compares with");
        drop(observation);
        Bench {
            directory: tempfile::tempdir().unwrap(),
            host,
            accounts,
            version,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(
            path,
            text.replace("@DIR@", &self.directory.path().to_string_lossy()),
        )
        .unwrap();
    }

    /// Ours for each connection, or why it is refused.
    fn ours(&self, main: &Path, connections: &[Connection]) -> Result<Vec<Context>, String> {
        let mut memory = VolatileMemory::default();
        let mut observation =
            Observation::new(&self.host, &mut memory, "sshd", Timestamp::from_unix_ms(0));
        let configuration = Configuration::load(&mut observation, &main.to_string_lossy())
            .map_err(|error| error.to_string())?;
        let global = evaluate::global(&configuration, &[], &self.version)
            .map_err(|error| error.to_string())?;
        let context = |connection: &Connection| {
            evaluate::for_connection(&configuration, &global, connection, &self.version)
                .map(|settings| {
                    let name = format!("{connection:?}");
                    Context::new(name, connection, false, &settings, &self.version)
                })
                .map_err(|error| error.to_string())
        };
        connections.iter().map(context).collect()
    }

    fn theirs(&self, main: &Path, connection: &Connection) -> ProgramOutput {
        let specification = format!(
            "user={},host={},addr={},laddr={},lport={}",
            connection.user,
            connection.host,
            connection.address,
            connection.local_address,
            connection.local_port
        );
        let output = Command::new("/usr/sbin/sshd")
            .args(["-T", "-f", &main.to_string_lossy(), "-C", &specification])
            .output()
            .unwrap();
        ProgramOutput {
            exit: output.status.code().unwrap(),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }

    /// Everything that differs between the two for the configuration in place.
    fn differences(&self, connections: &[Connection]) -> Vec<String> {
        let main = self.path("sshd_config");
        let ours = self.ours(&main, connections);
        let mut found = Vec::new();
        for (i, connection) in connections.iter().enumerate() {
            let theirs = self.theirs(&main, connection);
            // Read alike, but refused because the methods asked for are switched off: nothing is left to compare.
            if String::from_utf8_lossy(&theirs.stderr).contains("cannot be satisfied") {
                continue;
            }
            match &ours {
                Ok(contexts) => found.extend(cross_check::differences(&contexts[i], &theirs)),
                Err(problem) if theirs.exit == 0 => {
                    found.push(format!("we refuse what sshd accepts: {problem}"));
                }
                Err(_) => {}
            }
        }
        found
    }

    fn connection(&self, user: &str, address: &str) -> Connection {
        Connection {
            user: user.to_owned(),
            groups: self.accounts.groups_of(user),
            host: address.to_owned(),
            address: address.to_owned(),
            local_address: "192.0.2.1".to_owned(),
            local_port: 22,
            rdomain: None,
            invalid_user: false,
        }
    }
}

/// Small deterministic choices (xorshift): the same configurations on every run.
struct Choices(u64);

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

const USERS: [&str; 6] = ["root", "daemon", "nobody", "www-data", "someone", "bin"];
const ADDRESSES: [&str; 6] = [
    "203.0.113.9",
    "10.0.0.1",
    "10.1.2.3",
    "192.168.1.7",
    "2001:db8::9",
    "::1",
];

fn setting(choices: &mut Choices, in_match: bool) -> String {
    let line = match choices.below(if in_match { 15 } else { 22 }) {
        0 => format!(
            "PermitRootLogin {}",
            choices.of(&[
                "yes",
                "no",
                "without-password",
                "prohibit-password",
                "Forced-Commands-Only"
            ])
        ),
        1 | 2 => format!(
            "PasswordAuthentication {}",
            choices.of(&["yes", "no", "NO", "\"yes\""])
        ),
        3 => format!(
            "{} {}",
            choices.of(&[
                "KbdInteractiveAuthentication",
                "ChallengeResponseAuthentication",
                "skeyauthentication"
            ]),
            choices.of(&["yes", "no"])
        ),
        4 => format!("PermitEmptyPasswords {}", choices.of(&["yes", "no"])),
        5 => format!("HostbasedAuthentication={}", choices.of(&["yes", "no"])),
        6 => format!("PubkeyAuthentication = {}", choices.of(&["yes", "no"])),
        7 => format!(
            "AuthenticationMethods {}",
            choices.of(&[
                "publickey",
                "publickey,password password",
                "publickey,keyboard-interactive publickey"
            ])
        ),
        8 => format!(
            "AllowUsers {}",
            choices.of(&["root", "bin nobody@10.*", "\"a b\" c", "*@10.0.0.0/8"])
        ),
        9 => format!("AllowGroups {}", choices.of(&["root daemon", "wheel"])),
        10 => format!("DenyUsers {}", choices.of(&["bin", "x y"])),
        11 => format!("MaxAuthTries {}", choices.of(&["1", "3", "010"])),
        12 => format!(
            "AuthorizedKeysFile {}",
            choices.of(&["none", "/etc/keys/%u .ssh/a", ".ssh/authorized_keys"])
        ),
        13 => format!(
            "PubkeyAuthOptions {}",
            choices.of(&["none", "touch-required", "verify-required touch-required"])
        ),
        14 => format!(
            "PubkeyAcceptedAlgorithms {}",
            choices.of(&["-*rsa*", "+ssh-rsa", "ssh-ed25519", "^rsa-sha2-512"])
        ),
        15 => format!(
            "Ciphers {}",
            choices.of(&[
                "aes256-ctr",
                "-aes128*",
                "+aes128-cbc",
                "^aes256-gcm@openssh.com"
            ])
        ),
        16 => format!(
            "MACs {}",
            choices.of(&["-hmac-sha1*,umac-*", "hmac-sha2-*", "+hmac-md5"])
        ),
        17 => format!(
            "KexAlgorithms {}",
            choices.of(&[
                "curve25519-sha256",
                "-diffie*",
                "+diffie-hellman-group1-sha1"
            ])
        ),
        18 => format!("UsePAM {}", choices.of(&["yes", "no"])),
        19 => format!("StrictModes {}", choices.of(&["yes", "no"])),
        20 => format!(
            "HostKeyAlgorithms {}",
            choices.of(&["-*cert*", "ssh-ed25519"])
        ),
        _ => format!("RequiredRSASize {}", choices.of(&["2048", "3072"])),
    };
    match choices.below(8) {
        0 => format!("\t{line}   # why"),
        1 => format!("# {line}"),
        2 => {
            line.to_lowercase()
                .replace("required touch", "required  touch")
                + "\r"
        }
        _ => line,
    }
}

fn criteria(choices: &mut Choices) -> String {
    let mut parts = Vec::new();
    for _ in 0..=choices.below(2) {
        parts.push(match choices.below(7) {
            0 => return "Match all".to_owned(),
            1 => format!(
                "User {}",
                choices.of(&["root", "root,bin", "*,!root", "?in", "\"nobody\"", "n*"])
            ),
            2 => format!(
                "Group {}",
                choices.of(&["root", "daemon,bin", "*,!root", "no*"])
            ),
            3 => format!(
                "Address {}",
                choices.of(&[
                    "10.0.0.0/8",
                    "10.0.0.0/8,!10.1.0.0/16",
                    "192.168.1.*",
                    "0.0.0.0/0",
                    "2001:db8::/32",
                    "!10.0.0.1,*"
                ])
            ),
            4 => format!("LocalPort {}", choices.of(&["22", "2222"])),
            5 => format!(
                "LocalAddress {}",
                choices.of(&["192.0.2.1", "192.0.2.0/24", "198.51.100.1"])
            ),
            _ => format!(
                "Host {}",
                choices.of(&["*.example.org", "203.0.113.*", "*"])
            ),
        });
    }
    format!(
        "{} {}",
        choices.of(&["Match", "match", "  Match"]),
        parts.join(" ")
    )
}

fn file(choices: &mut Choices, depth: usize) -> String {
    let mut text = String::new();
    let mut in_match = depth > 0 && choices.below(2) == 0;
    for _ in 0..3 + choices.below(10) {
        match choices.below(9) {
            0 | 1 => {
                text += &criteria(choices);
                in_match = true;
            }
            2 if depth < 2 => {
                let pattern =
                    choices.of(&["a*.conf", "*.conf", "[!a]*.conf", "none*.conf", "b.conf"]);
                text += &format!("Include @DIR@/{}{pattern}", ["one/", "two/"][depth]);
            }
            _ => text += &setting(choices, in_match),
        }
        text.push('\n');
    }
    text
}

#[test]
fn generated_configurations_mean_what_sshd_says() {
    let bench = Bench::new();
    let mut accepted = 0;
    for seed in 1..=70_u64 {
        let mut choices = Choices(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bench.write("sshd_config", &file(&mut choices, 0));
        for (i, name) in ["a1.conf", "a2.conf", "b.conf", ".hidden.conf", "c.conf~"]
            .iter()
            .enumerate()
        {
            bench.write(&format!("one/{name}"), &file(&mut choices, 1));
            if i < 3 {
                bench.write(&format!("two/{name}"), &file(&mut choices, 2));
            }
        }
        let connections: Vec<Connection> = (0..3)
            .map(|_| {
                let mut connection = bench.connection(choices.of(&USERS), choices.of(&ADDRESSES));
                if choices.below(3) == 0 {
                    connection.host = "www.Example.org".to_owned();
                    connection.local_port = 2222;
                }
                connection
            })
            .collect();
        let found = bench.differences(&connections);
        assert!(
            found.is_empty() || both_refuse(&bench, &connections),
            "seed {seed}: {}\n{}",
            found.join("\n"),
            std::fs::read_to_string(bench.path("sshd_config")).unwrap()
        );
        accepted += usize::from(
            found.is_empty() && bench.ours(&bench.path("sshd_config"), &connections).is_ok(),
        );
    }
    assert!(
        accepted >= 20,
        "only {accepted} configurations were compared"
    );
}

fn both_refuse(bench: &Bench, connections: &[Connection]) -> bool {
    let main = bench.path("sshd_config");
    bench.ours(&main, connections).is_err() && bench.theirs(&main, &connections[0]).exit != 0
}

/// Configurations written to mislead, each with whether sshd accepts it.
const HOSTILE: [(&str, bool); 26] = [
    ("PermitRootLogin no\nPermitRootLogin yes\n", true),
    ("#PermitRootLogin no\n \t PermitRootLogin yes\n", true),
    (
        "Match User root\nPermitRootLogin yes\nMatch all\nPasswordAuthentication no\n",
        true,
    ),
    (
        "Match all\nPermitRootLogin yes\nCiphers aes256-ctr\nAllowUsers a\nMatch all\nAllowUsers b\n",
        true,
    ),
    (
        "AllowUsers a\nAllowUsers b c\nMatch User root\nAllowUsers d\n",
        true,
    ),
    (
        "Include @DIR@/one/*.conf\nPasswordAuthentication yes\n",
        true,
    ),
    ("Match User nobody\nInclude @DIR@/one/*.conf\n", true),
    (
        "Match User root\nInclude @DIR@/one/*.conf\nPermitRootLogin yes\n",
        true,
    ),
    ("Include @DIR@/self.conf\n", false),
    ("Match User root\nUsePAM yes\n", false),
    ("Match User\n", false),
    ("Match Address 10.0.0.1/8\n", false),
    ("Match LocalPort 70000\n", false),
    ("Match Sky blue\n", false),
    ("Match all User root\n", false),
    ("PasswordAuthentication maybe\n", false),
    ("PasswordAuthentication yes no\n", false),
    ("PasswordAuthentication\n", false),
    ("PassswordAuthentication no\n", false),
    ("PermitRootLogin \"yes\n", false),
    (
        "PermitRootLogin=no\nMatch User=root\nPermitRootLogin=yes\n",
        true,
    ),
    (
        "Match User \"root\" Address \"203.0.113.*\" # both\nPermitRootLogin yes\n",
        true,
    ),
    (
        "ChallengeResponseAuthentication yes\nKbdInteractiveAuthentication no\n",
        true,
    ),
    (
        "PubkeyAuthOptions none touch-required\nAuthenticationMethods any\n",
        true,
    ),
    (
        "PermitRootLogin yes\x0c\r\nPasswordAuthentication 'no'\n",
        true,
    ),
    (
        "AuthorizedKeysFile .ssh/a\nAuthorizedKeysFile .ssh/b\nTrustedUserCAKeys none\n",
        true,
    ),
];

#[test]
fn misleading_configurations_mean_what_sshd_says() {
    let bench = Bench::new();
    bench.write("self.conf", "Include @DIR@/self.conf\n");
    bench.write(
        "one/a.conf",
        "PasswordAuthentication no\nMatch User root\nMaxAuthTries 1\n",
    );
    bench.write(
        "one/b.conf",
        "MaxAuthTries 2\nMatch User nobody\nPermitRootLogin yes\n",
    );
    for (text, accepted) in HOSTILE {
        bench.write("sshd_config", text);
        let connections = [
            bench.connection("root", "203.0.113.9"),
            bench.connection("nobody", "10.0.0.1"),
        ];
        let theirs = bench.theirs(&bench.path("sshd_config"), &connections[0]);
        assert_eq!(
            theirs.exit == 0,
            accepted,
            "{text}{}",
            String::from_utf8_lossy(&theirs.stderr)
        );
        let ours = bench.ours(&bench.path("sshd_config"), &connections);
        assert_eq!(ours.is_ok(), accepted, "{text}{ours:?}");
        if accepted {
            assert_eq!(
                bench.differences(&connections),
                Vec::<String>::new(),
                "{text}"
            );
        }
    }
}
