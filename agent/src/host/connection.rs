//! Asking a listener of this very host: the one kind of connection that a probe may make, and only where the agent's own
//! configuration allows it.
//!
//! Contract: the address belongs to this host (loopback, or an address that a socket can be bound to while
//! `ip_nonlocal_bind` is off), the conversation is bounded in time and bytes, and no handshake is ever completed.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::HostError;

/// Longest that one conversation may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// Longest that a listener of this host takes to accept.
const CONNECT: Duration = Duration::from_millis(500);
/// Most bytes taken from a listener.
const MAX_ANSWER: usize = 64 * 1024;

/// A conversation with a listener of this host.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// Where it listens.
    pub address: SocketAddr,
    /// What is asked, for recordings: `tls1_2 web.example`.
    pub question: String,
    /// What is said, in order.
    pub steps: Vec<Step>,
    /// Whether the answer is long enough.
    pub is_enough: fn(&[u8]) -> bool,
}

/// One thing to say.
#[derive(Debug, Clone)]
pub struct Step {
    /// Wait for a line that begins so before it is said.
    pub after: Option<&'static str>,
    /// What is said.
    pub say: Vec<u8>,
}

impl Conversation {
    /// The name under which a recording keeps the answer.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", self.address, self.question)
    }
}

/// What the listener answered to the last step; empty if it closed or said nothing in time.
pub(super) fn hold(conversation: &Conversation) -> Result<Vec<u8>, HostError> {
    let label = conversation.label();
    let io = |error: std::io::Error| HostError::Io(label.clone(), error.to_string());
    if !is_own(conversation.address.ip()) {
        return Err(HostError::Io(
            label.clone(),
            "not an address of this host".to_owned(),
        ));
    }
    let end = Instant::now() + DEADLINE;
    let mut stream = TcpStream::connect_timeout(&conversation.address, CONNECT).map_err(io)?;
    stream.set_write_timeout(Some(CONNECT)).map_err(io)?;
    for step in &conversation.steps {
        if let Some(start) = step.after {
            let found = read(&mut stream, end, &mut |bytes| has_line(bytes, start)).map_err(io)?;
            if !has_line(&found, start) {
                return Ok(Vec::new());
            }
        }
        if stream.write_all(&step.say).is_err() {
            return Ok(Vec::new());
        }
    }
    read(&mut stream, end, &mut |bytes| {
        (conversation.is_enough)(bytes)
    })
    .map_err(io)
}

fn has_line(bytes: &[u8], start: &str) -> bool {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .any(|line| line.starts_with(start.as_bytes()) && line.ends_with(b"\n"))
}

/// Reads until enough was said, the end of the stream, the deadline or the bound.
fn read(
    stream: &mut TcpStream,
    end: Instant,
    is_enough: &mut dyn FnMut(&[u8]) -> bool,
) -> std::io::Result<Vec<u8>> {
    let mut found = Vec::new();
    let mut chunk = [0; 4096];
    while found.len() < MAX_ANSWER && !is_enough(&found) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            // A listener that wants nothing of us closes or resets; what it said before counts.
            Ok(0) | Err(_) => break,
            Ok(length) => found.extend_from_slice(chunk.get(..length).unwrap_or_default()),
        }
    }
    Ok(found)
}

/// Whether packets to this address stay on this host.
fn is_own(address: IpAddr) -> bool {
    const NONLOCAL: [&str; 2] = [
        "/proc/sys/net/ipv4/ip_nonlocal_bind",
        "/proc/sys/net/ipv6/ip_nonlocal_bind",
    ];
    if address.is_loopback() {
        return true;
    }
    let strict = NONLOCAL
        .iter()
        .all(|path| std::fs::read_to_string(path).map_or(true, |value| value.trim() == "0"));
    strict && TcpListener::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_addresses_are_asked() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("192.0.2.1".parse().unwrap()));
        let conversation = Conversation {
            address: "192.0.2.1:443".parse().unwrap(),
            question: String::new(),
            steps: Vec::new(),
            is_enough: |_| true,
        };
        assert!(hold(&conversation).is_err());
    }

    #[test]
    fn a_conversation_waits_for_its_cue() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"220-hello\r\n220 ready\r\n").unwrap();
            let mut heard = [0; 4];
            stream.read_exact(&mut heard).unwrap();
            stream.write_all(&heard).unwrap();
        });
        let conversation = Conversation {
            address,
            question: String::new(),
            steps: vec![Step {
                after: Some("220 "),
                say: b"QUIT".to_vec(),
            }],
            is_enough: |bytes| bytes.len() == 4,
        };
        assert_eq!(hold(&conversation).unwrap(), b"QUIT");
        server.join().unwrap();
    }
}
