//! One start-up path for every way of running the collector: folder, keys, database, sequencer, TLS, routes.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use crypto::{SigningKey, SystemRandom};
use evidence::baseline;
use evidence::bundle::{Bundle, BundleError};
use evidence::id::GroupId;
use evidence::time::{Clock, Timestamp};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rustls::ServerConfig;
use store::{Store, StoreError};
use tokio::task::JoinHandle;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use wire::decision::Actor;
use wire::envelope::{BUNDLE_TYPE, Envelope};

use crate::app::{App, PolicyKeys};
use crate::auth::guard::guard;
use crate::bundles::derive;
use crate::bundles::desk::Desk;
use crate::config::Config;
use crate::folder::{DataFolder, FolderError, FolderLock};
use crate::ingest::refusal::Refusal;
use crate::ingest::sequencer::{self, ActivateCommand, Command, SigningKeys, StartError};
use crate::queries::Library;
use crate::tls::{self, TlsError};
use crate::web::failure::{Failure, explained};
use crate::web::request;
use crate::web::rest::drained;
use crate::{agent_api, api, connections, log_api, web};

/// Longest a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest body of any route; the routes of agents have their own, smaller bounds.
const MAX_REQUEST_BYTES: usize = wire::submission::MAX_BODY_BYTES + 1;
/// How long open requests may go on when the collector stops.
const GRACE: Duration = Duration::from_secs(10);
/// How often the certificate is made or read anew.
const RENEW_EVERY: Duration = Duration::from_secs(12 * 3600);
/// The group that gets the baseline on a new log.
pub const DEFAULT_GROUP: &str = "default";

