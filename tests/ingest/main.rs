//! The collector under honest and hostile agents, over its real TLS interface.

#![cfg(test)]

mod bad_input;
mod chain;
mod early;
mod exported;
mod hostile;
mod live_log;
mod rebuild;
mod start;
mod storage;
