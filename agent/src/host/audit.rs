//! The kernel's audit subsystem over netlink(7): AUDIT_GET and AUDIT_LIST_RULES of linux/audit.h, asked directly.
//!
//! Both requests only read. A message is a `struct nlmsghdr` (length, type, flags, sequence, port: 16 bytes in the
//! machine's byte order) and a body; the kernel acknowledges with NLMSG_ERROR and code 0, and ends a list with NLMSG_DONE.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto,
    socket_with,
};

use super::{AuditStatus, HostError, audit_rule};

const AUDIT_GET: u16 = 1000;
const AUDIT_LIST_RULES: u16 = 1013;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER_BYTES: usize = 16;
/// NLM_F_REQUEST and NLM_F_ACK.
const REQUEST_FLAGS: u16 = 0x5;
/// Longest the kernel may take for one message.
const ANSWER_SECONDS: i64 = 5;
/// Most messages of one answer: the kernel holds far fewer rules on any real host.
const MAX_MESSAGES: usize = 20_000;
/// A rule with its longest buffer: AUDIT_MESSAGE_TEXT_MAX and a path for each field stay far below.
const MAX_MESSAGE_BYTES: usize = 512 * 1024;

pub(super) fn status() -> Result<AuditStatus, HostError> {
    const WHAT: &str = "the audit status";
    let bodies = ask(WHAT, AUDIT_GET)?;
    let body = bodies
        .first()
        .ok_or_else(|| HostError::Io(WHAT.to_owned(), "no answer".to_owned()))?;
    // struct audit_status: mask, enabled, failure, pid, rate_limit, backlog_limit, lost, backlog, version,
    // backlog_wait_time, backlog_wait_time_actual; older kernels send fewer members.
    let member = |index: usize| word(body, index * 4);
    let required = |index: usize| {
        member(index).ok_or_else(|| HostError::Io(WHAT.to_owned(), "short answer".to_owned()))
    };
    Ok(AuditStatus {
        enabled: required(1)?,
        failure: required(2)?,
        pid: required(3)?,
        rate_limit: required(4)?,
        backlog_limit: required(5)?,
        lost: required(6)?,
        backlog: required(7)?,
        backlog_wait_time_actual: member(10).unwrap_or(0),
    })
}

pub(super) fn rules() -> Result<Vec<String>, HostError> {
    const WHAT: &str = "the audit rules";
    ask(WHAT, AUDIT_LIST_RULES)?
        .iter()
        .map(|body| {
            audit_rule::text(body).ok_or_else(|| {
                HostError::Io(
                    WHAT.to_owned(),
                    "a rule in a form that is not known".to_owned(),
                )
            })
        })
        .collect()
}

/// The 32-bit number at `offset`, in the machine's byte order as netlink has it.
pub(super) fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

/// Sends one request and collects the bodies of the answers of the same type, up to the acknowledgement (AUDIT_GET) or
/// the end of the list.
fn ask(what: &str, kind: u16) -> Result<Vec<Vec<u8>>, HostError> {
    let failed = |errno: Errno| match errno {
        Errno::PERM | Errno::ACCESS | Errno::CONNREFUSED => HostError::Permission(what.to_owned()),
        Errno::PROTONOSUPPORT => HostError::ToolMissing(format!("{what} (kernel without audit)")),
        other => HostError::Io(what.to_owned(), other.to_string()),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        flags,
        Some(netlink::AUDIT),
    )
    .map_err(failed)?;
    let mut request = Vec::with_capacity(HEADER_BYTES);
    request.extend_from_slice(&16_u32.to_ne_bytes());
    request.extend_from_slice(&kind.to_ne_bytes());
    request.extend_from_slice(&REQUEST_FLAGS.to_ne_bytes());
    request.extend_from_slice(&1_u32.to_ne_bytes());
    request.extend_from_slice(&0_u32.to_ne_bytes());
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    sendto(&socket, &request, SendFlags::empty(), &kernel).map_err(failed)?;
    let mut bodies = Vec::new();
    let mut acknowledged = false;
    for _ in 0..MAX_MESSAGES {
        let datagram = receive(what, &socket)?;
        for (found, body) in messages(&datagram) {
            match found {
                // The acknowledgement may come before what was asked for: both are waited for.
                NLMSG_ERROR => match word(body, 0).map(u32::cast_signed) {
                    Some(0) => acknowledged = true,
                    Some(code) => return Err(failed(Errno::from_raw_os_error(-code))),
                    None => {
                        return Err(HostError::Io(what.to_owned(), "short answer".to_owned()));
                    }
                },
                NLMSG_DONE => return Ok(bodies),
                found if found == kind => bodies.push(body.to_vec()),
                _ => {}
            }
        }
        if kind == AUDIT_GET && acknowledged && !bodies.is_empty() {
            return Ok(bodies);
        }
    }
    Err(HostError::TooLarge(what.to_owned(), MAX_MESSAGES))
}

