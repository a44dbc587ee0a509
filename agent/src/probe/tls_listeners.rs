//! What the TLS listeners of this host accept: each is asked with hand-made first messages, one for each version.
//!
//! The agent connects to nothing but listeners of this host, and only where its own configuration says
//! `connect_to_own_listeners`. No handshake is completed, no data is sent. Mail and directory ports are asked through
//! STARTTLS.

mod answer;
mod hello;
mod socket;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use self::answer::Answer;
use self::hello::{Offer, client_hello, weak_name};
use super::certificates::served;
use super::tls_site;
use super::{Observation, Probe, Unobservable};
use crate::host::{Conversation, HostError, Step};

/// The probe `tls_listeners`.
pub struct TlsListeners;

/// Facts of TLS listeners.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TlsListenersFacts {
    /// The agent's configuration allows it to connect to listeners of this host; always false on an unpacked root.
    allowed: bool,
    /// What was found at each TCP port and name.
    listeners: Vec<TlsListener>,
    /// Ports where no TLS is spoken.
    without_tls: Vec<String>,
    /// What could not be asked, as `port: why`.
    problems: Vec<String>,
}

/// A listener that speaks TLS.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct TlsListener {
    /// Where it listens: `tcp/443`.
    endpoint: String,
    /// The name it was asked for; absent if for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Versions it accepts.
    versions: Vec<Version>,
    /// A suite without authenticated encryption that it accepts with TLS 1.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    weak_suite: Option<String>,
    /// SHA-256 of the certificate it shows; absent if it speaks TLS 1.3 alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    /// Whom that certificate is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Until when that certificate holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<Timestamp>,
}

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Version {
    /// SSL 3.0, in answer to an offer of TLS 1.0.
    Ssl3,
    /// TLS 1.0.
    Tls1_0,
    /// TLS 1.1.
    Tls1_1,
    /// TLS 1.2.
    Tls1_2,
    /// TLS 1.3.
    Tls1_3,
}

/// Most listeners, and most names asked for at each.
const MAX_LISTENERS: usize = 64;
const MAX_NAMES: usize = 16;
const MAX_PROBLEMS: usize = 20;

impl Probe for TlsListeners {
    const ID: &'static str = "tls_listeners";
    type Facts = TlsListenersFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<TlsListenersFacts, Unobservable> {
        let mut facts = TlsListenersFacts {
            allowed: observation.host().may_connect(),
            listeners: Vec::new(),
            without_tls: Vec::new(),
            problems: Vec::new(),
        };
        if !facts.allowed {
            return Ok(facts);
        }
        let addresses = socket::listening(observation)?;
        if addresses.len() > MAX_LISTENERS {
            facts.problems.push(format!(
                "{} listeners, more than are asked",
                addresses.len()
            ));
        }
        let names: BTreeSet<String> = tls_site::sites(observation)?
            .into_iter()
            .flat_map(|site| site.names)
            .take(MAX_NAMES)
            .collect();
        for address in addresses.into_iter().take(MAX_LISTENERS) {
            ask_all(observation, address, &names, &mut facts)?;
        }
        facts.listeners.sort();
        facts.listeners.dedup();
        facts.without_tls.sort();
        facts.without_tls.dedup();
        facts.problems.truncate(MAX_PROBLEMS);
        Ok(facts)
    }
}

/// Asks a listener without a name, and if TLS is spoken there for each name that services here are configured with.
fn ask_all(
    observation: &mut Observation<'_>,
    address: SocketAddr,
    names: &BTreeSet<String>,
    facts: &mut TlsListenersFacts,
) -> Result<(), Unobservable> {
    let endpoint = format!("tcp/{}", address.port());
    let unnamed = std::iter::once(None);
    for name in unnamed.chain(names.iter().map(|name| Some(name.as_str()))) {
        match ask(observation, address, name, facts)? {
            Some(listener) => facts.listeners.push(listener),
            None if name.is_none() => {
                facts.without_tls.push(endpoint);
                return Ok(());
            }
            None => {}
        }
    }
    Ok(())
}

