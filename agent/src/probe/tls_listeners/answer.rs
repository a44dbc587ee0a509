//! What a server answers to a ClientHello.

/// Alerts that mean: not with what was offered (RFC 8446, 6.2): handshake_failure, illegal_parameter, protocol_version,
/// insufficient_security, internal_error (old libraries say so for versions they do not speak), missing_extension.
const REFUSALS: [u8; 6] = [40, 47, 70, 71, 80, 109];
/// Content types of records.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// Handshake messages.
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_HELLO_DONE: u8 = 14;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The server goes on with this version and suite, and before TLS 1.3 shows its certificate.
    Accepted {
        version: u16,
        suite: u16,
        certificate: Option<Vec<u8>>,
    },
    /// The server speaks TLS and refuses the offer.
    Refused,
    /// The server speaks TLS and breaks off for another reason, by the number of its alert.
    Alert(u8),
    /// No TLS.
    Other,
}

/// Whether nothing more is to be expected.
pub(super) fn is_enough(bytes: &[u8]) -> bool {
    match bytes.first() {
        None => false,
        Some(&ALERT) => bytes.len() >= 7,
        Some(&HANDSHAKE) => {
            let (messages, rest) = messages(bytes);
            rest || messages.iter().any(|(kind, body)| {
                *kind == SERVER_HELLO_DONE
                    || (*kind == SERVER_HELLO
                        && hello(body).is_some_and(|(version, _)| version >= 0x0304))
            })
        }
        Some(_) => true,
    }
}

/// Reads an answer.
pub(super) fn read(bytes: &[u8]) -> Answer {
    match bytes.first() {
        Some(&ALERT) if is_version(bytes) => match bytes.get(6) {
            Some(alert) if REFUSALS.contains(alert) => Answer::Refused,
            Some(alert) => Answer::Alert(*alert),
            None => Answer::Other,
        },
        Some(&HANDSHAKE) if is_version(bytes) => {
            let (messages, _) = messages(bytes);
            let Some((version, suite)) = messages
                .iter()
                .find(|(kind, _)| *kind == SERVER_HELLO)
                .and_then(|(_, body)| hello(body))
            else {
                return Answer::Other;
            };
            let certificate = messages
                .iter()
                .find(|(kind, _)| *kind == CERTIFICATE)
                .and_then(|(_, body)| first_certificate(body));
            Answer::Accepted {
                version,
                suite,
                certificate,
            }
        }
        _ => Answer::Other,
    }
}

fn is_version(bytes: &[u8]) -> bool {
    bytes.get(1) == Some(&3)
}

/// The handshake messages in the records so far, and whether something else than a handshake follows them.
fn messages(bytes: &[u8]) -> (Vec<(u8, Vec<u8>)>, bool) {
    let mut stream = Vec::new();
    let mut rest = bytes;
    let mut other = false;
    while let [kind, _, _, a, b, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*a, *b]));
        let Some((content, after)) = tail.split_at_checked(length) else {
            break;
        };
        if *kind != HANDSHAKE {
            other = true;
            break;
        }
        stream.extend_from_slice(content);
        rest = after;
    }
    let mut found = Vec::new();
    let mut rest = stream.as_slice();
    while let [kind, a, b, c, tail @ ..] = rest {
        let length = number_24([*a, *b, *c]);
        let Some((body, after)) = tail.split_at_checked(length) else {
            break;
        };
        found.push((*kind, body.to_vec()));
        rest = after;
    }
    (found, other)
}

fn number_24([a, b, c]: [u8; 3]) -> usize {
    usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)
}

/// Version and suite of a ServerHello; TLS 1.3 gives its version in an extension.
fn hello(body: &[u8]) -> Option<(u16, u16)> {
    let mut version = number_16(body.get(..2)?)?;
    let session = usize::from(*body.get(34)?);
    let rest = body.get(35 + session..)?;
    let suite = number_16(rest.get(..2)?)?;
    let mut extensions = rest.get(5..).unwrap_or_default();
    while let [a, b, c, d, tail @ ..] = extensions {
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        let Some((content, after)) = tail.split_at_checked(length) else {
            break;
        };
        if u16::from_be_bytes([*a, *b]) == 43 {
            version = number_16(content)?;
        }
        extensions = after;
    }
    Some((version, suite))
}

fn number_16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]))
}

/// The first certificate of a Certificate message of TLS 1.2.
fn first_certificate(body: &[u8]) -> Option<Vec<u8>> {
    let [_, _, _, a, b, c, tail @ ..] = body else {
        return None;
    };
    tail.get(..number_24([*a, *b, *c])).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 3, 3];
        bytes.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(content);
        bytes
    }

    fn server_hello(version: u16, extension: &[u8]) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[0, 0xc0, 0x2f, 0]);
        if !extension.is_empty() {
            body.extend_from_slice(&u16::try_from(extension.len()).unwrap().to_be_bytes());
            body.extend_from_slice(extension);
        }
        let mut message = vec![SERVER_HELLO, 0, 0, u8::try_from(body.len()).unwrap()];
        message.extend_from_slice(&body);
        message
    }

    #[test]
    fn a_hello_says_version_and_suite() {
        let mut flight = record(HANDSHAKE, &server_hello(0x0303, &[]));
        assert!(!is_enough(&flight));
        flight.extend(record(
            HANDSHAKE,
            &[CERTIFICATE, 0, 0, 8, 0, 0, 5, 0, 0, 2, 9, 9],
        ));
        flight.extend(record(HANDSHAKE, &[SERVER_HELLO_DONE, 0, 0, 0]));
        assert!(is_enough(&flight));
        assert_eq!(
            read(&flight),
            Answer::Accepted {
                version: 0x0303,
                suite: 0xc02f,
                certificate: Some(vec![9, 9])
            }
        );
        let retry = record(HANDSHAKE, &server_hello(0x0303, &[0, 43, 0, 2, 3, 4]));
        assert!(is_enough(&retry));
        assert!(matches!(
            read(&retry),
            Answer::Accepted {
                version: 0x0304,
                ..
            }
        ));
    }

    #[test]
    fn alerts_refuse_or_break_off() {
        assert_eq!(read(&record(ALERT, &[2, 70])), Answer::Refused);
        assert_eq!(read(&record(ALERT, &[2, 112])), Answer::Alert(112));
        assert_eq!(read(b"HTTP/1.1 400 Bad Request\r\n"), Answer::Other);
        assert_eq!(read(b""), Answer::Other);
    }

    #[test]
    fn cut_answers_are_no_answers() {
        let mut flight = record(HANDSHAKE, &server_hello(0x0303, &[0, 43, 0, 2, 3, 4]));
        flight.extend(record(
            HANDSHAKE,
            &[CERTIFICATE, 0, 0, 8, 0, 0, 5, 0, 0, 200, 9, 9],
        ));
        for length in 0..flight.len() {
            let _ = (read(&flight[..length]), is_enough(&flight[..length]));
        }
        assert!(matches!(
            read(&flight),
            Answer::Accepted {
                certificate: None,
                ..
            }
        ));
    }
}