fn receive(what: &str, socket: &OwnedFd) -> Result<Vec<u8>, HostError> {
    let deadline = std::time::Duration::from_secs(ANSWER_SECONDS.unsigned_abs());
    let timeout = Timespec {
        tv_sec: ANSWER_SECONDS,
        tv_nsec: 0,
    };
    let io = |errno: Errno| HostError::Io(what.to_owned(), errno.to_string());
    loop {
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(HostError::Timeout(what.to_owned(), deadline)),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(io(errno)),
        }
        // A peek with MSG_TRUNC tells the true length, so that the buffer is no larger than the message.
        let mut probe = [0_u8; 16];
        let length = match recv(socket, &mut probe[..], RecvFlags::PEEK | RecvFlags::TRUNC) {
            Ok((_, length)) => length,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(errno) => return Err(io(errno)),
        };
        if length > MAX_MESSAGE_BYTES {
            return Err(HostError::TooLarge(what.to_owned(), MAX_MESSAGE_BYTES));
        }
        let mut datagram = vec![0_u8; length];
        let (read, _) = recv(socket, &mut datagram[..], RecvFlags::empty()).map_err(io)?;
        datagram.truncate(read);
        return Ok(datagram);
    }
}

/// The messages of a datagram as type and body; what is cut off is left out.
fn messages(datagram: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    let mut rest = datagram;
    while let (Some(length), Some(&[a, b])) = (word(rest, 0), rest.get(4..6)) {
        // Audit answers of old kernels give the body's length, not the message's: the datagram's end bounds both.
        let length = (length as usize).max(HEADER_BYTES).min(rest.len());
        let Some(body) = rest.get(HEADER_BYTES..length) else {
            break;
        };
        found.push((u16::from_ne_bytes([a, b]), body));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_or_says_why_not() {
        match status() {
            Ok(status) => assert!(status.enabled <= 2 && status.failure <= 2),
            Err(error) => assert!(
                matches!(error, HostError::Permission(_) | HostError::ToolMissing(_)),
                "{error}"
            ),
        }
        match rules() {
            Ok(rules) => assert!(rules.iter().all(|rule| rule.starts_with('-'))),
            Err(error) => assert!(
                matches!(error, HostError::Permission(_) | HostError::ToolMissing(_)),
                "{error}"
            ),
        }
    }

    #[test]
    fn messages_are_cut_at_the_end_of_the_datagram() {
        let mut datagram = Vec::new();
        datagram.extend_from_slice(&20_u32.to_ne_bytes());
        datagram.extend_from_slice(&1000_u16.to_ne_bytes());
        datagram.extend_from_slice(&[0; 10]);
        datagram.extend_from_slice(&7_u32.to_ne_bytes());
        assert_eq!(messages(&datagram), vec![(1000, &7_u32.to_ne_bytes()[..])]);
        for length in 0..datagram.len() {
            let _ = messages(&datagram[..length]);
        }
        datagram[0..4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(messages(&datagram).len(), 1);
        datagram[0..4].copy_from_slice(&0_u32.to_ne_bytes());
        assert!(messages(&datagram).len() <= 2);
    }
}
