//! The certificates that services of this host are configured with, read from the files themselves.

mod certificate;
mod trust;

use std::collections::{BTreeMap, BTreeSet};

use evidence::outcome::Reason;
use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use zeroize::Zeroizing;

pub(super) use self::certificate::Served;
use self::certificate::{Parsed, parse};
use self::trust::Roots;
use super::daemon_process::{DaemonProcess, daemons, started};
use super::sockets;
use super::stale_process::proc::Process;
use super::tls_site::{self, TlsSite};
use super::{Observation, Probe, Unobservable};
use crate::host::HostError;

/// A certificate as a server showed it.
pub(super) fn served(der: &[u8]) -> Option<Served> {
    certificate::served(der)
}

/// The probe `certificates`.
pub struct Certificates;

/// Facts of certificates.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CertificatesFacts {
    /// Every certificate that a service is configured with, by service and file.
    certificates: Vec<Certificate>,
    /// Files of configuration where a certificate is named by a variable, or not at all.
    open: Vec<String>,
    /// Certificates kept by ACME clients that no service here is configured with.
    unreferenced: Vec<String>,
    /// Programs that hold TCP sockets which other hosts can reach; empty on an unpacked root.
    exposed: Vec<String>,
    /// Every holder of such a socket is known.
    exposed_complete: bool,
}

/// A certificate that a service is configured with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Certificate {
    /// The service.
    service: String,
    /// The file that configures it.
    configured_in: String,
    /// Names it is served for.
    names: Vec<String>,
    /// The file it is in.
    path: String,
    /// Whether it could be read.
    state: State,
    /// From when it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    /// Until when it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<Timestamp>,
    /// Whom it is for, as its subject says.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Kind and size of its key: `rsa 2048`, `ec 256`, `ed25519`.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// What is weak about it or its intermediates: small keys, signatures over MD5 or SHA-1.
    weak: Vec<String>,
    /// Names of the site that it does not cover.
    not_covered: Vec<String>,
    /// How far the chain in the file leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<Chain>,
    /// The issuer of the last certificate in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_issuer: Option<String>,
    /// SHA-256 of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// When the file was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<Timestamp>,
    /// When the service last started a process that would have read the file; absent if it does not run or cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<Timestamp>,
}

/// Whether a certificate could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It was read.
    Read,
    /// The file is not there.
    Missing,
    /// The file holds no certificate that can be understood.
    Unparsable,
}

/// How far a chain leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Chain {
    /// To a root of the system's list.
    Trusted,
    /// It is signed by itself.
    SelfSigned,
    /// To an issuer that is neither in the file nor in the system's list.
    Untrusted,
    /// A certificate in the file was not issued by the one after it.
    Broken,
    /// The system has no list of roots.
    NoRoots,
}

/// Programs whose new processes read certificates anew.
const SERVERS: [(&str, &[&str]); 3] = [
    (
        "apache",
        &[
            "/usr/sbin/apache2",
            "/usr/sbin/httpd",
            "/usr/sbin/httpd-prefork",
            "/usr/sbin/httpd-worker",
            "/usr/sbin/httpd-event",
        ],
    ),
    ("haproxy", &["/usr/sbin/haproxy"]),
    ("nginx", &["/usr/sbin/nginx", "/usr/bin/nginx"]),
];
const ACME: &str = "/etc/letsencrypt/live";
const MAX_BYTES: usize = 512 * 1024;
const MAX_CERTIFICATES: usize = 500;

impl Probe for Certificates {
    const ID: &'static str = "certificates";
    type Facts = CertificatesFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<CertificatesFacts, Unobservable> {
        let sites = tls_site::sites(observation)?;
        let loaded = loaded(observation, &sites)?;
        let roots = if sites.is_empty() {
            Roots::default()
        } else {
            Roots::read(observation)?
        };
        let mut certificates = Vec::new();
        let mut open = Vec::new();
        for site in &sites {
            if site.open || site.certificates.is_empty() {
                open.push(site.configured_in.clone());
            }
            for path in &site.certificates {
                let mut certificate = read(observation, site, path, &roots)?;
                certificate.loaded = loaded.get(site.service).copied();
                certificates.push(certificate);
            }
        }
        if certificates.len() > MAX_CERTIFICATES {
            return Err(Unobservable::new(
                Reason::Unparsable,
                format!("more than {MAX_CERTIFICATES} configured certificates"),
            ));
        }
        certificates.sort();
        certificates.dedup();
        open.sort();
        open.dedup();
        let (exposed, exposed_complete) = exposed(observation)?;
        Ok(CertificatesFacts {
            exposed,
            exposed_complete,
            unreferenced: unreferenced(observation, &certificates)?,
            certificates,
            open,
        })
    }
}

