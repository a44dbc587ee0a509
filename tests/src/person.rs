//! A person at the pages and the API of a collector's process, signed in with name and password.

#![expect(
    clippy::unwrap_used,
    reason = "only tests stand on this; one that cannot go on has failed"
)]

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::process::Collector;

/// Somebody with a session.
pub struct Person {
    client: reqwest::Client,
    url: String,
    cookie: String,
}

impl Person {
    /// Makes an account as an operator does, and signs in to it as a browser does. `folder` holds the password meanwhile.
    ///
    /// # Panics
    /// If that does not work: the test has failed.
    pub async fn sign_in(collector: &Collector, folder: &Path, name: &str) -> Person {
        let password = "correct horse battery staple";
        let file = folder.join("password");
        fs::write(&file, password).unwrap();
        let path = file.display().to_string();
        let _ = collector.command(&["user", "create", "--name", name, "--password-file", &path]);
        fs::remove_file(&file).unwrap();
        let client = collector.client();
        let answer = client
            .post(format!("{}/sign-in", collector.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!(
                "name={name}&password={}",
                password.replace(' ', "+")
            ))
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_redirection(), "{}", answer.status());
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Person {
            client,
            url: collector.url.clone(),
            cookie,
        }
    }

    /// The text of a page or any other answer to GET.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn page(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.url));
        let answer = request.header("cookie", &self.cookie).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {text}");
        text
    }

    /// The answer of the API.
    ///
    /// # Panics
    /// If it is refused, or no JSON.
    pub async fn ask(&self, path: &str) -> Value {
        serde_json::from_str(&self.page(path).await).unwrap()
    }
}
