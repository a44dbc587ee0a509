//! A collector of one test: its own folder, port and clock, the real service behind it.

use std::path::PathBuf;
use std::sync::Arc;

use collector::config::{Config, LogFormat};
use collector::service::{self, Service};
use evidence::outcome::Reason;
use evidence::time::{Clock, SystemClock};
use ledger::key::Vkey;
use tempfile::TempDir;

use crate::simulated::SimulatedAgent;

/// Name of the log in tests.
pub const ORIGIN: &str = "log.test/assay";

/// A collector in this process.
pub struct World {
    folder: TempDir,
    config: Config,
    clock: Arc<dyn Clock>,
    service: Option<Service>,
}

impl World {
    /// Starts a collector with the system's clock.
    ///
    /// # Panics
    /// If it does not start: the test has failed.
    pub async fn start() -> World {
        World::start_at(Arc::new(SystemClock::new())).await
    }

    /// Starts a collector with this clock.
    ///
    /// # Panics
    /// If it does not start: the test has failed.
    pub async fn start_at(clock: Arc<dyn Clock>) -> World {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder =
            tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        let listen = "127.0.0.1:0"
            .parse()
            .unwrap_or_else(|error| panic!("{error}"));
        let config = Config {
            data: folder.path().join("data"),
            listen,
            origin: ORIGIN.to_owned(),
            url: None,
            checkpoint: None,
            tls: None,
            names: Vec::new(),
            log: LogFormat::Text,
        };
        let mut world = World {
            folder,
            config,
            clock,
            service: None,
        };
        world.up().await;
        world
    }

    /// Starts the collector again after [`World::stop`].
    ///
    /// # Panics
    /// If it does not start.
    pub async fn up(&mut self) {
        let started = service::start(&self.config, self.clock.clone()).await;
        self.service =
            Some(started.unwrap_or_else(|error| panic!("the collector does not start: {error}")));
    }

    /// Tries to start the collector, for tests of what must keep it from starting.
    ///
    /// # Errors
    /// Why it does not start.
    pub async fn try_up(&mut self) -> Result<(), service::ServiceError> {
        self.service = Some(service::start(&self.config, self.clock.clone()).await?);
        Ok(())
    }

    /// Stops the collector; its folder stays.
    pub async fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
    }

    /// The running collector.
    ///
    /// # Panics
    /// If it is stopped.
    #[must_use]
    pub fn service(&self) -> &Service {
        self.service
            .as_ref()
            .unwrap_or_else(|| panic!("the collector is stopped"))
    }

    /// The collector's data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.service().address)
    }

    /// The log's verifier key.
    #[must_use]
    pub fn log_key(&self) -> Vkey {
        self.service().app.log_key.clone()
    }

    /// A client that trusts this collector alone.
    ///
    /// # Panics
    /// If the authority's certificate cannot be read.
    #[must_use]
    pub fn client(&self) -> reqwest::Client {
        let path = self
            .service()
            .ca
            .clone()
            .unwrap_or_else(|| panic!("no authority"));
        let pem =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let ca = reqwest::Certificate::from_pem(&pem).unwrap_or_else(|error| panic!("{error}"));
        let client = reqwest::Client::builder()
            .tls_certs_only([ca])
            .redirect(reqwest::redirect::Policy::none())
            .build();
        client.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The secret of a new enrolment token.
    ///
    /// # Panics
    /// If the database fails.
    pub async fn token(&self, group: &str, uses: u32) -> String {
        let group = group.parse().unwrap_or_else(|error| panic!("{error}"));
        let made = collector::command::token::create(
            &self.service().app.store,
            group,
            uses,
            3_600_000,
            "test",
        )
        .await;
        made.unwrap_or_else(|error| panic!("{error}")).0
    }

    /// An agent that is enrolled and has delivered one round, in which nothing could be read; `seed` makes its key.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn agent(&self, seed: u64) -> SimulatedAgent {
        let token = self.token("default", 1).await;
        let (url, client) = (self.url(), self.client());
        let enrolled = SimulatedAgent::enrol(&url, &client, &token, seed, None).await;
        let mut agent = enrolled.unwrap_or_else(|problem| panic!("refused: {problem:?}"));
        let now = self.service().app.clock.now();
        agent.deliver(now, Reason::PermissionDenied).await;
        agent
    }
}
