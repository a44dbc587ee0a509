//! Which socket unit of systemd waits where.

use std::collections::{BTreeMap, BTreeSet};

use crate::host::Program;
use crate::probe::{Observation, Unobservable};

/// Socket units by endpoint (`tcp/22`).
///
/// # Errors
/// [`Unobservable`] if systemctl does not answer.
pub(super) fn of_sockets(
    observation: &mut Observation<'_>,
) -> Result<BTreeMap<String, BTreeSet<String>>, Unobservable> {
    let program = Program::new(
        "/usr/bin/systemctl",
        &["show", "--property=Id,Listen", "*.socket"],
    );
    let Some(output) = observation.run(&program)? else {
        return Ok(BTreeMap::new());
    };
    if output.exit != 0 {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Unobservable::unparsable(&program.line(), said));
    }
    Ok(parse(&output.text()))
}

/// Blocks of `Id=ssh.socket` and lines like `Listen=0.0.0.0:22 (Stream)`, parted by empty lines.
fn parse(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for block in text.split("\n\n") {
        let value = |line: &'_ str, key: &str| Some(line.strip_prefix(key)?.to_owned());
        let Some(id) = block.lines().find_map(|line| value(line, "Id=")) else {
            continue;
        };
        for line in block.lines().filter_map(|line| value(line, "Listen=")) {
            // Older versions put several into one line.
            let words: Vec<&str> = line.split_whitespace().collect();
            for pair in words.windows(2) {
                let protocol = match pair[1] {
                    "(Stream)" => "tcp",
                    "(Datagram)" => "udp",
                    _ => continue,
                };
                let port = pair[0].rsplit_once(':').map(|(_, port)| port);
                if let Some(port) = port.and_then(|port| port.parse::<u16>().ok()) {
                    found
                        .entry(format!("{protocol}/{port}"))
                        .or_default()
                        .insert(id.clone());
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_by_where_they_wait() {
        let text = "Id=ssh.socket\nListen=0.0.0.0:22 (Stream)\nListen=[::]:22 (Stream)\n\nListen=/run/dbus (Stream)\nId=dbus.socket\n\nId=tftp.socket\nListen=[::]:69 (Datagram) [::]:70 (Datagram)\n";
        let found = parse(text);
        assert_eq!(found["tcp/22"], BTreeSet::from(["ssh.socket".to_owned()]));
        assert_eq!(found.len(), 3);
        assert!(parse("").is_empty());
    }
}
