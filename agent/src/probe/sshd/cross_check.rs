//! The second reading: what `sshd -T -C` prints, held against our own.

use std::collections::BTreeMap;

use crypto::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cases::Case;
use super::context::{Context, RootLogin};
use super::daemon::CommandLine;
use super::package::PROGRAM;
use crate::host::{Program, ProgramOutput};
use crate::probe::{Observation, Unobservable};

/// Most runs of sshd in one round.
const MAX_RUNS: usize = 4;

/// How far the reading of the configuration was confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Our reader and `sshd -T` say the same.
    Agreed,
    /// `sshd -T` could not be asked (an unpacked root, no root, no `/run/sshd`); our reader alone counts.
    OwnReader,
    /// The two say different things.
    Conflict,
}

/// The outcome of the comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Comparison {
    /// How far the reading was confirmed.
    pub reading: Reading,
    /// What differs, or why sshd could not be asked.
    pub remarks: Vec<String>,
}

/// Asks sshd about the first few cases. The answer is kept for as long as all that was read stays the same.
///
/// # Errors
/// [`Unobservable`] if sshd does not end in time.
pub(super) fn compare(
    observation: &mut Observation<'_>,
    cases: &[Case],
    options: &CommandLine,
    inputs: Digest,
) -> Result<Comparison, Unobservable> {
    if !observation.is_live() {
        return Ok(Comparison {
            reading: Reading::OwnReader,
            remarks: Vec::new(),
        });
    }
    let key = format!("compared {}", inputs.to_hex());
    let known: Option<Comparison> = observation
        .recall("compared")
        .and_then(|(old, comparison): (String, Comparison)| (old == key).then_some(comparison));
    let asked: Vec<(&Case, Program)> = cases
        .iter()
        .filter(|case| case.real)
        .take(MAX_RUNS)
        .map(|case| (case, program(case, options)))
        .collect();
    if let Some(known) = known {
        // The sources of a fact do not depend on whether its confirmation was remembered.
        for (_, program) in asked.iter().filter(|_| known.reading != Reading::OwnReader) {
            observation.note(&program.line());
        }
        return Ok(known);
    }
    let mut remarks = Vec::new();
    for (case, program) in &asked {
        let Some(output) = observation.run(program)? else {
            return Ok(Comparison {
                reading: Reading::OwnReader,
                remarks: vec![format!("{PROGRAM} could not be run")],
            });
        };
        if let Some(reason) = cannot_tell(&output) {
            return Ok(Comparison {
                reading: Reading::OwnReader,
                remarks: vec![reason],
            });
        }
        remarks.extend(differences(&case.context, &output));
    }
    let comparison = Comparison {
        reading: if remarks.is_empty() {
            Reading::Agreed
        } else {
            Reading::Conflict
        },
        remarks,
    };
    observation.remember("compared", &(key, comparison.clone()));
    Ok(comparison)
}

fn program(case: &Case, options: &CommandLine) -> Program {
    let connection = &case.connection;
    let specification = format!(
        "user={},host={},addr={},laddr={},lport={}",
        connection.user,
        connection.host,
        connection.address,
        connection.local_address,
        connection.local_port
    );
    let mut program = Program::new(PROGRAM, &["-T", "-C", &specification]);
    program.args.extend(options.for_test());
    program
}

/// Failures that say nothing about the configuration.
fn cannot_tell(output: &ProgramOutput) -> Option<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    let known = [
        "Missing privilege separation directory",
        "must be owned by root and not group or world-writable",
        "no hostkeys available",
        "Privilege separation user",
    ];
    (output.exit != 0 && known.iter().any(|text| said.contains(text))).then(|| {
        format!(
            "sshd -T: {}",
            said.trim().lines().last().unwrap_or_default()
        )
    })
}

/// What sshd prints otherwise than we read.
pub(super) fn differences(context: &Context, output: &ProgramOutput) -> Vec<String> {
    if output.exit != 0 {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or_default();
        return vec![format!(
            "{}: sshd -T refuses the configuration: {last}",
            context.name
        )];
    }
    let text = output.text();
    let mut printed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        printed.entry(key).or_default().push(value);
    }
    let mut found = Vec::new();
    for (key, expected) in expected(context) {
        let seen: Vec<&str> = printed.get(key).cloned().unwrap_or_default();
        // Keywords that this version does not have are not printed at all; lists are not when they are empty.
        if seen.is_empty() && !LISTS.contains(&key) {
            continue;
        }
        if seen != expected {
            found.push(format!(
                "{}: {key}: the files say {}, sshd -T says {}",
                context.name,
                expected.join(" "),
                seen.join(" ")
            ));
        }
    }
    found
}

/// Keywords printed once a value.
const LISTS: [&str; 4] = ["allowusers", "allowgroups", "denyusers", "denygroups"];

/// What sshd should print, in its own words.
fn expected(context: &Context) -> Vec<(&'static str, Vec<String>)> {
    let flag = |value: bool| vec![if value { "yes" } else { "no" }.to_owned()];
    let words = |words: &[String], none: &str| {
        vec![if words.is_empty() {
            none.to_owned()
        } else {
            words.join(" ")
        }]
    };
    let optional =
        |value: &Option<String>| vec![value.clone().unwrap_or_else(|| "none".to_owned())];
    let root = match context.permit_root_login {
        RootLogin::Yes => "yes",
        RootLogin::No => "no",
        RootLogin::ForcedCommandsOnly => "forced-commands-only",
        RootLogin::ProhibitPassword => "without-password",
    };
    vec![
        ("permitrootlogin", vec![root.to_owned()]),
        (
            "passwordauthentication",
            flag(context.password_authentication),
        ),
        (
            "kbdinteractiveauthentication",
            flag(context.kbd_interactive_authentication),
        ),
        ("permitemptypasswords", flag(context.permit_empty_passwords)),
        (
            "hostbasedauthentication",
            flag(context.hostbased_authentication),
        ),
        ("gssapiauthentication", flag(context.gssapi_authentication)),
        ("usepam", flag(context.use_pam)),
        ("pubkeyauthentication", flag(context.pubkey_authentication)),
        ("strictmodes", flag(context.strict_modes)),
        (
            "authenticationmethods",
            words(&context.authentication_methods, "any"),
        ),
        (
            "pubkeyauthoptions",
            words(&context.pubkey_auth_options, "none"),
        ),
        ("allowusers", context.allow_users.clone()),
        ("allowgroups", context.allow_groups.clone()),
        ("denyusers", context.deny_users.clone()),
        ("denygroups", context.deny_groups.clone()),
        ("ciphers", vec![context.ciphers.join(",")]),
        ("macs", vec![context.macs.join(",")]),
        ("kexalgorithms", vec![context.kex_algorithms.join(",")]),
        (
            "hostkeyalgorithms",
            vec![context.host_key_algorithms.join(",")],
        ),
        (
            "pubkeyacceptedalgorithms",
            vec![context.pubkey_accepted_algorithms.join(",")],
        ),
        (
            "requiredrsasize",
            vec![context.required_rsa_size.to_string()],
        ),
        ("maxauthtries", vec![context.max_auth_tries.to_string()]),
        (
            "authorizedkeysfile",
            words(&context.authorized_keys_file, "none"),
        ),
        (
            "authorizedkeyscommand",
            optional(&context.authorized_keys_command),
        ),
        (
            "authorizedprincipalsfile",
            optional(&context.authorized_principals_file),
        ),
        ("trustedusercakeys", optional(&context.trusted_user_ca_keys)),
    ]
}
