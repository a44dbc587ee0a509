//! The answer of `systemctl show`, systemctl(1).

use std::collections::BTreeMap;

use evidence::time::Timestamp;
use jiff::civil::DateTime;

use super::{Unit, is_boot_target};
use crate::host::ProgramOutput;

/// Units by the names asked for; the answer's blocks are in the same order.
pub(super) fn parse(
    names: &[&str],
    output: &ProgramOutput,
) -> Result<BTreeMap<String, Unit>, String> {
    let text = output.text();
    let blocks: Vec<BTreeMap<&str, &str>> = text
        .split("\n\n")
        .filter(|block| !block.trim().is_empty())
        .map(|block| {
            block
                .lines()
                .filter_map(|line| line.split_once('='))
                .collect()
        })
        .collect();
    if blocks.len() != names.len() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{} of {} units answered (exit {}): {}",
            blocks.len(),
            names.len(),
            output.exit,
            said.lines().next().unwrap_or_default()
        ));
    }
    let mut units = BTreeMap::new();
    for (name, block) in names.iter().zip(&blocks) {
        let unit = unit(block).map_err(|problem| format!("{name}: {problem}"))?;
        units.insert((*name).to_owned(), unit);
    }
    Ok(units)
}

fn unit(block: &BTreeMap<&str, &str>) -> Result<Unit, String> {
    let filled = |key: &str| block.get(key).copied().filter(|value| !value.is_empty());
    let time = |key: &str| {
        filled(key)
            .filter(|value| *value != "n/a")
            .map(timestamp)
            .transpose()
    };
    let load = filled("LoadState").ok_or("no LoadState")?;
    if load == "not-found" {
        return Ok(Unit::default());
    }
    let file_state = filled("UnitFileState").unwrap_or_default();
    let masked = load == "masked" || file_state.starts_with("masked");
    let wanted = ["WantedBy", "RequiredBy"]
        .iter()
        .filter_map(|key| filled(key))
        .flat_map(str::split_whitespace)
        .any(is_boot_target);
    // Links below /run, which `enabled-runtime` means, are gone after a reboot.
    let enabled = match file_state {
        "enabled" => true,
        "enabled-runtime" | "linked-runtime" | "transient" => false,
        _ => wanted,
    };
    let main_pid: Option<u32> = match filled("MainPID") {
        Some(pid) => Some(pid.parse().map_err(|_| format!("MainPID {pid:?}"))?),
        None => None,
    };
    let exit_status = match filled("ExecMainStatus") {
        Some(status) => Some(
            status
                .parse()
                .map_err(|_| format!("ExecMainStatus {status:?}"))?,
        ),
        None => None,
    };
    Ok(Unit {
        exists: true,
        active: matches!(
            filled("ActiveState"),
            Some("active" | "reloading" | "refreshing")
        ),
        enabled: enabled && !masked,
        masked,
        result: filled("Result").map(str::to_owned),
        exit_status,
        exited: time("ExecMainExitTimestamp")?,
        started: time("ExecMainStartTimestamp")?
            .map_or_else(|| time("ActiveEnterTimestamp"), |time| Ok(Some(time)))?,
        main_pid: main_pid.filter(|pid| *pid != 0),
    })
}

