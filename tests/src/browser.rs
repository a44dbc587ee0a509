//! Debian's Chromium, driven over the W3C WebDriver protocol by chromedriver.

#![expect(
    clippy::unwrap_used,
    reason = "only tests stand on this; one that cannot go on has failed"
)]

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

const CHROMIUM: &str = "/usr/bin/chromium";
const CHROMEDRIVER: &str = "/usr/bin/chromedriver";
/// Key of an element's id in answers (W3C WebDriver, 11.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser window; everything ends with it.
pub struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
    profile: TempDir,
    // Held open: chromedriver ends when nobody can hear it.
    _said: BufReader<ChildStdout>,
}

impl Browser {
    /// Opens a window of this size, in CSS pixels. It accepts the certificates of tests.
    ///
    /// # Panics
    /// If Chromium or its driver is missing or does not start.
    pub async fn open(width: u32, height: u32) -> Browser {
        for program in [CHROMIUM, CHROMEDRIVER] {
            assert!(
                Path::new(program).is_file(),
                "{program} is missing: run tests/run, which installs it, or apt-get install chromium chromium-driver"
            );
        }
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(CHROMEDRIVER)
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap());
        let port = port(&mut said);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut browser = Browser {
            driver,
            client,
            session: format!("http://127.0.0.1:{port}/session"),
            profile,
            _said: said,
        };
        let opened = browser
            .call(
                Method::POST,
                "",
                capabilities(browser.profile.path(), width, height),
            )
            .await;
        let id = opened["sessionId"].as_str().unwrap();
        browser.session = format!("http://127.0.0.1:{port}/session/{id}");
        browser
    }

    /// Goes to an address and waits until the page is loaded.
    pub async fn visit(&self, url: &str) {
        self.call(Method::POST, "/url", json!({ "url": url })).await;
    }

    /// The page's title.
    ///
    /// # Panics
    /// If there is no page.
    pub async fn title(&self) -> String {
        let title = self.call(Method::GET, "/title", Value::Null).await;
        title.as_str().unwrap().to_owned()
    }

    /// Waits until the page's title is this: a click can return before what it leads to is there.
    ///
    /// # Panics
    /// If it does not become so within ten seconds.
    pub async fn titled(&self, title: &str) {
        let mut found = String::new();
        for _ in 0..200 {
            found = self.title().await;
            if found == title {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("expected a page titled {title:?}, found {found:?}");
    }

    /// The page's address.
    ///
    /// # Panics
    /// If there is no page.
    pub async fn url(&self) -> String {
        let url = self.call(Method::GET, "/url", Value::Null).await;
        url.as_str().unwrap().to_owned()
    }

    /// Clicks on the first element that the selector matches.
    ///
    /// # Panics
    /// If there is none.
    pub async fn click(&self, css: &str) {
        let wanted = json!({ "using": "css selector", "value": css });
        let found = self.call(Method::POST, "/element", wanted).await;
        let id = found[ELEMENT].as_str().unwrap();
        self.call(Method::POST, &format!("/element/{id}/click"), json!({}))
            .await;
    }

    /// The text of the first element that the selector matches.
    ///
    /// # Panics
    /// If there is none.
    pub async fn text(&self, css: &str) -> String {
        let script = "return document.querySelector(arguments[0]).innerText";
        let text = self.run(script, json!([css])).await;
        text.as_str().unwrap().to_owned()
    }

    /// What a script returns.
    pub async fn run(&self, script: &str, args: Value) -> Value {
        let body = json!({ "script": script, "args": args });
        self.call(Method::POST, "/execute/sync", body).await
    }

    /// What the browser has to say since it was asked last: errors of scripts, refusals by the content security policy,
    /// what could not be loaded.
    ///
    /// # Panics
    /// If the driver keeps no log.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.call(Method::POST, "/se/log", json!({ "type": "browser" }));
        let log = log.await;
        let entries = log.as_array().unwrap().iter();
        entries
            .map(|entry| format!("{} {}", entry["level"], entry["message"]))
            .collect()
    }

    /// Writes a picture of the window as `pages/NAME.png` beside the programs of this build, under target/.
    ///
    /// # Panics
    /// If it cannot be taken or written.
    pub async fn screenshot(&self, name: &str) {
        let picture = self.call(Method::GET, "/screenshot", Value::Null).await;
        let png = STANDARD.decode(picture.as_str().unwrap()).unwrap();
        let test = std::env::current_exe().unwrap();
        let folder = test.ancestors().nth(2).unwrap().join("pages");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.session));
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let succeeded = response.status().is_success();
        let mut answer: Value = response.json().await.unwrap();
        let value = answer["value"].take();
        assert!(succeeded, "chromedriver, {path}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The whole group: chromedriver, Chromium and its helpers.
        if let Some(pid) = i32::try_from(self.driver.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        let _ = self.driver.wait();
    }
}

/// The port that chromedriver says it took.
fn port(said: &mut BufReader<ChildStdout>) -> u16 {
    for line in said.lines() {
        let line = line.unwrap();
        if let Some((_, rest)) = line.split_once("started successfully on port ") {
            return rest.trim_end_matches('.').parse().unwrap();
        }
    }
    panic!("chromedriver ended before it took a port");
}

fn capabilities(profile: &Path, width: u32, height: u32) -> Value {
    let data: PathBuf = profile.join("chromium");
    let arguments = [
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-quic".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        "--ignore-certificate-errors".to_owned(),
        format!("--window-size={width},{height}"),
        format!("--user-data-dir={}", data.display()),
    ];
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "acceptInsecureCerts": true,
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": { "binary": CHROMIUM, "args": arguments },
    } } })
}
