//! People: passwords, sessions, sign-in, and the one table of who may do what.
//!
//! Every request passes [`guard`]: a route that is not in the table of [`permission`] is refused, whoever asks. Agents
//! authenticate themselves by tokens and signatures, which their handlers check.

pub mod guard;
pub mod password;
pub mod permission;
pub mod session;
pub mod sign_in;
pub mod throttle;
