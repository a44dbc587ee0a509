//! Tables of sockets as proc(5) shows them: /proc/net/tcp, tcp6, udp, udp6, udplite, udplite6 and sctp/eps.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::host::{Host, HostError};

/// Tables, the protocol of each and the state of a socket that waits for packets from anywhere: TCP_LISTEN, and for UDP
/// TCP_CLOSE, which is one that is bound and not connected.
const TABLES: [(&str, &str, &str); 6] = [
    ("tcp", "tcp", "0A"),
    ("tcp6", "tcp", "0A"),
    ("udp", "udp", "07"),
    ("udp6", "udp", "07"),
    ("udplite", "udplite", "07"),
    ("udplite6", "udplite", "07"),
];
/// Most bytes of one table: half a million connections.
const MAX_BYTES: u64 = 80 * 1024 * 1024;
/// Most waiting sockets of one namespace.
const MAX_SOCKETS: usize = 20_000;

/// A socket that waits for packets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    pub(super) protocol: &'static str,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) inode: String,
}

impl Waiting {
    /// Nothing but this host reaches it.
    pub(super) fn is_loopback(&self) -> bool {
        match self.address {
            IpAddr::V4(address) => address.is_loopback(),
            IpAddr::V6(address) => {
                address.is_loopback()
                    || address
                        .to_ipv4_mapped()
                        .is_some_and(|address| address.is_loopback())
            }
        }
    }
}

/// The waiting sockets of the namespace whose tables lie in `directory` (`/proc/net` or `/proc/PID/net`).
///
/// # Errors
/// [`HostError`] if a table cannot be read or has another form.
pub(super) fn waiting(host: &dyn Host, directory: &str) -> Result<Vec<Waiting>, HostError> {
    let mut found = Vec::new();
    let mut tables = 0;
    for (table, protocol, state) in TABLES {
        let path = format!("{directory}/{table}");
        let reader = match host.open(&path) {
            Ok(reader) => reader,
            Err(HostError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        tables += 1;
        lines(reader, &path, &mut |line| {
            if let Some(socket) = inet(line, protocol, state)? {
                found.push(socket);
            }
            (found.len() <= MAX_SOCKETS).then_some(())
        })?;
    }
    if tables == 0 {
        return Err(HostError::NotFound(format!("{directory}/tcp")));
    }
    let path = format!("{directory}/sctp/eps");
    match host.open(&path) {
        Ok(reader) => lines(reader, &path, &mut |line| {
            found.extend(sctp(line)?);
            (found.len() <= MAX_SOCKETS).then_some(())
        })?,
        Err(HostError::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Calls `take` with each line but the first, which names the columns.
fn lines(
    reader: Box<dyn std::io::Read + '_>,
    path: &str,
    take: &mut dyn FnMut(&str) -> Option<()>,
) -> Result<(), HostError> {
    let failed =
        |problem: &dyn std::fmt::Display| HostError::Io(path.to_owned(), problem.to_string());
    let mut reader = BufReader::with_capacity(64 * 1024, reader.take(MAX_BYTES));
    let mut line = String::new();
    let mut first = true;
    let mut total = 0;
    loop {
        line.clear();
        let length = reader
            .read_line(&mut line)
            .map_err(|error| failed(&error))?;
        if length == 0 {
            return Ok(());
        }
        total += length as u64;
        if total >= MAX_BYTES {
            return Err(failed(&"is longer than is read"));
        }
        if !std::mem::take(&mut first) && !line.trim().is_empty() {
            take(&line).ok_or_else(|| failed(&"a line has another form"))?;
        }
    }
}

/// A line of a table of TCP or UDP, if it is in that state; the outer option is empty for a line of another form.
#[expect(
    clippy::option_option,
    reason = "no line of the form, and no socket in that state, are two things"
)]
fn inet(line: &str, protocol: &'static str, state: &str) -> Option<Option<Waiting>> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let its = fields.nth(1)?;
    if its != state {
        return Some(None);
    }
    let inode = fields.nth(5)?;
    let (address, port) = local.split_once(':')?;
    Some(Some(Waiting {
        protocol,
        address: hex_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        inode: inode.to_owned(),
    }))
}

/// An address as words of four bytes in the order of the processor, which is little-endian wherever this runs.
fn hex_address(text: &str) -> Option<IpAddr> {
    let bytes = hex::decode(text).ok()?;
    let order: Vec<u8> = bytes
        .chunks(4)
        .flat_map(|word| word.iter().rev().copied())
        .collect();
    if let Ok(four) = <[u8; 4]>::try_from(order.as_slice()) {
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    let sixteen = <[u8; 16]>::try_from(order.as_slice()).ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(sixteen)))
}

/// A line of sctp/eps: ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS; a listening one has the state 10.
fn sctp(line: &str) -> Option<Vec<Waiting>> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != "10" {
        return Some(Vec::new());
    }
    let port = fields.get(5)?.parse().ok()?;
    let inode = *fields.get(7)?;
    let addresses = fields.get(8..)?.iter().map(|text| {
        Some(Waiting {
            protocol: "sctp",
            address: text.trim_start_matches('*').parse().ok()?,
            port,
            inode: inode.to_owned(),
        })
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tables_are_read() {
        let line = "   0: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1518 1 00 100 0 0 10 0";
        let socket = inet(line, "tcp", "0A").unwrap().unwrap();
        assert_eq!((socket.port, socket.inode.as_str()), (25, "1518"));
        assert!(socket.is_loopback());
        assert_eq!(inet(line, "tcp", "01"), Some(None));
        let mapped = line.replace("0100007F", "0000000000000000FFFF00000100007F");
        assert!(inet(&mapped, "tcp", "0A").unwrap().unwrap().is_loopback());
        let any = line.replace("0100007F", "00000000000000000000000000000000");
        assert!(!inet(&any, "tcp", "0A").unwrap().unwrap().is_loopback());
        for broken in [
            "",
            "0: x",
            "0: 0100:0019 0:0 0A",
            "0: 0100007F:FFFFF 0:0 0A 0 0 0 0 0 5",
        ] {
            assert_eq!(inet(broken, "tcp", "0A"), None, "{broken}");
        }
    }

    #[test]
    fn endpoints_of_sctp_are_read() {
        let line = " ffff8880 ffff8881 2   10  29 2905 0 2222 192.0.2.1 10.0.0.1";
        assert_eq!(sctp(line).unwrap().len(), 2);
        assert_eq!(sctp(&line.replace("  10 ", "  7 ")).unwrap().len(), 0);
        assert_eq!(sctp("x"), None);
    }
}
