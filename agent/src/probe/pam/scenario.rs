//! What a stack does in the situations that matter: a weak new password, a locked account, a wrong password, a missing
//! second factor. Each is walked through every way the other modules could answer.

use super::stack::{Code, Line};
use super::walk::{End, Marks, ends};

/// Modules that test a new password.
pub(super) const QUALITY: [&str; 3] = ["pam_pwquality", "pam_cracklib", "pam_passwdqc"];
/// Modules that ask for something beside the password.
pub(super) const FACTORS: [&str; 9] = [
    "pam_u2f",
    "pam_oath",
    "pam_google_authenticator",
    "pam_duo",
    "pam_yubico",
    "pam_fido2",
    "pam_pkcs11",
    "pam_p11",
    "pam_otp",
];
/// Modules that do not ask who somebody is: they allow, deny or prepare by other rules.
const PASSIVE: [&str; 31] = [
    "pam_access",
    "pam_cap",
    "pam_debug",
    "pam_echo",
    "pam_env",
    "pam_faildelay",
    "pam_gnome_keyring",
    "pam_group",
    "pam_issue",
    "pam_keyinit",
    "pam_kwallet5",
    "pam_lastlog",
    "pam_limits",
    "pam_listfile",
    "pam_localuser",
    "pam_loginuid",
    "pam_motd",
    "pam_namespace",
    "pam_nologin",
    "pam_securetty",
    "pam_selinux",
    "pam_sepermit",
    "pam_shells",
    "pam_succeed_if",
    "pam_tally",
    "pam_tally2",
    "pam_time",
    "pam_tty_audit",
    "pam_umask",
    "pam_usertype",
    "pam_warn",
];

const REJECTED: Marks = 1;
const HAS_TOKEN: Marks = 2;
const STORED: Marks = 4;
const ASKED: Marks = 8;
const COUNTED: Marks = 16;

type Returns = Vec<(Code, Marks)>;

/// What pam_faillock is called for on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockCall {
    Preauth,
    Authfail,
    Authsucc,
}

/// The call of a line of pam_faillock; without an argument it is `preauth`.
pub(super) fn lock_call(line: &Line) -> Option<LockCall> {
    line.is("pam_faillock").then(|| {
        if line.has("authfail") {
            LockCall::Authfail
        } else if line.has("authsucc") {
            LockCall::Authsucc
        } else {
            LockCall::Preauth
        }
    })
}

/// Whether the line is pam_unix under one of its names.
pub(super) fn is_unix(line: &Line) -> bool {
    [
        "pam_unix",
        "pam_unix_auth",
        "pam_unix_passwd",
        "pam_unix2",
        "pam_tcb",
    ]
    .iter()
    .any(|name| line.is(name))
}

fn one(code: Code, marks: Marks) -> Returns {
    vec![(code, marks)]
}

fn any(marks: Marks) -> Returns {
    Code::all().map(|code| (code, marks)).collect()
}

/// `pam_permit` and `pam_deny` answer the same whatever happens.
fn fixed(line: &Line, marks: Marks) -> Option<Returns> {
    if line.is("pam_permit") {
        Some(one(Code::SUCCESS, marks))
    } else if line.is("pam_deny") {
        Some(one(Code::AUTH_ERR, marks))
    } else {
        None
    }
}

/// pam_wheel(8) lets its group through only where it is told to trust it, and else has no opinion of it.
fn wheel(line: &Line, marks: Marks) -> Returns {
    let member = if line.has("trust") {
        Code::SUCCESS
    } else {
        Code::IGNORE
    };
    vec![(member, marks), (Code::PERM_DENIED, marks)]
}

/// Whether a password that the module on line `judge` refuses is kept out of the password file on every way.
pub(super) fn keeps_weak_passwords_out(lines: &[Line], judge: usize) -> Option<bool> {
    let found = ends(lines, |at, line, marks| {
        if at == judge {
            return one(Code::AUTHTOK_ERR, (marks | REJECTED) & !HAS_TOKEN);
        }
        if is_unix(line) {
            let asks = !line.has("use_authtok");
            let mut returns = one(Code::AUTHTOK_ERR, marks);
            if asks || marks & HAS_TOKEN != 0 {
                returns.push((Code::SUCCESS, marks | STORED | HAS_TOKEN));
            }
            return returns;
        }
        fixed(line, marks).unwrap_or_else(|| {
            // A module that asks for a new password by itself leaves it for those after it.
            let token = if line.has("use_authtok") {
                marks
            } else {
                marks | HAS_TOKEN
            };
            any(marks)
                .into_iter()
                .chain([(Code::SUCCESS, token)])
                .collect()
        })
    })?;
    Some(found.iter().all(|end| end.marks & STORED == 0))
}

/// Whether a right password gets nobody in while pam_faillock says that the account is locked.
pub(super) fn denies_locked(lines: &[Line]) -> Option<bool> {
    let found = ends(lines, |_, line, marks| {
        if lock_call(line).is_some() {
            return one(Code::AUTH_ERR, marks);
        }
        if is_unix(line) {
            return one(Code::SUCCESS, marks | ASKED);
        }
        fixed(line, marks).unwrap_or_else(|| any(marks))
    })?;
    Some(
        !found
            .iter()
            .any(|end| end.success && end.marks & ASKED != 0),
    )
}

/// Whether every wrong password is counted by pam_faillock before the stack fails.
pub(super) fn counts_failures(lines: &[Line]) -> Option<bool> {
    let found = ends(lines, |_, line, marks| match lock_call(line) {
        Some(LockCall::Authfail) => one(Code::IGNORE, marks | COUNTED),
        Some(_) => one(Code::SUCCESS, marks),
        None if is_unix(line) => one(Code::AUTH_ERR, marks | ASKED),
        None => fixed(line, marks).unwrap_or_else(|| any(marks)),
    })?;
    let uncounted = |end: &End| !end.success && end.marks & ASKED != 0 && end.marks & COUNTED == 0;
    let counted = |end: &End| end.marks & COUNTED != 0;
    Some(found.iter().any(counted) && !found.iter().any(uncounted))
}

/// Whether the stack can succeed although every module that asks who somebody is says no.
pub(super) fn opens_for_anyone(lines: &[Line]) -> Option<bool> {
    let found = ends(lines, |_, line, marks| match lock_call(line) {
        Some(LockCall::Authfail) => one(Code::IGNORE, marks),
        Some(_) => one(Code::SUCCESS, marks),
        None if PASSIVE.iter().any(|name| line.is(name)) => any(marks),
        None if line.is("pam_wheel") => wheel(line, marks),
        None => fixed(line, marks).unwrap_or_else(|| one(Code::AUTH_ERR, marks)),
    })?;
    Some(found.iter().any(|end| end.success))
}

/// Whether the stack fails on every way if the second factor of line `factor` is not given.
pub(super) fn requires(lines: &[Line], factor: usize) -> Option<bool> {
    // With these the module lets in whoever has not set the factor up.
    let lenient = lines
        .get(factor)
        .is_some_and(|line| line.has("nullok") || line.has("nouserok"));
    let found = ends(lines, |at, line, marks| {
        if at == factor && lenient {
            return vec![
                (Code::SUCCESS, marks),
                (Code::IGNORE, marks),
                (Code::AUTH_ERR, marks),
            ];
        }
        if at == factor {
            return one(Code::AUTH_ERR, marks);
        }
        fixed(line, marks).unwrap_or_else(|| any(marks))
    })?;
    Some(!found.iter().any(|end| end.success))
}
