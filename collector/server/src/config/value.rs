//! Values of the configuration: which are refused, with what was found and what was expected.

use std::net::SocketAddr;
use std::path::Path;

use axum::http::Uri;
use ledger::key::KeyName;
use rustls::pki_types::ServerName;

use super::TlsConfig;
use crate::folder::FolderError;
use crate::tls::TlsError;

/// Key, what was found, what was expected.
pub(super) type Wrong = (&'static str, String, &'static str);

/// A path that does not depend on where the collector is started: another place of the checkpoint would be another
/// memory of what was signed.
pub(super) fn absolute(key: &'static str, path: &Path) -> Result<(), Wrong> {
    if path.is_absolute() {
        return Ok(());
    }
    Err((key, format!("{path:?}"), "an absolute path"))
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        (
            "listen",
            format!("{text:?}"),
            "an address and a port, such as 0.0.0.0:8443 or [::]:8443",
        )
    })
}

pub(super) fn origin(text: &str) -> Result<(), Wrong> {
    match text.parse::<KeyName>() {
        Ok(_) => Ok(()),
        Err(_) => Err((
            "origin",
            format!("{text:?}"),
            "a name without blanks and plus signs, such as log.example.org/assay",
        )),
    }
}

pub(super) fn url(text: &str) -> Result<(), Wrong> {
    let is_address = text.parse::<Uri>().is_ok_and(|uri| {
        let named = uri.authority().is_some_and(|authority| {
            let port = authority.as_str().strip_prefix(authority.host());
            let port = port.is_some_and(|rest| {
                rest.is_empty()
                    || rest
                        .strip_prefix(':')
                        .is_some_and(|port| port.parse::<u16>().is_ok())
            });
            port && is_name(authority.host().trim_matches(['[', ']']))
        });
        named && uri.scheme_str() == Some("https") && uri.path() == "/" && uri.query().is_none()
    });
    if is_address && !text.ends_with('/') {
        return Ok(());
    }
    Err((
        "url",
        format!("{text:?}"),
        "https://HOST[:PORT] without a slash at the end",
    ))
}

pub(super) fn names(names: &[String]) -> Result<(), Wrong> {
    match names
        .iter()
        .find(|name| !is_name(name.strip_prefix("*.").unwrap_or(name)))
    {
        None => Ok(()),
        Some(name) => Err((
            "names",
            format!("{name:?}"),
            "host names and addresses without port",
        )),
    }
}

/// A DNS name or an address.
fn is_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

/// What is there of a file or folder.
fn found(path: &Path) -> String {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => format!("{path:?}, a folder"),
        Ok(_) => format!("{path:?}"),
        Err(error) => format!("{path:?} ({error})"),
    }
}

pub(super) fn data(path: &Path) -> Result<(), Wrong> {
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => Err((
            "data",
            format!("{path:?}, a file"),
            "a folder, or a place where one can be made",
        )),
        _ => Ok(()),
    }
}

/// The folder of the checkpoint is there, or is the data folder that will be made.
pub(super) fn checkpoint(path: &Path, data: &Path) -> Result<(), Wrong> {
    let folder = path.parent().unwrap_or(path);
    if folder != data && !folder.is_dir() {
        return Err((
            "checkpoint",
            found(folder),
            "a file in a folder that is there",
        ));
    }
    if path.is_dir() {
        return Err(("checkpoint", found(path), "a file, not a folder"));
    }
    Ok(())
}

/// Which key of `[tls]` an error is about.
pub(super) fn tls(given: &TlsConfig, error: &TlsError) -> Wrong {
    let of_key = match error {
        TlsError::Pem { path, .. } => *path == given.key.display().to_string(),
        TlsError::Config(problem) => !matches!(problem, rustls::Error::InvalidCertificate(_)),
        TlsError::Folder(_) | TlsError::Make(_) => true,
    };
    if !of_key {
        let expected = "certificates in PEM, that of the collector first";
        return ("tls.certificate", found(&given.certificate), expected);
    }
    match error {
        TlsError::Folder(FolderError::Mode { path, mode }) => (
            "tls.key",
            format!("{path:?} with mode {mode:04o}"),
            "a file that only its owner may read (chmod go=)",
        ),
        TlsError::Config(problem) => (
            "tls.key",
            format!("{:?} ({problem})", given.key),
            "the private key of the certificate",
        ),
        _ => ("tls.key", found(&given.key), "a private key in PEM"),
    }
}
