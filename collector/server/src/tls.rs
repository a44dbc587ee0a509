//! TLS: given certificates, or the collector's own authority.
//!
//! TLS 1.3 only. The own authority is made once; the server's certificate is made anew at each start and twice a day, so that
//! it never expires; given certificates are read again as often, so that their renewal is followed without a restart.

use std::path::Path;
use std::sync::Arc;

use evidence::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsConfig;
use crate::folder::{
    DataFolder, FolderError, read_public, read_secret, write_public, write_secret,
};

/// Validity of the authority: ten years; of a server certificate: one.
const CA_DAYS: i64 = 3650;
const SERVER_DAYS: i64 = 365;
const DAY_MS: i64 = 86_400_000;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A key file.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A PEM file that is none.
    #[error("{path} holds no PEM certificate or key")]
    Pem {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// rustls does not take them.
    #[error("certificate and key do not fit together")]
    Config(#[from] rustls::Error),
}

/// The server's TLS from given certificates.
///
/// # Errors
/// [`TlsError`] naming the file.
pub fn given(config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let pem = |path: &Path, source| TlsError::Pem {
        path: path.display().to_string(),
        source,
    };
    let chain = CertificateDer::pem_file_iter(&config.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| match chain.is_empty() {
            true => Err(rustls::pki_types::pem::Error::NoItemsFound),
            false => Ok(chain),
        })
        .map_err(|error| pem(&config.certificate, error))?;
    read_secret(&config.key)?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| pem(&config.key, error))?;
    server_config(chain, key)
}

/// The server's TLS from the collector's own authority, for these names.
///
/// # Errors
/// [`TlsError`] if the authority cannot be read or made.
pub fn own(
    folder: &DataFolder,
    names: &[String],
    now: Timestamp,
) -> Result<Arc<ServerConfig>, TlsError> {
    let (ca_pem, ca_key) = authority(folder, now)?;
    let issuer = Issuer::from_ca_cert_pem(&ca_pem, ca_key)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Assay collector");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, now, SERVER_DAYS);
    let certificate = params.signed_by(&key, &issuer)?;
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(|source| TlsError::Pem {
        path: "keys/ca.pem".to_owned(),
        source,
    })?;
    let key = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|error| TlsError::Config(rustls::Error::General(error.to_owned())))?;
    server_config(vec![certificate.der().clone(), ca], key)
}

/// The authority's certificate and key, made at first start.
fn authority(folder: &DataFolder, now: Timestamp) -> Result<(String, KeyPair), TlsError> {
    let (pem_path, key_path) = (folder.key_file("ca.pem"), folder.key_file("ca.key"));
    if let (Some(pem), Some(key)) = (read_public(&pem_path)?, read_secret(&key_path)?) {
        return Ok((pem, KeyPair::from_pem(&key)?));
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Assay collector authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, now, CA_DAYS);
    let certificate = params.self_signed(&key)?;
    write_secret(&key_path, key.serialize_pem().as_bytes())?;
    write_public(&pem_path, certificate.pem().as_bytes())?;
    Ok((certificate.pem(), key))
}

fn validity(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let date = |time: Timestamp| {
        let text = time.to_string();
        let number = |range: std::ops::Range<usize>| {
            text.get(range)
                .and_then(|digits| digits.parse().ok())
                .unwrap_or(1)
        };
        rcgen::date_time_ymd(
            number(0..4),
            u8::try_from(number(5..7)).unwrap_or(1),
            u8::try_from(number(8..10)).unwrap_or(1),
        )
    };
    // A day of grace for hosts whose clock runs behind.
    params.not_before = date(now.plus_ms(-DAY_MS));
    params.not_after = date(now.plus_ms(days * DAY_MS));
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