/// Programs that hold TCP sockets which other hosts can reach, and whether all of them are known.
fn exposed(observation: &mut Observation<'_>) -> Result<(Vec<String>, bool), Unobservable> {
    if !observation.is_live() {
        return Ok((Vec::new(), false));
    }
    let served = sockets::served(observation)?;
    let mut programs = BTreeSet::new();
    for (pid, endpoint) in served.holders {
        if endpoint.starts_with("tcp/") {
            let process = Process::new(observation.host(), pid);
            let program = process.program()?;
            programs.insert(program.unwrap_or_else(|| format!("({})", process.command())));
        }
    }
    Ok((programs.into_iter().collect(), served.problems.is_empty()))
}

/// When each service last started a worker: nginx, Apache and HAProxy replace theirs when they read certificates anew.
fn loaded(
    observation: &mut Observation<'_>,
    sites: &[TlsSite],
) -> Result<BTreeMap<&'static str, Timestamp>, Unobservable> {
    let mut found = BTreeMap::new();
    let programs: Vec<&str> = SERVERS
        .iter()
        .filter(|(service, _)| sites.iter().any(|site| site.service == *service))
        .flat_map(|(_, programs)| programs.iter().copied())
        .collect();
    if programs.is_empty() || !observation.is_live() {
        return Ok(found);
    }
    let running = daemons(observation, &programs)?;
    for (service, programs) in SERVERS {
        let own = running
            .iter()
            .filter(|process: &&DaemonProcess| programs.contains(&process.program.as_str()));
        let mut newest: Option<Timestamp> = None;
        for process in own {
            newest = newest.max(started(observation, process.pid)?);
        }
        if let Some(newest) = newest {
            found.insert(service, newest);
        }
    }
    Ok(found)
}

fn read(
    observation: &mut Observation<'_>,
    site: &TlsSite,
    path: &str,
    roots: &Roots,
) -> Result<Certificate, Unobservable> {
    let mut certificate = Certificate {
        service: site.service.to_owned(),
        configured_in: site.configured_in.clone(),
        names: site.names.clone(),
        path: path.to_owned(),
        state: State::Missing,
        not_before: None,
        not_after: None,
        subject: None,
        key: None,
        weak: Vec::new(),
        not_covered: Vec::new(),
        chain: None,
        last_issuer: None,
        sha256: None,
        written: None,
        loaded: None,
    };
    // A private key may stand in the same file: no digest of it is kept, and its memory is wiped.
    let bytes = match observation.host().read(path, MAX_BYTES) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(HostError::NotFound(_)) => return Ok(certificate),
        Err(error) => return Err(error.into()),
    };
    observation.note(path);
    certificate.written = Some(observation.host().stat(path)?.mtime);
    match parse(&bytes, roots) {
        Some(parsed) => fill(&mut certificate, parsed),
        None => certificate.state = State::Unparsable,
    }
    Ok(certificate)
}

fn fill(certificate: &mut Certificate, parsed: Parsed) {
    certificate.state = State::Read;
    certificate.not_before = Some(parsed.not_before);
    certificate.not_after = Some(parsed.not_after);
    certificate.subject = Some(parsed.subject);
    certificate.key = Some(parsed.key);
    certificate.weak = parsed.weak;
    certificate.chain = Some(parsed.chain);
    certificate.last_issuer = Some(parsed.last_issuer);
    certificate.sha256 = Some(parsed.sha256);
    certificate.not_covered = certificate
        .names
        .iter()
        .filter(|name| {
            !parsed
                .names
                .iter()
                .any(|known| certificate::covers(known, name))
        })
        .cloned()
        .collect();
}

/// Certificates of certbot that no service was found to use: certonly for something else, or left over.
fn unreferenced(
    observation: &mut Observation<'_>,
    certificates: &[Certificate],
) -> Result<Vec<String>, Unobservable> {
    let mut found = Vec::new();
    for entry in observation.list(ACME)?.unwrap_or_default() {
        let folder = format!("{ACME}/{}/", entry.name);
        let used = certificates
            .iter()
            .any(|known| known.path.starts_with(&folder));
        let path = format!("{folder}fullchain.pem");
        if !used && observation.host().stat(&path).is_ok() {
            found.push(path);
        }
    }
    Ok(found)
}