/// Why the collector does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log.
    #[error(transparent)]
    Start(#[from] StartError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The baseline bundle.
    #[error("the built-in checks cannot be used")]
    Baseline(#[from] BundleError),
    /// The built-in controls.
    #[error("the built-in controls cannot be used")]
    Catalogue(#[from] catalogue::CatalogueError),
    /// The baseline could not be put in force.
    #[error("the built-in checks could not be put in force")]
    Activate(#[from] Refusal),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A collector that is up.
pub struct Service {
    /// What handlers share.
    pub app: Arc<App>,
    /// Where it listens.
    pub address: SocketAddr,
    /// The authority's certificate, if it is the collector's own.
    pub ca: Option<PathBuf>,
    handle: Handle<SocketAddr>,
    server: JoinHandle<std::io::Result<()>>,
    sequencer: JoinHandle<()>,
    renewal: JoinHandle<()>,
    desk: JoinHandle<()>,
    _lock: FolderLock,
}

/// Starts a collector.
///
/// # Errors
/// [`ServiceError`]; nothing was signed or accepted then.
pub async fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Service, ServiceError> {
    let mut random = SystemRandom;
    let folder = DataFolder::open(&config.data)?;
    let lock = folder.lock()?;
    let keys = Arc::new(folder.signing_keys(&config.origin, &mut random)?);
    let (policy_key, policy) = folder.policy_key(&mut random)?;
    let store = Store::open(&config.data).await?;
    let started = sequencer::start(
        store.clone(),
        keys.clone(),
        policy_key,
        config.checkpoint_file(),
        clock.clone(),
        Box::new(random),
    )
    .await?;
    let activations = baseline_to_activate(&started.sequencer, policy.as_ref())?;
    let app = Arc::new(App::new(
        store,
        started.queue,
        started.keyring,
        started.published,
        log_key(&keys),
        PolicyKeys {
            verifying: policy_key,
            signing: policy,
        },
        clock.clone(),
        Library::new()?,
        recorder(),
        Box::new(random),
    ));
    let sequencer = tokio::spawn(started.sequencer.run(started.commands));
    for command in activations {
        app.submit(|answer| Command::Activate(Box::new(command), answer))
            .await?;
    }
    let listener = listen(config.listen)?;
    let address = listener
        .local_addr()
        .map_err(|source| ServiceError::Listen {
            address: config.listen,
            source,
        })?;
    let tls = certificate(config, &folder, clock.now())?;
    let ca = config.tls.is_none().then(|| folder.key_file("ca.pem"));
    let handle = Handle::new();
    let failed = |source| ServiceError::Listen { address, source };
    let tls = RustlsConfig::from_config(tls);
    let renewal = renew(tls.clone(), RENEW_EVERY, {
        let (config, clock) = (config.clone(), clock.clone());
        move || certificate(&config, &folder, clock.now())
    });
    let server = connections::server(listener, tls)
        .map_err(failed)?
        .handle(handle.clone());
    let service = router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(server.serve(service));
    let desk = tokio::spawn(Desk::of(&config.data).serve(app.clone()));
    tracing::info!(%address, origin = %config.origin, size = app.published.checkpoint().checkpoint().size, "the collector is up");
    Ok(Service {
        app,
        address,
        ca,
        handle,
        server,
        sequencer,
        renewal: tokio::spawn(renewal),
        desk,
        _lock: lock,
    })
}

/// The server's certificate: the given one as it is now, or a new one of the collector's own authority.
fn certificate(
    config: &Config,
    folder: &DataFolder,
    now: Timestamp,
) -> Result<Arc<ServerConfig>, TlsError> {
    match &config.tls {
        Some(given) => tls::given(given),
        None => tls::own(folder, &names(config), now),
    }
}

/// Takes a fresh certificate into use from time to time, so that none expires under a collector that runs for long.
async fn renew(
    tls: RustlsConfig,
    every: Duration,
    certificate: impl Fn() -> Result<Arc<ServerConfig>, TlsError>,
) {
    loop {
        tokio::time::sleep(every).await;
        match certificate() {
            Ok(fresh) => tls.reload_from_config(fresh),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "no new certificate; the one in use stays"
            ),
        }
    }
}

impl Service {
    /// Returns when a part has ended though nobody asked the collector to stop: it must not seem to run on.
    pub async fn failed(&mut self) -> &'static str {
        tokio::select! {
            _ = &mut self.server => "the server",
            _ = &mut self.sequencer => "the sequencer",
            _ = &mut self.renewal => "the renewal of the certificate",
            _ = &mut self.desk => "the desk for bundles",
        }
    }

    /// Stops taking requests, answers those that are open, writes what was accepted, and returns.
    pub async fn stop(self) {
        self.renewal.abort();
        self.desk.abort();
        let _ = self.desk.await;
        self.handle.graceful_shutdown(Some(GRACE));
        let _ = self.server.await;
        let store = self.app.store.clone();
        // The last sender goes with the App; the sequencer then ends by itself.
        drop(self.app);
        if tokio::time::timeout(GRACE, self.sequencer).await.is_err() {
            tracing::warn!("the sequencer did not end in time");
        }
        // The write-ahead log goes into the main file: what is left is one file that may be moved.
        store.close().await;
    }
}

/// Every route of the collector.
pub fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .merge(agent_api::router())
        .merge(log_api::router())
        .merge(web::router())
        .merge(api::router())
        .fallback(async |uri: axum::http::Uri| Failure::not_found(uri.path()))
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard))
        .layer(CompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(MAX_REQUEST_BYTES))
        .layer(TimeoutLayer::with_status_code(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_TIMEOUT,
        ))
        .layer(axum::middleware::from_fn(explained))
        .layer(axum::middleware::from_fn(drained));
    request::observed(routes, app.clone()).with_state(app)
}

fn log_key(keys: &SigningKeys) -> ledger::key::Vkey {
    keys.log.vkey()
}

