//! systemd-timesyncd, over D-Bus through busctl(1): org.freedesktop.timesync1(5) in JSON, in microseconds.

use serde_json::Value;

use super::Told;
use super::daemon::said;
use crate::host::Program;
use crate::probe::{Observation, Unobservable};

/// All properties in one call. It is made only while the daemon runs, so that it starts nothing.
fn query() -> Program {
    Program::new(
        "/usr/bin/busctl",
        &[
            "--system",
            "--json=short",
            "call",
            "org.freedesktop.timesync1",
            "/org/freedesktop/timesync1",
            "org.freedesktop.DBus.Properties",
            "GetAll",
            "s",
            "org.freedesktop.timesync1.Manager",
        ],
    )
}

/// State and offset.
pub(super) fn ask(observation: &mut Observation<'_>) -> Result<Result<Told, String>, Unobservable> {
    Ok(said(observation, &query())?.and_then(|text| Properties::parse(&text)?.told()))
}

/// The servers it would ask, in its own order of preference.
pub(in crate::probe) fn servers(
    observation: &mut Observation<'_>,
) -> Result<Result<Vec<String>, String>, Unobservable> {
    Ok(said(observation, &query())?.and_then(|text| Ok(Properties::parse(&text)?.servers())))
}

struct Properties(Value);

impl Properties {
    fn parse(text: &str) -> Result<Properties, String> {
        let mut answer: Value =
            serde_json::from_str(text).map_err(|error| format!("busctl: {error}"))?;
        match answer.pointer_mut("/data/0").map(Value::take) {
            Some(properties @ Value::Object(_)) => Ok(Properties(properties)),
            _ => Err("busctl: no properties of systemd-timesyncd".to_owned()),
        }
    }

    fn data(&self, name: &str) -> Option<&Value> {
        self.0.get(name)?.get("data")
    }

    /// `NTPMessage`: leap, version, mode, stratum, precision, root delay, root dispersion, reference, the four times of
    /// the exchange, whether it was ignored, number of packets, jitter.
    fn told(&self) -> Result<Told, String> {
        let message = self
            .data("NTPMessage")
            .and_then(Value::as_array)
            .ok_or("busctl: no NTPMessage")?;
        let number = |at: usize| message.get(at).and_then(Value::as_u64);
        let packets = number(13).ok_or("busctl: NTPMessage without a number of packets")?;
        let leap = number(0).ok_or("busctl: NTPMessage without leap")?;
        let times: Option<Vec<i128>> = (8..12).map(|at| number(at).map(i128::from)).collect();
        // RFC 5905 §8: half the sum of both differences. Three of the four times are the server's or in the past.
        let offset = times.as_deref().and_then(|times| match times {
            [sent, received, answered, arrived] => {
                i64::try_from(((received - sent) + (answered - arrived)) / 2).ok()
            }
            _ => None,
        });
        Ok(Told {
            // Leap 3 is a server that is not synchronised itself.
            selected: packets > 0 && leap != 3,
            offset_us: offset,
        })
    }

    fn list(&self, name: &str) -> Vec<String> {
        let items = self.data(name).and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    }

    /// Fallback servers count only if neither configuration nor network names others.
    fn servers(&self) -> Vec<String> {
        let own: Vec<String> = ["RuntimeNTPServers", "SystemNTPServers", "LinkNTPServers"]
            .iter()
            .flat_map(|name| self.list(name))
            .collect();
        if own.is_empty() {
            self.list("FallbackNTPServers")
        } else {
            own
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// systemd 252 before the first answer.
    const SILENT: &str = r#"{"type":"a{sv}","data":[{"LinkNTPServers":{"type":"as","data":[]},"SystemNTPServers":{"type":"as","data":[]},"RuntimeNTPServers":{"type":"as","data":[]},"FallbackNTPServers":{"type":"as","data":["0.debian.pool.ntp.org","1.debian.pool.ntp.org"]},"ServerName":{"type":"s","data":"1.debian.pool.ntp.org"},"ServerAddress":{"type":"(iay)","data":[0,[]]},"NTPMessage":{"type":"(uuuuittayttttbtt)","data":[0,0,0,0,0,0,0,[0,0,0,0],0,18444535084909551616,18444535084909551616,0,false,0,0]},"Frequency":{"type":"x","data":0}}]}"#;

    #[test]
    fn a_server_name_alone_is_no_source() {
        assert!(!Properties::parse(SILENT).unwrap().told().unwrap().selected);
    }

    #[test]
    fn the_offset_is_that_of_the_four_times() {
        let answered = SILENT.replace("[0,0,0,0,0,0,0,[0,0,0,0],0,18444535084909551616,18444535084909551616,0,false,0,0]", "[0,4,4,2,-24,15258,106,[193,79,237,14],1795510000000000,1795510001005000,1795510001005010,1795510000010010,false,7,900]");
        let told = Properties::parse(&answered).unwrap().told().unwrap();
        assert_eq!(
            told,
            Told {
                selected: true,
                offset_us: Some(1_000_000)
            }
        );
        let unsynchronised = answered.replace("[0,4,4,2", "[3,4,4,2");
        assert!(
            !Properties::parse(&unsynchronised)
                .unwrap()
                .told()
                .unwrap()
                .selected
        );
    }

    #[test]
    fn fallback_servers_are_used_only_without_others() {
        assert_eq!(Properties::parse(SILENT).unwrap().servers().len(), 2);
        let link = SILENT.replace(
            r#""LinkNTPServers":{"type":"as","data":[]}"#,
            r#""LinkNTPServers":{"type":"as","data":["10.0.0.1"]}"#,
        );
        assert_eq!(Properties::parse(&link).unwrap().servers(), ["10.0.0.1"]);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"data":[]}"#,
            r#"{"data":[7]}"#,
            "Call failed",
        ] {
            assert!(Properties::parse(text).is_err(), "{text}");
        }
        for text in [
            r#"{"data":[{}]}"#,
            r#"{"data":[{"NTPMessage":{"data":[1,2]}}]}"#,
        ] {
            assert!(Properties::parse(text).unwrap().told().is_err(), "{text}");
        }
    }
}
