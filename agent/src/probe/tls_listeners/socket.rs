//! Listening TCP sockets of the agent's own network namespace, with an address that this host can be asked at.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::host::HostError;
use crate::probe::{Observation, Unobservable};

/// TCP_LISTEN of linux/tcp_states.h.
const LISTEN: &str = "0A";
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Where to ask, one address for each port where any will do.
pub(super) fn listening(
    observation: &mut Observation<'_>,
) -> Result<Vec<SocketAddr>, Unobservable> {
    let mut found = BTreeSet::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let bytes = match observation.host().read(path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(HostError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        observation.note(path);
        let text = String::from_utf8_lossy(&bytes);
        found.extend(text.lines().skip(1).filter_map(listener));
    }
    // A port that listens on every address of IPv6 commonly listens on those of IPv4 too: asked once.
    let v4: BTreeSet<u16> = found
        .iter()
        .filter(|address| address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST))
        .map(SocketAddr::port)
        .collect();
    found.retain(|address| {
        address.ip() != IpAddr::V6(Ipv6Addr::LOCALHOST) || !v4.contains(&address.port())
    });
    Ok(found.into_iter().collect())
}

/// The address of a line of /proc/net/tcp that listens; every address of a family is asked at its loopback.
fn listener(line: &str) -> Option<SocketAddr> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.get(3) != Some(&LISTEN) {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.swap_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bits = words
                .iter()
                .fold(0_u128, |bits, word| bits << 32 | u128::from(*word));
            let v6 = Ipv6Addr::from(bits);
            v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
        }
        _ => return None,
    };
    let ip = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_addresses() {
        let line = |local: &str, state: &str| {
            let found = listener(&format!(
                "0: {local} 00000000:0000 {state} 0:0 0:0 0 0 0 1 1"
            ));
            found.map(|address| address.to_string())
        };
        assert_eq!(
            line("00000000:01BB", "0A").as_deref(),
            Some("127.0.0.1:443")
        );
        assert_eq!(line("0500000A:01BB", "0A").as_deref(), Some("10.0.0.5:443"));
        assert_eq!(line("0500000A:01BB", "01"), None);
        let any = "00000000000000000000000000000000:0016";
        assert_eq!(line(any, "0A").as_deref(), Some("[::1]:22"));
        let loopback = "00000000000000000000000001000000:0016";
        assert_eq!(line(loopback, "0A").as_deref(), Some("[::1]:22"));
        let mapped = "0000000000000000FFFF00000100007F:0016";
        assert_eq!(line(mapped, "0A").as_deref(), Some("127.0.0.1:22"));
        for wrong in ["", "x", "00:00", "0000000g:0016", "é0000000:0016"] {
            assert_eq!(line(wrong, "0A"), None);
        }
    }
}