/// What a listener accepts for a name; `None` if no TLS is spoken there.
fn ask(
    observation: &mut Observation<'_>,
    address: SocketAddr,
    name: Option<&str>,
    facts: &mut TlsListenersFacts,
) -> Result<Option<TlsListener>, Unobservable> {
    let mut listener = TlsListener {
        endpoint: format!("tcp/{}", address.port()),
        name: name.map(str::to_owned),
        versions: Vec::new(),
        weak_suite: None,
        certificate: None,
        subject: None,
        not_after: None,
    };
    let mut speaks = false;
    let mut broken_off = None;
    for offer in Offer::ALL {
        match one(observation, address, name, offer)? {
            Answer::Accepted {
                version,
                suite,
                certificate,
            } => {
                speaks = true;
                listener.versions.extend(version_of(version));
                if offer == Offer::Tls1_2Weak {
                    listener.weak_suite = Some(
                        weak_name(suite).map_or_else(|| format!("{suite:04x}"), str::to_owned),
                    );
                }
                if let Some(parsed) = certificate.as_deref().and_then(served) {
                    listener.certificate = Some(parsed.sha256);
                    listener.subject = Some(parsed.subject);
                    listener.not_after = Some(parsed.not_after);
                }
            }
            Answer::Refused => speaks = true,
            Answer::Alert(alert) => {
                speaks = true;
                broken_off = Some(alert);
            }
            // What is silent to the two offers of today speaks no TLS.
            Answer::Other if !speaks && offer == Offer::Tls1_3 => return Ok(None),
            Answer::Other => {}
        }
    }
    listener.versions.sort();
    listener.versions.dedup();
    if speaks && listener.versions.is_empty() {
        let why = broken_off.map_or_else(
            || "refuses every offer".to_owned(),
            |alert| format!("breaks off with alert {alert}"),
        );
        facts.problems.push(format!(
            "{}{}: {why}",
            listener.endpoint,
            name.map(|name| format!(" {name}")).unwrap_or_default()
        ));
    }
    Ok(speaks.then_some(listener))
}

fn one(
    observation: &mut Observation<'_>,
    address: SocketAddr,
    name: Option<&str>,
    offer: Offer,
) -> Result<Answer, Unobservable> {
    let mut steps = before_tls(address.port());
    let hello = client_hello(offer, name);
    match steps.last_mut() {
        // The hello follows the word that opens the way for it.
        Some(last) if last.say.is_empty() => last.say = hello,
        _ => steps.push(Step {
            after: None,
            say: hello,
        }),
    }
    let question = match name {
        Some(name) => format!("{} {name}", offer.word()),
        None => offer.word().to_owned(),
    };
    let conversation = Conversation {
        address,
        question,
        steps,
        is_enough: answer::is_enough,
    };
    let answered = observation.host().converse(&conversation);
    observation.note(&format!("tcp/{}", address.port()));
    match answered {
        Ok(bytes) => Ok(answer::read(&bytes)),
        // It was closed since the table was read, or its firewall rule is for this host too.
        Err(HostError::NotFound(_) | HostError::Io(..)) => Ok(Answer::Other),
        Err(error) => Err(error.into()),
    }
}

/// What must be said on a port before TLS (RFC 3207, 9051, 2595, 4511); the last step waits for the hello.
fn before_tls(port: u16) -> Vec<Step> {
    let step = |after, say: &str| Step {
        after,
        say: say.as_bytes().to_vec(),
    };
    match port {
        25 | 587 => vec![
            step(Some("220 "), "EHLO localhost\r\n"),
            step(Some("250 "), "STARTTLS\r\n"),
            step(Some("220 "), ""),
        ],
        143 => vec![step(Some("* OK"), "a STARTTLS\r\n"), step(Some("a OK"), "")],
        110 => vec![step(Some("+OK"), "STLS\r\n"), step(Some("+OK"), "")],
        _ => Vec::new(),
    }
}

fn version_of(version: u16) -> Option<Version> {
    Some(match version {
        0x0300 => Version::Ssl3,
        0x0301 => Version::Tls1_0,
        0x0302 => Version::Tls1_1,
        0x0303 => Version::Tls1_2,
        0x0304 => Version::Tls1_3,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_a_record_of_its_length() {
        for offer in Offer::ALL {
            for name in [None, Some("web.example")] {
                let hello = client_hello(offer, name);
                let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
                assert_eq!(hello.len(), length + 5, "{offer:?}");
                let inner = usize::from(hello[6]) << 16
                    | usize::from(hello[7]) << 8
                    | usize::from(hello[8]);
                assert_eq!(length, inner + 4, "{offer:?}");
            }
        }
    }

    /// A server of rustls, which speaks TLS 1.2 and 1.3 alone and authenticated suites only.
    #[test]
    fn a_modern_server_accepts_what_is_modern() {
        use std::sync::Arc;

        use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["web.example".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let answer = |offer| {
            let mut server = rustls::ServerConnection::new(Arc::new(config.clone())).unwrap();
            let hello = client_hello(offer, Some("web.example"));
            server.read_tls(&mut hello.as_slice()).unwrap();
            let _ = server.process_new_packets();
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            answer::read(&bytes)
        };
        assert!(matches!(
            answer(Offer::Tls1_2),
            Answer::Accepted { version: 0x0303, certificate: Some(shown), .. } if shown == certificate.der().as_ref()
        ));
        assert!(matches!(
            answer(Offer::Tls1_3),
            Answer::Accepted {
                version: 0x0304,
                ..
            }
        ));
        for old in [Offer::Tls1_0, Offer::Tls1_1, Offer::Tls1_2Weak] {
            assert_eq!(answer(old), Answer::Refused, "{old:?}");
        }
    }
}
