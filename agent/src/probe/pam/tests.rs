//! Stacks as distributions and administrators write them, and what they really do.

use super::stack::{Code, Line, Stacks, resolve};
use super::walk::ends;
use super::{new_scheme, scenario};
use crate::host::FileSystemHost;
use crate::probe::{Observation, Unobservable, VolatileMemory};
use evidence::time::Timestamp;

fn try_stacks(files: &[(&str, &str)], service: &str) -> Result<Stacks, Unobservable> {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let host = FileSystemHost::offline(root.path()).unwrap();
    let mut memory = VolatileMemory::default();
    let mut observation =
        Observation::new(&host, &mut memory, "pam", Timestamp::from_unix_seconds(0));
    resolve(&mut observation, service)
}

fn stacks(text: &str) -> Stacks {
    try_stacks(&[("etc/pam.d/x", text)], "x").unwrap()
}

fn quality(text: &str) -> bool {
    let lines = stacks(text).password;
    let judge = lines
        .iter()
        .position(|line| line.is("pam_pwquality"))
        .unwrap();
    scenario::keeps_weak_passwords_out(&lines, judge).unwrap()
}

#[test]
fn a_quality_module_counts_only_where_it_keeps_passwords_out() {
    let debian = "password requisite pam_pwquality.so retry=3\npassword [success=1 default=ignore] pam_unix.so obscure use_authtok try_first_pass yescrypt\npassword requisite pam_deny.so\npassword required pam_permit.so\n";
    assert!(quality(debian));
    assert!(quality(
        &debian.replace("requisite pam_pwquality", "required pam_pwquality")
    ));
    assert!(
        quality(&debian.replace(" use_authtok try_first_pass", "")),
        "requisite alone"
    );
    assert!(
        !quality(
            &debian
                .replace("requisite pam_pwquality", "required pam_pwquality")
                .replace(" use_authtok", "")
        ),
        "required: pam_unix asks again and stores"
    );
    assert!(
        !quality(
            &debian
                .replace("requisite pam_pwquality", "optional pam_pwquality")
                .replace(" use_authtok", "")
        ),
        "optional"
    );
    let after = "password [success=1 default=ignore] pam_unix.so\npassword requisite pam_deny.so\npassword requisite pam_pwquality.so\n";
    assert!(!quality(after), "behind pam_unix");
    let jumped = "password [success=1 default=ignore] pam_localuser.so\npassword requisite pam_pwquality.so\npassword required pam_unix.so\n";
    assert!(!quality(jumped), "jumped over");
    let redhat = "password requisite pam_pwquality.so local_users_only\npassword sufficient pam_unix.so yescrypt shadow nullok use_authtok\npassword sufficient pam_sss.so use_authtok\npassword required pam_deny.so\n";
    assert!(quality(redhat));
}

#[test]
fn another_module_that_asks_first_hands_the_password_on() {
    let history = "password required pam_pwquality.so\npassword required pam_other.so\npassword required pam_unix.so use_authtok\n";
    assert!(!quality(history));
    assert!(quality(
        &history.replace("pam_other.so", "pam_other.so use_authtok")
    ));
}

const FAILLOCK: &str = "auth requisite pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail\nauth requisite pam_deny.so\nauth required pam_permit.so\nauth optional pam_cap.so\n";

fn lockout(text: &str) -> (bool, bool) {
    let auth = stacks(text).auth;
    (
        scenario::denies_locked(&auth).unwrap(),
        scenario::counts_failures(&auth).unwrap(),
    )
}

#[test]
fn a_lock_must_deny_and_count() {
    assert_eq!(lockout(FAILLOCK), (true, true));
    assert_eq!(
        lockout(&FAILLOCK.replace("requisite pam_faillock", "required pam_faillock")),
        (true, true)
    );
    assert_eq!(
        lockout(&FAILLOCK.replace("requisite pam_faillock", "optional pam_faillock")),
        (false, true),
        "an optional preauth"
    );
    assert_eq!(
        lockout(&FAILLOCK.replace("auth requisite pam_faillock.so preauth\n", "")),
        (false, true),
        "without preauth a right password passes"
    );
    let behind = "auth required pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth [default=die] pam_faillock.so authfail\nauth required pam_permit.so\n";
    assert!(!lockout(behind).1, "authfail behind pam_deny");
    let jumped = FAILLOCK.replace(
        "[success=2 default=ignore]",
        "[success=2 auth_err=1 default=ignore]",
    );
    assert!(!lockout(&jumped).1, "authfail jumped over");
    let redhat = "auth required pam_env.so\nauth required pam_faildelay.so delay=2000000\nauth required pam_faillock.so preauth silent\nauth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\nauth [default=1 ignore=ignore success=ok] pam_localuser.so\nauth sufficient pam_unix.so nullok\nauth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\nauth sufficient pam_sss.so forward_pass\nauth required pam_faillock.so authfail\nauth required pam_deny.so\n";
    assert_eq!(lockout(redhat), (true, true));
    let manual = "auth [success=1 default=bad] pam_unix.so\nauth [default=die] pam_faillock.so authfail\nauth sufficient pam_faillock.so authsucc\nauth required pam_deny.so\n";
    assert_eq!(lockout(manual), (true, true), "authsucc denies too");
}

fn open(text: &str) -> bool {
    scenario::opens_for_anyone(&stacks(text).auth).unwrap()
}

#[test]
fn a_stack_that_lets_everyone_in_is_seen() {
    assert!(!open(FAILLOCK));
    assert!(open(&format!("auth sufficient pam_permit.so\n{FAILLOCK}")));
    assert!(open(
        "auth sufficient pam_succeed_if.so uid >= 1000\nauth required pam_unix.so\n"
    ));
    assert!(open(
        "auth optional pam_unix.so\nauth required pam_permit.so\n"
    ));
    assert!(!open(
        "auth requisite pam_nologin.so\nauth required pam_unix.so\n"
    ));
}

