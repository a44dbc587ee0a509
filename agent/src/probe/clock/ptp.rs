//! ptp4l, through pmc(8).

use super::Told;
use super::daemon::said;
use crate::host::Program;
use crate::probe::{Observation, Unobservable};

/// State and offset to the grand master, of the first port that answers.
pub(super) fn ask(observation: &mut Observation<'_>) -> Result<Result<Told, String>, Unobservable> {
    let program = Program::new("/usr/sbin/pmc", &["-u", "-b", "0", "GET TIME_STATUS_NP"]);
    Ok(said(observation, &program)?.and_then(|text| parse(&text)))
}

/// `master_offset` in nanoseconds and `gmPresent`, one a line.
fn parse(text: &str) -> Result<Told, String> {
    let field = |name: &str| {
        text.lines()
            .map(str::split_whitespace)
            .find_map(|mut words| (words.next() == Some(name)).then(|| words.next()).flatten())
    };
    let (Some(offset), Some(present)) = (field("master_offset"), field("gmPresent")) else {
        return Err("pmc: no TIME_STATUS_NP".to_owned());
    };
    let offset: i64 = offset
        .parse()
        .map_err(|_| format!("pmc: master_offset {offset:.40}"))?;
    Ok(Told {
        selected: present == "true",
        offset_us: Some(offset / 1000 + (offset % 1000).signum()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grand_master_is_a_source() {
        let text = "sending: GET TIME_STATUS_NP\n\t001122.fffe.334455-0 seq 0 RESPONSE MANAGEMENT TIME_STATUS_NP\n\t\tmaster_offset              -1524\n\t\tgmPresent                  true\n";
        assert_eq!(
            parse(text),
            Ok(Told {
                selected: true,
                offset_us: Some(-2)
            })
        );
        assert!(!parse(&text.replace("true", "false")).unwrap().selected);
        assert!(parse("sending: GET TIME_STATUS_NP\n").is_err());
        assert!(parse("master_offset x\ngmPresent true\n").is_err());
    }
}
