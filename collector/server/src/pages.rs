//! What people see: one typed view model and one template per page.
//!
//! A page is a plain struct filled by the queries; everything that must be *decided* in words
//! (the sentence at the top, a share that is never rounded to 100 % while something failed) is
//! decided here, where it can be tested, and never in a template. Nothing in this module reads a
//! database, a clock or a request. Rendering is `askama::Template::render` on the page.
//!
//! The pages carry no inline script and no inline style, so they work under
//! [`CONTENT_SECURITY_POLICY`]. Everything a page needs from outside is in [`asset`]; every
//! address that a page links to is made in [`route`].

pub mod asset;
pub mod check;
pub mod control;
pub mod controls;
pub mod entry;
pub mod frame;
pub mod host;
pub mod hosts;
pub mod ledger;
pub mod outcome;
pub mod overview;
pub mod part;
pub mod problem;
pub mod route;
pub mod search;
pub mod signin;

#[cfg(test)]
mod gallery;

pub use check::CheckPage;
pub use control::ControlPage;
pub use controls::ControlsPage;
pub use entry::EntryPage;
pub use frame::Frame;
pub use host::HostPage;
pub use hosts::HostsPage;
pub use ledger::LedgerPage;
pub use outcome::OutcomePage;
pub use overview::OverviewPage;
pub use problem::ProblemPage;
pub use search::SearchPage;
pub use signin::SignInPage;

/// The value of the `Content-Security-Policy` header that every page is made for.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
