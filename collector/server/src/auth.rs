//! People: passwords, sessions, sign-in, and the one table of who may do what.

pub mod password;
