//! Whether a PAM stack lets everybody through without asking.

use crate::probe::{Observation, Unobservable};

/// Modules that say yes without asking for anything.
const OPEN: [&str; 2] = ["pam_permit.so", "pam_succeed_if.so"];
/// Modules that prove nothing about who is there.
const NEUTRAL: [&str; 8] = [
    "pam_permit.so",
    "pam_succeed_if.so",
    "pam_env.so",
    "pam_faildelay.so",
    "pam_rootok.so",
    "pam_faillock.so",
    "pam_tally2.so",
    "pam_cap.so",
];
const MAX_DEPTH: usize = 8;
/// Most files, each counted as often as it is included.
const MAX_FILES: usize = 100;

/// Why the `auth` stack of a service is open; `None` if it asks, or if there is no such service.
///
/// # Errors
/// [`Unobservable`] if a file of it cannot be read.
pub(super) fn open_stack(
    observation: &mut Observation<'_>,
    service: &str,
) -> Result<Option<String>, Unobservable> {
    let path = format!("/etc/pam.d/{service}");
    if observation.stat(&path)?.is_none() {
        return Ok(None);
    }
    let mut lines = Vec::new();
    collect(observation, service, 0, &mut 0, &mut lines)?;
    Ok(judge(&lines).map(|line| format!("{path}: {line}")))
}

fn collect(
    observation: &mut Observation<'_>,
    service: &str,
    depth: usize,
    files: &mut usize,
    lines: &mut Vec<String>,
) -> Result<(), Unobservable> {
    let path = format!("/etc/pam.d/{service}");
    *files += 1;
    if *files > MAX_FILES {
        return Err(Unobservable::unparsable(&path, "includes too many files"));
    }
    let text = observation.text(&path)?.unwrap_or_default();
    for line in text.replace("\\\n", " ").lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        let included = match words.as_slice() {
            ["@include", name, ..] => Some(*name),
            [kind, "include" | "substack", name, ..] if is_auth(kind) => Some(*name),
            _ => None,
        };
        match included {
            Some(name) if depth < MAX_DEPTH && !name.contains('/') => {
                collect(observation, name, depth + 1, files, lines)?
            }
            Some(_) => {}
            None if words.first().is_some_and(|kind| is_auth(kind)) => lines.push(line.to_owned()),
            None => {}
        }
    }
    Ok(())
}

fn is_auth(kind: &str) -> bool {
    kind.trim_start_matches('-').eq_ignore_ascii_case("auth")
}

/// The line that opens the stack.
fn judge(lines: &[String]) -> Option<String> {
    for line in lines {
        let (control, module, arguments) = parts(line)?;
        // success=N jumps over what follows, which is how Debian's stacks step over pam_deny.
        let success = on_success(&control);
        let suffices = !matches!(success, "ok" | "ignore" | "bad" | "die" | "reset");
        let trusts =
            module == "pam_wheel.so" && arguments.split_whitespace().any(|word| word == "trust");
        if suffices && (OPEN.contains(&module.as_str()) || trusts) {
            return Some(line.clone());
        }
    }
    let asks = |line: &String| {
        parts(line).is_none_or(|(_, module, _)| !NEUTRAL.contains(&module.as_str()))
    };
    let only_neutral = !lines.is_empty() && !lines.iter().any(asks);
    only_neutral.then(|| "no module that asks for anything".to_owned())
}

/// What a module's success does, as pam.conf(5) spells it out: `done` ends the stack, a number jumps.
fn on_success(control: &str) -> &str {
    let action = |name: &str| {
        let of_name = control
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='));
        of_name
            .filter(|pair| pair.0 == name)
            .map(|pair| pair.1)
            .next_back()
    };
    match control {
        "sufficient" => "done",
        "required" | "requisite" | "optional" => "ok",
        _ => action("success")
            .or_else(|| action("default"))
            .unwrap_or("ignore"),
    }
}

/// Control, file name of the module, arguments.
fn parts(line: &str) -> Option<(String, String, String)> {
    let rest = line.split_once(char::is_whitespace)?.1.trim_start();
    let (control, rest) = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => rest.split_once(char::is_whitespace)?,
    };
    let mut words = rest.split_whitespace();
    let module = words.next()?.rsplit('/').next()?.to_owned();
    Some((
        control.to_ascii_lowercase(),
        module,
        words.collect::<Vec<_>>().join(" "),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> bool {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        judge(&lines).is_some()
    }

    #[test]
    fn debian_s_own_stack_asks() {
        assert!(!open(
            "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so"
        ));
        assert!(!open(
            "auth sufficient pam_rootok.so\nauth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so"
        ));
        assert!(open(
            "auth sufficient pam_permit.so\nauth [success=1 default=ignore] pam_unix.so"
        ));
        assert!(open(
            "auth [success=done default=bad] /lib/security/pam_permit.so\nauth required pam_unix.so"
        ));
        assert!(open(
            "auth [default=done] pam_permit.so\nauth required pam_unix.so"
        ));
        assert!(!open(
            "auth [success=ok default=1] pam_succeed_if.so user = root\nauth required pam_unix.so"
        ));
        assert!(open("auth required pam_permit.so"));
        assert!(open(
            "auth sufficient pam_wheel.so trust\nauth required pam_unix.so"
        ));
        assert!(!open(
            "auth required pam_wheel.so\nauth required pam_unix.so"
        ));
    }
}
