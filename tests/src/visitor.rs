//! Someone at the pages and the API of a collector: with or without a session, in one role.

#![expect(
    clippy::unwrap_used,
    reason = "only tests stand on this; one that cannot go on has failed"
)]

use collector::auth::permission::Role;
use collector::auth::session::COOKIE;
use collector::command::user;
use crypto::Digest;
use evidence::time::{Clock as _, SystemClock};
use reqwest::{Method, RequestBuilder, StatusCode};
use store::people::Account;

use crate::world::World;

/// A client of the pages.
#[derive(Clone)]
pub struct Visitor {
    client: reqwest::Client,
    url: String,
    /// The session's cookie; empty without one.
    pub cookie: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Visitor {
    /// Nobody in particular.
    #[must_use]
    pub fn stranger(world: &World) -> Visitor {
        Visitor {
            client: world.client(),
            url: world.url(),
            cookie: String::new(),
        }
    }

    /// A person of this role, signed in by a link.
    ///
    /// # Panics
    /// If signing in does not work: the test has failed.
    pub async fn signed_in(world: &World, role: Role) -> Visitor {
        let account = account(world, &format!("a {}", role.as_str()), role, None).await;
        let secret = link(world, &account).await;
        let mut visitor = Visitor::stranger(world);
        let answer = visitor.get(&format!("/sign-in/{secret}")).await;
        visitor.cookie = answer.cookie();
        assert!(!visitor.cookie.is_empty(), "{answer:?}");
        visitor
    }

    /// A request with the session's cookie.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match self.cookie.is_empty() {
            true => request,
            false => request.header("cookie", format!("{COOKIE}={}", self.cookie)),
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answered {
        answered(self.request(Method::GET, path)).await
    }

    /// POST of a form.
    pub async fn form(&self, path: &str, body: &str) -> Answered {
        let form = "application/x-www-form-urlencoded";
        let request = self
            .request(Method::POST, path)
            .header("content-type", form);
        answered(request.body(body.to_owned())).await
    }

    /// POST of JSON.
    pub async fn json(&self, path: &str, body: &str) -> Answered {
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", "application/json");
        answered(request.body(body.to_owned())).await
    }
}

impl Answered {
    /// The body as text.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A header's value; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap_or_default())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of the problem document that this answer is.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem: wire::problem::Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        problem.code
    }

    /// The value of the session's cookie that this answer sets; empty if it sets none.
    #[must_use]
    pub fn cookie(&self) -> String {
        let (pair, _) = self
            .header("set-cookie")
            .split_once(';')
            .unwrap_or_default();
        let value = pair
            .strip_prefix(COOKIE)
            .and_then(|rest| rest.strip_prefix('='));
        value.unwrap_or_default().to_owned()
    }
}

/// Sends a request and reads the answer.
///
/// # Panics
/// If none comes.
pub async fn answered(request: RequestBuilder) -> Answered {
    let response = request.send().await.unwrap();
    Answered {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.bytes().await.unwrap().to_vec(),
    }
}

/// Makes an account.
///
/// # Panics
/// If the database fails.
pub async fn account(world: &World, name: &str, role: Role, password: Option<&str>) -> Account {
    let hash = password.map(|password| collector::auth::password::hash(password, [7; 16]).unwrap());
    let account = Account {
        role: role.as_str().to_owned(),
        ..user::account(name, hash)
    };
    let store = &world.service().app.store;
    store
        .add_account(&account, SystemClock::new().now())
        .await
        .unwrap();
    account
}

/// The secret of a link that signs an account in once, within an hour.
///
/// # Panics
/// If the database fails.
pub async fn link(world: &World, account: &Account) -> String {
    let now = world.service().app.clock.now();
    let secret = hex::encode(world.service().app.random32());
    let store = &world.service().app.store;
    store
        .add_sign_in_link(
            &Digest::of(secret.as_bytes()),
            &account.id,
            now.plus_ms(3_600_000),
        )
        .await
        .unwrap();
    secret
}