/// `Tue 2026-11-24 08:28:12 UTC`.
fn timestamp(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("{text:?} is no time in UTC");
    let civil = text
        .strip_suffix(" UTC")
        .and_then(|text| text.split_once(' '))
        .ok_or_else(wrong)?
        .1;
    let time = DateTime::strptime("%Y-%m-%d %H:%M:%S", civil).map_err(|_| wrong())?;
    let instant = jiff::tz::TimeZone::UTC
        .to_timestamp(time)
        .map_err(|_| wrong())?;
    Ok(Timestamp::from_unix_seconds(instant.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str) -> ProgramOutput {
        ProgramOutput {
            stdout: stdout.into(),
            ..ProgramOutput::default()
        }
    }

    /// As systemd 252 answers; `apt-daily.service` never ran since boot.
    const ANSWER: &str = "\
MainPID=431
Result=success
ExecMainStartTimestamp=Mon 2026-11-23 06:12:40 UTC
ExecMainExitTimestamp=
ExecMainStatus=0
Id=ssh.service
WantedBy=multi-user.target
LoadState=loaded
ActiveState=active
UnitFileState=enabled
ActiveEnterTimestamp=Mon 2026-11-23 06:12:41 UTC

MainPID=0
Result=success
ExecMainStartTimestamp=n/a
ExecMainExitTimestamp=n/a
ExecMainStatus=0
Id=apt-daily.service
LoadState=loaded
ActiveState=inactive
UnitFileState=static
ActiveEnterTimestamp=

Result=success
Id=systemd-tmpfiles-clean.timer
WantedBy=timers.target
LoadState=loaded
ActiveState=active
UnitFileState=static
ActiveEnterTimestamp=Mon 2026-11-23 06:12:39 UTC

Id=apt-daily.timer
LoadState=masked
ActiveState=inactive
UnitFileState=masked

MainPID=0
Id=none.service
LoadState=not-found
ActiveState=inactive
";

    #[test]
    fn each_unit_is_what_systemd_says() {
        let names = [
            "ssh.service",
            "apt-daily.service",
            "systemd-tmpfiles-clean.timer",
            "apt-daily.timer",
            "none.service",
        ];
        let units = parse(&names, &output(ANSWER)).unwrap();
        let ssh = &units["ssh.service"];
        assert!(ssh.exists && ssh.active && ssh.enabled && !ssh.masked);
        assert_eq!(ssh.main_pid, Some(431));
        assert_eq!(ssh.started.unwrap().to_string(), "2026-11-23T06:12:40.000Z");
        assert_eq!(ssh.exited, None);
        let never_ran = &units["apt-daily.service"];
        assert_eq!(
            (never_ran.exited, never_ran.started, never_ran.main_pid),
            (None, None, None)
        );
        assert_eq!(never_ran.result.as_deref(), Some("success"));
        assert!(!never_ran.enabled, "static and wanted by no target");
        let timer = &units["systemd-tmpfiles-clean.timer"];
        assert!(timer.enabled, "static, but wanted by timers.target");
        assert_eq!(
            timer.started.unwrap().to_string(),
            "2026-11-23T06:12:39.000Z"
        );
        let masked = &units["apt-daily.timer"];
        assert!(masked.exists && masked.masked && !masked.enabled);
        assert_eq!(units["none.service"], Unit::default());
    }

    #[test]
    fn a_unit_enabled_until_reboot_or_for_rescue_does_not_start_at_boot() {
        let block = "Id=a.service\nLoadState=loaded\nActiveState=active\nWantedBy=multi-user.target\nUnitFileState=enabled-runtime\n";
        assert!(!parse(&["a.service"], &output(block)).unwrap()["a.service"].enabled);
        let rescue = block
            .replace("multi-user", "rescue")
            .replace("enabled-runtime", "static");
        assert!(!parse(&["a.service"], &output(&rescue)).unwrap()["a.service"].enabled);
    }

    #[test]
    fn what_is_no_full_answer_is_refused() {
        for text in [
            "",
            "garbage",
            "Id=a.service\nLoadState=loaded\nMainPID=x\n",
            "Id=a.service\nLoadState=loaded\nExecMainExitTimestamp=yesterday\n",
            "Id=a.service\nLoadState=loaded\nExecMainExitTimestamp=Mon 2026-11-23 06:12:40 CET\n",
            "Id=a\nLoadState=loaded\n\nId=b\nLoadState=loaded\n",
        ] {
            assert!(parse(&["a.service"], &output(text)).is_err(), "{text:?}");
        }
    }
}
