//! Whether rsyslog gets what local programs log, at all.

use super::super::{Observation, Unobservable, systemd_config};
use super::syntax::{Kind, Statement};

/// Modules that read local messages, among the statements of the configuration.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Modules {
    journal: bool,
    socket: bool,
}

impl Modules {
    fn of<'s>(statements: impl Iterator<Item = &'s Statement>) -> Modules {
        let mut modules = Modules::default();
        let mut omitted = false;
        for statement in statements {
            match &statement.kind {
                Kind::Object(name, parameters, _) if name == "module" => {
                    let off = parameters
                        .get("syssock.use")
                        .is_some_and(|value| value.eq_ignore_ascii_case("off"));
                    let loaded = parameters.get("load").map(String::as_str);
                    modules.add(loaded.unwrap_or_default(), off);
                }
                Kind::Directive(name, value) if name == "modload" => modules.add(value, false),
                Kind::Directive(name, value) if name == "omitlocallogging" => {
                    omitted = value.eq_ignore_ascii_case("on");
                }
                _ => {}
            }
        }
        modules.socket &= !omitted;
        modules
    }

    fn add(&mut self, module: &str, off: bool) {
        match module.trim_end_matches(".so") {
            "imjournal" => self.journal = true,
            "imuxsock" => self.socket |= !off,
            _ => {}
        }
    }
}

/// Whether messages of log-ons reach rsyslog: out of the journal by imjournal, or from the socket that journald hands
/// them on to. What journald.conf(5) does not say is the version's default, which distributions match to the module that
/// they load.
pub(super) fn receives_local<'s>(
    observation: &mut Observation<'_>,
    statements: impl Iterator<Item = &'s Statement>,
) -> Result<bool, Unobservable> {
    let modules = Modules::of(statements);
    if modules.journal || !modules.socket {
        return Ok(modules.journal);
    }
    let assignments = systemd_config::assignments(observation, "journald.conf", "Journal")?;
    let last = |name: &str| {
        let mut of_name = assignments.iter().rev().filter(|(known, _)| known == name);
        of_name.find_map(|(_, value)| (!value.is_empty()).then(|| value.to_ascii_lowercase()))
    };
    let kept_back = matches!(
        last("ForwardToSyslog").as_deref(),
        Some("no" | "n" | "false" | "f" | "off" | "0")
    );
    // Log-ons are logged with the levels info and notice.
    let level = last("MaxLevelSyslog");
    let cut_off = matches!(
        level.as_deref(),
        Some(
            "emerg"
                | "alert"
                | "crit"
                | "err"
                | "warning"
                | "notice"
                | "0"
                | "1"
                | "2"
                | "3"
                | "4"
                | "5"
        )
    );
    Ok(!kept_back && !cut_off)
}

#[cfg(test)]
mod tests {
    use super::super::syntax::parse;
    use super::Modules;

    fn modules(text: &str) -> (bool, bool) {
        let found = Modules::of(parse(text).unwrap().iter());
        (found.journal, found.socket)
    }

    #[test]
    fn local_messages_come_from_the_journal_or_the_socket() {
        assert_eq!(
            modules("module(load=\"imuxsock\") # local\n"),
            (false, true)
        );
        assert_eq!(modules("$ModLoad imuxsock.so\n"), (false, true));
        assert_eq!(
            modules("module(load=\"imuxsock\" SysSock.Use=\"off\")\nmodule(load=\"imjournal\")\n"),
            (true, false)
        );
        assert_eq!(
            modules("$ModLoad imuxsock\n$OmitLocalLogging on\n"),
            (false, false)
        );
        assert_eq!(
            modules("#module(load=\"imuxsock\")\nmodule(load=\"imklog\")\n"),
            (false, false)
        );
    }
}
