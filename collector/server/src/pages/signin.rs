//! Sign-in: name and password, and nothing that tells whether an account exists.

use askama::Template;

/// The sign-in page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "signin.html")]
pub struct SignInPage {
    /// What happened to the last attempt.
    pub notice: Notice,
    /// Where to go afterwards: a path of this site; empty for the overview.
    pub next: String,
}

/// What the sign-in page says about the last attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notice {
    /// There was none.
    #[default]
    None,
    /// It was refused, for whatever reason.
    Refused,
    /// There were too many; the number is the seconds to wait.
    Wait(u64),
    /// The person signed out.
    SignedOut,
    /// The session ended.
    Expired,
}

impl Notice {
    /// The words for it; a refusal never tells which of name and password was wrong.
    pub fn words(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Refused => "Name or password is not right.".to_owned(),
            Self::Wait(seconds) => format!("Too many attempts. Try again in {seconds} s."),
            Self::SignedOut => "You are signed out.".to_owned(),
            Self::Expired => "Your session has ended. Sign in again.".to_owned(),
        }
    }

    fn is_alarm(self) -> bool {
        matches!(self, Self::Refused | Self::Wait(_))
    }
}
