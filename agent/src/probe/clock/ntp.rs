//! ntpd of NTP and NTPsec, through ntpq(1).

use super::Told;
use super::daemon::said;
use super::quantity::scaled;
use crate::host::Program;
use crate::probe::{Observation, Unobservable};

/// State and offset. OpenNTPD has no ntpq and counts as not telling.
pub(super) fn ask(observation: &mut Observation<'_>) -> Result<Result<Told, String>, Unobservable> {
    let text = said(observation, &Program::new("/usr/bin/ntpq", &["-pn"]))?;
    Ok(text.and_then(|text| parse(&text)))
}

/// A table: tally code and remote, refid, stratum, type, when, poll, reach in octal, delay, offset, jitter, in
/// milliseconds. Tally `*` is the source followed, `o` one with a pulse a second.
fn parse(text: &str) -> Result<Told, String> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("===="));
    if lines.next().is_none() {
        return Err(format!(
            "ntpq: {:.200}",
            text.lines().next().unwrap_or_default()
        ));
    }
    let Some(line) = lines.find(|line| line.starts_with(['*', 'o'])) else {
        return Ok(Told::default());
    };
    let fields: Vec<&str> = line.split_whitespace().collect();
    let wrong = || format!("ntpq: {line:.200}");
    let reach = fields
        .get(6)
        .and_then(|reach| u32::from_str_radix(reach, 8).ok())
        .ok_or_else(wrong)?;
    let offset = fields
        .get(8)
        .and_then(|offset| scaled(offset, 3))
        .ok_or_else(wrong)?;
    Ok(Told {
        selected: reach != 0,
        offset_us: Some(offset),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "     remote           refid      st t when poll reach   delay   offset   jitter\n===============================================================================\n 0.debian.pool.n .POOL.          16 p    -   64    0   0.0000   0.0000   0.0001\n*193.79.237.14   .PPS.            1 u   24   64  377   9.1230  -1.2345   0.4560\n+194.58.200.20   .PPS.            1 u   24   64  377   9.1230   2.0000   0.4560\n";

    #[test]
    fn the_source_followed_tells_the_offset() {
        assert_eq!(
            parse(TABLE),
            Ok(Told {
                selected: true,
                offset_us: Some(-1235)
            })
        );
        assert_eq!(parse(&TABLE.replace('*', "-")), Ok(Told::default()));
        assert!(
            !parse(&TABLE.replacen("377", "  0", 1)).unwrap().selected,
            "silent"
        );
        for text in ["", "ntpq: read: Connection refused\n", "====\n*a b c\n"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
