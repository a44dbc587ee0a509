//! chronyd, through chronyc(1) with `-c`: one record a line, fields parted by commas.

use super::Told;
use super::daemon::said;
use super::quantity::scaled;
use crate::host::Program;
use crate::probe::{Observation, Unobservable};

const PATH: &str = "/usr/bin/chronyc";

/// A source as `chronyc -c sources` lists it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::probe) struct Source {
    /// A reference clock at this host rather than a server.
    pub local: bool,
    /// Followed now.
    pub selected: bool,
    /// Answered at least one of the last eight requests.
    pub reachable: bool,
    /// Name or address.
    pub name: String,
}

/// State and offset.
pub(super) fn ask(observation: &mut Observation<'_>) -> Result<Result<Told, String>, Unobservable> {
    let tracking = match said(observation, &Program::new(PATH, &["-n", "-c", "tracking"]))? {
        Ok(text) => text,
        Err(problem) => return Ok(Err(problem)),
    };
    let sources = match said(observation, &Program::new(PATH, &["-n", "-c", "sources"]))? {
        Ok(text) => text,
        Err(problem) => return Ok(Err(problem)),
    };
    Ok(
        parse_tracking(&tracking).and_then(|(synchronised, offset_us)| {
            // The daemon keeps saying `Normal`, and the source stays selected, long after the source went silent.
            let answers = parse_sources(&sources)?
                .iter()
                .any(|source| source.selected && source.reachable);
            Ok(Told {
                selected: synchronised && answers,
                offset_us: Some(offset_us),
            })
        }),
    )
}

/// Sources by the names of the configuration where chronyc can tell them (since chrony 4.0).
pub(in crate::probe) fn sources(
    observation: &mut Observation<'_>,
) -> Result<Result<Vec<Source>, String>, Unobservable> {
    let text = match said(observation, &Program::new(PATH, &["-N", "-c", "sources"]))? {
        Ok(text) => Ok(text),
        Err(_) => said(observation, &Program::new(PATH, &["-n", "-c", "sources"]))?,
    };
    Ok(text.and_then(|text| parse_sources(&text)))
}

/// Names of sources that are authenticated by NTS; needs root or the user of chronyd.
pub(in crate::probe) fn nts_names(
    observation: &mut Observation<'_>,
) -> Result<Result<Vec<String>, String>, Unobservable> {
    let text = said(observation, &Program::new(PATH, &["-N", "-c", "authdata"]))?;
    Ok(text.map(|text| {
        text.lines()
            .filter_map(|line| {
                let mut fields = line.split(',');
                let name = fields.next()?;
                (fields.next()? == "NTS").then(|| name.to_owned())
            })
            .collect()
    }))
}

/// Fields: reference, its name, stratum, reference time, system time, …, leap status.
fn parse_tracking(text: &str) -> Result<(bool, i64), String> {
    let line = text.lines().next().unwrap_or_default();
    let wrong = || format!("chronyc tracking: {line:.200}");
    let fields: Vec<&str> = line.split(',').collect();
    if fields.len() < 14 {
        return Err(wrong());
    }
    let offset = fields
        .get(4)
        .and_then(|field| scaled(field, 6))
        .ok_or_else(wrong)?;
    let leap = fields.last().copied().unwrap_or_default();
    // 7F7F0101 is the host's own clock, declared good by `local`.
    let own_clock = matches!(fields.first(), Some(&"7F7F0101" | &"00000000"));
    Ok((!own_clock && leap != "Not synchronised", offset))
}

/// Fields: mode (`^` server, `=` peer, `#` reference clock), state, name, stratum, poll, reach in octal, …
fn parse_sources(text: &str) -> Result<Vec<Source>, String> {
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let wrong = || format!("chronyc sources: {line:.200}");
            let [mode, state, name, _, _, reach, ..] = fields.as_slice() else {
                return Err(wrong());
            };
            Ok(Source {
                local: *mode == "#",
                selected: *state == "*",
                reachable: u32::from_str_radix(reach, 8).map_err(|_| wrong())? != 0,
                name: (*name).to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracking_tells_offset_and_state() {
        let line = "7F000001,127.0.0.1,9,1795510729.604711764,-0.000001431,-0.000000014,0.000000151,-0.012,0.000,0.101,0.000005566,0.000001256,0.5,Normal\n";
        assert_eq!(parse_tracking(line), Ok((true, -2)));
        assert_eq!(
            parse_tracking(&line.replace("Normal", "Not synchronised")),
            Ok((false, -2))
        );
        assert_eq!(
            parse_tracking(&line.replace("7F000001", "7F7F0101")),
            Ok((false, -2)),
            "its own clock"
        );
        for text in ["", "506 Cannot talk to daemon", ",,,,,,,,,,,,,", "a,b"] {
            assert!(parse_tracking(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sources_tell_who_answers() {
        let text = "^,*,127.0.0.1,8,-1,377,1,0.000000003,-0.000000011,0.000002818\n^,?,127.0.0.2,0,0,0,4294967295,0.000000000,0.000000000,0.000000000\n#,-,PHC0,0,0,200,1,0.0,0.0,0.0\n";
        let sources = parse_sources(text).unwrap();
        assert!(sources[0].selected && sources[0].reachable && !sources[0].local);
        assert!(!sources[1].selected && !sources[1].reachable);
        assert!(sources[2].local && sources[2].reachable);
        assert!(parse_sources("^,*,a,1,1,9,0\n").is_err(), "reach is octal");
        assert!(parse_sources("^,*\n").is_err());
    }
}