#[test]
fn a_factor_that_can_be_left_out_is_none() {
    let requires = |text: &str| {
        let auth = stacks(text).auth;
        let at = auth
            .iter()
            .position(|line| line.is("pam_google_authenticator"))
            .unwrap();
        scenario::requires(&auth, at).unwrap()
    };
    let both = "auth required pam_unix.so\nauth required pam_google_authenticator.so\n";
    assert!(requires(both));
    assert!(!requires(
        &both.replace("authenticator.so", "authenticator.so nullok")
    ));
    assert!(!requires(
        "auth sufficient pam_unix.so\nauth required pam_google_authenticator.so\n"
    ));
    assert!(!requires(
        "auth required pam_unix.so\nauth optional pam_google_authenticator.so\n"
    ));
}

#[test]
fn substacks_end_with_themselves_and_includes_do_not() {
    let inner = (
        "etc/pam.d/inner",
        "auth sufficient pam_permit.so\naccount required pam_unix.so\n",
    );
    let open = |control: &str| {
        let text = format!("auth {control} inner\nauth required pam_deny.so\n");
        let found = try_stacks(&[inner, ("etc/pam.d/x", &text)], "x").unwrap();
        assert!(found.account.is_empty(), "only lines of the kind asked for");
        scenario::opens_for_anyone(&found.auth).unwrap()
    };
    assert!(open("include"));
    assert!(!open("substack"));
}

#[test]
fn a_jump_counts_a_substack_as_one_line() {
    let inner = (
        "etc/pam.d/inner",
        "auth required pam_deny.so\nauth required pam_deny.so\n",
    );
    let text = "auth [success=1 default=ignore] pam_permit.so\nauth substack inner\nauth required pam_permit.so\n";
    let found = try_stacks(&[inner, ("etc/pam.d/x", text)], "x").unwrap();
    assert!(scenario::opens_for_anyone(&found.auth).unwrap());
    let far = text.replace("success=1", "success=3");
    let found = try_stacks(&[inner, ("etc/pam.d/x", &far)], "x").unwrap();
    assert!(
        !scenario::opens_for_anyone(&found.auth).unwrap(),
        "a jump out of the stack fails"
    );
}

#[test]
fn files_are_found_where_libpam_finds_them() {
    let vendor = ("usr/lib/pam.d/x", "auth required pam_deny.so\n");
    let other = (
        "etc/pam.d/other",
        "auth required pam_permit.so\npassword required pam_unix.so\n",
    );
    let found = try_stacks(&[vendor, other], "x").unwrap();
    assert!(found.present && found.auth[0].is("pam_deny"));
    assert!(
        found.password[0].is("pam_unix"),
        "a kind without lines comes from other"
    );
    let own = ("etc/pam.d/x", "auth required pam_permit.so\n");
    assert!(try_stacks(&[vendor, own], "x").unwrap().auth[0].is("pam_permit"));
    let none = try_stacks(&[other], "x").unwrap();
    assert!(!none.present && none.auth[0].is("pam_permit"));
}

#[test]
fn what_libpam_cannot_use_fails_or_is_left_out() {
    let found = stacks(
        "-auth sufficient pam_not_there.so\nauth include nothing\nauth required pam_permit.so\n",
    );
    assert_eq!(
        found.auth.len(),
        2,
        "the silent line of a module that is not there is left out"
    );
    assert!(
        !scenario::opens_for_anyone(&found.auth).unwrap(),
        "an include of nothing fails"
    );
    let endless = try_stacks(&[("etc/pam.d/x", "auth include x\n")], "x");
    assert!(endless.is_err());
    assert!(try_stacks(&[("etc/pam.d/x", "@include nothing\n")], "x").is_err());
    assert!(try_stacks(&[("etc/pam.d/x", "auht required pam_unix.so\n")], "x").is_err());
}

#[test]
fn the_last_option_names_the_scheme_of_new_passwords() {
    let scheme = |args: &str, method: Option<&str>| {
        let found = stacks(&format!("password required pam_unix.so {args}\n"));
        let line: &Line = &found.password[0];
        new_scheme(line, method)
    };
    assert_eq!(scheme("obscure yescrypt", Some("sha512")), "yescrypt");
    assert_eq!(scheme("sha512 md5", None), "md5");
    assert_eq!(scheme("", Some("sha512")), "sha512");
    assert_eq!(scheme("blowfish", None), "bcrypt");
    assert_eq!(scheme("", None), "des");
}

/// libpam's own answers: stacks of pam_debug, which returns what its argument says.
#[test]
fn stacks_end_as_libpam_ends_them() {
    let vectors = include_str!("../../../../tests/fixtures/pam_stacks.txt");
    let mut compared = 0;
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<String> = line
            .split('|')
            .map(|part| part.replace(';', "\n"))
            .collect();
        let [expected, outer, inner, innermost] = parts.as_slice() else {
            panic!("{line}");
        };
        let files = [
            ("etc/pam.d/x", outer.as_str()),
            ("etc/pam.d/zz-inner", inner),
            ("etc/pam.d/zz-inner2", innermost),
        ];
        let auth = try_stacks(&files, "x").unwrap().auth;
        let found = ends(&auth, |_, line, marks| {
            vec![(Code::named(line.value("auth").unwrap()).unwrap(), marks)]
        })
        .unwrap();
        assert_eq!(found.len(), 1, "{line}");
        assert!(
            found
                .iter()
                .all(|end| end.success == (expected == "success")),
            "{line}"
        );
        compared += 1;
    }
    assert!(compared >= 100);
}