/// The one recorder of metrics of this process.
fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        PrometheusBuilder::new()
            .install_recorder()
            .unwrap_or_else(|_| PrometheusBuilder::new().build_recorder().handle())
    };
    RECORDER.get_or_init(install).clone()
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServiceError> {
    let failed = |source| ServiceError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// The names that the own certificate is for: those of the configuration, of its URL, and the loopback ones.
fn names(config: &Config) -> Vec<String> {
    let host = config
        .url
        .as_deref()
        .and_then(|url| url.strip_prefix("https://"))
        .map(|rest| {
            let host = rest.split('/').next().unwrap_or_default();
            let bare = host
                .rsplit_once(':')
                .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
                .map_or(host, |(name, _)| name);
            bare.trim_matches(['[', ']']).to_owned()
        });
    let mut names: Vec<String> = config
        .names
        .iter()
        .cloned()
        .chain(host)
        .chain([
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ])
        .collect();
    if !config.listen.ip().is_unspecified() {
        names.push(config.listen.ip().to_string());
    }
    names.sort();
    names.dedup();
    names
}

/// The built-in checks for the groups that are on older ones, with the lists approved for each: signed with the policy
/// key under the next versions. A group on a bundle that people signed themselves keeps it.
///
/// Content decides, not the version it was built with: one version names one digest for ever, so changed checks get the
/// version after the newest one.
fn baseline_to_activate(
    sequencer: &sequencer::Sequencer,
    policy: Option<&SigningKey>,
) -> Result<Vec<ActivateCommand>, ServiceError> {
    let built_in = baseline::bundle()?;
    let mut groups = sequencer.groups();
    if groups.is_empty() {
        groups.extend(DEFAULT_GROUP.parse());
    }
    // Groups with the same lists share a bundle.
    let mut wanted: Vec<(Bundle, Vec<GroupId>)> = Vec::new();
    for group in groups {
        let derived = match sequencer.assigned(&group) {
            Some(current) if !derive::is_kept_up(current) => continue,
            Some(current) => {
                let derived = derive::with_lists_of(&built_in, current);
                if derived.checks == current.checks {
                    continue;
                }
                derived
            }
            None => built_in.clone(),
        };
        match wanted.iter_mut().find(|(bundle, _)| *bundle == derived) {
            Some((_, groups)) => groups.push(group),
            None => wanted.push((derived, vec![group])),
        }
    }
    let Some(policy) = policy else {
        if !wanted.is_empty() {
            tracing::warn!(
                "the built-in checks changed, but the policy key is not here to sign them; the bundle in force stays"
            );
        }
        return Ok(Vec::new());
    };
    let newest = sequencer.newest_bundle().map_or(0, |newest| newest.version);
    let mut commands = Vec::new();
    for (next, (mut bundle, groups)) in (newest + 1..).zip(wanted) {
        bundle.version = bundle.version.max(next);
        commands.push(ActivateCommand {
            envelope: sign_bundle(&bundle, policy)?,
            groups,
            by: Actor::collector(),
            reason: "the built-in checks of this version".to_owned(),
        });
    }
    Ok(commands)
}

/// Signs a bundle with the policy key.
///
/// # Errors
/// [`BundleError`] if it cannot be written.
pub fn sign_bundle(bundle: &Bundle, policy: &SigningKey) -> Result<Envelope, BundleError> {
    Ok(Envelope::sign(BUNDLE_TYPE, bundle.to_bytes()?, &[policy]))
}

#[cfg(test)]
mod tests {
    use evidence::time::SystemClock;

    use super::*;
    use crate::config::LogFormat;

    fn config(data: PathBuf) -> Config {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Config {
            data,
            listen: "127.0.0.1:0".parse().unwrap(),
            origin: "log.test/service".to_owned(),
            url: None,
            checkpoint: None,
            tls: None,
            names: Vec::new(),
            log: LogFormat::Text,
        }
    }

    #[tokio::test]
    async fn a_certificate_is_renewed_while_the_collector_runs() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path().join("data"));
        let folder = DataFolder::open(&config.data).unwrap();
        let now = || SystemClock::new().now();
        let first = certificate(&config, &folder, now()).unwrap();
        let tls = RustlsConfig::from_config(first.clone());
        let renewal = tokio::spawn(renew(tls.clone(), Duration::from_millis(5), move || {
            certificate(&config, &folder, now())
        }));
        let renewed = async {
            while Arc::ptr_eq(&first, &tls.get_inner()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), renewed).await;
        assert!(waited.is_ok(), "the first certificate is still in use");
        renewal.abort();
    }

    #[tokio::test]
    async fn a_part_that_ends_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path().join("data"));
        let started = start(&config, Arc::new(SystemClock::new())).await;
        let mut service = started.unwrap_or_else(|error| panic!("{error}"));
        let still = tokio::time::timeout(Duration::from_millis(50), service.failed()).await;
        assert!(still.is_err());
        service.sequencer.abort();
        assert_eq!(service.failed().await, "the sequencer");
    }
}
