//! Talking to the collector: TLS 1.3, one certificate authority, no proxy, no redirect, bounded answers.
//!
//! The client is made when it is needed and let go when there is nothing to send: an idle agent holds no connection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crypto::Digest;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, Method, Url, redirect, tls};
use wire::submission::BUNDLE_HEADER;

/// Longest that a whole request may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest that connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest file of certificates.
const MAX_CA_BYTES: u64 = 256 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    /// The file with the certificate authority.
    #[error("cannot read the certificate authority {path}")]
    Ca {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file without certificates, or a client that cannot be made of them.
    #[error("the certificate authority {path} cannot be used: expected certificates in PEM")]
    CaForm {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// No connection, no TLS with that authority, or no whole answer in time.
    #[error("no answer from the collector at {address}")]
    Request {
        /// What was asked.
        address: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// More than the answer can be.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
}

/// What the collector said.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The bundle that the agent is to use.
    pub bundle: Option<Digest>,
    /// The body, of at most the bound asked for.
    pub body: Vec<u8>,
}

/// A collector by its address and its certificate authority.
#[derive(Debug)]
pub struct Collector {
    base: Url,
    ca: PathBuf,
    client: Option<Client>,
}

/// What to send.
#[derive(Debug)]
pub struct Message<'m> {
    /// Media type of the body.
    pub content_type: &'static str,
    /// A header beside it.
    pub header: Option<(&'static str, String)>,
    /// The body.
    pub body: &'m [u8],
}

impl Collector {
    /// The collector at this address.
    #[must_use]
    pub fn new(base: Url, ca: &Path) -> Collector {
        Collector {
            base,
            ca: ca.to_owned(),
            client: None,
        }
    }

    /// Lets connections and buffers go.
    pub fn rest(&mut self) {
        self.client = None;
    }

    /// Sends a message and takes an answer of at most `limit` bytes.
    ///
    /// # Errors
    /// [`ContactError`] if there is none.
    pub async fn post(
        &mut self,
        path: &str,
        message: Message<'_>,
        limit: usize,
    ) -> Result<Answer, ContactError> {
        self.ask(Method::POST, path, Some(message), limit).await
    }

    /// Fetches a document of at most `limit` bytes.
    ///
    /// # Errors
    /// [`ContactError`] if there is no answer.
    pub async fn get(&mut self, path: &str, limit: usize) -> Result<Answer, ContactError> {
        self.ask(Method::GET, path, None, limit).await
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        message: Option<Message<'_>>,
        limit: usize,
    ) -> Result<Answer, ContactError> {
        let mut url = self.base.clone();
        url.set_path(path);
        let failed = |source: reqwest::Error| ContactError::Request {
            address: self.base.to_string(),
            source: source.without_url(),
        };
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(client(&self.ca)?).clone(),
        };
        let mut request = client.request(method, url);
        if let Some(message) = message {
            request = request
                .header(CONTENT_TYPE, message.content_type)
                .body(message.body.to_vec());
            if let Some((name, value)) = message.header {
                request = request.header(name, value);
            }
        }
        let mut response = request.send().await.map_err(failed)?;
        let mut answer = Answer {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers()),
            bundle: bundle(response.headers()),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if answer.body.len() + chunk.len() > limit {
                return Err(ContactError::TooLarge(limit));
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

/// Seconds only: a date would mean trusting that both clocks agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn bundle(headers: &HeaderMap) -> Option<Digest> {
    Digest::from_hex(headers.get(BUNDLE_HEADER)?.to_str().ok()?).ok()
}

fn client(ca: &Path) -> Result<Client, ContactError> {
    let path = || ca.display().to_string();
    let form = |source| ContactError::CaForm {
        path: path(),
        source,
    };
    let certificates =
        Certificate::from_pem_bundle(&read(ca).map_err(|source| ContactError::Ca {
            path: path(),
            source,
        })?)
        .map_err(|error| form(Some(error)))?;
    if certificates.is_empty() {
        return Err(form(None));
    }
    Client::builder()
        .tls_certs_only(certificates)
        .tls_version_min(tls::Version::TLS_1_3)
        .https_only(true)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(1)
        .user_agent(concat!("assay-agent/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| form(Some(error)))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::io::copy(
        &mut std::fs::File::open(path)?.take(MAX_CA_BYTES),
        &mut bytes,
    )?;
    Ok(bytes)
}
